"""``assay finetune generator``: train a causal language model on rows of the user's own, measured before and after."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from evals.commands.finetune_ethics import ethics_of, ethics_options, finish
from evals.commands.options import DEVICE, DTYPE, POSITIVE
from evals.console import table, tell
from evals.progress import show_progress
from guard.errors import ConfigError

if TYPE_CHECKING:
    from evals.ethics.settings import EthicsRequest
    from evals.finetuning.checking import Checked
    from evals.finetuning.request import FinetuneRequest

__all__ = ["generator", "request_of"]

_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
_MAY_CHANGE = frozenset({"out", "resume", "as_json", "minutes", "rate", "patience", "batch_tokens", "device", "track"})
"""What a run that goes on may be told anew."""


@click.command()
@click.option("--data", metavar="FILE", help="CSV, JSON Lines, Parquet, plain text, or hub:NAME.")
@click.option("--model", default="smollm2-135m", show_default=True, help="Asset, folder, GGUF file or hub id.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; new or empty. Default: under runs/.")
@click.option("--text-column", metavar="NAME", help="Plain text. Columns are guessed where none is named.")
@click.option("--prompt-column", metavar="NAME", help="Question; goes with --answer-column.")
@click.option("--answer-column", metavar="NAME", help="Answer, which is what is learnt.")
@click.option("--messages-column", metavar="NAME", help="Dialogue: a list of turns with role and content.")
@click.option("--group-column", metavar="NAME", help="Rows of one value stay together, such as a conversation's id.")
@click.option("--validation-data", metavar="FILE", help="Rows to validate and measure on. Default: a share of --data.")
@click.option("--validation", type=click.FloatRange(0, 0.5, min_open=True), default=0.1, show_default=True)
@click.option("--on-pii", type=click.Choice(["keep", "mask", "drop"]), default="keep", show_default=True)
@click.option("--on-toxic", type=click.Choice(["keep", "drop"]), default="keep", show_default=True)
@click.option("--on-duplicate", type=click.Choice(["keep", "drop"]), default="drop", show_default=True)
@click.option("--limit", type=POSITIVE, help="Read only the first rows.")
@click.option(
    "--method", type=click.Choice(["lora", "dora", "prompt", "full"]), help="Default: lora; full from scratch."
)
@click.option("--rank", type=POSITIVE, default=16, show_default=True, help="Of low-rank updates.")
@click.option("--prompt-tokens", type=POSITIVE, default=20, show_default=True, help="Length of a trained prompt.")
@click.option("--from-scratch", metavar="SIZE", help="Random weights: tiny, small, medium, or a TOML file.")
@click.option("--form", type=click.Choice(["auto", "chat", "plain"]), default="auto", show_default=True)
@click.option("--whole-dialogues", is_flag=True, help="Learn every turn and not the answers alone.")
@click.option("--epochs", type=_ABOVE_ZERO, default=2.0, show_default=True)
@click.option("--steps", type=POSITIVE, help="Instead of --epochs.")
@click.option("--minutes", type=_ABOVE_ZERO, help="Shorten the training to this time.")
@click.option(
    "--rate", type=_ABOVE_ZERO, help="Peak learning rate. Default: 1e-3; 1e-4 for all weights; 0.03 for a prompt."
)
@click.option("--step-tokens", type=POSITIVE, default=1024, show_default=True, help="Tokens a step, added up.")
@click.option("--batch-tokens", type=POSITIVE, default=1024, show_default=True, help="Tokens in the model at once.")
@click.option("--max-tokens", type=click.IntRange(min=2), default=512, show_default=True, help="Of a row.")
@click.option("--packing", is_flag=True, help="Lay texts behind each other in a row; they do not see each other.")
@click.option("--checkpointing", is_flag=True, help="Less memory, about a third more time.")
@click.option("--patience", type=POSITIVE, default=3, show_default=True, help="Looks without a better one.")
@ethics_options
@click.option("--track", multiple=True, default=("tensorboard",), show_default=True, help="tensorboard, wandb or none.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@DTYPE
@click.option("--resume", is_flag=True, help="Go on with the run in --out; nothing else need be given.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def generator(context: click.Context, /, **options: Any) -> None:
    """Train a causal language model on the rows of a data set; measure, and write model, card, curves and report.

    The data is checked before the first step. A run that was killed, that lost its device or had no room goes on with
    --resume. With several GPUs: `accelerate launch -m cli finetune ...`. Exit codes: 0 perplexity on held-out rows
    fell, 1 it rose, 3 not enough evidence.
    """
    as_json, resume = options.pop("as_json"), options.pop("resume")
    with show_progress(quiet=as_json) as bars:
        with bars.busy("loading"):
            from evals.finetuning.finetuning import finetune
            from evals.finetuning.result import to_dict

            options = _resumed(context, options) if resume else options
            request, ethics = request_of(options), ethics_of(options)
        if ethics is not None:
            sys.exit(_with_ethics(request, ethics, bars, resume=resume, as_json=as_json))
        result = finetune(
            request,
            resume=resume,
            tell=bars.show,
            note=tell,
            show=lambda checked: None if as_json else _show_check(checked, bars),
        )
    if result is None:
        return
    if as_json:
        click.echo(json.dumps(to_dict(result), ensure_ascii=False))
    else:
        from evals.finetuning.card import FIGURE_HEAD
        from evals.finetuning.figures import figure_rows

        table(list(FIGURE_HEAD), figure_rows(result.perplexity), whole=range(len(FIGURE_HEAD)))
        written = "adapter" if request.tuning.method == "prompt" else "model"
        click.echo(f"\n{result.perplexity.sentence}\nWrote {request.out}: {written}, report.html, curves.csv.")
    sys.exit(int(result.perplexity.outcome))


def _with_ethics(request: FinetuneRequest, ethics: EthicsRequest, bars: Any, *, resume: bool, as_json: bool) -> int:
    """Train with terms beside the language-model loss, hold it against plain training, and return the exit code."""
    from evals.ethics.running import finetune_with_ethics

    found = finetune_with_ethics(
        request,
        ethics,
        resume=resume,
        tell=bars.show,
        note=tell,
        show=lambda checked: None if as_json else _show_check(checked, bars),
    )
    with bars.paused():
        return finish(found, request, ethics, as_json=as_json)


def _show_check(checked: Checked, bars: Any) -> None:
    from evals.finetuning.card import CHECK_HEAD, check_rows

    with bars.paused():
        table(list(CHECK_HEAD), check_rows(checked.lines))
        n = (len(checked.train), len(checked.validation), len(checked.held_out))
        click.echo(f"{n[0]:,} rows to learn from, {n[1]:,} to choose by, {n[2]:,} to measure on.\n")


def _resumed(context: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a run began with, and those of now that may differ."""
    from evals.finetuning.run_folder import read_options

    if options["out"] is None:
        raise ConfigError("--resume needs the folder of the run: name it with --out")
    kept = {**read_options(options["out"]), "out": options["out"]}
    said = {name for name in options if context.get_parameter_source(name) == ParameterSource.COMMANDLINE}
    changed = sorted(name for name in said - _MAY_CHANGE if options[name] != kept.get(name))
    if changed:
        raise ConfigError(
            f"--{changed[0].replace('_', '-')} differs from what the run began with: leave it out, or begin anew"
        )
    return {**options, **kept, **{name: options[name] for name in said & _MAY_CHANGE}}


_RATES = {"lora": 1e-3, "dora": 1e-3, "prompt": 0.03, "full": 1e-4}


def request_of(options: dict[str, Any]) -> FinetuneRequest:
    """Return what the options of the command ask for.

    Raises
    ------
    ConfigError, DataError
        They make no sense together.
    """
    from evals.finetuning.checking import CheckSettings
    from evals.finetuning.request import FinetuneRequest
    from evals.finetuning.texts import TextColumns
    from guard.train.generator.fit_settings import FitSettings
    from guard.train.generator.scratch import ScratchSize
    from guard.train.generator.tuned import Tuning

    if not options["data"]:
        raise ConfigError("no data: name a file with --data")
    scratch = ScratchSize.named(options["from_scratch"]) if options["from_scratch"] else None
    method: Any = options["method"] or ("full" if scratch else "lora")
    rate = options["rate"] or (2e-3 if scratch else _RATES[method])
    columns = TextColumns(*(options[f"{role}_column"] for role in ("text", "prompt", "answer", "messages", "group")))
    checks = {name: options[name] for name in ("on_pii", "on_toxic", "on_duplicate", "validation", "seed", "limit")}
    fits = {name: options[name] for name in ("epochs", "steps", "minutes", "step_tokens", "patience", "seed")}
    out = options["out"] or _new_folder(options["model"] if scratch is None else "scratch")
    kept = {name: value for name, value in options.items() if name != "out"}
    return FinetuneRequest(
        data=options["data"],
        out=out,
        model=options["model"],
        columns=columns,
        validation_data=options["validation_data"],
        check=CheckSettings(**checks),
        tuning=Tuning(
            method,
            rank=options["rank"],
            alpha=2.0 * options["rank"],
            prompt_tokens=options["prompt_tokens"],
            checkpointing=options["checkpointing"],
        ),
        fit=FitSettings(
            **fits, budget=options["batch_tokens"], packing=options["packing"], width=options["max_tokens"], rate=rate
        ),
        max_tokens=options["max_tokens"],
        form=options["form"],
        answers_only=not options["whole_dialogues"],
        scratch=scratch,
        track=[name for name in options["track"] if name != "none"],
        device=options["device"],
        dtype=options["dtype"] if scratch is None or options["dtype"] != "auto" else "float32",
        options=kept,
    )


def _new_folder(model: str) -> Path:
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"finetune-{Path(model).name}-{now}"
