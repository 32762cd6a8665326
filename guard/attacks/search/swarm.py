"""A swarm of texts: each drifts, word by word, towards the best it has been and the best that any has been."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from guard.attacks.schema import Judged
from guard.attacks.search.population import best_of, by_word, mixed
from guard.attacks.space import Searching, Space
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["ParticleSwarm"]

_FASTEST = 3.0  # a word then turns with probability 0.047 to 0.953
_INERTIA = (0.8, 0.2)
_PULLS = (
    0.8,
    0.2,
)  # chance to move towards the particle's own best at the start and at the end; the swarm's runs the other way


@dataclass(frozen=True)
class ParticleSwarm:
    """Particle swarm optimisation over word swaps.

    Source: Zang et al. 2020, "Word-level Textual Adversarial Attacking as Combinatorial Optimization", section 3.2,
    with its constants.

    Parameters
    ----------
    particles : int
        At least 2.
    iterations : int

    Notes
    -----
    A move that breaks a constraint is not made. All particles move, are judged and mutate together.
    """

    particles: int = 60
    iterations: int = 20

    def __post_init__(self) -> None:
        """Refuse a swarm of none."""
        if self.particles < 2 or self.iterations < 1:
            raise ConfigError(f"{self}: at least 2 particles and 1 iteration")

    def run(self, space: Space) -> Searching[Judged]:
        """Search, and return the best text found."""
        start = space.start
        swarm, over = yield from _mutated(space, [start] * self.particles)
        own, best = list(swarm), best_of([start, *swarm])
        fastest = space.random.numpy.uniform(-_FASTEST, _FASTEST, size=(self.particles, 1))
        speed = np.repeat(fastest, start.text.n_words, axis=1)
        for iteration in range(self.iterations):
            if over or best.met or not _apart(swarm, start):
                break
            done = iteration / self.iterations
            speed = _faster(speed, swarm, own, best, done)
            swarm, over = yield from _moved(space, swarm, own, best, speed, done)
            best = best_of([best, *swarm])
            if over or best.met:
                break
            swarm, over = yield from _mutated_by_chance(space, swarm)
            own = [best_of(pair) for pair in zip(own, swarm, strict=True)]
            best = best_of([best, *swarm])
        return best


def _apart(swarm: list[Judged], start: Judged) -> bool:
    """Tell whether any particle has left the original text: without a candidate none ever will."""
    return any(each.text.text != start.text.text for each in swarm)


def _faster(
    speed: npt.NDArray[np.float64], swarm: list[Judged], own: list[Judged], best: Judged, done: float
) -> npt.NDArray[np.float64]:
    """Return each word's velocity: high where a particle differs from where it is drawn to."""
    first, last = _INERTIA
    inertia = (first - last) * (1 - done) + last
    drawn = np.array(
        [_differs(each.text, mine.text) + _differs(each.text, best.text) for each, mine in zip(swarm, own, strict=True)]
    )
    return inertia * speed + (1 - inertia) * drawn


def _differs(text: AttackedText, other: AttackedText) -> npt.NDArray[np.float64]:
    return np.where(np.array(text.words) == np.array(other.words), -_FASTEST, _FASTEST)


def _moved(
    space: Space,
    swarm: list[Judged],
    own: list[Judged],
    best: Judged,
    speed: npt.NDArray[np.float64],
    done: float,
) -> Searching[tuple[list[Judged], bool]]:
    """Move every particle towards its own best and the swarm's, and judge where it is then."""
    first, last = _PULLS
    pulled = first - done * (first - last)
    texts = [each.text for each in swarm]
    for goals, chance in (([mine.text for mine in own], pulled), ([best.text] * len(own), first + last - pulled)):
        texts = yield from _turned(space, texts, goals, speed, chance)
    verdicts = yield from space.judge(texts)
    # Where the budget ends, the rest stays where it was.
    return verdicts.judged + swarm[len(verdicts.judged) :], verdicts.over


def _turned(
    space: Space,
    texts: list[AttackedText],
    goals: list[AttackedText],
    speed: npt.NDArray[np.float64],
    chance: float,
) -> Searching[list[AttackedText]]:
    """Let each text take words of its goal, where it moves at all and the constraints allow it."""
    turning = 1 / (1 + np.exp(-speed))
    random = space.random.numpy
    wanted = []
    for text, goal, probabilities in zip(texts, goals, turning, strict=True):
        moves = random.uniform() < chance
        taken = np.flatnonzero(random.uniform(size=len(probabilities)) < probabilities).tolist()
        wanted.append((mixed(text, goal, taken, space.start.text) if moves else None) or text)
    passed = yield from space.restrain(wanted, texts)
    return [new if new is not None else text for new, text in zip(passed, texts, strict=True)]


def _mutated_by_chance(space: Space, swarm: list[Judged]) -> Searching[tuple[list[Judged], bool]]:
    """Mutate particles, the less likely the more of their words are changed already."""
    original = space.start.text
    changed = [len(each.text.differing(original)) / max(1, original.n_words) for each in swarm]
    chosen = [i for i, share in enumerate(changed) if space.random.numpy.uniform() < 1 - 2 * share]
    mutated, over = yield from _mutated(space, [swarm[i] for i in chosen])
    swarm = list(swarm)
    for i, each in zip(chosen, mutated, strict=True):
        swarm[i] = each
    return swarm, over


def _mutated(space: Space, swarm: list[Judged]) -> Searching[tuple[list[Judged], bool]]:
    """Change one word of each particle to its best candidate; words are drawn by how much that gains."""
    distinct = {each.text.text: each for each in swarm}
    proposed = yield from space.propose_many([each.text for each in distinct.values()])
    grouped = [by_word(mine, space.start.text.n_words) for mine in proposed]
    verdicts = yield from space.judge([text for words in grouped for mine in words for text in mine])
    judged = iter(verdicts.judged)
    ways = {}
    for each, words in zip(distinct.values(), grouped, strict=True):
        found = [[result for _, result in zip(mine, judged, strict=False)] for mine in words]
        ways[each.text.text] = [best_of(mine) for mine in found if mine]
    return [_drawn(space, each, ways[each.text.text]) for each in swarm], verdicts.over


def _drawn(space: Space, current: Judged, ways: list[Judged]) -> Judged:
    """Draw one of the best changes by its gain; all alike where none gains; none where there is none."""
    if not ways:
        return current
    gains = np.maximum([way.score - current.score for way in ways], 0)
    chances = gains / gains.sum() if gains.sum() > 0 else np.full(len(ways), 1 / len(ways))
    return ways[int(space.random.numpy.choice(len(ways), p=chances))]
