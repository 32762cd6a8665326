"""The labelled rows of the n-gram filter: Chinese sets, sentences of the project's own, and the English mixture."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from guard.errors import DataError
from guard.train.mixture import judge_rows
from guard.train.rows import Row, Split, hash_fraction, hash_split, normal_form
from guard.train.sources import Record, read_records
from guard.train.templates import own_rows

__all__ = ["CHINESE_LICENCES", "chinese_rows", "english_rows", "harmless_chinese", "heldout_chinese"]

CHINESE_LICENCES: Mapping[str, str] = {"cold_zh": "Apache-2.0", "swsr_sexism_zh": "MIT"}
"""The sets that the Chinese head is trained on."""

_SPLITS: Mapping[str, Split] = {"train": "train", "dev": "val", "test": "test"}
_CAPS: Mapping[str, int] = {
    "multidogo_customer": 5000, "clinc150": 4000, "banking77": 3000, "sentiment_vader": 5000, "measuring_hate": 12000,
    "edos_sexism": 8000, "toxic_spans": 8000, "implicit_hate": 12000, "dynahate": 22000,
}  # fmt: skip
_N_OWN = 12000


@functools.cache
def _phrases(name: str) -> tuple[str, ...]:
    """Return one list of the phrase file."""
    text = resources.files("guard.train").joinpath("phrases_zh.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)[name].split("\n")[:-1])


def heldout_chinese() -> list[Row]:
    """Return harmless and harmful Chinese sentences that share their subjects, counter-speech among them."""
    harmful = [_row(text, 1.0, "own:zh heldout", "test", "harmful") for text in _phrases("heldout_harmful")]
    return harmful + [_row(text, 0.0, "own:zh heldout", "test", "harmless") for text in _phrases("heldout_harmless")]


def _own() -> Iterator[Row]:
    """Fill in the sentences of the project's own; half of each slot's words stay out of half of the frames."""
    for at, frame in enumerate(_phrases("neutral")):
        yield from (_row(frame.format(group), 0.0, "own:zh groups") for group in _phrases("groups")[at % 2 :: 2])
    for frame in _phrases("you_are"):
        yield from (_row(frame.format(word), 1.0, "own:zh insults") for word in _phrases("insults"))
        yield from (_row(frame.format(word), 0.0, "own:zh insults") for word in _phrases("praise"))
    yield from (_row(text, 1.0, "own:zh insults") for text in _phrases("abuse") * 4)
    for text in _phrases("everyday"):
        yield from (
            _row(text.format(place), 0.0, "own:zh everyday")
            for place in _phrases("places")[: 18 if "{}" in text else 4]
        )


def _row(text: str, toxicity: float, source: str, split: Split = "train", group: str = "") -> Row:
    return Row(text, {"toxicity": toxicity}, source, split, group)


def _public(data: Path) -> list[Row]:
    """Read the Chinese sets, with the published splits where there are any."""
    groups = {"0": "other safe", "1": "attacks individual", "2": "attacks group", "3": "anti-bias"}
    rows = []
    for record in _records(data, "cold_zh/cold_zh.csv.gz"):
        group = groups.get(str(record["fine_label"]).removesuffix(".0"), "")
        split = _SPLITS[record["split"]]
        rows.append(_row(str(record["text"]), float(record["label"]), "cold_zh", split, group))
    for record in _records(data, "swsr_sexism_zh/swsr_sexism_zh.csv"):
        text = str(record["text"])
        rows.append(_row(text, float(record["label"]), "swsr_sexism_zh", hash_split(text)))
    return rows


def _records(data: Path, file: str) -> list[Record]:
    return read_records(data / file) if (data / file).exists() else []


def chinese_rows(data: Path) -> list[Row]:
    """Return the rows of the Chinese head.

    Parameters
    ----------
    data : Path
        Folder with one folder a set.

    Returns
    -------
    list of Row
        All splits; the test rows are whole, and no copy of one is in another split.

    Raises
    ------
    DataError
        None of the sets is there.
    """
    public = _public(data)
    if not public:
        raise DataError(
            f"{data}: neither of {', '.join(CHINESE_LICENCES)} is here; give the folder with one folder a set"
        )
    seen: set[str] = set()
    kept: list[Row] = []
    for split in ("test", "val", "train"):
        rows = [row for row in public if row.split == split and normal_form(row.text) not in seen]
        seen |= {normal_form(row.text) for row in rows}
        kept += rows
    own = [row for row in _own() if normal_form(row.text) not in seen]
    return kept + own


def harmless_chinese(data: Path) -> dict[str, list[str]]:
    """Return Chinese text on which the head should stay silent: questions by experts, and neutral synthetic phrases."""
    prompts = _records(data, "cvalues_prompts_zh/cvalues_prompts_zh.csv")
    phrases = [r for r in _records(data, "identity_templates/identity_templates_zh.csv") if r["label"] == "nontoxic"]
    texts = {
        "cvalues_prompts_zh": [str(record["prompt"]) for record in prompts],
        "identity_templates_zh": sorted(
            (str(record["text"]) for record in phrases), key=lambda text: hash_fraction(text, salt="sample")
        )[:4000],
    }
    return {name: found for name, found in texts.items() if found}


def english_rows(mixture: Sequence[Row], *, seed: int = 0) -> list[Row]:
    """Choose the rows of the English heads: those of the encoder, more of each set, and none of the judge's.

    Parameters
    ----------
    mixture : sequence of Row
        Of :func:`guard.train.mixture.read_mixture`.
    seed : int
        Of the project's own sentences.
    """
    judge = {id(row) for row in judge_rows(mixture)}
    by_source: dict[str, list[Row]] = {}
    for row in mixture:
        if row.split == "train" and id(row) not in judge:
            by_source.setdefault(row.source, []).append(row)
    train: list[Row] = []
    for source, rows in by_source.items():
        rows.sort(key=lambda row: (hash_fraction(row.text, salt="cap"), row.text))
        train += rows[: _CAPS.get(source, len(rows))]
    hateful = [row.text for row in train if row.labels.get("identity_attack", 0) > 0.9 and len(row.text) < 120]
    return train + own_rows(_N_OWN, hateful=hateful, seed=seed)
