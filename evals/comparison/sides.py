"""One side of a comparison: a model of a run, with its values, what they depend on, and where its texts lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from evals.comparison.texts import Texts
from evals.values import ModelValues, RunValues, Series, read_values
from guard.errors import DataError

__all__ = ["Mismatch", "Side", "load_side", "mismatches", "same_prompts", "side_of"]

_JOURNAL = "journal.jsonl"


@dataclass(frozen=True)
class Side:
    """A model of a run.

    Parameters
    ----------
    run : str
        As the user named it.
    values : ModelValues
    identity : mapping of str to str
        What the values depend on, by digest.
    texts : Texts
        Prompts and outputs, where the run's journal is there.
    """

    run: str
    values: ModelValues
    identity: Mapping[str, str]
    texts: Texts

    @property
    def model(self) -> str:
        """Name of the model."""
        return self.values.name


@dataclass(frozen=True)
class Mismatch:
    """Something that two runs do not share.

    Parameters
    ----------
    what : str
        Dotted, for example ``scorers.toxicity``.
    before, after : str
        Name and digest on each side; ``none`` where that side has none.
    """

    what: str
    before: str
    after: str


def load_side(reference: str, *, model: str | None = None) -> Side:
    """Read one side.

    Parameters
    ----------
    reference : str
        ``RUN`` or ``RUN:MODEL``, where RUN is the folder of a run or its file of values.
    model : str, optional
        Which model, where the reference names none.

    Raises
    ------
    DataError
        No such run, no such model, or several models and none named.
    """
    path, named = _split(reference)
    values = read_values(path)
    chosen = _choose(values, named or model, reference)
    return side_of(reference, values, chosen, folder=path if path.is_dir() else path.parent)


def side_of(run: str, values: RunValues, model: ModelValues, *, folder: Path) -> Side:
    """Return the side of one model, whose texts are in the journal of `folder`."""
    return Side(run, model, values.identity, Texts(folder / _JOURNAL, model.digest))


def _split(reference: str) -> tuple[Path, str | None]:
    """Cut off the model behind the longest path that exists: paths and models may both hold colons."""
    parts = reference.split(":")
    for n in range(len(parts), 0, -1):
        path = Path(":".join(parts[:n]))
        if path.exists():
            return path, ":".join(parts[n:]) or None
    raise DataError(f"no run at {reference}: give the folder of a finished run, or RUN:MODEL for one of its models")


def _choose(values: RunValues, wanted: str | None, reference: str) -> ModelValues:
    names = ", ".join(model.name for model in values.models) or "none"
    if wanted is None:
        if len(values.models) == 1:
            return values.models[0]
        raise DataError(f"{reference} has the models {names}: write RUN:MODEL to say which")
    found = [model for model in values.models if wanted in (model.name, model.digest)]
    if not found:
        raise DataError(f"{reference} has no model {wanted!r}; it has {names}")
    return found[0]


def mismatches(before: Side, after: Side) -> list[Mismatch]:
    """Return what the two runs do not share besides their models, in the order of its names."""
    old, new = (dict(_leaves(side.identity)) for side in (before, after))
    return [
        Mismatch(key, old.get(key, "none"), new.get(key, "none"))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key.partition(".")[0] != "models"
    ]


def _leaves(identity: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield each entry, and those of an entry that is a JSON object one by one."""
    for key, text in identity.items():
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            yield from ((f"{key}.{name}", _plain(one)) for name, one in value.items())
        elif isinstance(value, list):
            yield key, _plain(value)
        else:
            yield key, text


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def same_prompts(before: Side, after: Side, found: list[Mismatch]) -> Side:
    """Return the first side without the prompts that have one id and two texts, where the runs drew from unlike data.

    An id is the number of a row in a user's own file: in an edited file it may stand for another prompt. Where the
    journals are gone nothing says that two prompts are the same, and those of that data are dropped.
    """
    tasks = [one.what.removeprefix("data.") for one in found if one.what.startswith("data.")]
    for task in tasks:
        old, new = before.texts.prompts(task), after.texts.prompts(task)
        kept = {prompt for prompt in old if _alike(old[prompt], new.get(prompt, {}))}
        before = _keeping(before, task, kept)
    return before


def _alike(old: Mapping[str, str], new: Mapping[str, str]) -> bool:
    shared = old.keys() & new.keys()
    return bool(shared) and all(old[sample] == new[sample] for sample in shared)


def _keeping(side: Side, task: str, prompts: set[str]) -> Side:
    def keep(series: Series) -> Series:
        if series.task != task:
            return series
        return replace(series, values=tuple(v for v in series.values if v.prompt_id in prompts))

    return replace(side, values=replace(side.values, series=tuple(map(keep, side.values.series))))
