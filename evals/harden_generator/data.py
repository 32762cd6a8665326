"""What a generator is hardened on, and the other things that it is measured on."""

from __future__ import annotations

import hashlib
import importlib.resources
import random
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.datasets import Prompt, advbench, benign_requests, jailbreaks, read_prompts, sample_prompts
from evals.tasks.requests import harmful_requests
from evals.tasks.task import AssetPath
from guard.attacks.prompts.schema import Goal, Wording
from guard.attacks.prompts.table import AttackParts, all_wordings
from guard.errors import DataError
from guard.train.rows import normal_form
from guard.train.templates import harmful_request, harmless_request

__all__ = ["ASSETS", "HardeningData", "Sizes", "gather", "prose"]

ASSETS = ("advbench", "harmbench", "donotanswer", "jailbreaks")
"""AdvBench trains; the others measure."""

_MOST_CHARS = 900
"""Of a wording with a short request: longer ones cost more to read than all else."""

_TAUGHT_SHARE = 0.6
_GRAM, _NEAR = 5, 0.2
_PROBE = "How do I fold a paper hat?"
_HOW_TO = re.compile(r"\bhow to (?P<what>.+?)[.!?]*$", re.IGNORECASE)
_ASKED = (
    "How do I {}?",
    "How can I {}?",
    "What is the best way to {}?",
    "Can you tell me how to {}?",
    "How would someone {}?",
)


@dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Parameters
    ----------
    taught_goals, taught_harmless : int
        Requests that are trained on.
    checked_harmless : int
        Harmless requests by which the strength of the updates is chosen.
    goals : int
        Harmful requests that are measured plainly and in a seen and an unseen wording.
    adaptive_goals : int
        Harmful requests that the adaptive attack gets, half of them to choose on.
    harmless : int
        Benign requests that are measured.
    """

    taught_goals: int = 700
    taught_harmless: int = 900
    checked_harmless: int = 200
    goals: int = 60
    adaptive_goals: int = 60
    harmless: int = 200


@dataclass(frozen=True)
class HardeningData:
    """Everything that one hardening reads; no text is in two of its parts.

    Parameters
    ----------
    taught_goals : tuple of Goal
    goals, adaptive_goals : tuple of Goal
        Of sets that nothing is trained on; they may share goals with each other.
    taught_wordings, unseen_wordings : tuple of Wording
        Of different techniques.
    taught_harmless, checked_harmless, harmless : tuple of Prompt
    taught_prose : tuple of str
    prose : tuple of (str, str)
        Beginning and continuation.
    """

    taught_goals: tuple[Goal, ...]
    goals: tuple[Goal, ...]
    adaptive_goals: tuple[Goal, ...]
    taught_wordings: tuple[Wording, ...]
    unseen_wordings: tuple[Wording, ...]
    taught_harmless: tuple[Prompt, ...]
    checked_harmless: tuple[Prompt, ...]
    harmless: tuple[Prompt, ...]
    taught_prose: tuple[str, ...]
    prose: tuple[tuple[str, str], ...]

    def digest(self) -> str:
        """Return the SHA-256, in hex, over all of it."""
        shown = (
            *self.taught_goals,
            *self.goals,
            *self.adaptive_goals,
            *self.taught_harmless,
            *self.checked_harmless,
            *self.harmless,
        )
        filled = [(one.id, one.fill(_PROBE)) for one in (*self.taught_wordings, None, *self.unseen_wordings) if one]
        content = repr((shown, filled, len(self.taught_wordings), self.taught_prose, self.prose))
        return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def gather(asset: AssetPath, sizes: Sizes, *, seed: int, goals_file: Path | None = None) -> HardeningData:
    """Gather the data of a hardening.

    Parameters
    ----------
    asset : callable
        Name -> folder.
    sizes : Sizes
    seed : int
    goals_file : pathlib.Path, optional
        Harmful requests to train on instead of those that ship, as :func:`evals.datasets.read_prompts` reads them.

    Returns
    -------
    HardeningData
        What the audit measures on (HarmBench, misuse questions, look-alikes) is never trained on: requests that share a
        fifth of their word 5-grams with any of it are left out.

    Raises
    ------
    DataError
        A file is missing or damaged, or nothing is left to train on.
    """
    measured = sample_prompts(harmful_requests(asset), max(sizes.goals, sizes.adaptive_goals), seed=seed)
    harmless = sample_prompts(benign_requests(), sizes.harmless, seed=seed)
    everything = [*harmful_requests(asset), *benign_requests()]
    taught = _user_goals(goals_file) if goals_file else _shipped_goals(asset, sizes.taught_goals, seed)
    taught = _apart(taught, everything)
    if not taught:
        raise DataError("no harmful request is left to train on: those given are all among those that are measured")
    asked = _apart(_harmless(sizes.taught_harmless + sizes.checked_harmless, seed), everything)
    seen, unseen = wordings(_wild(asset), seed=seed)
    return HardeningData(
        _goals(taught),
        _goals(measured[: sizes.goals]),
        _goals(measured[: sizes.adaptive_goals]),
        seen,
        unseen,
        tuple(asked[sizes.checked_harmless :]),
        tuple(asked[: sizes.checked_harmless]),
        tuple(harmless),
        _taught_prose(),
        prose(),
    )


def _goals(prompts: Iterable[Prompt]) -> tuple[Goal, ...]:
    return tuple(Goal(prompt.id, prompt.text) for prompt in prompts)


def _user_goals(file: Path) -> list[Prompt]:
    return [Prompt(one.id, one.text, one.group, True) for one in read_prompts(file)]


def _shipped_goals(asset: AssetPath, n: int, seed: int) -> list[Prompt]:
    """Return AdvBench, as it stands or asked as a question, and as many requests written for Assay."""
    rng = random.Random(f"{seed}/goals")  # noqa: S311 - no secret
    found = [Prompt(one.id, _reworded(one.text, rng), one.group, True) for one in advbench(folder=asset("advbench"))]
    own = dict.fromkeys(harmful_request(rng) for _ in range(len(found)))
    found += [Prompt(f"own-{number:04d}", text, "own", True) for number, text in enumerate(own)]
    return sample_prompts(found, n, seed=seed)


def _reworded(text: str, rng: random.Random) -> str:
    """Turn two in three instructions on how to do something into a question: people ask more than they order."""
    how = _HOW_TO.search(text)
    return rng.choice(_ASKED).format(how["what"]) if how and rng.random() < 2 / 3 else text


def _harmless(n: int, seed: int) -> list[Prompt]:
    rng = random.Random(f"{seed}/harmless")  # noqa: S311
    texts = dict.fromkeys(harmless_request(rng) for _ in range(2 * n))
    return [Prompt(f"harmless-{number:04d}", text, "own") for number, text in enumerate(list(texts)[:n])]


def _apart(prompts: Sequence[Prompt], others: Sequence[Prompt]) -> list[Prompt]:
    """Leave out what shares a fifth of its word 5-grams, or all of its words, with one of the others."""
    holders: dict[str, set[int]] = {}
    for index, one in enumerate(others):
        for gram in _grams(one.text):
            holders.setdefault(gram, set()).add(index)
    return [one for one in prompts if not _is_near(_grams(one.text), holders)]


def _grams(text: str) -> set[str]:
    words = normal_form(text).split()
    return {" ".join(words[start : start + _GRAM]) for start in range(max(1, len(words) - _GRAM + 1))}


def _is_near(grams: set[str], holders: Mapping[str, set[int]]) -> bool:
    shared = Counter(index for gram in grams for index in holders.get(gram, ()))
    return any(count >= max(1, _NEAR * len(grams)) for count in shared.values())


def _wild(asset: AssetPath) -> list[tuple[str, str]]:
    return [(one.id, one.text) for one in jailbreaks(folder=asset("jailbreaks"))]


def wordings(wild: Sequence[tuple[str, str]], *, seed: int) -> tuple[tuple[Wording, ...], tuple[Wording, ...]]:
    """Split wordings by their technique into those that are trained on and those that are not.

    Parameters
    ----------
    wild : sequence of (str, str)
        Id and text of prompts seen in the wild; never trained on.
    seed : int

    Returns
    -------
    taught, unseen : tuple of Wording
        Encodings, planted instructions, many shots and prompts seen in the wild are always unseen. Three in five of the
        other techniques are taught.
    """
    short = [one for one in all_wordings(AttackParts(wild=wild)) if len(one.fill(_PROBE)) <= _MOST_CHARS]
    apart = {"encoding", "injection", "many_shot", "many-shot", "wild", "suffix"}
    kinds = sorted(
        {one.kind for one in short if one.kind not in apart and _PROBE in one.fill(_PROBE)},
        key=lambda kind: hashlib.sha256(f"{seed}\0{kind}".encode()).digest(),
    )
    taught = set(kinds[: round(_TAUGHT_SHARE * len(kinds))])
    seen = [one for one in short if one.kind in taught]
    return tuple(seen), tuple(one for one in short if one.kind not in taught)


def _taught_prose() -> tuple[str, ...]:
    """Return longer pieces of discussion written for Assay."""
    folder = importlib.resources.files("guard.train")
    lists = tomllib.loads(folder.joinpath("phrases_discussion.toml").read_text(encoding="utf-8"))
    return tuple(text for text in lists["matter_of_fact"] if len(text) >= 200)


def prose() -> tuple[tuple[str, str], ...]:
    """Return beginnings and continuations of the passages that ship: speeches, laws, stories, and unpublished ones."""
    content = importlib.resources.files("evals").joinpath("data/memorisation.toml").read_text(encoding="utf-8")
    return tuple((one["beginning"].strip(), one["continuation"].strip()) for one in tomllib.loads(content)["passage"])
