"""``assay attack``: how many texts get past a classifier, or requests past a generator, and what that takes."""

from __future__ import annotations

import datetime
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import DEVICE, DTYPE, POSITIVE, batch_size, endpoint_options, generator_options
from evals.commands.options import filters as filters_option
from evals.progress import Bars, show_progress
from guard.errors import AssayError
from guard.filters.table import DEFAULT_FILTERS

if TYPE_CHECKING:
    from evals.attacking.request import AttackRequest
    from evals.attacking.summary import AttackSummary

__all__ = ["attack"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--recipe", "recipes", multiple=True, required=True, metavar="NAME", help="Attack. Repeat for several.")
@click.option(
    "--target",
    required=True,
    metavar="KIND:NAME",
    help="filter:NAME, transformer:ID or guard:MODEL for texts; model:NAME or guard:MODEL for generators.",
)
@click.option("--data", type=_PATH, help="Texts to change: CSV, JSONL or Parquet.")
@click.option("--column", default="text", show_default=True, help="Where the texts, or the goals, are.")
@click.option("--label-column", default="", help="Where the labels are. Without it every text is harmful.")
@click.option("--positive", metavar="VALUE", help="The label of a harmful text, where labels are not 0 and 1.")
@click.option("--category", default="toxicity", show_default=True, help="Category of a filter.")
@click.option("--masked-lm", metavar="ID_OR_PATH", help="Masked language model, for bae and bert-attack-style.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Score from which a filter stops a text.")
@click.option("--policy", default="standard", show_default=True, help="Gives the threshold, and guards a guard:MODEL.")
@filters_option(*DEFAULT_FILTERS, help="Filter of a guard:MODEL, as NAME or NAME:ARGUMENT. Repeat for several.")
@click.option("--goals", type=_PATH, help="Requests that should be turned down. Default: those of the audit.")
@click.option(
    "--attacker", default="smollm2-135m", show_default=True, help="Model that rewrites, for pair and paraphrase."
)
@click.option("--streams", type=POSITIVE, default=2, show_default=True, help="Conversations of it a goal.")
@click.option("--suffixes", type=_PATH, help="Suffixes, one a line. Default: searched on goals that are not counted.")
@click.option("--suffix-steps", type=POSITIVE, default=20, show_default=True, help="Steps of that search.")
@click.option("--sigma", type=click.FloatRange(0, 1), default=0.4, show_default=True, help="Strength of best-of-n.")
@click.option("--max-new-tokens", type=POSITIVE, default=64, show_default=True, help="Of an answer.")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.0, show_default=True, help="0 is greedy.")
@click.option(
    "--search",
    type=click.Choice(["published", "few-queries"]),
    default="published",
    show_default=True,
    help="Of recipes that change texts: their own search, or one that follows gradients and asks less.",
)
@click.option("--budget", type=POSITIVE, help="Most queries a text or goal. Default: none for texts, 10 for goals.")
@click.option("--explore", type=POSITIVE, help="Queries a goal on which adaptive chooses. Default: by its wordings.")
@click.option("--all-attempts", is_flag=True, help="Go on with a goal that was reached.")
@click.option(
    "--limit", type=POSITIVE, help="At most so many texts or goals. Default: all, or 20 of the audit's goals."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option(
    "--judge",
    type=click.Choice(["trained", "words"]),
    default="trained",
    show_default=True,
    help="Of a generator's answers: a trained one, or a rule on words, which needs no asset and errs more.",
)
@click.option(
    "--max-success", type=click.FloatRange(0, 1), help="Largest success: exit 0 pass, 1 fail, 3 inconclusive."
)
@click.option("--out", type=_PATH, help="Folder of the run. Default: a new one in attacks/.")
@click.option("--resume", is_flag=True, help="Go on with the run in --out.")
@DEVICE
@DTYPE
@click.option("--batch-size", default="auto", callback=batch_size, show_default=True, help="Rows that run together.")
@endpoint_options
@click.option("--json", "as_json", is_flag=True, help="Print attack.json instead of a table.")
def attack(target: str, out: Path | None, resume: bool, all_attempts: bool, as_json: bool, **options: Any) -> None:
    """Attack a classifier with changed texts, or a generator with made prompts, and measure success.

    Recipes of texts: deepwordbug, pruthi, textbugger, textfooler-style, hotflip, pwws, bae, bert-attack-style,
    input-reduction, checklist. Of generators: direct, templates, wild, encodings, injection, many-shot, best-of-n,
    suffix, pair, adaptive. The folder gets attempts.jsonl, attack.json and attack.md. Exits 0 when it ran, unless
    --max-success holds it against a limit.
    """
    if resume and out is None:
        raise click.UsageError("--resume needs the folder of the run: give --out")
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals.attacking.request import AttackRequest, parse_target

            request = AttackRequest(
                target=parse_target(target),
                stop_at_success=not all_attempts,
                generators=generator_options(options),
                **options,
            )
        folder = out or _new_folder(request)
        summary = _run(request, folder, resume=resume, bars=bars)
    _show(summary, folder, as_json=as_json)
    sys.exit(0 if summary.outcome is None else int(summary.outcome))


def _run(request: AttackRequest, folder: Path, *, resume: bool, bars: Bars) -> AttackSummary:
    """Run what is asked for, and write its files."""
    from evals.attacking.request import kind_of
    from guard.attacks.recipes import RECIPES

    if kind_of(request.recipes, [*RECIPES]) == "text":
        summary = _run_texts(request, folder, resume=resume, bars=bars)
    else:
        summary = _run_prompts(request, folder, resume=resume, bars=bars)
    from evals.attacking.files import write_texts
    from evals.attacking.markdown import to_markdown
    from evals.attacking.summary import outcome_of, to_json

    if request.max_success is not None:
        outcome = outcome_of(summary.recipes, request.max_success)
        summary = replace(summary, outcome=outcome, limit=request.max_success)
    write_texts(folder, {"attack.json": to_json(summary), "attack.md": to_markdown(summary)})
    return summary


def _run_texts(request: AttackRequest, folder: Path, *, resume: bool, bars: Bars) -> AttackSummary:
    with bars.busy("loading the target"):
        from evals.attacking.text_run import plan_texts, run_texts

        plan = plan_texts(request)
    with _folder(folder, resume=resume) as made:
        return run_texts(plan, made, progress=bars.show)


def _run_prompts(request: AttackRequest, folder: Path, *, resume: bool, bars: Bars) -> AttackSummary:
    with bars.busy("loading the target"):
        from evals.attacking.prompt_run import plan_prompts, run_prompts

        plan = plan_prompts(request)
    with _folder(folder, resume=resume) as made:
        return run_prompts(plan, made, progress=bars.show)


@contextmanager
def _folder(folder: Path, *, resume: bool) -> Iterator[Path]:
    """Open the folder of a run; one that fails before its first attempt leaves none."""
    from evals.attacking.files import discard_unbegun, open_folder

    made = open_folder(folder, resume=resume)
    try:
        yield made
    except AssayError:
        if not resume:
            discard_unbegun(made)
        raise


def _new_folder(request: AttackRequest) -> Path:
    """Return a name for a run: what, on what, and when."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S-%f")
    words = re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join([*request.recipes, request.target.kind, request.target.name]))
    return Path("attacks") / f"{words[:80].strip('-.')}-{now}"


def _show(summary: AttackSummary, folder: Path, *, as_json: bool) -> None:
    from evals.attacking.summary import to_json
    from evals.console import one_line

    if as_json:
        click.echo(to_json(summary), nl=False)
        return
    from rich.console import Console

    from evals.attacking.terminal import show_summary

    show_summary(summary, Console())
    click.echo(f"Written: {one_line(str(folder))}")
