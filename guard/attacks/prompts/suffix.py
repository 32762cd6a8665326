"""Suffixes that were found to make a model comply, put behind the request (Zou et al. 2023)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Suffix", "suffix_wordings"]


@dataclass(frozen=True)
class Suffix:
    """A request with a suffix.

    Parameters
    ----------
    text : str
        As a search on a white-box model found it.
    """

    text: str

    @property
    def id(self) -> str:
        """``suffix-`` and a digest of the text."""
        return f"suffix-{hashlib.sha256(self.text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"

    @property
    def kind(self) -> str:
        """``suffix``."""
        return "suffix"

    def fill(self, goal: str) -> str:
        """Return the request and the suffix, apart by a blank unless the suffix begins with one."""
        return goal + self.text if self.text[:1].isspace() else f"{goal} {self.text}"


def suffix_wordings(texts: Sequence[str]) -> list[Suffix]:
    """Return a wording for each distinct suffix."""
    return [Suffix(text) for text in dict.fromkeys(texts)]
