from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from guard.attacks.constraints.modifiable import NotTwice
from guard.attacks.constraints.overlap import EditDistance
from guard.attacks.engine import run_attack
from guard.attacks.goals import InputReduction, Untargeted
from guard.attacks.readings import Readings
from guard.attacks.schema import Attempt, Example
from guard.attacks.search.beam import Beam
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.attacks.transformations.characters import InsertCharacter, SwapNeighbours
from guard.attacks.transformations.deletion import DeleteWord
from guard.errors import ConfigError, DataError
from tests.guard.attacks.word_victim import SwapTo, WordVictim

SYNONYMS = SwapTo({"awful": ("bad", "grim"), "bad": ("poor",), "poor": ("so-so",)})
SWAPS = Attack("swaps", Untargeted(), (SYNONYMS,), GreedyByImportance("unknown"), (NotTwice(),))
TYPOS = Attack(
    "typos",
    Untargeted(),
    (SwapNeighbours(), InsertCharacter()),
    GreedyByImportance("random"),
    (NotTwice(),),
    (EditDistance(9),),
)
TEXTS = [
    "awful bad day",
    "a poor, bad show",
    "this is fine",
    "bad",
    "",
    "an awful poor cook was bad to us",
    "fine fine awful",
]
EXAMPLES = [Example(str(i), text, 1) for i, text in enumerate(TEXTS)]


def by_id(attempts: list[Attempt]) -> dict[str, Attempt]:
    return {attempt.example_id: attempt for attempt in attempts}


def test_attempt_can_be_followed_by_hand() -> None:
    # awful 2 + bad 1. Ranked by what is left without each: awful first. grim (0) beats bad (1): 1 is left, still bad.
    # Then bad -> poor: 0.5 is left, still bad; the goal is not met: nothing else may change.
    (attempt,) = run_attack(SWAPS, WordVictim(), [Example("a", "awful bad day", 1)])
    assert (attempt.perturbed, attempt.status, attempt.label_after) == ("grim poor day", "failed", 1)
    assert attempt.n_queries == 1 + 3 + 2 + 1  # the original, three words masked, two candidates, one candidate
    assert attempt.n_victim_texts == 7
    assert (attempt.n_words, attempt.n_words_changed, attempt.edit_distance) == (3, 2, 9)


def test_goal_met_ends_the_search() -> None:
    (attempt,) = run_attack(SWAPS, WordVictim(), [Example("a", "fine awful thing", 1)])
    assert (attempt.perturbed, attempt.status) == ("fine grim thing", "succeeded")
    assert attempt.score_after > attempt.score_before


def test_victim_that_errs_already_is_skipped() -> None:
    (attempt,) = run_attack(SWAPS, WordVictim(), [Example("a", "a fine day", 1)])
    assert (attempt.status, attempt.perturbed, attempt.n_queries) == ("skipped", "a fine day", 1)


def test_endless_goal_goes_as_far_as_it_can() -> None:
    example = Example("a", "this was an awful day.", 1)
    follow, not_follow = (
        Attack("reduce", InputReduction(), (DeleteWord(),), GreedyByImportance("delete", follow=follow), (NotTwice(),))
        for follow in (True, False)
    )
    (attempt,) = run_attack(follow, WordVictim(), [example])
    assert (attempt.perturbed, attempt.status) == ("awful.", "maximized")
    # By old indices: "this", then index 1 of "was an awful day", then 2 and 4 of what is left.
    (attempt,) = run_attack(not_follow, WordVictim(), [example])
    assert attempt.perturbed == "was awful."


@pytest.mark.parametrize("attack", [SWAPS, TYPOS], ids=lambda attack: attack.name)
@pytest.mark.parametrize("at_once", [1, 2, 64])
@pytest.mark.parametrize("batch_size", [1, 3, 512])
def test_results_do_not_depend_on_what_runs_beside(attack: Attack, at_once: int, batch_size: int) -> None:
    alone = {e.id: next(run_attack(attack, WordVictim(), [e], seed=5)) for e in EXAMPLES}
    readings = Readings(WordVictim(), batch_size=batch_size, most_texts=4)
    together = list(run_attack(attack, readings, EXAMPLES[::-1], seed=5, at_once=at_once))
    assert by_id(together) == alone


def test_seed_counts() -> None:
    found = [[a.perturbed for a in run_attack(TYPOS, WordVictim(), EXAMPLES, seed=seed)] for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_texts_are_asked_once_and_in_order_of_length() -> None:
    victim = WordVictim()
    list(run_attack(SWAPS, victim, [*EXAMPLES, Example("again", TEXTS[0], 1)]))
    asked = [text for batch in victim.batches for text in batch]
    assert len(asked) == len(set(asked))
    assert all([len(text) for text in batch] == sorted(len(text) for text in batch) for batch in victim.batches)
    assert len(victim.batches[0]) == len(set(TEXTS))  # all originals in one batch


@pytest.mark.parametrize("budget", [1, 2, 4, 5, 6, 7, 100])
def test_budget_is_never_passed(budget: int) -> None:
    free = by_id(list(run_attack(SWAPS, WordVictim(), EXAMPLES)))
    for attempt in run_attack(SWAPS, WordVictim(), EXAMPLES, budget=budget):
        assert attempt.n_queries == min(budget, free[attempt.example_id].n_queries)
        if budget == 100:
            assert attempt == free[attempt.example_id]


@pytest.mark.parametrize("search", [Beam(1), Beam(3), GreedyByImportance("saliency")], ids=repr)
@pytest.mark.parametrize("budget", [1, 2, 3, 5, 8])
def test_budget_ends_every_search(search: Beam | GreedyByImportance, budget: int) -> None:
    attack = Attack("swaps", Untargeted(), (SYNONYMS,), search, (NotTwice(),))
    assert all(attempt.n_queries <= budget for attempt in run_attack(attack, WordVictim(), EXAMPLES, budget=budget))


def test_several_transformations_give_each_text_once() -> None:
    attack = Attack("twice", Untargeted(), (SYNONYMS, SYNONYMS), GreedyByImportance("unknown"), (NotTwice(),))
    twice, once = (by_id(list(run_attack(a, WordVictim(), EXAMPLES))) for a in (attack, SWAPS))
    assert twice == once


def test_deleting_any_of_equal_neighbours_counts_each() -> None:
    attack = Attack("delete", Untargeted(), (DeleteWord(),), Beam(1))
    (attempt,) = run_attack(attack, WordVictim(), [Example("a", "bad bad.", 1)], budget=3)
    assert (attempt.n_queries, attempt.n_victim_texts) == (3, 2)


def test_journal_is_gone_on_with(tmp_path: Path) -> None:
    journal = tmp_path / "attack.jsonl"
    whole = list(run_attack(TYPOS, WordVictim(), EXAMPLES, seed=3, at_once=2))
    some = run_attack(TYPOS, WordVictim(), EXAMPLES, seed=3, at_once=2, journal=journal)
    for _ in range(3):
        next(some)
    some.close()
    with journal.open("ab") as stream:
        stream.write(b'{"example_id": "torn')
    victim = WordVictim()
    rest = list(run_attack(TYPOS, victim, EXAMPLES, seed=3, at_once=2, journal=journal))
    assert by_id(rest) == by_id(whole)
    assert len(victim.batches[0]) <= 2
    assert len(journal.read_text().splitlines()) == 1 + len(EXAMPLES)
    victim = WordVictim()
    assert by_id(list(run_attack(TYPOS, victim, EXAMPLES, seed=3, journal=journal))) == by_id(whole)
    assert victim.batches == []


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.guard.attacks.test_engine import EXAMPLES, TYPOS, WordVictim, run_attack

class Killing(WordVictim):
    def probabilities(self, texts):
        if len(self.batches) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().probabilities(texts)

for _ in run_attack(TYPOS, Killing(), EXAMPLES, seed=3, at_once=2, journal=Path(sys.argv[1])):
    pass
"""


@pytest.mark.parametrize("calls", [0, 4, 8])
def test_killed_attack_resumes_to_the_same_results(tmp_path: Path, calls: int) -> None:
    journal = tmp_path / "attack.jsonl"
    command = [sys.executable, "-c", KILLED, str(journal), str(calls)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": "."}, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    n_before = len(journal.read_text().splitlines()) - 1
    assert n_before < len(EXAMPLES)
    resumed = list(run_attack(TYPOS, WordVictim(), EXAMPLES, seed=3, journal=journal))
    assert by_id(resumed) == by_id(list(run_attack(TYPOS, WordVictim(), EXAMPLES, seed=3)))
    ids = [json.loads(line)["example_id"] for line in journal.read_text().splitlines()[1:]]
    assert sorted(ids) == sorted(example.id for example in EXAMPLES)


def test_journal_of_another_run_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "attack.jsonl"
    list(run_attack(SWAPS, WordVictim(), EXAMPLES, journal=journal))
    with pytest.raises(ConfigError, match="its seed is 0, now it is 1"):
        next(run_attack(SWAPS, WordVictim(), EXAMPLES, seed=1, journal=journal))
    with pytest.raises(ConfigError, match="its attack is"):
        next(run_attack(TYPOS, WordVictim(), EXAMPLES, journal=journal))
    with pytest.raises(ConfigError, match="its victim is"):
        next(run_attack(SWAPS, WordVictim({"bad": 1.0}), EXAMPLES, journal=journal))
    with pytest.raises(ConfigError, match="another text or label"):
        next(run_attack(SWAPS, WordVictim(), [Example("0", "other", 1)], journal=journal))
    journal.write_text("[]\n")
    with pytest.raises(DataError, match="no journal"):
        next(run_attack(SWAPS, WordVictim(), EXAMPLES, journal=journal))


def test_damaged_line_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "attack.jsonl"
    list(run_attack(SWAPS, WordVictim(), EXAMPLES, journal=journal))
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([*lines[:2], "{}", *lines[2:]]) + "\n")
    with pytest.raises(DataError, match="line 3 is damaged"):
        next(run_attack(SWAPS, WordVictim(), EXAMPLES, journal=journal))


@pytest.mark.parametrize(
    ("examples", "match"),
    [
        ([Example("a", "x", 0), Example("a", "y", 0)], "twice"),
        ([Example("a", "x", 2)], "label 2"),
        ([Example("a", "x", -1)], "label -1"),
    ],
)
def test_bad_examples_are_refused(examples: list[Example], match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        list(run_attack(SWAPS, WordVictim(), examples))


@pytest.mark.parametrize("wrong", [{"at_once": 0}, {"budget": 0}])
def test_numbers_below_one_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        next(run_attack(SWAPS, WordVictim(), EXAMPLES, **wrong))


def test_every_end_is_told() -> None:
    told: list[Attempt] = []
    attempts = list(run_attack(SWAPS, WordVictim(), EXAMPLES, on_attempt=told.append))
    assert told == attempts
