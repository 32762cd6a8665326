"""Answers of models that people have labelled, to check a scorer against."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from guard.errors import DataError

__all__ = ["LabelledResponse", "response_harms", "response_refusals"]


@dataclass(frozen=True)
class LabelledResponse:
    """An answer of some model to a request, as people judged it.

    Parameters
    ----------
    id, request, response, group : str
    value : float
        In [0, 1]: 1 for a refusal, or the severity of harm.
    """

    id: str
    request: str
    response: str
    group: str
    value: float


def response_refusals(*, folder: Path) -> list[LabelledResponse]:
    """Read answers that people labelled as a refusal (value 1) or not (value 0).

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``response-refusal``.

    Raises
    ------
    DataError
        A file is missing or damaged.
    """
    return _labelled(folder, ("refusal", "refusal_extra"), asset="response-refusal")


def response_harms(*, folder: Path) -> list[LabelledResponse]:
    """Read answers that people gave a severity of harm in [0, 1]; the group is the kind of harm.

    Parameters
    ----------
    folder : pathlib.Path
        The asset ``response-harm``.

    Raises
    ------
    DataError
        A file is missing or damaged.
    """
    kinds = (
        "exploits",
        "hate_speech",
        "info_integrity",
        "privacy",
        "representational",
        "self_harm",
        "sexual",
        "violence",
    )
    return _labelled(folder, kinds, asset="response-harm")


def _labelled(folder: Path, stems: Sequence[str], *, asset: str) -> list[LabelledResponse]:
    responses = []
    for stem in stems:
        file = folder / f"{stem}.csv"
        # Only the lines before the header are comments: answers have headings that begin with # as well.
        lines = itertools.dropwhile(lambda line: line.startswith("#"), io.StringIO(_text(file), newline=""))
        try:
            for number, row in enumerate(csv.DictReader(lines)):
                value = float(row["human_score"] if "human_score" in row else row["human_score_1"])
                text = (row["objective"], row["assistant_response"])
                responses.append(LabelledResponse(f"{stem}-{number:03d}", *text, stem, value))
        except (KeyError, ValueError, TypeError, csv.Error) as error:
            raise DataError(
                f"{file} is not what asset {asset} holds: run `assay assets verify`, and pull it again"
            ) from error
    return responses


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot read {file} ({error.strerror}): name the folder of the asset") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 (byte {error.start}): pull the asset again") from error
