"""Best-of-n jailbreaking: the same request, scrambled at random, until one goes through (Hughes et al. 2024)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from guard.attacks.prompts.schema import Draft, Track
from guard.errors import ConfigError

__all__ = ["BestOfN", "augmented"]

_LEAST_SCRAMBLED = 4
"""Letters of a word whose middle is shuffled: shorter ones have no middle to shuffle."""

_PRINTABLE = (32, 126)


class BestOfN:
    """Tries random augmentations of the plain request, each a function of seed, goal and number.

    Parameters
    ----------
    sigma : float
        How strong, in [0, 1]; 0.4 in the paper.

    Raises
    ------
    ConfigError
        `sigma` out of its range.
    """

    def __init__(self, sigma: float = 0.4) -> None:
        if not 0 <= sigma <= 1:
            raise ConfigError(f"best-of-n with sigma {sigma}: it must lie in [0, 1]")
        self._sigma = sigma

    @property
    def name(self) -> str:
        """``best-of-n@sigma-<sigma>``."""
        return f"best-of-n@sigma-{self._sigma:g}"

    def propose(self, tracks: Sequence[Track]) -> list[list[Draft]]:
        """Return the next augmentations of each goal; there is always another."""
        return [[self._draft(track, place) for place in range(track.room)] for track in tracks]

    def _draft(self, track: Track, place: int) -> Draft:
        rng = random.Random(f"{track.seed}/{track.goal.id}/{len(track.attempts) + place}")  # noqa: S311
        return Draft(augmented(track.goal.text, rng, sigma=self._sigma), "augmentation", "best-of-n")


def augmented(text: str, rng: random.Random, *, sigma: float) -> str:
    """Scramble, recapitalise and disturb a text at random (Hughes et al. 2024, appendix on text augmentations).

    Parameters
    ----------
    text : str
    rng : random.Random
    sigma : float
        In [0, 1]. The middle of a word of four letters or more is shuffled, and the case of a letter turned, each with
        probability ``sigma ** 0.5``; a printable ASCII character moves to one of its neighbours with ``sigma ** 3``.

    Returns
    -------
    str
        As long as `text`, and `text` itself where sigma is 0.
    """
    words = [_scrambled(word, rng) if rng.random() < sigma**0.5 else word for word in text.split(" ")]
    cased = [c.swapcase() if _turns(c) and rng.random() < sigma**0.5 else c for c in " ".join(words)]
    return "".join(_moved(c, rng) if rng.random() < sigma**3 else c for c in cased)


def _scrambled(word: str, rng: random.Random) -> str:
    if len(word) < _LEAST_SCRAMBLED:
        return word
    middle = list(word[1:-1])
    rng.shuffle(middle)
    return f"{word[0]}{''.join(middle)}{word[-1]}"


def _turns(letter: str) -> bool:
    """Whether turning the case keeps it one character that turns back."""
    return letter.isalpha() and len(letter.swapcase()) == 1


def _moved(letter: str, rng: random.Random) -> str:
    low, high = _PRINTABLE
    moved = ord(letter) + rng.choice((-1, 1))
    return chr(moved) if low < ord(letter) <= high and low <= moved <= high else letter
