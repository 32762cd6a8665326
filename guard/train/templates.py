"""Sentences written for this project: what public sets lack, above all harmless look-alikes of harmful text."""

from __future__ import annotations

import functools
import random
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources

from guard.train.rows import Row

__all__ = ["benign_request", "harmful_request", "injection", "own_rows"]

Labels = dict[str, float]

_SLOTS = {
    "persona": "benign_personas", "task": "tasks", "action": "actions", "payload": "payloads", "override": "overrides",
    "everyday": "everyday", "bad_act": "bad_acts", "group": "groups", "identity": "identities", "harm": "harms",
    "slur": "slurlike", "insult": "insults", "name": "names", "topic": "benign_topics",
}  # fmt: skip


@functools.cache
def _phrases(name: str) -> tuple[str, ...]:
    """Return one list of the phrase file."""
    text = resources.files("guard.train").joinpath("phrases.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)[name])


def _fill(template: str, rng: random.Random) -> str:
    """Replace each ``{slot}`` by a random phrase; phrases that hold slots themselves come first."""
    text = template
    for slot, name in _SLOTS.items():
        while f"{{{slot}}}" in text:
            text = text.replace(f"{{{slot}}}", rng.choice(_phrases(name)), 1)
    return text[:1].upper() + text[1:] if rng.random() < 0.8 else text


def _draw(name: str, rng: random.Random) -> str:
    """Fill in a random template of one list."""
    return _fill(rng.choice(_phrases(name)), rng)


def harmful_request(rng: random.Random) -> str:
    """Write one request for harmful help."""
    return _draw("harm_frames", rng)


def benign_request(rng: random.Random) -> str:
    """Write one everyday request."""
    return _draw("benign_openings", rng)


def injection(rng: random.Random) -> str:
    """Write one instruction that tries to take over a model from inside its input."""
    return _draw("injections", rng)


def _quoted(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Wrap a hateful sentence in words that condemn or that share it."""
    condemned = rng.random() < 0.6
    quote = rng.choice(hateful) if hateful and rng.random() < 0.7 else _draw("hateful", rng)
    text = rng.choice(_phrases("condemn" if condemned else "endorse")).replace("{quote}", quote.strip())
    label = 0.0 if condemned else 1.0
    return text, {"toxicity": label, "identity_attack": label, "jailbreak": 0.0, "harmful_request": 0.0}


_GROUP_KINDS = (
    ("hateful", 1.0), ("not_hateful", 0.0), ("identity_benign", 0.0), ("identity_short", 0.0),
    ("identity_short_hateful", 1.0),
)  # fmt: skip


def _about_groups(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Say something about a group: hateful, its negation, or plainly harmless."""
    name, label = rng.choices(_GROUP_KINDS, weights=(4, 4, 3, 2, 1))[0]
    return _draw(name, rng), {"toxicity": label, "identity_attack": label, "refusal": 0.0}


def _insults(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Insult someone, or talk about insults."""
    kind = rng.random()
    if kind < 0.35:
        return _draw("abuse", rng), {"toxicity": 1.0, "identity_attack": 0.0, "refusal": 0.0}
    if kind < 0.55:
        text = rng.choice(
            ("you are {insult}", "you're just {insult}", "what {insult} you are, {name}", "{name} is {insult}")
        )
        return _fill(text, rng), {"toxicity": 1.0, "identity_attack": 0.0}
    return _draw("insult_benign", rng), {"toxicity": 0.0, "identity_attack": 0.0}


_CALM_POOLS = ("safe_frames", "benign_lookalikes", "benign_openings", "plain_tasks")


def _requests(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Ask for harmful help, or for something that only sounds like it."""
    kind = rng.random()
    if kind < 0.3:
        return harmful_request(rng), {"harmful_request": 1.0, "jailbreak": 0.0, "refusal": 0.0}
    if kind < 0.6:
        # The frames of harmful requests around an everyday act: the frame alone must not decide.
        text = _fill(rng.choice(_phrases("harm_frames")).replace("{harm}", "{everyday}"), rng)
    else:
        pool = rng.choices(_CALM_POOLS, weights=(3, 4, 2, 2))[0]
        text = _draw(pool, rng)
    return text, {"harmful_request": 0.0, "jailbreak": 0.0, "toxicity": 0.0, "identity_attack": 0.0, "refusal": 0.0}


def _jailbreaks(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Write a jailbreak or an injection, or the everyday sentence that shares its words."""
    kind = rng.random()
    if kind < 0.3:
        return _draw("jailbreaks", rng), {"jailbreak": 1.0}
    if kind < 0.6:
        text = injection(rng)
        carrier = " ".join(benign_request(rng) for _ in range(rng.randint(0, 4)))
        parts = (carrier, text) if rng.random() < 0.7 else (text, carrier)
        return " ".join(part for part in parts if part), {"jailbreak": 1.0}
    return _benign_instruction(rng), {"jailbreak": 0.0, "harmful_request": 0.0, "toxicity": 0.0, "refusal": 0.0}


def _benign_instruction(rng: random.Random) -> str:
    """Write a harmless instruction of one to eight sentences, roles and look-alikes among them."""
    if rng.random() < 0.3:
        return " ".join(benign_request(rng) for _ in range(rng.randint(2, 6)))
    first = _fill(rng.choice(("{persona}", "{task}")), rng)
    rest = [
        _fill(rng.choice(("{task}", "{action}", "{action}", "How do I {everyday}?")), rng)
        for _ in range(rng.choice((0, 0, 1, 2, 4, 7)))
    ]
    if rng.random() < 0.4:
        rest.append(_draw("benign_lookalikes", rng))
    return " ".join([first, *rest])


def _refusals(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Refuse, or answer with words that refusals share."""
    label = float(rng.random() < 0.5)
    text = _draw("refusals" if label else "false_refusals", rng)
    if rng.random() < 0.3:
        text = f"{text} {_draw('benign_lookalikes' if label else 'false_refusals', rng)}"
    return text, {"refusal": label, "jailbreak": 0.0, "toxicity": 0.0, "identity_attack": 0.0}


_KINDS: dict[str, tuple[Callable[[random.Random, Sequence[str]], tuple[str, Labels]], float]] = {
    "quoted": (_quoted, 0.2), "groups": (_about_groups, 0.2), "insults": (_insults, 0.08),
    "requests": (_requests, 0.2), "jailbreaks": (_jailbreaks, 0.2), "refusals": (_refusals, 0.12),
}  # fmt: skip


def own_rows(n_rows: int, *, hateful: Sequence[str], seed: int) -> list[Row]:
    """Write labelled sentences.

    Parameters
    ----------
    n_rows : int
        How many to draw; duplicates are dropped, so a few fewer come back.
    hateful : sequence of str
        Short hateful sentences of the *training* splits, to be quoted and condemned or quoted and shared.
    seed : int

    Returns
    -------
    list of Row
        A tenth for validation, the others for training.
    """
    rows: dict[str, Row] = {}
    for kind, (write, share) in _KINDS.items():
        rng = random.Random(f"{seed}/{kind}")  # noqa: S311 - no secret
        for index in range(round(n_rows * share)):
            text, labels = write(rng, hateful)
            split = "val" if index % 10 == 0 else "train"
            rows.setdefault(text, Row(text, labels, f"own:{kind}", split))  # type: ignore[arg-type]
    return list(rows.values())
