from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.finetuning.checking import Checked, CheckSettings, check
from evals.finetuning.screening import FilterScreen
from evals.finetuning.texts import TrainingText
from guard.errors import ConfigError, DataError, FilterError
from guard.train.generator.encoding import Turn
from tests.evals.finetuning.small import CLEAN, WORDS, rows, scripted


def line(checked: Checked, name: str) -> Any:
    return next(one for one in checked.lines if one.name == name)


def everything(checked: Checked) -> list[str]:
    return [row.whole for part in (checked.train, checked.validation, checked.held_out) for row in part]


def test_everything_is_counted_and_nothing_is_lost() -> None:
    texts = [*CLEAN, "", "  ", CLEAN[0].upper(), "my card is 4111", "you idiot"]
    checked = check(rows(texts), CheckSettings(validation=0.3), scripted)
    assert line(checked, "empty").found == 2
    assert line(checked, "duplicate").found == 1
    assert (line(checked, "pii").found, line(checked, "pii").action) == (1, "kept")
    assert (line(checked, "toxic").found, line(checked, "toxic").action) == (1, "kept")
    assert line(checked, "leak").found == 0
    assert checked.kinds == {"pii_card": 1}
    assert sorted(everything(checked)) == sorted([*CLEAN, "my card is 4111", "you idiot"])


def test_rows_are_masked_or_dropped_where_the_user_says_so() -> None:
    texts = [*CLEAN, "my card is 4111", "you idiot", "unreadable"]
    masked = check(rows(texts), CheckSettings(validation=0.3, on_pii="mask"), scripted)
    assert "my card is [pii_card]" in everything(masked)
    assert "unreadable" not in everything(masked)
    dropped = check(rows(texts), CheckSettings(validation=0.3, on_pii="drop", on_toxic="drop"), scripted)
    assert sorted(everything(dropped)) == sorted(CLEAN)
    assert line(dropped, "pii").n_unscored == line(dropped, "toxic").n_unscored == 1
    kept = check(rows(texts), CheckSettings(validation=0.3), scripted)
    assert "unreadable" in everything(kept)


def test_a_group_is_never_parted() -> None:
    held = [TrainingText(f"r{n}", f"call-{n // 5}", (Turn("text", text),)) for n, text in enumerate(CLEAN)]
    checked = check(held, CheckSettings(validation=0.4), scripted)
    parts = [{row.unit for row in part} for part in (checked.train, checked.validation, checked.held_out)]
    assert all(parts)
    assert not parts[0] & (parts[1] | parts[2])
    assert not parts[1] & parts[2]


def test_near_copies_stay_on_one_side() -> None:
    start = "could you please tell me when the parcel that I ordered last week will be at my door"
    near = [f"{start}, {ending}" for ending in WORDS]
    checked = check(rows([*CLEAN, *near]), CheckSettings(validation=0.4), scripted)
    sides = [
        sum(row.whole.startswith(start) for row in part)
        for part in (checked.train, checked.validation, checked.held_out)
    ]
    assert sorted(sides) == [0, 0, 10]
    assert line(checked, "near_duplicate").found in (0, 9)


def test_rows_of_one_template_are_still_parted() -> None:
    held = rows([f"dear sir or madam I write about order number {n} which is late" for n in range(100)])
    checked = check(held, CheckSettings(validation=0.4), scripted)
    assert min(len(checked.train), len(checked.validation), len(checked.held_out)) >= 8


def test_training_rows_that_stand_in_a_validation_file_are_left_out() -> None:
    long = "could you please tell me when the parcel that I ordered last week will be at my door"
    checked = check(
        rows([*CLEAN[:50], long, CLEAN[60]]),
        CheckSettings(),
        scripted,
        validation=rows([*CLEAN[60:100], f"{long} today", ""], prefix="v"),
    )
    assert line(checked, "leak").found == 2
    assert sorted(row.whole for row in checked.train) == sorted(CLEAN[:50])
    assert len(checked.validation) + len(checked.held_out) == 41


def test_copies_are_kept_where_the_user_says_so_but_never_on_both_sides() -> None:
    texts = [*CLEAN, *CLEAN[:20]]
    checked = check(rows(texts), CheckSettings(validation=0.3, on_duplicate="keep"), scripted)
    trained = {row.whole for row in checked.train}
    assert len(checked.train) + len(checked.validation) + len(checked.held_out) == 120
    assert not trained & {row.whole for row in (*checked.validation, *checked.held_out)}


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 99), st.randoms())
def test_the_split_depends_on_seed_and_texts_and_not_on_their_order(seed: int, random: Any) -> None:
    shuffled = CLEAN[:]
    random.shuffle(shuffled)
    first, second = (check(rows(t), CheckSettings(validation=0.5, seed=seed), scripted) for t in (CLEAN, shuffled))
    for one, other in ((first.train, second.train), (first.held_out, second.held_out)):
        assert {row.whole for row in one} == {row.whole for row in other}


def test_too_little_is_said_and_shares_are_limited() -> None:
    with pytest.raises(DataError, match="are the least"):
        check(rows(CLEAN[:4]), CheckSettings(), scripted)
    with pytest.raises(ConfigError, match=r"at most 0\.5"):
        CheckSettings(validation=0.9)


def test_dialogues_without_an_answer_teach_nothing() -> None:
    asked = TrainingText("x", "", (Turn("user", "hello?"),))
    empty = TrainingText("y", "", (Turn("user", "hello?"), Turn("assistant", " ")))
    checked = check([*rows(CLEAN), asked, empty, TrainingText("z", "", ())], CheckSettings(validation=0.3), scripted)
    assert line(checked, "empty").found == 3


def test_the_guard_s_filters_find_what_they_are_for() -> None:
    held = rows(["what is your opening time?", "my card is 4111 1111 1111 1111", "you are a stupid worthless idiot"])
    held.append(TrainingText("d", "", (Turn("user", "mail me: ada@example.org"), Turn("assistant", "done"))))
    screen = FilterScreen(device="cpu")
    told: list[tuple[str, int, int]] = []
    found = screen(held, tell=lambda *one: told.append(one))
    assert [one.pii for one in found] == [(), ("pii_card",), (), ("pii_email",)]
    assert [one.toxic for one in found] == [False, False, True, False]
    assert found[1].masked == ("my card is [pii_card]",)
    assert found[3].masked == ("mail me: [pii_email]", "done")
    assert told[-1][1:] == (4, 4)
    assert len(screen.names) == 3


def test_a_row_that_a_filter_fails_on_is_unscored_and_the_others_are_not() -> None:
    screen = FilterScreen(device="cpu")

    class Failing:
        categories, name = screen._encoder.categories, "failing@0"

        def score_batch(self, items: Sequence[str]) -> Any:
            if any("bad" in item for item in items):
                raise FilterError("no")
            return screen_scores(items)

    screen_scores = screen._encoder.score_batch
    screen._encoder = Failing()
    found = screen(rows(["hello", "bad", "you are a stupid worthless idiot"]))
    assert [one.toxic for one in found] == [False, None, True]
