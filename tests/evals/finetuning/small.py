"""Rows that are fast to look over and to learn."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evals.finetuning.screening import Screened
from evals.finetuning.texts import TrainingText
from guard.train.generator.encoding import Turn

WORDS = ["tea", "milk", "rain", "snow", "bus", "tram", "door", "lamp", "fish", "bread"]
CLEAN = [f"{a} number {n} with {b} {n * 7}" for n, (a, b) in enumerate((a, b) for a in WORDS for b in WORDS)]


def rows(texts: Sequence[str], *, unit: str = "", prefix: str = "r") -> list[TrainingText]:
    return [TrainingText(f"{prefix}{n}", unit, (Turn("text", text),)) for n, text in enumerate(texts)]


def scripted(held: Sequence[TrainingText], *, tell: Callable[[str, int, int], None]) -> list[Screened]:
    """Find what is spelt out."""
    found = []
    for row in held:
        text = row.whole
        pii = None if "unreadable" in text else (("pii_card",) if "4111" in text else ())
        toxic = None if "unreadable" in text else "idiot" in text
        found.append(Screened(pii, toxic, tuple(turn.content.replace("4111", "[pii_card]") for turn in row.turns)))
    tell("looking", len(held), len(held))
    return found


class ScriptedScreen:
    def __init__(self, *, device: str) -> None:
        self.device = device

    def __call__(self, held: Sequence[TrainingText], *, tell: Callable[[str, int, int], None]) -> list[Screened]:
        return scripted(held, tell=tell)
