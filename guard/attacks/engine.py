"""The engine: many examples' searches at once, so that the victim always reads full batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from guard.attacks.example_run import ExampleRun
from guard.attacks.journal import AttackJournal
from guard.attacks.readings import Readings
from guard.attacks.schema import Ask, Attempt, Check, Example, Victim, WhiteBox
from guard.attacks.space import Attack, Differentiate, Judge, Propose, Restrain
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["Progress", "run_attack"]

Progress = Callable[[Attempt], None]
"""Called with each attempt when it ends."""

Answered = list[tuple[ExampleRun, object]]


def run_attack(
    attack: Attack,
    victim: Victim | Readings,
    examples: Iterable[Example],
    *,
    seed: int = 0,
    budget: int | None = None,
    at_once: int = 64,
    journal: Path | None = None,
    on_attempt: Progress | None = None,
) -> Iterator[Attempt]:
    """Attack examples, and yield what came of each as it ends.

    Parameters
    ----------
    attack : Attack
    victim : Victim or Readings
        Readings keep what the victim said from one attack to the next, and say how many texts it read.
    examples : iterable of Example
        With distinct ids.
    seed : int
    budget : int or None
        Most queries of one example, the original included; None is no limit.
    at_once : int
        How many examples are searched at the same time: more fill the victim's batches better and take more memory.
    journal : pathlib.Path, optional
        Attempts are appended to it; those that it holds already are yielded from it instead of made again.
    on_attempt : callable, optional

    Yields
    ------
    Attempt
        In the order in which they end. Which comes of an example is a function of it, the attack, the victim, the seed
        and the budget, whatever runs beside it.

    Raises
    ------
    ConfigError
        A number below 1, an id given twice, a label that the victim does not have, or a journal of another run.

    Examples
    --------
    >>> from guard.attacks.recipes import recipe  # doctest: +SKIP
    >>> attempts = run_attack(recipe("deepwordbug"), victim, examples, seed=1)  # doctest: +SKIP
    """
    if at_once < 1 or (budget is not None and budget < 1):
        raise ConfigError(f"at_once={at_once}, budget={budget}: both are at least 1")
    readings = victim if isinstance(victim, Readings) else Readings(victim)
    engine = _Engine(attack, readings, seed, budget)
    opened = AttackJournal(journal, engine.identity()) if journal is not None else nullcontext()
    with opened as kept:
        for attempt in _attempts(engine, examples, at_once, kept):
            if on_attempt is not None:
                on_attempt(attempt)
            yield attempt


def _attempts(
    engine: _Engine, examples: Iterable[Example], at_once: int, kept: AttackJournal | None
) -> Iterator[Attempt]:
    coming = _distinct(examples, len(engine.readings.victim.labels))
    running: list[ExampleRun] = []
    while True:
        while len(running) < at_once and (example := next(coming, None)) is not None:
            known = kept.get(example) if kept is not None else None
            if known is not None:
                yield known
            else:
                running.append(engine.begin(example))
        if not running:
            return
        for run, answer in engine.answers(running):
            attempt = run.send(answer)
            if attempt is not None:
                if kept is not None:
                    kept.append(attempt)
                yield attempt
        running = [run for run in running if run.request is not None]


def _distinct(examples: Iterable[Example], n_labels: int) -> Iterator[Example]:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise ConfigError(f"example id {example.id!r} is there twice; give each example its own")
        if not 0 <= example.label < n_labels:
            raise ConfigError(f"example {example.id!r} has label {example.label}; the victim has 0 to {n_labels - 1}")
        seen.add(example.id)
        yield example


@dataclass(frozen=True)
class _Engine:
    """Answers what running searches ask, each kind of question for all of them in one go."""

    attack: Attack
    readings: Readings
    seed: int
    budget: int | None

    def identity(self) -> dict[str, str]:
        """Return what the results depend on besides the example."""
        digest = hashlib.sha256(repr(self.attack).encode()).hexdigest()[:12]
        settings = {"attack": f"{self.attack.name}@{digest}", "victim": self.readings.victim.name}
        return {**settings, "seed": str(self.seed), "budget": str(self.budget)}

    def begin(self, example: Example) -> ExampleRun:
        """Start the search of an example up to its first question."""
        return ExampleRun(self.attack, self.readings.victim, example, seed=self.seed, budget=self.budget)

    def answers(self, running: Sequence[ExampleRun]) -> Answered:
        """Answer all that is not for the victim; when nothing else is left, what the victim is asked.

        So the victim is called once all searches wait for it, with everything they want to know.
        """
        answered: Answered = []
        for kind, answer in ((Propose, self._proposed), (Restrain, self._restrained), (Differentiate, self._gradients)):
            asking = [run for run in running if isinstance(run.request, kind)]
            if asking:
                answered += zip(asking, answer(asking), strict=True)
        return answered or self._judged(running)

    def _judged(self, running: Sequence[ExampleRun]) -> Answered:
        asked = []
        for run in running:
            assert isinstance(run.request, Judge)
            asked.append(run.within_budget(run.request.texts))
        rows = self.readings.read([text.text for texts in asked for text in texts])
        answered: Answered = []
        start = 0
        for run, texts in zip(running, asked, strict=True):
            answered.append((run, run.verdicts(rows[start : start + len(texts)], texts)))
            start += len(texts)
        return answered

    def _proposed(self, asking: Sequence[ExampleRun]) -> list[object]:
        """Give each run its candidates, one list for each of the texts it asked about."""
        owners, texts = _flat(asking)
        wanted = [indices for run in asking for indices in _propose(run).indices]
        found: list[list[AttackedText]] = [[] for _ in texts]
        for part in self.attack.transformations:
            asks = [
                Ask(text, run.allowed(text, part, indices), run.original, run.label, run.random)
                for run, text, indices in zip(owners, texts, wanted, strict=True)
            ]
            for mine, candidates in zip(found, part.propose(asks), strict=True):
                mine += candidates
        if len(self.attack.transformations) > 1:
            found = [_each_once(mine) for mine in found]
        checks = [Check(run.original, text, mine) for run, text, mine in zip(owners, texts, found, strict=True)]
        passing = iter(self._passing(checks, [_propose(run).unchecked for run in owners]))
        return [[next(passing) for _ in _texts_of(run)] for run in asking]

    def _restrained(self, asking: Sequence[ExampleRun]) -> list[object]:
        checks, sizes = [], []
        for run in asking:
            assert isinstance(run.request, Restrain)
            pairs = zip(run.request.candidates, run.request.currents, strict=True)
            mine = [Check(run.original, current, [candidate]) for candidate, current in pairs]
            sizes.append(len(mine))
            checks += mine
        passing = iter(self._constrained(checks))
        return [[next(iter(next(passing)), None) for _ in range(size)] for size in sizes]

    def _passing(self, checks: list[Check], unchecked: list[bool]) -> list[list[AttackedText]]:
        """Return the candidates that are not the text itself and pass what is asked of them, sorted by text."""
        changed = [
            Check(check.original, check.current, [text for text in check.candidates if text.text != check.current.text])
            for check in checks
        ]
        held = iter(self._constrained([check for check, free in zip(changed, unchecked, strict=True) if not free]))
        kept = [check.candidates if free else next(held) for check, free in zip(changed, unchecked, strict=True)]
        return [sorted(candidates, key=lambda text: text.text) for candidates in kept]

    def _constrained(self, checks: list[Check]) -> list[list[AttackedText]]:
        """Return the candidates that pass every constraint, each asked about what the ones before it left."""
        kept = [check.candidates for check in checks]
        for constraint in self.attack.constraints:
            left = [i for i, candidates in enumerate(kept) if candidates]
            narrowed = [Check(checks[i].original, checks[i].current, kept[i]) for i in left]
            for i, candidates in zip(left, constraint.keep(narrowed), strict=True):
                kept[i] = candidates
        return kept

    def _gradients(self, asking: Sequence[ExampleRun]) -> list[object]:
        victim = self.readings.victim
        if not isinstance(victim, WhiteBox):
            raise ConfigError(f"victim {victim.name} has no gradients; choose another ranking, or a white-box victim")
        points = {_differentiate(run).halfway_to for run in asking}
        found: dict[int, object] = {}
        for point in sorted(points, key=str):
            some = [at for at, run in enumerate(asking) if _differentiate(run).halfway_to == point]
            owners, texts = _flat([asking[at] for at in some])
            labels = [run.label for run in owners]
            rows = iter(victim.gradients([text.text for text in texts], labels, halfway_to=point))
            found |= {at: [next(rows) for _ in _texts_of(asking[at])] for at in some}
        return [found[at] for at in range(len(asking))]


def _each_once(texts: list[AttackedText]) -> list[AttackedText]:
    first: dict[str, AttackedText] = {}
    for text in texts:
        first.setdefault(text.text, text)
    return [*first.values()]


def _propose(run: ExampleRun) -> Propose:
    assert isinstance(run.request, Propose)
    return run.request


def _differentiate(run: ExampleRun) -> Differentiate:
    assert isinstance(run.request, Differentiate)
    return run.request


def _texts_of(run: ExampleRun) -> list[AttackedText]:
    assert isinstance(run.request, (Propose, Differentiate))
    return run.request.texts


def _flat(asking: Sequence[ExampleRun]) -> tuple[list[ExampleRun], list[AttackedText]]:
    pairs = [(run, text) for run in asking for text in _texts_of(run)]
    return [run for run, _ in pairs], [text for _, text in pairs]
