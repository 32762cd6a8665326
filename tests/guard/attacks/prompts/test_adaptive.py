"""The adaptive attack: it finds what works, on goals of its own, and is measured on others."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.attacks.prompts.adaptive import adapt, chosen_wordings, halves
from guard.attacks.prompts.campaign import CampaignSettings
from guard.attacks.prompts.journal import AttemptJournal
from guard.attacks.prompts.schema import Answer, Attempt, Draft, Goal, Track
from guard.attacks.prompts.templates import Template
from guard.errors import ConfigError
from tests.guard.attacks.prompts.targets import Ruled, SaysYes, obeys

GOALS = [Goal(f"g{i}", f"goal number {i}") for i in range(12)]
WORDINGS = [Template(f"w{i:02}", "letters", f"w{i:02} {{goal}}") for i in range(20)]


def works(prompt: str) -> bool:
    """Two wordings of twenty work, each on half of the goals."""
    even = int(prompt.split()[-1]) % 2 == 0
    return prompt.startswith("w07" if even else "w13")


def test_it_finds_the_wordings_that_work_and_reaches_held_out_goals_with_them() -> None:
    found = adapt(WORDINGS, GOALS, obeys(works), SaysYes(), settings=CampaignSettings(budget=2), explore=20)
    assert {wording.id for wording in found.chosen} == {"w07", "w13"}
    assert [track.success for track in found.held_out] == [True] * 6
    assert all(len(track.attempts) <= 2 for track in found.held_out)


def test_the_bandit_pulls_what_works_more_often_and_nothing_twice_for_a_goal() -> None:
    found = adapt(
        WORDINGS,
        GOALS,
        obeys(lambda p: p.startswith("w03")),
        SaysYes(),
        settings=CampaignSettings(budget=1),
        explore=12,
    )
    pulls = [[attempt.draft.strategy for attempt in track.attempts] for track in found.development]
    assert all(len(set(one)) == 12 for one in pulls)
    assert found.chosen[0].id == "w03"
    assert sum("w03" in one for one in pulls) >= 5


def test_no_goal_is_in_both_halves_and_the_split_does_not_depend_on_the_order() -> None:
    development, held_out = halves(GOALS, seed=3)
    assert {goal.id for goal in development}.isdisjoint(goal.id for goal in held_out)
    assert len(development) == len(held_out) == 6
    assert halves(GOALS[::-1], seed=3) == (development, held_out)
    assert halves(GOALS, seed=4) != (development, held_out)
    assert [len(half) for half in halves(GOALS[:3], seed=0)] == [1, 2]


def test_the_choice_covers_goals_rather_than_repeating_the_best() -> None:
    def attempt(goal: str, strategy: str, n: int) -> Attempt:
        return Attempt(goal, n, Draft("p", strategy, "k"), 0, Answer("yes"), 1.0)

    reached = {"a": ["w00", "w01"], "b": ["w00", "w01"], "c": ["w00", "w01"], "d": ["w02"]}
    tracks = [
        Track(Goal(goal, goal), tuple(attempt(goal, one, n) for n, one in enumerate(ids)), 0)
        for goal, ids in reached.items()
    ]
    assert [one.id for one in chosen_wordings(WORDINGS, tracks, n=2)] == ["w00", "w02"]
    assert len(chosen_wordings(WORDINGS, tracks, n=99)) == 20


@pytest.mark.parametrize("batch", [1, 5])
def test_it_does_not_depend_on_the_batch(batch: int) -> None:
    def once(batch: int) -> object:
        return adapt(WORDINGS, GOALS, obeys(works), SaysYes(), settings=CampaignSettings(budget=3, batch=batch))

    assert once(batch) == once(32)


@pytest.mark.parametrize("dies_after", [1, 7, 23, 59, 66])
def test_a_killed_run_goes_on_to_the_same_file(tmp_path: Path, dies_after: int) -> None:
    class KilledError(Exception):
        pass

    def once(folder: Path, dies_after: int) -> object:
        def rule(prompt: str, seed: int) -> Answer:
            if len(target.asked) > dies_after:
                raise KilledError
            return Answer("yes" if works(prompt) else "no")

        target = Ruled(rule)
        folder.mkdir(exist_ok=True)
        made = CampaignSettings(budget=5, batch=4)
        with AttemptJournal(folder / "attempts.jsonl", {"run": "1"}) as journal:
            return adapt(WORDINGS, GOALS, target, SaysYes(), settings=made, journal=journal)

    whole = once(tmp_path / "whole", 10**9)
    with pytest.raises(KilledError):
        once(tmp_path / "killed", dies_after)
    assert once(tmp_path / "killed", 10**9) == whole
    first, second = (tmp_path / name / "attempts.jsonl" for name in ("whole", "killed"))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("n_goals", "n_wordings"), [(1, 20), (0, 20), (12, 0)])
def test_too_little_to_choose_from_is_refused(n_goals: int, n_wordings: int) -> None:
    with pytest.raises(ConfigError, match="two goals"):
        adapt(WORDINGS[:n_wordings], GOALS[:n_goals], obeys(bool), SaysYes(), settings=CampaignSettings())
