"""Helpfulness of answers, on a scale of 1 to 10, by a model that the user names as judge."""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from evals.schema import Sample
from guard.errors import GeneratorError
from guard.generators.table import FoundGenerator, GeneratorOptions, find_generator
from guard.schema import Decoding, Generator

__all__ = ["RATINGS", "HelpfulnessScorer", "find_judge", "judge_prompt", "read_rating"]

RATINGS = (1.0, 10.0)
"""Least and greatest rating."""

_ONLY_A_NUMBER = re.compile(r"\W*(10|[1-9])(?:\s*/\s*10)?\W*")
_RATING_LINE = re.compile(r"(?im)^\W*rating\W{1,6}(\d+(?:\.\d+)?)(?:\s*/\s*10)?\W*$")
_DECODING = Decoding(max_new_tokens=24, temperature=0.0)
_BATCH = 64


def judge_prompt(request: str, answer: str) -> str:
    """Return what the judge is asked; the markers carry a digest, so that no answer can close them.

    Parameters
    ----------
    request, answer : str
    """
    tag = hashlib.sha256(f"{request}\0{answer}".encode("utf-8", "surrogatepass")).hexdigest()[:8]
    first, rest = _template().replace("{tag}", tag).split("{request}")
    middle, last = rest.split("{answer}")
    return f"{first}{request}{middle}{answer}{last}"


def read_rating(said: str) -> float | None:
    """Return the rating that a judge gave, or None where it gave none, several, or one off the scale.

    Parameters
    ----------
    said : str
        A line ``Rating: N``, or a number and nothing else.

    Returns
    -------
    float or None
        A whole number in [1, 10].

    Examples
    --------
    >>> read_rating("Rating: 7"), read_rating("8/10"), read_rating("I would say 7 or 8."), read_rating("Rating: 11")
    (7.0, 8.0, None, None)
    """
    alone = _ONLY_A_NUMBER.fullmatch(said.strip())
    given = {alone.group(1)} if alone else set(_RATING_LINE.findall(said))
    if len(given) != 1:
        return None
    number = float(given.pop())
    return number if number.is_integer() and RATINGS[0] <= number <= RATINGS[1] else None


def find_judge(spec: str, options: GeneratorOptions | None = None) -> HelpfulnessScorer:
    """Find the model that rates; it is brought into memory when the first answer is rated.

    Parameters
    ----------
    spec : str
        As for :func:`guard.generators.table.find_generator`: an asset, a folder, ``endpoint:URL#MODEL``, a function.
    options : GeneratorOptions, optional

    Raises
    ------
    ConfigError
        There is no such model.
    """
    found = find_generator(spec, options)
    return HelpfulnessScorer(found.digest, functools.partial(_loaded, found))


@dataclass
class HelpfulnessScorer:
    """Ratings of answers by a model.

    Parameters
    ----------
    judge : str
        ``<kind>@<digest>`` of the model.
    load : callable
        Brings it into memory, decoding greedily.

    Notes
    -----
    Each answer is rated by itself, so that there is no position to be biased by; a judge still prefers long answers and
    those of its own family (Zheng et al. 2023, "Judging LLM-as-a-judge", section 3.3). No answer is rated twice in a
    run; a run that is resumed asks again.
    """

    judge: str
    load: Callable[[], Generator[str]]

    def __post_init__(self) -> None:
        """Begin without ratings."""
        self._model: Generator[str] | None = None
        self._known: dict[str, float | None] = {}

    @property
    def name(self) -> str:
        """``helpfulness by <judge>, prompt@<digest>``."""
        return f"helpfulness by {self.judge}, prompt@{hashlib.sha256(_template().encode()).hexdigest()[:12]}"

    def score_batch(self, samples: Sequence[Sample], texts: Sequence[str | None]) -> list[float | None]:
        """Return a rating in [1, 10] each; None for a missing text and where the judge gave no rating."""
        asked = [
            None if text is None else judge_prompt(sample.prompt, text)
            for sample, text in zip(samples, texts, strict=True)
        ]
        new = [prompt for prompt in dict.fromkeys(asked) if prompt is not None and prompt not in self._known]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            self._known.update(zip(batch, self._ratings(batch), strict=True))
        return [None if prompt is None else self._known[prompt] for prompt in asked]

    def _ratings(self, prompts: Sequence[str]) -> list[float | None]:
        if self._model is None:
            self._model = self.load()
        ask = getattr(self._model, "generate_rows", self._model.generate)  # a row that fails costs no other row
        said = ask(prompts, seed=0)
        if len(said) != len(prompts):
            raise GeneratorError(
                f"{self.judge} gave {len(said)} ratings of {len(prompts)} answers: one each is the rule"
            )
        return [read_rating(one) if isinstance(one, str) else None for one in said]


def _loaded(found: FoundGenerator) -> Generator[str]:
    return found.load().with_decoding(_DECODING)


@functools.cache
def _template() -> str:
    return importlib.resources.files("evals").joinpath("data/helpfulness_prompt.txt").read_text(encoding="utf-8")
