"""The card of a fine-tuned model: where it comes from, what it learnt from, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence

from evals.finetuning.checking import CheckLine
from evals.finetuning.figures import figure_rows
from evals.finetuning.result import FinetuneResult, base_of
from evals.report.finetuned import cell
from evals.report.markdown import prose

__all__ = ["CHECK_HEAD", "FIGURE_HEAD", "card_text", "check_rows"]

FIGURE_HEAD = ("", "before", "after", "ratio", "n", "unscored")
CHECK_HEAD = ("in the data", "rows", "of", "unscored", "these are")


def check_rows(lines: Sequence[CheckLine]) -> list[list[str]]:
    """Return the table of the data's check as text."""
    return [
        [line.title, f"{line.found:,}", f"{line.n:,}", f"{line.n_unscored:,}", line.action if line.found else "–"]
        for line in lines
    ]


def card_text(result: FinetuneResult, *, adapter: bool) -> str:
    """Return the model card, in Markdown.

    Parameters
    ----------
    result : FinetuneResult
    adapter : bool
        Whether it stands beside updates that need the original, and not beside a whole model.
    """
    base, settings, tuning = base_of(result), result.request.fit, result.request.tuning
    origin = (
        "with random weights and a tokenizer of its own"
        if result.request.scratch
        else f"from {base['name']} (digest `{base['digest'][:12]}`, licence: {base['licence']})"
    )
    how = {
        "lora": f"low-rank updates of rank {tuning.rank}",
        "dora": f"low-rank updates of rank {tuning.rank} with lengths of their own",
        "prompt": f"a prompt of {tuning.prompt_tokens} trained ids",
        "full": "all weights",
    }
    kinds = ", ".join(f"{kind} {n}" for kind, n in result.checked.kinds.items()) or "none"
    load = (
        'PeftModel.from_pretrained(original, "FOLDER")' if adapter else 'AutoModelForCausalLM.from_pretrained("FOLDER")'
    )
    lines = [
        f"# {prose(result.title)}",
        "",
        f"Made with Assay {origin}: {how[tuning.method]}, {result.n_trained:,} of them trained, on"
        f" {len(result.checked.train):,} rows. Load it with `{load}`.",
        "",
        "## Before and after",
        "",
        *_table(FIGURE_HEAD, figure_rows(result.perplexity)),
        f"{prose(result.perplexity.sentence)} Rows that nothing was chosen by; intervals are 95%, over"
        f" {result.perplexity.before.n} units; the mark that ends a text is not counted.",
        "",
        "## Data",
        "",
        *_table(CHECK_HEAD, check_rows(result.checked.lines)),
        f"Personal data by kind, in rows: {prose(kinds)}.",
        "",
        "## Training",
        "",
        f"{result.progress.step} steps of about {settings.step_tokens} ids, kept those up to step"
        f" {result.progress.best_step}; peak rate {settings.rate:g}, seed {settings.seed}. Everything else is in"
        " `finetune.json`.",
        "",
        "## Limits",
        "",
        "- A lower perplexity says that texts like these are expected, not that what is written is true, safe or of"
        " use.",
        "- What the original refused it may not refuse now: audit it (`assay audit --model FOLDER`), and use it behind"
        " a guard.",
        "- A model can repeat what it was trained on, personal data too where it was kept.",
        "",
    ]
    return "\n".join(lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [" | ".join(map(cell, row)) for row in (head, *rows)]
    return [f"| {cells[0]} |", f"|{' --- |' * len(head)}", *(f"| {row} |" for row in cells[1:]), ""]
