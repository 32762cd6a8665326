"""``assay explain``: which words a score or an answer came from, and how far that can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import DEVICE, POSITIVE, batch_size, endpoint_options, generator_options
from evals.commands.options import filters as filters_option
from evals.progress import show_progress

if TYPE_CHECKING:
    from evals.explaining.request import Found

__all__ = ["explain"]

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("source", metavar="[TEXT | FILE | -]", required=False)
@filters_option(help="Filter, as NAME or NAME:ARGUMENT. Default: encoder; with --run, those of the standard policy.")
@click.option("--category", help="What of the filter. Default: the highest; with --model or --swap, toxicity.")
@click.option("--method", metavar="NAME", help="How. Default: what suits the filter; of models, leave-one-out.")
@click.option("--column", default="text", show_default=True, help="Where the texts of a FILE are.")
@click.option("--limit", type=POSITIVE, help="At most so many texts of a FILE.")
@click.option("--policy", default="standard", show_default=True, help="Gives the threshold of the verdict.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="In place of the policy's.")
@click.option("--counterfactual", is_flag=True, help="Find the least edit of the text that turns the verdict.")
@click.option("--faithfulness", is_flag=True, help="Measure how far the explanation can be trusted.")
@click.option(
    "--swap", metavar="KIND|FILE", help="Exchange terms instead, and score again: identity, topic, or a TOML file."
)
@click.option(
    "--model", metavar="ID_OR_PATH", help="Explain this model's answer to --prompt, or to the texts of a FILE."
)
@click.option("--prompt", help="What the model was asked.")
@click.option("--output", help="The answer to explain. Default: what the model writes.")
@click.option("--against", help="Explain why the answer and not this one.")
@click.option(
    "--why",
    type=click.Choice(["likely", "flagged", "score"]),
    help="Of the answer: that it is likely; that those of its words are which the filter minds; the score of answers.",
)
@click.option("--samples", type=POSITIVE, default=8, show_default=True, help="Answers a wording, of --why score.")
@click.option("--max-new-tokens", type=POSITIVE, default=64, show_default=True, help="Of an answer.")
@click.option("--temperature", type=click.FloatRange(min=0), help="Default: 0, and 0.7 for several --samples.")
@click.option("--chat/--no-chat", default=True, show_default=True, help="Use the model's chat template.")
@click.option("--run", type=_PATH, help="Explain a sample of this audit: its folder, or its report.json.")
@click.option("--sample", metavar="ID", help="Which, as report.html names it.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@click.option(
    "--dtype",
    type=click.Choice(["auto", "bfloat16", "float16", "float32"]),
    default="float32",
    show_default=True,
    help="Of the model; gradients are coarse in the shorter ones.",
)
@click.option("--batch-size", default="auto", callback=batch_size, show_default=True, help="Rows that run together.")
@endpoint_options
@click.option("--html", type=_PATH, help="Write a page too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(html: Path | None, as_json: bool, **options: Any) -> None:
    """Say which words a score or an answer came from.

    TEXT is explained as a filter scores it. FILE is a .txt (a text a line), .csv, .jsonl or .parquet file, and - reads
    one text from standard input. --model explains an answer of a language model, --run a sample of an audit. Exits 0
    when it could explain.

    Methods of filters: exact, integrated-gradients, gradient-x-input, occlusion, shapley, shapley-exact, as the filter
    allows. Of models: leave-one-out, shapley, gradient-x-input, integrated-gradients.
    """
    _check(options)
    with show_progress(quiet=as_json) as bars, bars.busy("explaining"):
        from evals.explaining.request import ExplainRequest, run

        generators = generator_options(options)
        for name in ("dtype", "batch_size"):
            options.pop(name)
        found = run(ExplainRequest(generators=generators, **options))
        if html is not None:
            _write_page(found, html)
    _show(found, html, as_json=as_json)


def _check(options: dict[str, Any]) -> None:
    """Refuse what does not go together, before anything is loaded."""
    given = [name for name in ("source", "prompt", "run") if options[name] is not None]
    if len(given) != 1:
        raise click.UsageError("give one of: a text or a file, --prompt with --model, or --run with --sample")
    if options["source"] is not None and options["source"] != "-" and not options["source"].strip():
        raise click.UsageError("the text is empty")
    if len(options["filters"]) > 1 and options["run"] is None:
        raise click.UsageError("one --filter explains; several are for a --run, of which the one that fired is taken")
    if (options["run"] is None) != (options["sample"] is None):
        raise click.UsageError("--run and --sample go together")
    if options["prompt"] is not None and options["model"] is None:
        raise click.UsageError("--prompt is for a --model")
    asked = [name for name in ("output", "against", "why") if options[name] is not None]
    if asked and (options["model"] is None or options["run"] is not None):
        raise click.UsageError(f"--{asked[0]} is about the answer of a --model")
    ignored = [name for name in ("counterfactual", "faithfulness") if options[name]]
    if options["swap"] is not None and ignored:
        raise click.UsageError(f"--{ignored[0]} is about one explanation, and --swap about many texts: leave one out")
    if options["swap"] is not None and (options["model"] is not None or options["run"] is not None):
        raise click.UsageError("--swap is about a filter's score of texts: leave out --model and --run")


def _write_page(found: Found, html: Path) -> None:
    from evals.attacking.files import write_texts
    from evals.report.explained_html import explained_html

    page = explained_html(found.explained, found.effects, title=found.title, overall=found.overall)
    write_texts(html.parent, {html.name: page})


def _show(found: Found, html: Path | None, *, as_json: bool) -> None:
    import json

    from evals.explaining.explained import document, trust_json
    from evals.explaining.swaps import group_json

    if as_json:
        effects = [group_json(effect) for effect in found.effects]
        overall = [trust_json(figure) for figure in found.overall]
        click.echo(json.dumps(document(found.explained, swaps=effects, overall=overall), ensure_ascii=True))
        return
    from rich.console import Console

    from evals.explaining.terminal import show_effects, show_explained, show_overall

    show_explained(found.explained, console := Console())
    show_overall(found.overall, console)
    show_effects(found.effects, console)
    if html is not None:
        from evals.console import one_line

        click.echo(f"Written: {one_line(str(html))}")
