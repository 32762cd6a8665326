"""The data of a fine-tuning looked over before the first step: what is in it, and what becomes of it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from evals.finetuning.screening import Screened
from evals.finetuning.texts import TrainingText
from guard.errors import ConfigError, DataError
from guard.train.near_duplicates import near_duplicate_sets
from guard.train.rows import hash_fraction, normal_form

__all__ = ["CheckLine", "CheckSettings", "Checked", "Screen", "check"]

# Share of the word 5-grams that near-duplicates have in common. Rows of one template chain into a group that would
# leave nothing to validate on: then more has to be in common.
_NEAR = (0.5, 0.8, 1.0)
_LARGEST = 0.1
_LEAST_HELD_OUT = 8


class Screen(Protocol):
    """Finds what a row had better not hold."""

    def __call__(self, rows: Sequence[TrainingText], *, tell: Callable[[str, int, int], None]) -> list[Screened]:
        """Return what each row holds."""


@dataclass(frozen=True)
class CheckSettings:
    """What becomes of rows.

    Parameters
    ----------
    on_pii : {"keep", "mask", "drop"}
        Rows with personal data or secrets.
    on_toxic : {"keep", "drop"}
    on_duplicate : {"keep", "drop"}
        Copies of a row of the training set.
    validation : float
        Share of the units that is not learnt from, in (0, 0.5].
    limit : int or None
        Only the first rows are looked at.
    most : int
        Most rows each that the best weights are chosen by and the result is measured on.
    seed : int
    """

    on_pii: Literal["keep", "mask", "drop"] = "keep"
    on_toxic: Literal["keep", "drop"] = "keep"
    on_duplicate: Literal["keep", "drop"] = "drop"
    validation: float = 0.1
    limit: int | None = None
    most: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.validation <= 0.5 or self.most < 1:
            raise ConfigError(f"a validation share of {self.validation}: give more than 0 and at most 0.5")


@dataclass(frozen=True)
class CheckLine:
    """One line of the table.

    Parameters
    ----------
    name, title : str
    found : int
        Rows.
    n : int
        Of so many.
    action : str
        What became of them.
    n_unscored : int
        Rows of which it could not be told.
    """

    name: str
    title: str
    found: int
    n: int
    action: str
    n_unscored: int = 0


@dataclass(frozen=True)
class Checked:
    """Rows that are clean as far as was asked.

    Parameters
    ----------
    train : tuple of TrainingText
    validation : tuple of TrainingText
        The best weights are chosen by these. Their unit is that of their group or of their near-duplicates.
    held_out : tuple of TrainingText
        Nothing is chosen by these: the result is measured on them.
    lines : tuple of CheckLine
    kinds : dict of str to int
        Rows with personal data, by its kind; a row may hold several.
    """

    train: tuple[TrainingText, ...]
    validation: tuple[TrainingText, ...]
    held_out: tuple[TrainingText, ...]
    lines: tuple[CheckLine, ...]
    kinds: dict[str, int] = field(default_factory=dict)


def check(
    rows: Sequence[TrainingText],
    settings: CheckSettings,
    screen: Screen,
    *,
    validation: Sequence[TrainingText] | None = None,
    tell: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Checked:
    """Look over the data of a fine-tuning.

    Parameters
    ----------
    rows : sequence of TrainingText
    settings : CheckSettings
    screen : callable
        Finds personal data and toxic text.
    validation : sequence of TrainingText, optional
        Rows to validate on; a share of `rows`, by the hash of the unit, where there are none.
    tell : callable
        Gets what is being done, how much of it, and the whole.

    Raises
    ------
    DataError
        Too little is left to learn from, or to measure on.
    """
    lines: list[CheckLine] = []
    learnt = _clean("data", rows[: settings.limit], settings, screen, lines, tell)
    apart = None if validation is None else _clean("validation", validation, settings, screen, lines, tell)
    kinds = Counter(
        kind for part in (learnt, apart or _Clean()) for found in part.found for kind in set(found.pii or ())
    )
    units = _units([*learnt.rows, *(apart.rows if apart else ())])
    if apart is None:
        train, checked = _split(learnt.rows, units, settings)
    else:
        train, checked = list(learnt.rows), list(apart.rows)
    train = _without_leaks(train, checked, units, lines)
    chosen_by, held_out = _halves(checked, units, settings)
    lines.append(_near(train, units))
    _require_enough(train, chosen_by, held_out)
    return Checked(tuple(train), tuple(chosen_by), tuple(held_out), tuple(lines), dict(sorted(kinds.items())))


@dataclass(frozen=True)
class _Clean:
    """Rows that were kept, and what was found in all of them."""

    rows: tuple[TrainingText, ...] = ()
    found: tuple[Screened, ...] = ()


def _clean(
    source: str,
    rows: Sequence[TrainingText],
    settings: CheckSettings,
    screen: Screen,
    lines: list[CheckLine],
    tell: Callable[[str, int, int], None],
) -> _Clean:
    """Drop what is empty or there already, and do with the rest what was asked for."""
    full = [row for row in rows if any(turn.content.strip() for turn in row.turns) and _teaches(row)]
    lines.append(CheckLine("empty", f"{source}: empty, or no answer", len(rows) - len(full), len(rows), "dropped"))
    first = list({normal_form(row.whole) or row.whole: row for row in reversed(full)}.values())[::-1]
    dropping = settings.on_duplicate == "drop"
    action = "dropped" if dropping else "kept"
    lines.append(CheckLine("duplicate", f"{source}: copies", len(full) - len(first), len(full), action))
    kept = first if dropping else full
    found = screen(kept, tell=tell)
    lines += _screen_lines(source, found, settings)
    pairs = zip(kept, found, strict=True)
    return _Clean(tuple(made for row, one in pairs if (made := _treated(row, one, settings)) is not None), tuple(found))


def _teaches(row: TrainingText) -> bool:
    return row.is_plain or any(turn.role == "assistant" and turn.content.strip() for turn in row.turns)


def _screen_lines(source: str, found: Sequence[Screened], settings: CheckSettings) -> list[CheckLine]:
    n, done = len(found), {"keep": "kept", "mask": "masked", "drop": "dropped"}
    pii, unscored_pii = sum(bool(one.pii) for one in found), sum(one.pii is None for one in found)
    toxic, unscored = sum(one.toxic is True for one in found), sum(one.toxic is None for one in found)
    return [
        CheckLine("pii", f"{source}: personal data or secrets", pii, n, done[settings.on_pii], unscored_pii),
        CheckLine("toxic", f"{source}: toxic", toxic, n, done[settings.on_toxic], unscored),
    ]


def _treated(row: TrainingText, found: Screened, settings: CheckSettings) -> TrainingText | None:
    """Return the row as it is learnt from; what could not be told counts as found."""
    if settings.on_toxic == "drop" and found.toxic is not False:
        return None
    if settings.on_pii == "keep" or found.pii == ():
        return row
    if settings.on_pii == "drop" or found.pii is None:
        return None
    return row.with_contents(found.masked)


def _units(rows: Sequence[TrainingText]) -> dict[str, str]:
    """Return the name of the near-duplicates that each text belongs to."""
    texts = list(dict.fromkeys(row.whole for row in rows))
    for overlap in _NEAR:
        near = near_duplicate_sets(texts, overlap=overlap)
        if max(Counter(near).values(), default=0) <= _LARGEST * len(texts) + 1:
            break
    # Named by the least of their hashes, so that the split does not depend on the order of the rows.
    names: dict[int, str] = {}
    for text, number in zip(texts, near, strict=True):
        name = hashlib.sha256(normal_form(text).encode("utf-8", "surrogatepass")).hexdigest()
        names[number] = min(name, names.get(number, name))
    return {text: names[number] for text, number in zip(texts, near, strict=True)}


def _split(
    rows: Sequence[TrainingText], units: dict[str, str], settings: CheckSettings
) -> tuple[list[TrainingText], list[TrainingText]]:
    train, checked = list[TrainingText](), list[TrainingText]()
    for row in rows:
        part = hash_fraction(row.unit or units[row.whole], salt=f"finetune/{settings.seed}")
        (checked if part < settings.validation else train).append(row)
    return train, checked


def _without_leaks(
    train: Sequence[TrainingText], checked: Sequence[TrainingText], units: dict[str, str], lines: list[CheckLine]
) -> list[TrainingText]:
    """Leave out of training what stands in validation too, word by word or nearly so."""
    known = {units[row.whole] for row in checked}
    kept = [row for row in train if units[row.whole] not in known]
    title = "training: in validation too, or nearly"
    lines.append(CheckLine("leak", title, len(train) - len(kept), len(train), "dropped"))
    return kept


def _halves(
    rows: Sequence[TrainingText], units: dict[str, str], settings: CheckSettings
) -> tuple[list[TrainingText], list[TrainingText]]:
    """Part validation, unit by unit, into what weights are chosen by and what the result is measured on."""
    halves: tuple[list[TrainingText], list[TrainingText]] = ([], [])
    for row in rows:
        unit = row.unit or units[row.whole]
        number = hash_fraction(unit, salt=f"finetune/{settings.seed}/held out") < 0.5
        halves[number].append(replace(row, unit=unit))
    by_hash = [sorted(half, key=lambda row: hash_fraction(row.whole, salt="finetune/order")) for half in halves]
    return by_hash[0][: settings.most], by_hash[1][: settings.most]


def _near(train: Sequence[TrainingText], units: dict[str, str]) -> CheckLine:
    n_units = len({units[row.whole] for row in train})
    title = "training: nearly like another"
    return CheckLine("near_duplicate", title, len(train) - n_units, len(train), "kept")


def _require_enough(
    train: Sequence[TrainingText], chosen_by: Sequence[TrainingText], held_out: Sequence[TrainingText]
) -> None:
    if not train or not chosen_by or len(held_out) < _LEAST_HELD_OUT:
        raise DataError(
            f"{len(train)} rows to learn from, {len(chosen_by)} to choose by and {len(held_out)} to measure on are"
            f" left: 1, 1 and {_LEAST_HELD_OUT} are the least; give more rows, or a larger --validation share"
        )
