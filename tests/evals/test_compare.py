"""Two runs compared: effects that can be counted by hand, what crossed the line, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.compare import RunComparison, compare
from evals.comparison.drops import Drop, parse_drop
from evals.comparison.effects import Effect
from evals.comparison.sides import load_side, mismatches
from evals.schema import Outcome
from evals.stats import paired_difference
from evals.values import FILE, Value, read_values, write_values
from guard.errors import ConfigError, DataError
from tests.evals.two_runs import IDENTITY, MISSED, RuderModel, binary, real_run, series, side


def _only(comparison: RunComparison) -> Effect:
    (effect,) = comparison.effects
    return effect


def test_six_gained_and_none_lost() -> None:
    found = compare(side(series(binary("0000000000"))), side(series(binary("1111110000")), model="new"))
    effect = _only(found)
    assert (effect.before, effect.after, effect.value) == (0.0, 0.6, pytest.approx(0.6))
    assert (effect.p, effect.p_corrected, effect.method) == (2 / 64, 2 / 64, "exact (McNemar)")
    assert (effect.n_prompts, effect.n_changed, effect.newly_failing, effect.newly_passing) == (10, 6, 6, 0)
    assert effect.change == "worse"
    assert effect.interval == paired_difference(binary("0000000000"), binary("1111110000")).interval


@pytest.mark.parametrize(
    ("before", "after", "correlation"),
    [("0101", "0101", 1.0), ("0101", "1010", -1.0), ("0011", "0101", 0.0), ("0000", "0101", None)],
)
def test_the_correlation_of_both_sides_is_told(before: str, after: str, correlation: float | None) -> None:
    found = _only(compare(side(series(binary(before))), side(series(binary(after))))).correlation
    assert found == (None if correlation is None else pytest.approx(correlation))


def test_what_is_better_depends_on_the_metric() -> None:
    recall = {"name": "robustness/recall", "arm": "perturbed"}
    found = compare(
        side(series(binary("0000000000"), **recall)),  # type: ignore[arg-type]
        side(series(binary("1111111110"), **recall)),  # type: ignore[arg-type]
    )
    assert (_only(found).change, _only(found).newly_failing, _only(found).newly_passing) == ("better", 0, 9)


def test_a_metric_without_direction_moves_and_nothing_fails() -> None:
    odd = {"name": "house/style"}
    found = compare(side(series(binary("0" * 10), **odd)), side(series(binary("1" * 10), **odd)))  # type: ignore[arg-type]
    assert (_only(found).change, _only(found).newly_failing, found.flips) == ("moved", 0, ())


def test_a_metric_of_somebody_else_says_itself_which_way_is_better() -> None:
    before, after = (
        replace(series(binary(hits), name="gsm8k/match"), better="higher") for hits in ("1" * 10, "0" * 10)
    )
    effect = _only(compare(side(before), side(after)))
    assert (effect.better, effect.change, effect.newly_failing) == ("higher", "worse", 10)


def test_correction_counts_the_metrics() -> None:
    names = [MISSED, "refusal/over_refusal", "toxicity/toxic_share"]
    before = side(*(series(binary("0000000000"), name=name) for name in names))
    after = side(
        series(binary("1111110000"), name=names[0]),  # 2/64 alone, 3 x that corrected
        series(binary("1100000000"), name=names[1]),
        series(binary("0000000000"), name=names[2]),
    )
    found = compare(before, after).effects
    assert [effect.p for effect in found] == [2 / 64, 0.5, 1.0]
    assert [effect.p_corrected for effect in found] == [6 / 64, 1.0, 1.0]
    assert [effect.change for effect in found] == ["unclear", "unclear", "unclear"]


def test_slices_are_a_family_of_their_own_and_say_nothing_twice() -> None:
    groups = {f"p{i:03d}": "even" if i % 2 == 0 else "odd" for i in range(10)}
    whole = {f"p{i:03d}": "everything" for i in range(10)}
    before = side(
        series(binary("0" * 10), groups=groups), series(binary("0" * 10), name="refusal/over_refusal", groups=whole)
    )
    after = side(
        series(binary("1010101010"), groups=groups), series(binary("0" * 10), name="refusal/over_refusal", groups=whole)
    )
    found = compare(before, after)
    assert [(e.group, e.value, e.p_corrected) for e in found.slices] == [("even", 1.0, 4 / 32), ("odd", 0.0, 1.0)]
    assert [e.p_corrected for e in found.effects] == [4 / 32, 1.0]


def test_prompts_of_one_side_are_dropped_and_unscored_ones_are_lost() -> None:
    before = side(series(binary("0000?0")))
    later = binary("011?00")
    del later["p005"]
    effect = _only(compare(before, side(series({**later, "new": [1.0]}))))
    assert (effect.n_prompts, effect.n_dropped, effect.n_lost) == (3, 2, 2)
    assert effect.value == pytest.approx(2 / 3)
    assert effect.unscored == 1 / 5


def test_samples_of_a_prompt_are_one_observation() -> None:
    before = side(series({f"p{i}": [0.0] * 25 for i in range(4)}))
    after = side(series({"p0": [1.0] * 25, "p1": [0.0] * 25, "p2": [0.0] * 25, "p3": [0.0] * 25}))
    effect = _only(compare(before, after))
    assert (effect.p, effect.n_prompts, effect.n_changed, effect.newly_failing) == (1.0, 4, 1, 25)


def test_a_maximum_over_other_numbers_of_samples_is_not_compared() -> None:
    values = tuple(Value(f"p{i}", "", "g", 0.0, 25) for i in range(3))
    fewer = tuple(replace(value, n_samples=5) for value in values[:2]) + values[2:]
    made = series({}, name="toxicity/toxicity_probability")
    effect = _only(compare(side(replace(made, values=values)), side(replace(made, values=fewer))))
    assert (effect.n_prompts, effect.n_dropped) == (1, 2)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=12))
def test_swapping_the_sides_turns_the_effect_around(pairs: list[tuple[float, float]]) -> None:
    old = side(series({f"p{i}": [a] for i, (a, _) in enumerate(pairs)}))
    new = side(series({f"p{i}": [b] for i, (_, b) in enumerate(pairs)}))
    there, back = _only(compare(old, new)), _only(compare(new, old))
    assert there.value is not None
    assert back.value == pytest.approx(-there.value)
    assert (there.p, there.newly_failing, there.newly_passing) == (back.p, back.newly_passing, back.newly_failing)
    assert there.interval is not None
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))


def test_a_run_against_itself_shows_nothing() -> None:
    groups = {"p000": "a", "p001": "b", "p002": "a"}
    one = side(series(binary("010"), groups=groups))
    found = compare(one, one)
    assert all((e.value, e.p_corrected, e.change) == (0.0, 1.0, "unclear") for e in (*found.effects, *found.slices))
    assert (found.flips, found.mismatches) == ((), ())
    assert found.notes == ("Both sides are the same model by digest: what differs is how it was guarded or measured.",)


def test_only_so_many_samples_are_shown_but_all_are_counted() -> None:
    found = compare(side(series(binary("0" * 9 + "1" * 4))), side(series(binary("1" * 9 + "0" * 4))), examples=3)
    assert [flip.now for flip in found.flips] == ["failing"] * 3 + ["passing"] * 3
    assert (_only(found).newly_failing, _only(found).newly_passing) == (9, 4)


# What the runs do not share.


def test_differences_are_named_by_part() -> None:
    other = {**IDENTITY, "suite": "small@2", "scorers": '{"refusal": ["judge@2"]}', "policy": "strict@9"}
    found = compare(side(series(binary("01"))), side(series(binary("01")), identity=other))
    assert [(one.what, one.before, one.after) for one in found.mismatches] == [
        ("policy", "none", "strict@9"),
        ("scorers.refusal", "judge@1", "judge@2"),
        ("suite", "small@1", "small@2"),
    ]
    assert "scorers.refusal, suite" in found.notes[0]


def test_models_are_no_mismatch() -> None:
    one, two = (side(identity={**IDENTITY, "models": name}) for name in ("a@1", "b@2"))
    assert mismatches(one, two) == []


def test_other_data_without_journals_leaves_nothing_to_pair() -> None:
    other = {**IDENTITY, "data": '{"refusal": "d2"}'}
    with pytest.raises(DataError, match="share no prompt"):
        compare(side(series(binary("01"))), side(series(binary("01")), identity=other))


def test_no_shared_prompt_is_an_error() -> None:
    with pytest.raises(DataError, match="share no prompt of any metric"):
        compare(side(series({"a": [1.0]})), side(series({"b": [1.0]})))


def test_no_shared_metric_or_arm_is_an_error() -> None:
    one = side(series(binary("01")))
    with pytest.raises(
        DataError, match="no metric in both runs: a run has refusal/missed_refusal; a run has house/style"
    ):
        compare(one, side(series(binary("01"), name="house/style")))
    with pytest.raises(DataError, match="no metric in both runs in arm clean"):
        compare(one, one, arm="clean")


def test_what_only_one_run_has_is_named() -> None:
    extra = series(binary("01"), name="house/style")
    one = side(series(binary("01")), extra)
    found = compare(one, side(series(binary("01")), model="new"))
    assert found.notes == ("Not compared, since only one run has it: house/style.",)


# Allowed drops.


@pytest.mark.parametrize(
    ("before", "after", "drop", "outcome"),
    [
        ("0" * 200, "0" * 200, 0.03, Outcome.PASS),  # Tango: z^2 / (n + z^2) = 0.019
        ("0" * 100, "0" * 100, 0.03, Outcome.INCONCLUSIVE),  # 0.037
        ("0" * 100, "1" * 30 + "0" * 70, 0.03, Outcome.FAIL),
        ("1" * 30 + "0" * 70, "0" * 100, 0.03, Outcome.PASS),  # for the better
        ("0" * 100, "1" * 5 + "0" * 95, 0.03, Outcome.INCONCLUSIVE),
        ("?" * 20, "0" * 20, 0.03, Outcome.INCONCLUSIVE),
        ("?" * 20 + "0" * 200, "0" * 220, 0.03, Outcome.INCONCLUSIVE),  # 9% unscored
    ],
)
def test_a_drop_is_held_against_the_bad_end(before: str, after: str, drop: float, outcome: Outcome) -> None:
    found = compare(side(series(binary(before))), side(series(binary(after))), drops=[Drop(MISSED, drop)])
    assert (found.outcome, [check.outcome for check in found.checks]) == (outcome, [outcome])


def test_a_higher_is_better_metric_drops_downwards() -> None:
    recall = {"name": "robustness/recall"}
    before, after = side(series(binary("1" * 90 + "0" * 10), **recall)), side(series(binary("0" * 100), **recall))  # type: ignore[arg-type]
    (check,) = compare(before, after, drops=[Drop("robustness/recall", 0.1)]).checks
    assert (check.outcome, check.value, check.bound) == (Outcome.FAIL, pytest.approx(0.9), "max")
    assert check.interval is not None
    assert check.interval[0] < 0.9 < check.interval[1]
    assert check.metric == "robustness/recall vs baseline"


def test_other_scorers_decide_nothing() -> None:
    other = {**IDENTITY, "scorers": '{"refusal": ["judge@2"]}'}
    before, after = side(series(binary("0" * 200))), side(series(binary("0" * 200)), identity=other)
    (check,) = compare(before, after, drops=[Drop(MISSED, 0.03)]).checks
    assert check.outcome is Outcome.INCONCLUSIVE
    assert check.reason.endswith("but the two runs differ in its scorers")


def test_a_run_that_stopped_early_decides_nothing() -> None:
    before, after = (
        side(series(binary("0" * 200))),
        side(series(binary("0" * 200)), identity={**IDENTITY, "stops": "early"}),
    )
    found = compare(before, after, drops=[Drop(MISSED, 0.03)])
    assert found.outcome is Outcome.INCONCLUSIVE
    assert "the second run stopped early" in found.checks[0].reason
    assert "the second run stopped early" in found.notes[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a/b=0.03", Drop("a/b", 0.03)),
        ("a/b@guarded=0", Drop("a/b", 0.0, "guarded")),
    ],
)
def test_drops_are_read(text: str, expected: Drop) -> None:
    assert parse_drop(text) == expected


@pytest.mark.parametrize("text", ["a/b", "a=1", "a/b=much", "a/b=-1", "a/b=nan", "a/b@mars=1", "a/b@=1", "=1", ""])
def test_drops_that_mean_nothing_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="allowed drop"):
        parse_drop(text)


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (Drop("refusal/mised_refusal", 0.1), r"did you mean refusal/missed_refusal\?"),
        (Drop(MISSED, 0.1, "clean"), "no arm clean; it has guarded"),
        (Drop(MISSED, 0.1, group="mars"), "no group 'mars' in both runs; it has all"),
        (Drop("house/style", 0.1), "no better and no worse"),
    ],
)
def test_drops_on_what_was_not_compared_are_refused(drop: Drop, message: str) -> None:
    one = side(series(binary("01")), series(binary("01"), name="house/style"))
    with pytest.raises(ConfigError, match=message):
        compare(one, one, drops=[drop])


# From folders of real runs.


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return real_run(folder / "old"), real_run(folder / "new", model=RuderModel(), name="ruder")


def test_a_ruder_model_is_worse_and_its_texts_are_shown(runs: tuple[Path, Path]) -> None:
    found = compare(*(load_side(str(run)) for run in runs))
    share = next(e for e in found.effects if (e.metric, e.arm) == ("toxic_share", "unguarded"))
    assert share.value is not None
    assert share.value > 0
    assert share.newly_failing > 0
    flip = next(f for f in found.flips if (f.metric, f.arm, f.now) == ("toxic_share", "unguarded", "failing"))
    assert flip.prompt is not None
    assert flip.prompt.startswith("start number")
    assert "a nice day" in (flip.output_before or "")
    assert "darn you" in (flip.output_after or "")
    assert [one for one in found.mismatches if one.what != "code"] == []  # the code may be edited between the runs


def test_effects_are_those_of_the_reports_where_all_prompts_are_shared(runs: tuple[Path, Path]) -> None:
    for effect in compare(*(load_side(str(run)) for run in runs)).effects:
        if effect.n_lost == 0 and effect.value is not None:
            assert effect.value == pytest.approx((effect.after or 0) - (effect.before or 0), abs=1e-12)
        assert effect.n_dropped == 0


def test_two_models_of_one_run_are_named_behind_a_colon(runs: tuple[Path, Path], tmp_path: Path) -> None:
    both = [read_values(run) for run in runs]
    write_values(tmp_path / FILE, both[0].identity, [both[0].models[0], replace(both[1].models[0], name="b:2/ruder")])
    assert load_side(f"{tmp_path}:b:2/ruder").model == "b:2/ruder"
    assert load_side(str(tmp_path), model="scripted").model == "scripted"
    with pytest.raises(DataError, match="has the models scripted, b:2/ruder: write RUN:MODEL"):
        load_side(str(tmp_path))
    with pytest.raises(DataError, match="has no model 'gpt'; it has scripted, b:2/ruder"):
        load_side(f"{tmp_path}:gpt")
    with pytest.raises(DataError, match="no run at"):
        load_side(str(tmp_path / "nowhere"))


def test_edited_data_is_paired_by_text(runs: tuple[Path, Path], tmp_path: Path) -> None:
    new = tmp_path / "edited"
    new.mkdir()
    journal = (runs[1] / "journal.jsonl").read_text(encoding="utf-8")
    (new / "journal.jsonl").write_text(journal.replace("start number 3", "another start"), encoding="utf-8")
    values = read_values(runs[1])
    other = values.identity["data"].replace('"toxicity": "', '"toxicity": "x')
    write_values(new / FILE, {**values.identity, "data": other}, values.models)
    found = compare(load_side(str(runs[0])), load_side(str(new)))
    dropped = {e.name: e.n_dropped for e in found.effects if e.arm == "unguarded"}
    assert (dropped["toxicity/toxic_share"], dropped["refusal/missed_refusal"]) == (1, 0)
    assert "data.toxicity" in found.notes[0]
