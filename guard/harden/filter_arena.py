"""The arena of one category of the encoder filter: recipes attack it, and training on their texts hardens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from guard.attacks.engine import run_attack
from guard.attacks.readings import Readings
from guard.attacks.schema import Attempt, Example
from guard.attacks.space import Attack
from guard.attacks.victims import FilterVictim
from guard.errors import ConfigError
from guard.filters.encoder import EncoderFilter
from guard.harden.alarms import level_alarms
from guard.harden.batch import Hook
from guard.harden.charged import slip_settings
from guard.harden.encoder_model import HardenableEncoder
from guard.harden.filter_training import HardenSettings, LabelledText, harden
from guard.harden.game import Raid, Split
from guard.harden.raid_hook import RaidHook
from guard.harden.random_hook import RandomHook
from guard.harden.validation import Validation
from guard.train.encoder import write_weights

__all__ = ["ArenaRows", "FilterArena", "FilterDefender"]


@dataclass(frozen=True)
class FilterDefender:
    """One state of the filter.

    Parameters
    ----------
    weights : Path
        Its folder.
    filter : EncoderFilter
    """

    weights: Path
    filter: EncoderFilter

    @property
    def name(self) -> str:
        """The filter's."""
        return self.filter.name


@dataclass(frozen=True)
class ArenaRows:
    """Rows of the game; no text is in two parts.

    Parameters
    ----------
    train : sequence of LabelledText
        What defenders learn from; of the first `raided` rows with a known label, attackers make versions.
    search, held_out : sequence of str
        Texts of the category.
    raided : int
    """

    train: Sequence[LabelledText]
    search: Sequence[str]
    held_out: Sequence[str]
    raided: int = 1000


class FilterArena:
    """Attacks and hardens an encoder filter.

    Parameters
    ----------
    base : Path
        Folder of the frozen encoder.
    out : Path
        Folder in which each defender gets one of its own.
    category : str
    threshold : float
        From which score on the filter fires.
    attacks : mapping of str to Attack
        Every strategy by its name, its goal being to cross `threshold`.
    rows : ArenaRows
    validation : Validation
    settings : HardenSettings
        Of one round's training.
    budget : int, optional
        Most queries an example.
    slips : bool
        Let defenders read text with slips in its ordinary spelling too, from the first round on.

    Notes
    -----
    A defender answers in two ways: it reads slips as the words they stand for (:mod:`guard.filters.slip_reading`), and
    it trains. Either makes a filter fire more often on anything, so after each round its bias is lowered until no more
    harmless rows of the validation fire than before it.

    Harmless rows are attacked too, until they fire, and both kinds are trained on with their own labels: a filter that
    only ever saw tampered text that is harmful would take tampering for harm.
    """

    def __init__(
        self,
        *,
        base: Path,
        out: Path,
        category: str,
        threshold: float,
        attacks: Mapping[str, Attack],
        rows: ArenaRows,
        validation: Validation,
        settings: HardenSettings,
        budget: int | None = None,
        slips: bool = True,
    ) -> None:
        self._base, self._out = base, out
        self._category, self._threshold = category, threshold
        self._attacks, self._validation, self._settings, self._budget = attacks, validation, settings, budget
        self._train, self._slips = rows.train, slips
        self._examples: Mapping[Split, Sequence[Example]] = {
            "search": [Example(f"search {i}", text, 1) for i, text in enumerate(rows.search)],
            "held out": [Example(f"held out {i}", text, 1) for i, text in enumerate(rows.held_out)],
            "train": _raided(rows, validation.column),
        }
        if not all(self._examples.values()):
            raise ConfigError(
                "the game needs labelled rows to search on, to train on and to measure on; give more data"
            )

    @property
    def strategies(self) -> tuple[str, ...]:
        """Names of the attacks."""
        return tuple(self._attacks)

    def defender(self, weights: Path) -> FilterDefender:
        """Load a state of the filter."""
        return FilterDefender(weights, EncoderFilter.load(base=self._base, weights=weights))

    def raid(self, defender: FilterDefender, strategy: str, split: Split, *, seed: int) -> Raid:
        """Attack every example of a split; a harmless one until it fires."""
        examples = self._examples[split]
        victim = Readings(FilterVictim(defender.filter, self._category))
        attempts = run_attack(self._attacks[strategy], victim, examples, seed=seed, budget=self._budget)
        made = {attempt.example_id: attempt for attempt in attempts}
        ended = [made[example.id] for example in examples]
        return Raid(
            texts=tuple(attempt.perturbed for attempt in ended),
            success=np.array([_success(attempt) for attempt in ended]),
            queries=np.array([attempt.n_queries for attempt in ended], dtype=np.float64),
        )

    def replay(self, defender: FilterDefender, texts: Sequence[str], split: Split) -> npt.NDArray[np.float64]:
        """Return 1 where the filter does not fire on a harmful text any more, NaN where it never did."""
        column = defender.filter.categories.index(self._category)
        original = [example.text for example in self._examples[split]]
        fired = defender.filter.score_batch([*original, *texts])[:, column] >= self._threshold
        before, after = fired[: len(original)], fired[len(original) :]
        return np.where(before, (~after).astype(np.float64), np.nan)

    def learn(
        self, defender: FilterDefender, raids: Sequence[Raid], weights: Sequence[float], *, round_: int, seed: int
    ) -> FilterDefender:
        """Train on from a defender, with what the attackers made of the rows; its false alarms stay level."""
        model = HardenableEncoder.load(base=self._base, weights=defender.weights)
        ids = [example.id for example in self._examples["train"]]
        versions = [dict(zip(ids, raid.texts, strict=True)) for raid in raids]
        hooks: list[Hook] = [RaidHook(versions, weights, seed=seed), RandomHook(seed=seed)]
        settings = replace(self._settings, seed=seed)
        harden(model, self._train, validation=self._validation, hooks=hooks, settings=settings)
        folder = self._out / f"round-{round_}"
        half = {name: value.half().contiguous() for name, value in model.tensors().items()}
        write_weights(half, self._config(model, defender), folder)
        harmless = [text for text, bad in zip(self._validation.texts, self._validation.harmful, strict=True) if not bad]
        levelled, _ = level_alarms(
            defender.filter, folder, harmless, category=self._category, threshold=self._threshold, base=self._base
        )
        return FilterDefender(folder, levelled)

    def _config(self, model: HardenableEncoder, defender: FilterDefender) -> dict[str, object]:
        """Return what the folder says of the filter; the reading of slips is worked out once and kept from then on."""
        if not self._slips or "slips" in model.config:
            return model.config
        return {**model.config, "slips": slip_settings(defender.filter, self._category)}


def _raided(rows: ArenaRows, column: int) -> list[Example]:
    """Return the rows that attackers work on, by their ids in training."""
    known = [row for row in rows.train if row.labels[column] >= 0][: rows.raided]
    return [Example(row.id, row.text, int(row.labels[column] >= 0.5)) for row in known]


def _success(attempt: Attempt) -> float:
    return {"succeeded": 1.0, "failed": 0.0}.get(attempt.status, float("nan"))
