"""Control inside decoding: checks with rewinding, banned phrases, expert and anti-expert models."""

from __future__ import annotations

from guard.steer.checks import Check, threshold_check
from guard.steer.experts import Experts
from guard.steer.judged import JudgedCheck
from guard.steer.phrases import BannedPhrases
from guard.steer.rows import SteerReport
from guard.steer.steered import SteeredGenerator, SteeredText

__all__ = [
    "BannedPhrases",
    "Check",
    "Experts",
    "JudgedCheck",
    "SteerReport",
    "SteeredGenerator",
    "SteeredText",
    "threshold_check",
]
