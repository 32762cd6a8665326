"""Changes of a whole text: put in a frame, written without spaces, or said in other words by a generator."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from guard.attacks.schema import Ask, Kind
from guard.attacks.words import AttackedText
from guard.errors import ConfigError
from guard.schema import Generator

__all__ = ["InFrame", "Paraphrase", "rewritten"]

_PLACE = re.compile(r"\{text\}|\{joined\}")
_REQUEST = "Say the following in other words, and keep its meaning. Answer with the new text only.\n\n{text}"


def rewritten(text: AttackedText, new: str) -> AttackedText:
    """Return another text in the place of one: none of the original's words is known to be in it.

    Examples
    --------
    >>> rewritten(AttackedText.of("a cat"), "some cat").origin
    (-1, -1)
    """
    made = AttackedText.of(new)
    every = frozenset(range(made.n_words))
    return AttackedText(new, (-1,) * len(text.origin), every, every)


def _whole(ask: Ask) -> bool:
    """Tell whether all words may change, which a change of the whole text needs."""
    return bool(ask.indices) and len(ask.indices) == ask.text.n_words


@dataclass(frozen=True)
class InFrame:
    """The text as part of a longer one, or without its spaces.

    Source: Gröndahl et al. 2018, "All You Need is 'Love': Evading Hate-speech Detection", section 3: a harmless word
    behind the text, and spaces removed.

    Parameters
    ----------
    frames : tuple of str
        Each with ``{text}``, or ``{joined}`` for the text without spaces.

    Raises
    ------
    ConfigError
        A frame with neither.
    """

    frames: tuple[str, ...] = ("{text} love", "{joined}", "{joined} love")

    def __post_init__(self) -> None:
        """Refuse a frame that leaves the text out."""
        for frame in self.frames:
            if "{text}" not in frame and "{joined}" not in frame:
                raise ConfigError(f"frame {frame!r} has neither {{text}} nor {{joined}}: say where the text goes")

    @property
    def kind(self) -> Kind:
        """Rewrites the text."""
        return "text"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return one candidate a frame, where all words may change."""
        return [self._framed(ask) if _whole(ask) else [] for ask in asks]

    def _framed(self, ask: Ask) -> list[AttackedText]:
        text = ask.text.text
        # Neither str.format nor one after the other: the text may have braces of its own.
        parts = {"{text}": text, "{joined}": "".join(text.split())}
        filled = [_PLACE.sub(lambda place: parts[place[0]], frame) for frame in self.frames]
        return [rewritten(ask.text, new) for new in dict.fromkeys(filled) if new != text]


@dataclass(frozen=True)
class Paraphrase:
    """The text in other words, as a generator says it.

    Parameters
    ----------
    generator : Generator of str
        All texts of all examples are asked for in one call.
    n : int
        Paraphrases of each text.
    request : str
        What the generator is asked, with ``{text}``.
    most_growth : float
        Longest paraphrase, as a multiple of the text's length: a longer one is an answer to it, or goes on about it.

    Raises
    ------
    ConfigError
        A number out of its range, or a request without ``{text}``.

    Notes
    -----
    Iyyer et al. 2018, "Adversarial Example Generation with Syntactically Controlled Paraphrase Networks", with an
    instructed model in the place of a trained one. Whether the meaning is kept is for a constraint to say.
    """

    generator: Generator[str]
    n: int = 4
    request: str = _REQUEST
    most_growth: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        if self.n < 1 or self.most_growth < 1 or "{text}" not in self.request:
            raise ConfigError(
                f"n={self.n}, most_growth={self.most_growth}, request {self.request!r}: the rule is at least 1 each,"
                " and a request with {text}"
            )

    def __repr__(self) -> str:
        """Say all settings, the generator by its name."""
        asked = hashlib.sha256(self.request.encode()).hexdigest()[:12]
        return f"Paraphrase({self.generator.name!r}, n={self.n}, request@{asked}, most_growth={self.most_growth})"

    @property
    def kind(self) -> Kind:
        """Rewrites the text."""
        return "text"

    def propose(self, asks: Sequence[Ask]) -> list[list[AttackedText]]:
        """Return up to `n` candidates of each ask, where all words may change."""
        whole = [at for at, ask in enumerate(asks) if _whole(ask)]
        prompts = [self.request.replace("{text}", asks[at].text.text) for at in whole for _ in range(self.n)]
        seeds = [_seed(asks[at], turn) for at in whole for turn in range(self.n)]
        said = iter(self.generator.generate(prompts, seed=seeds) if prompts else ())
        found: list[list[AttackedText]] = [[] for _ in asks]
        for at in whole:
            found[at] = self._kept(asks[at], [next(said) for _ in range(self.n)])
        return found

    def _kept(self, ask: Ask, said: Sequence[str]) -> list[AttackedText]:
        text = ask.text.text
        new = dict.fromkeys(one.strip().strip('"').strip() for one in said)
        longest = self.most_growth * len(text)
        return [rewritten(ask.text, one) for one in new if one and one != text and len(one) <= longest]


def _seed(ask: Ask, turn: int) -> int:
    """Return the seed of one paraphrase: of the example, the text and the turn, whatever is asked beside it."""
    key = f"{ask.random.seed}/{turn}/{ask.text.text}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(key).digest()[:4], "big")
