"""Preferences without people: a model is sampled, filters judge what it said, and like is held against like."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from guard.errors import ConfigError, DataError
from guard.train.generator.examples import Example, prompt_ids
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.spans import flagged_ids

__all__ = ["Pair", "PairSettings", "Sampled", "beginnings", "judged_examples", "pair_examples", "pairs_digest",
           "pairs_of", "unlearnt_examples"]  # fmt: skip


@dataclass(frozen=True)
class PairSettings:
    """How answers become pairs.

    Parameters
    ----------
    margin : float
        Least by which the rejected answer scores over the preferred one.
    clean : float
        Most that a preferred answer scores.
    length_ratio : float
        Least length of the shorter answer by that of the longer one, in ids, so that length is not what is preferred.
    per_prompt : int
        Most pairs of one prompt; an answer is in one pair at most.
    least : int
        Fewer pairs are refused: a handful would be learnt by heart.
    """

    margin: float = 0.3
    clean: float = 0.3
    length_ratio: float = 0.6
    per_prompt: int = 2
    least: int = 24

    def __post_init__(self) -> None:
        shares = (self.margin, self.clean, self.length_ratio)
        if not all(0 < one <= 1 for one in shares) or min(self.per_prompt, self.least) < 1:
            raise ConfigError(f"{self}: margin, clean and length_ratio are in (0, 1], the counts at least 1")


@dataclass(frozen=True)
class Sampled:
    """A prompt with what the model said, and how unwanted the judge found each.

    Parameters
    ----------
    prompt : str
    answers : tuple of str
    scores : tuple of float
        In [0, 1].
    """

    prompt: str
    answers: tuple[str, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Pair:
    """Two answers to one prompt.

    Parameters
    ----------
    prompt, preferred, rejected : str
    margin : float
        Score of the rejected answer less that of the preferred one.
    """

    prompt: str
    preferred: str
    rejected: str
    margin: float


def beginnings(texts: Iterable[str], *, least_words: int = 4) -> list[str]:
    """Return the first half of each text, by words, as a prompt to go on with; short texts are left out.

    Examples
    --------
    >>> beginnings(["one two three four five", "too short"])
    ['one two']
    """
    words = (text.split() for text in texts)
    return [" ".join(some[: len(some) // 2]) for some in words if len(some) >= least_words]


def pairs_of(
    sampled: Sequence[Sampled], tokenizer: Any, settings: PairSettings, *, threshold: float
) -> tuple[Pair, ...]:
    """Pair the answers of each prompt, the widest margin first.

    Parameters
    ----------
    sampled : sequence of Sampled
    tokenizer : transformers.PreTrainedTokenizerBase
        Measures length.
    settings : PairSettings
    threshold : float
        The judge's: least score of a rejected answer.

    Returns
    -------
    tuple of Pair
        In the order of the prompts.

    Raises
    ------
    DataError
        Fewer than ``settings.least``.
    """
    found = tuple(pair for one in sampled for pair in _pairs(one, tokenizer, settings, threshold))
    if len(found) < settings.least:
        scores = [score for one in sampled for score in one.scores]
        raise DataError(
            f"{len(found)} pairs from {len(scores)} answers to {len(sampled)} prompts, of which"
            f" {sum(score >= threshold for score in scores)} are unwanted; at least {settings.least} are needed: give"
            " prompts that draw more, more answers a prompt, or a smaller margin"
        )
    return found


def _pairs(one: Sampled, tokenizer: Any, settings: PairSettings, threshold: float) -> Iterator[Pair]:
    known = [(text, score) for text, score in zip(one.answers, one.scores, strict=True) if text.strip()]
    sizes = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text, _ in known]
    fitting = sorted(
        (-(bad - good), i, j)
        for i, (_, good) in enumerate(known)
        for j, (_, bad) in enumerate(known)
        if good <= settings.clean
        and bad >= max(threshold, good + settings.margin)
        and min(sizes[i], sizes[j]) >= settings.length_ratio * max(sizes[i], sizes[j])
    )
    used: set[int] = set()
    for margin, i, j in fitting:
        if len(used) < 2 * settings.per_prompt and not {i, j} & used:
            used |= {i, j}
            yield Pair(one.prompt, known[i][0], known[j][0], -margin)


def pairs_digest(pairs: Iterable[Pair]) -> str:
    """Return the SHA-256, in hex, over pairs in their order."""
    found = hashlib.sha256()
    for pair in pairs:
        found.update(json.dumps(asdict(pair)).encode("ascii") + b"\n")
    return found.hexdigest()


def _before(tokenizer: Any, prompt: str, *, chat: bool) -> tuple[int, ...]:
    """Return the ids that the generator read before it answered."""
    if chat:
        return prompt_ids(tokenizer, prompt)
    clean = prompt.encode("utf-8", "replace").decode()
    return tuple(tokenizer(clean)["input_ids"]) or (tokenizer.eos_token_id or 0,)


def _after(tokenizer: Any, answer: str) -> tuple[int, ...]:
    clean = answer.encode("utf-8", "replace").decode()
    return tuple(tokenizer(clean, add_special_tokens=False)["input_ids"])


def pair_examples(tokenizer: Any, pairs: Sequence[Pair], *, chat: bool, code: str = "") -> list[Example]:
    """Encode pairs for direct preference optimisation; answers may have been cut off, so no end is learnt.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    pairs : sequence of Pair
    chat : bool
        Whether the prompts were put as a user's turn.
    code : str
        Control code in front of the prompts.
    """
    return [
        Example(
            "prefer",
            _before(tokenizer, code + pair.prompt, chat=chat),
            _after(tokenizer, pair.preferred),
            _after(tokenizer, pair.rejected),
        )
        for pair in pairs
    ]


def judged_examples(
    tokenizer: Any,
    sampled: Sequence[Sampled],
    settings: PairSettings,
    *,
    threshold: float,
    chat: bool,
    code: str = "",
) -> list[Example]:
    """Encode answers that were judged one by one, for KTO: as many accepted as rejected ones of each prompt.

    Raises
    ------
    DataError
        Fewer than ``settings.least`` of each.
    """
    found: list[Example] = []
    for one in sampled:
        known = [pair for pair in zip(one.answers, one.scores, strict=True) if pair[0].strip()]
        good = [text for text, score in known if score <= settings.clean]
        bad = [text for text, score in known if score >= threshold]
        before = _before(tokenizer, code + one.prompt, chat=chat)
        for accepted, rejected in zip(good, bad, strict=False):
            found.append(Example("accept", before, _after(tokenizer, accepted)))
            found.append(Example("reject", before, _after(tokenizer, rejected)))
    if len(found) < 2 * settings.least:
        raise DataError(
            f"{len(found) // 2} accepted and rejected answers to {len(sampled)} prompts; at least {settings.least} of"
            " each are needed: give prompts that draw more, or more answers a prompt"
        )
    return found


def unlearnt_examples(
    tokenizer: Any, sampled: Sequence[Sampled], judge: TrainingJudge, *, chat: bool, code: str = ""
) -> list[Example]:
    """Encode the unwanted answers with the words flagged that the judge points at; nothing of them is learnt."""
    found = []
    for one in sampled:
        bad = [text for text, score in zip(one.answers, one.scores, strict=True) if score >= judge.threshold]
        before = _before(tokenizer, code + one.prompt, chat=chat)
        for text, ranges in zip(bad, judge.ranges(bad), strict=True):
            ids, flags = flagged_ids(tokenizer, text, ranges)
            if any(flags):
                found.append(Example("unlearn", before, ids, flagged=flags))
    return found
