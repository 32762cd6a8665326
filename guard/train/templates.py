"""Sentences written for this project: what public sets lack, above all harmless look-alikes of harmful text."""

from __future__ import annotations

import functools
import random
import tomllib
from collections.abc import Callable, Sequence
from importlib import resources

from guard.train.rows import Row

__all__ = ["SLOTS", "benign_request", "harmful_request", "harmless_request", "injection", "own_rows"]

Labels = dict[str, float]

SLOTS = {
    "persona": "benign_personas", "task": "tasks", "action": "actions", "payload": "payloads", "override": "overrides",
    "everyday": "everyday", "bad_act": "bad_acts", "group": "groups", "identity": "identities", "harm": "harms",
    "slur": "slurlike", "insult": "insults", "name": "names", "topic": "benign_topics", "wrong": "wrongs",
    "insult_state": "insult_states",
}  # fmt: skip
"""A slot of a template, and the list that fills it."""
_FILES = (
    "phrases.toml",
    "phrases_speech.toml",
    "phrases_prompts.toml",
    "phrases_instructions.toml",
    "phrases_discussion.toml",
)


@functools.cache
def _phrases(name: str) -> tuple[str, ...]:
    """Return one list of the phrase files, joined over the files in order."""
    folder = resources.files("guard.train")
    files = [tomllib.loads(folder.joinpath(file).read_text(encoding="utf-8")) for file in _FILES]
    return tuple(dict.fromkeys(phrase for file in files for phrase in file.get(name, ())))


def _fill(template: str, rng: random.Random) -> str:
    """Replace each ``{slot}`` by a random phrase; phrases that hold slots themselves come first."""
    text = template
    for slot, name in SLOTS.items():
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


def harmless_request(rng: random.Random) -> str:
    """Write a request that is harmless and may not sound so: a look-alike, a frame of harmful ones, a plain task."""
    if rng.random() < 0.2:
        return _fill(rng.choice(_phrases("harm_frames")).replace("{harm}", "{everyday}"), rng)
    return _draw(rng.choices(_CALM_POOLS, weights=(4, 4, 1, 1, 4, 4))[0], rng)


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
    ("identity_short_hateful", 1.0), ("counter_speech", 0.0), ("reclaimed", 0.0),
)  # fmt: skip


def _dressed(text: str, rng: random.Random) -> str:
    """Put a short opening before or a short ending after a sentence, so that neither decides."""
    if rng.random() < 0.2:
        lead = rng.choice(_phrases("leads"))
        text = lead + (text if rng.random() < 0.5 else text[:1].lower() + text[1:])
    if rng.random() < 0.35:
        text = text.rstrip(".!") + rng.choice(_phrases("tails"))
    return text


def _about_groups(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Say something about a group: hateful, its negation, an answer to hate, a reclaimed word, or plainly harmless."""
    name, label = rng.choices(_GROUP_KINDS, weights=(5, 5, 2, 1, 1, 3, 1))[0]
    text = _dressed(_draw(name, rng), rng)
    if rng.random() < 0.12:  # Two sentences of one kind: an attack followed by an excuse stays an attack.
        text = f"{text} {_draw(name, rng)}"
    return text, {"toxicity": label, "identity_attack": label, "jailbreak": 0.0, "harmful_request": 0.0, "refusal": 0.0}


def _insults(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Insult or threaten someone, talk about insults, swear at nobody, or use words of violence for everyday things."""
    kind = rng.random()
    if kind < 0.32:
        return _dressed(_draw("abuse", rng), rng), {"toxicity": 1.0, "identity_attack": 0.0, "refusal": 0.0}
    if kind < 0.45:
        text = rng.choice(
            ("you are {insult}", "you're just {insult}", "what {insult} you are, {name}", "{name} is {insult}")
        )
        return _dressed(_fill(text, rng), rng), {"toxicity": 1.0, "identity_attack": 0.0}
    pool = rng.choices(("insult_benign", "calm_violence"), weights=(5, 5))[0]
    return _dressed(_draw(pool, rng), rng), {"toxicity": 0.0, "identity_attack": 0.0, "harmful_request": 0.0}


def _discussion(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Argue as people do on the discussion page of a wiki: heatedly, plainly, or by attacking a person."""
    kind = rng.choices(("heated", "abusive", "matter_of_fact"), weights=(5, 4, 3))[0]
    parts = [rng.choice(_phrases(kind))]
    if rng.random() < 0.5:  # An attack stays one wherever it stands; heat beside plain talk stays heat.
        parts.insert(rng.randint(0, 1), rng.choice(_phrases(rng.choice(("heated", "matter_of_fact")))))
    calm = dict.fromkeys(("identity_attack", "jailbreak", "harmful_request", "refusal"), 0.0)
    return rng.choice((" ", "\n", "\n\n")).join(parts), {"toxicity": float(kind == "abusive"), **calm}


_CALM_POOLS = ("safe_frames", "benign_lookalikes", "benign_openings", "plain_tasks", "instructions", "security_study")


def _requests(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Ask for harmful help, or for something that only sounds like it."""
    kind = rng.random()
    if kind < 0.35:
        return harmful_request(rng), {"harmful_request": 1.0, "jailbreak": 0.0, "refusal": 0.0}
    if kind < 0.5:
        # The frames of harmful requests around an everyday act: the frame alone must not decide.
        text = _fill(rng.choice(_phrases("harm_frames")).replace("{harm}", "{everyday}"), rng)
    else:
        pool = rng.choices(_CALM_POOLS, weights=(4, 3, 1, 1, 3, 4))[0]
        text = _draw(pool, rng)
    return text, {"harmful_request": 0.0, "jailbreak": 0.0, "toxicity": 0.0, "identity_attack": 0.0, "refusal": 0.0}


def _jailbreaks(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Write a jailbreak or an injection, or the everyday sentence that shares its words and its length."""
    kind = rng.random()
    if kind < 0.12:
        return _draw("jailbreaks", rng), {"jailbreak": 1.0}
    if kind < 0.42:
        return _planted(rng), {"jailbreak": 1.0}
    return _benign_instruction(rng), {"jailbreak": 0.0, "harmful_request": 0.0, "toxicity": 0.0, "refusal": 0.0}


def _planted(rng: random.Random) -> str:
    """Write an injection, alone or before, after or in the middle of harmless text."""
    text = injection(rng)
    if rng.random() < 0.4:
        return text
    carrier = [_carrier(rng) for _ in range(rng.choice((1, 1, 2, 4)))]
    carrier.insert(rng.choice((0, len(carrier), rng.randint(0, len(carrier)))), text)
    return rng.choice((" ", " ", "\n", "\n\n")).join(carrier)


def _carrier(rng: random.Random) -> str:
    """Write a piece of harmless text of the kind that comes before a model: a task, a request or an answer."""
    return _draw(
        rng.choices(("instructions", "benign_openings", "answers", "plain_tasks"), weights=(4, 2, 2, 1))[0], rng
    )


_INSTRUCTION_KINDS = ("instructions", "security_study", "system_prompts", "benign_lookalikes", "answers", "mixed")


def _benign_instruction(rng: random.Random) -> str:
    """Write a harmless instruction of one to eight sentences: a task, a role, a system prompt, or a look-alike."""
    kind = rng.choices(_INSTRUCTION_KINDS, weights=(6, 2, 2, 2, 1, 3))[0]
    if kind == "instructions":
        parts = [_carrier(rng) for _ in range(rng.choice((0, 0, 0, 1, 3)))]
        return rng.choice((" ", "\n")).join([_draw("instructions", rng), *parts])
    if kind == "system_prompts" and rng.random() < 0.5:
        return f"{_draw(kind, rng)} {_draw('actions', rng)}"
    if kind != "mixed":
        return _draw(kind, rng)
    first = _fill(rng.choice(("{persona}", "{task}")), rng)
    rest = [
        _fill(rng.choice(("{task}", "{action}", "{action}", "How do I {everyday}?")), rng)
        for _ in range(rng.choice((0, 0, 1, 2, 4, 7)))
    ]
    return " ".join([first, *rest])


def _refusals(rng: random.Random, hateful: Sequence[str]) -> tuple[str, Labels]:
    """Refuse, or answer with words that refusals share."""
    label = float(rng.random() < 0.5)
    text = _draw("refusals" if label else "false_refusals", rng)
    if rng.random() < 0.3:
        text = f"{text} {_draw('benign_lookalikes' if label else 'false_refusals', rng)}"
    return text, {"refusal": label, "jailbreak": 0.0, "toxicity": 0.0, "identity_attack": 0.0}


_KINDS: dict[str, tuple[Callable[[random.Random, Sequence[str]], tuple[str, Labels]], float]] = {
    "quoted": (_quoted, 0.10), "groups": (_about_groups, 0.22), "insults": (_insults, 0.10),
    "discussion": (_discussion, 0.15), "requests": (_requests, 0.15), "jailbreaks": (_jailbreaks, 0.22),
    "refusals": (_refusals, 0.06),
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
