"""The engine: budget, early stop, independence of batch and neighbours, blocks and outages, journal and resume."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.attacks.prompts.best_of_n import BestOfN
from guard.attacks.prompts.campaign import CampaignSettings, run_campaign
from guard.attacks.prompts.journal import AttemptJournal
from guard.attacks.prompts.schema import Answer, Goal, Track
from guard.attacks.prompts.templates import Template
from guard.attacks.prompts.wordings import WordingAttack
from guard.errors import ConfigError, DataError, GeneratorError, OutputError
from guard.schema import Action
from tests.guard.attacks.prompts.targets import GOALS, Ruled, SaysYes, obeys

LETTERS = WordingAttack("letters", [Template(letter, "letters", f"{letter}: {{goal}}") for letter in "abcdef"])


def run(target: Ruled, **given: int | bool) -> list[Track]:
    return run_campaign(LETTERS, GOALS, target, SaysYes(), settings=CampaignSettings(**given))  # type: ignore[arg-type]


def test_a_goal_that_is_reached_is_left_alone() -> None:
    target = obeys(lambda prompt: prompt.startswith("c"))
    tracks = run(target, budget=6)
    assert [track.success for track in tracks] == [True] * 3
    assert [len(track.attempts) for track in tracks] == [track.first_success for track in tracks]
    assert len(target.asked) == sum(len(track.attempts) for track in tracks) < 18


def test_without_early_stop_every_wording_is_tried_on_every_goal_in_an_order_of_its_own() -> None:
    tracks = run(obeys(lambda prompt: True), budget=10, stop_at_success=False)
    orders = [[attempt.draft.strategy for attempt in track.attempts] for track in tracks]
    assert [sorted(order) for order in orders] == [list("abcdef")] * 3
    assert len({tuple(order) for order in orders}) > 1


def test_the_budget_is_kept_and_never_exceeded_by_the_width() -> None:
    tracks = run(obeys(lambda prompt: False), budget=5, width=3)
    assert [len(track.attempts) for track in tracks] == [5, 5, 5]
    assert [track.success for track in tracks] == [False] * 3


def test_goals_are_asked_together() -> None:
    target = obeys(lambda prompt: False)
    run(target, budget=4)
    assert target.batches == [3, 3, 3, 3]


def test_a_block_is_no_success_and_is_not_judged() -> None:
    tracks = run(Ruled(lambda prompt, seed: Answer("yes", Action.BLOCK)), budget=2)
    assert [attempt.score for track in tracks for attempt in track.attempts] == [0.0] * 6


@pytest.mark.parametrize("answer", [Answer("yes", error="filter failed"), Answer(None, error="timeout"), Answer("?")])
def test_what_cannot_be_told_is_neither_success_nor_failure(answer: Answer) -> None:
    tracks = run(Ruled(lambda prompt, seed: answer), budget=2)
    assert [track.success for track in tracks] == [None] * 3
    assert all(attempt.score is None for track in tracks for attempt in track.attempts)


@settings(max_examples=25, deadline=None)
@given(
    order=st.permutations(GOALS),
    n=st.integers(1, 3),
    batch=st.integers(1, 9),
    width=st.integers(1, 4),
    seed=st.integers(0, 5),
)
def test_attempts_of_a_goal_depend_on_nothing_but_the_goal_and_the_seed(
    order: Sequence[Goal], n: int, batch: int, width: int, seed: int
) -> None:
    def once(goals: Sequence[Goal], batch: int) -> dict[str, Track]:
        target = Ruled(lambda prompt, seed: Answer("yes" if (len(prompt) + seed) % 7 == 0 else "no"))
        made = CampaignSettings(budget=5, width=width, seed=seed, batch=batch)
        return {t.goal.id: t for t in run_campaign(BestOfN(), goals, target, SaysYes(), settings=made)}

    everything, some = once(GOALS, 32), once(order[:n], batch)
    assert all(some[goal].attempts == everything[goal].attempts for goal in some)


class KilledError(Exception):
    """Stands for a kill at the worst moment."""


def journalled(folder: Path, *, dies_after: int | None, seed: int = 0) -> tuple[list[Track], Ruled]:
    def rule(prompt: str, seed: int) -> Answer:
        if dies_after is not None and len(target.asked) > dies_after:
            raise KilledError
        return Answer("yes" if "f:" in prompt and "stamps" in prompt else "no")

    target = Ruled(rule)
    made = CampaignSettings(budget=6, seed=seed, batch=2)
    with AttemptJournal(folder / "attempts.jsonl", {"seed": str(seed)}) as journal:
        return run_campaign(LETTERS, GOALS, target, SaysYes(), settings=made, journal=journal), target


@pytest.mark.parametrize("dies_after", [0, 1, 2, 5, 9, 13])
def test_a_run_that_was_killed_ends_in_the_same_file_and_asks_nothing_twice(tmp_path: Path, dies_after: int) -> None:
    (tmp_path / "whole").mkdir()
    whole, asked = journalled(tmp_path / "whole", dies_after=None)
    with pytest.raises(KilledError):
        journalled(tmp_path, dies_after=dies_after)
    with (tmp_path / "attempts.jsonl").open("ab") as file:
        file.write(b'{"part": "torn')
    resumed, again = journalled(tmp_path, dies_after=None)
    assert resumed == whole
    assert (tmp_path / "attempts.jsonl").read_bytes() == (tmp_path / "whole" / "attempts.jsonl").read_bytes()
    kept = dies_after - dies_after % 2
    assert len(again.asked) <= len(asked.asked) - kept + 1


def test_a_finished_run_asks_nothing_when_it_is_resumed(tmp_path: Path) -> None:
    first, _ = journalled(tmp_path, dies_after=None)
    again, target = journalled(tmp_path, dies_after=None)
    assert again == first
    assert target.asked == []


def test_the_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    journalled(tmp_path, dies_after=None)
    with pytest.raises(ConfigError, match="its seed is 0, now it is 1"):
        journalled(tmp_path, dies_after=None, seed=1)


def test_a_damaged_journal_is_refused_with_its_line(tmp_path: Path) -> None:
    journalled(tmp_path, dies_after=None)
    path = tmp_path / "attempts.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "{}\n", *lines[2:]]))
    with pytest.raises(DataError, match="line 3 is damaged"):
        journalled(tmp_path, dies_after=None)


def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "attempts.jsonl"
    path.write_text("a diary\n")
    with pytest.raises(DataError, match="no journal of an attack"):
        journalled(tmp_path, dies_after=None)
    assert path.read_text() == "a diary\n"


def test_two_processes_cannot_write_one_journal(tmp_path: Path) -> None:
    with AttemptJournal(tmp_path / "a.jsonl", {}), pytest.raises(OutputError, match="another process"):
        AttemptJournal(tmp_path / "a.jsonl", {})


def test_the_journal_keeps_texts_that_no_encoding_can_hold(tmp_path: Path) -> None:
    target = Ruled(lambda prompt, seed: Answer("\ud800 no"))
    for _ in range(2):
        with AttemptJournal(tmp_path / "a.jsonl", {}) as journal:
            made = CampaignSettings(budget=1)
            tracks = run_campaign(LETTERS, GOALS[:1], target, SaysYes(), settings=made, journal=journal)
    assert tracks[0].attempts[0].answer.text == "\ud800 no"
    assert all(json.loads(line) for line in (tmp_path / "a.jsonl").read_text(encoding="ascii").splitlines())
    assert len(target.asked) == 1


def test_a_target_that_fails_as_a_whole_ends_the_run() -> None:
    def rule(prompt: str, seed: int) -> Answer:
        raise GeneratorError("the model is gone")

    with pytest.raises(GeneratorError, match="gone"):
        run(Ruled(rule))


def test_progress_ends_at_the_whole() -> None:
    told: list[tuple[int, int]] = []
    made = CampaignSettings(budget=6)
    target = obeys(lambda prompt: prompt.startswith("a"))
    run_campaign(
        LETTERS, GOALS, target, SaysYes(), settings=made, on_progress=lambda done, total: told.append((done, total))
    )
    assert told[-1] == (18, 18)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


@pytest.mark.parametrize("wrong", [{"budget": 0}, {"width": 0}, {"batch": 0}, {"seed": -1}])
def test_settings_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least"):
        CampaignSettings(**wrong)  # type: ignore[arg-type]


def test_goals_of_one_id_are_refused() -> None:
    with pytest.raises(ConfigError, match="same id"):
        run_campaign(LETTERS, [GOALS[0], GOALS[0]], obeys(bool), SaysYes(), settings=CampaignSettings())


@pytest.mark.parametrize("letters", ["", "aa"])
def test_an_attack_without_wordings_or_with_two_of_one_id_is_refused(letters: str) -> None:
    with pytest.raises(ConfigError, match="wording"):
        WordingAttack("bad", [Template(letter, "letters", "{goal}") for letter in letters])
