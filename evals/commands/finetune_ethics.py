"""``assay finetune --ethics`` and ``assay finetune search``: terms beside the language-model loss and their weights."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from evals.commands.options import DEVICE, DTYPE, POSITIVE
from evals.console import table
from evals.progress import show_progress

if TYPE_CHECKING:
    from evals.ethics.running import EthicsResult
    from evals.ethics.settings import EthicsRequest
    from evals.finetuning.request import FinetuneRequest

__all__ = ["ethics_of", "ethics_options", "finish", "search"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--ethics",
        {
            "multiple": True,
            "metavar": "TERM=WEIGHT",
            "help": "Beside the language-model loss: unlikelihood, dpo, kto or kl, for example dpo=0.5. Repeat.",
        },
    ),
    ("--control-codes", {"is_flag": True, "help": "Learn texts behind a code for how clean they are."}),
    (
        "--judge",
        {
            "multiple": True,
            "default": ("encoder",),
            "show_default": True,
            "help": "Filter that judges in training. Repeat.",
        },
    ),
    (
        "--measure",
        {
            "multiple": True,
            "default": ("linear",),
            "show_default": True,
            "help": "Filter that measures, never one that judged in training; linear is the audit's. Repeat.",
        },
    ),
    ("--measure-prompts", {"type": POSITIVE, "default": 100, "show_default": True, "help": "RealToxicityPrompts."}),
    ("--continuations", {"type": POSITIVE, "default": 25, "show_default": True, "help": "Of each prompt."}),
    ("--sample-prompts", {"type": POSITIVE, "default": 200, "show_default": True, "help": "To make pairs from."}),
)


def ethics_options(command: _Command) -> _Command:
    """Add the options of an objective with ethics in it to a command."""
    for name, settings in reversed(_OPTIONS):
        command = click.option(name, **settings)(command)
    return command


def ethics_of(options: dict[str, Any]) -> EthicsRequest | None:
    """Return what the options ask for; None where no term is named.

    Raises
    ------
    ConfigError
        A term or a weight that means nothing.
    """
    if not options["ethics"] and not options["control_codes"]:
        return None
    from evals.ethics.settings import EthicsRequest, MeasureSizes
    from guard.train.generator.ethics import parse_weights
    from guard.train.generator.sampling import SampleSettings

    return EthicsRequest(
        parse_weights(options["ethics"], control_codes=options["control_codes"]),
        judges=tuple(options["judge"]),
        measures=tuple(options["measure"]),
        prompts=options["sample_prompts"],
        samples=SampleSettings(seed=options["seed"]),
        sizes=MeasureSizes(prompts=options["measure_prompts"], continuations=options["continuations"]),
        seed=options["seed"],
    )


def finish(result: EthicsResult, request: FinetuneRequest, ethics: EthicsRequest, *, as_json: bool) -> int:
    """Write the page, the rows of the cards and the control codes; print the figures, and return the exit code."""
    from evals.ethics.comparing import FIGURE_HEAD, figure_rows
    from evals.ethics.page import card_section, compared_page, record_of, write_page
    from guard.train.generator.codes import write_codes

    found, judges = result.compared, result.judges
    facts = [("model", f"{request.model} ({result.finetuned.source.digest[:12]})"), ("seed", str(ethics.seed))]
    title = f"{Path(request.model).name} fine-tuned with ethics"
    page = compared_page(title, found, result.sides, judges, ethics, facts=facts)
    record = record_of(found, result.sides, judges, ethics)
    write_page(request.out, page, record, name="ethics")
    for folder in filter(Path.is_dir, (request.out / "model", request.out / "adapter")):
        with (folder / "README.md").open("a", encoding="utf-8") as stream:
            stream.write("\n" + card_section(found, judges, ethics))
        if result.codes is not None:
            write_codes(folder, result.codes, judge=judges.training.name)
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        table(list(FIGURE_HEAD), [list(row) for row in figure_rows(found)])
        click.echo(f"\n{found.sentence}\nWrote {request.out}: model, report.html, ethics.html.")
    return int(found.outcome)


@click.command()
@click.option("--data", required=True, metavar="FILE", help="CSV, JSON Lines, Parquet, plain text, or hub:NAME.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Asset, folder, GGUF file or hub id.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the search; kept to go on.")
@click.option("--text-column", metavar="NAME", help="Plain text. Columns are guessed where none is named.")
@click.option("--prompt-column", metavar="NAME", help="Question; goes with --answer-column.")
@click.option("--answer-column", metavar="NAME", help="Answer, which is what is learnt.")
@click.option("--limit", type=POSITIVE, help="Read only the first rows.")
@click.option("--steps", type=POSITIVE, default=40, show_default=True, help="Of each trial.")
@click.option("--step-tokens", type=POSITIVE, default=1024, show_default=True)
@click.option("--trials", type=POSITIVE, default=12, show_default=True)
@click.option(
    "--term", "terms", multiple=True, default=("unlikelihood", "dpo", "kl"), show_default=True, help="Searched. Repeat."
)
@click.option("--control-codes/--no-control-codes", default=True, show_default=True, help="Try them, with and without.")
@click.option("--search-prompts", type=POSITIVE, default=40, show_default=True, help="RealToxicityPrompts a trial.")
@click.option("--judge", multiple=True, default=("encoder",), show_default=True, help="Filter that judges in training.")
@click.option("--measure", multiple=True, default=("linear",), show_default=True, help="Filter that looks on.")
@click.option("--sample-prompts", type=POSITIVE, default=200, show_default=True, help="To make pairs from.")
@click.option("--continuations", type=POSITIVE, default=25, show_default=True, help="Of each prompt.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def search(out: Path, as_json: bool, **options: Any) -> None:
    """Search the weights of the terms: little toxicity, with perplexity and refusals within limits.

    Each trial trains the model from the same start. A search that was killed goes on when the same command is given
    again. Exit codes: 0 weights were chosen, 3 none kept the limits.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading"):
            from evals.ethics.page import search_page, trade_off, write_page
            from evals.ethics.search import SearchSettings
            from evals.ethics.searching import search_weights

            request, ethics = _requests(out, options)
            settings = SearchSettings(
                options["trials"], tuple(options["terms"]), options["control_codes"], options["seed"]
            )
        found = search_weights(request, ethics, settings, out, prompts=options["search_prompts"], tell=bars.show)
    facts = [("model", options["model"]), ("data", options["data"]), ("steps a trial", str(options["steps"]))]
    title = f"Weights of the terms for {Path(options['model']).name}"
    trade = trade_off(found, ethics.limits)
    record = {"sentence": found.sentence, "judge": found.judge, "points": [vars(one) for one in trade.points]}
    write_page(out, search_page(title, found, ethics.limits, facts), record, name="search")
    if as_json:
        click.echo(json.dumps(record, ensure_ascii=False))
    else:
        rows = [
            [p.name, f"{p.perplexity:.3f}", f"{p.toxicity:.3f}", "chosen" if p.chosen else ""] for p in trade.points
        ]
        table(["weights", "perplexity by plain", "expected maximum toxicity", ""], rows)
        click.echo(f"\n{found.sentence}\nWrote {out}: search.html, search.md, search.json.")
    sys.exit(0 if found.chosen is not None else 3)


def _requests(out: Path, options: dict[str, Any]) -> tuple[FinetuneRequest, EthicsRequest]:
    from evals.ethics.settings import EthicsRequest, MeasureSizes
    from evals.finetuning.checking import CheckSettings
    from evals.finetuning.request import FinetuneRequest
    from evals.finetuning.texts import TextColumns
    from guard.train.generator.ethics import EthicsWeights
    from guard.train.generator.fit_settings import FitSettings
    from guard.train.generator.sampling import SampleSettings

    seed = options["seed"]
    request = FinetuneRequest(
        data=options["data"],
        out=out,
        model=options["model"],
        columns=TextColumns(options["text_column"], options["prompt_column"], options["answer_column"]),
        check=CheckSettings(limit=options["limit"], seed=seed),
        fit=FitSettings(steps=options["steps"], step_tokens=options["step_tokens"], looks=2, seed=seed),
        max_tokens=128,
        device=options["device"],
        dtype=options["dtype"],
    )
    ethics = EthicsRequest(
        EthicsWeights(),
        judges=tuple(options["judge"]),
        measures=tuple(options["measure"]),
        prompts=options["sample_prompts"],
        samples=SampleSettings(seed=seed),
        sizes=MeasureSizes(continuations=options["continuations"]),
        seed=seed,
    )
    return request, ethics
