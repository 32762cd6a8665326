"""``assay finetune filter``: a category of your own on the encoder filter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evals.commands.options import DEVICE, POSITIVE
from evals.console import one_line, table
from evals.progress import show_progress

if TYPE_CHECKING:
    from evals.finetune_filter.finetuning import FinetuneResult
    from evals.finetune_filter.request import FinetuneRequest

__all__ = ["filter_"]

_PATH = click.Path(path_type=Path)
_SHARE = click.FloatRange(0, 1, max_open=True)
_SURE = click.FloatRange(0.5, 1, max_open=True)


@click.command(name="filter")
@click.option("--data", "source", type=_PATH, required=True, help="Labelled texts: CSV, JSONL or Parquet.")
@click.option("--column", default="text", show_default=True, help="Where the texts are.")
@click.option("--label", "label_column", default="label", show_default=True, help="Where the labels are: 1 or 0.")
@click.option("--positive", metavar="VALUE", help="The label that says it applies, where labels are not 0 and 1.")
@click.option("--category", default="custom", show_default=True, help="New, or one of the filter's to train on.")
@click.option(
    "--filter",
    "filter_name",
    default="encoder",
    show_default=True,
    help="To start from: encoder, encoder:FOLDER, or fresh for the frozen encoder alone.",
)
@click.option("--unlabelled", type=_PATH, help="More texts, same column, to be given pseudo-labels.")
@click.option("--min-precision", type=_SURE, default=0.9, show_default=True, help="Share of pseudo-labels to be right.")
@click.option(
    "--confidence", type=_SURE, default=0.95, show_default=True, help="Least, of a class that is learnt well."
)
@click.option("--contrastive", type=_SHARE, default=0.0, show_default=True, help="Share of the contrastive loss.")
@click.option("--layers", type=click.IntRange(min=0), default=4, show_default=True, help="Upper layers to train.")
@click.option("--validation", type=_PATH, help="Table to choose by; default: a quarter of --data.")
@click.option("--test", type=_PATH, help="Table to measure on; default: a quarter of --data.")
@click.option("--epochs", type=POSITIVE, default=10, show_default=True, help="Most passes over the labelled rows.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Most time of training.")
@click.option("--resume", is_flag=True, help="Go on with a run that was broken off in --out.")
@click.option("--out", type=_PATH, required=True, help="Folder to write, new or empty; then a filter encoder:FOLDER.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@DEVICE
@click.option("--json", "as_json", is_flag=True, help="Print finetune.json instead of a table.")
def filter_(as_json: bool, **options: Any) -> None:
    """Teach the encoder filter a category of your own, from a few hundred labelled rows.

    A quarter of the rows only measures, a quarter chooses. The folder gets weights, finetune.json and MODEL_CARD.md.
    """
    with show_progress(quiet=as_json) as bars:
        with bars.busy("preparing"):
            from evals.attacking.files import write_texts
            from evals.finetune_filter.finetuning import finetune_filter
            from evals.finetune_filter.page import page_of
            from evals.finetune_filter.report import to_card, to_json
            from evals.report.finetuned_html import finetuned_html

            request = _request(options)
        result = finetune_filter(request, progress=bars.show)
        document = to_json(result)
        files = {"finetune.json": document, "MODEL_CARD.md": to_card(result)}
        write_texts(request.out, files | {"report.html": finetuned_html(page_of(result))})
    if as_json:
        click.echo(document, nl=False)
    else:
        _show(result)


def _request(options: dict[str, Any]) -> FinetuneRequest:
    """Turn the options into a request."""
    from evals.finetune_filter.request import FinetuneRequest, LabelledTable
    from guard.train.classifier.pseudo_labels import PseudoRule
    from guard.train.classifier.settings import FilterTraining

    columns = [options.pop(name) for name in ("source", "column", "label_column", "positive")]
    training = FilterTraining(
        seed=options.pop("seed"),
        upper=options.pop("layers"),
        epochs=options.pop("epochs"),
        contrastive=options.pop("contrastive"),
        minutes=options.pop("minutes"),
        pseudo=PseudoRule(options.pop("confidence"), options.pop("min_precision")),
    )
    return FinetuneRequest(LabelledTable(*columns), training=training, **options)


def _show(result: FinetuneResult) -> None:
    """Print the figures and what was left out."""
    from evals.finetune_filter.report import pseudo_sentence, short_head_and_rows

    rows = result.rows
    left = rows.counts.sentence()
    click.echo(
        f"{len(rows.train):,} rows to train on, {len(rows.validation):,} to choose by, {len(rows.test):,} to measure on"
        + (f"; {left}" if left else "")
    )
    table(*short_head_and_rows(result))
    if said := pseudo_sentence(result):
        click.echo(said)
    click.echo(
        f"Written: {one_line(str(result.request.out))}; use it as encoder:FOLDER, category {result.request.category}."
    )
