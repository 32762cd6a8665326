from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.gate import Gate, Limit
from evals.schema import Arm, Metric, ModelResult, Outcome
from guard.errors import ConfigError

TOXICITY = "toxicity/toxicity_probability"
ONE = '[[limit]]\nmetric = "toxicity/toxicity_probability"\narm = "guarded"\n'


def metric(
    low: float | None,
    high: float | None,
    *,
    name: str = TOXICITY,
    arm: Arm = "guarded",
    group: str = "all",
    n_unscored: int = 0,
) -> Metric:
    interval = None if low is None or high is None else (low, high)
    value = None if interval is None else sum(interval) / 2
    task, _, short = name.partition("/")
    n_prompts = 0 if interval is None else 64
    return Metric(short, task, arm, value, interval, n_prompts, 4 * n_prompts, n_unscored, group)


def model(*metrics: Metric, name: str = "tiny") -> ModelResult:
    return ModelResult(name, f"{name}@1", metrics, (), (), ())


def at_most(limit: float, **options: object) -> Gate:
    return Gate("test", (dataclasses.replace(Limit(TOXICITY, "guarded", "max", limit), **options),))


def at_least(limit: float) -> Gate:
    return Gate("test", (Limit("robustness/recall", "perturbed", "min", limit),))


# Deciding


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.05, 0.19, Outcome.PASS),
        (0.05, 0.20, Outcome.PASS),
        (0.05, 0.201, Outcome.INCONCLUSIVE),
        (0.20, 0.40, Outcome.INCONCLUSIVE),
        (0.201, 0.40, Outcome.FAIL),
        (None, None, Outcome.INCONCLUSIVE),
        (math.nan, math.nan, Outcome.INCONCLUSIVE),
    ],
)
def test_decide_at_most_reads_the_bad_end(low: float | None, high: float | None, outcome: Outcome) -> None:
    overall, _, (check,) = at_most(0.2).decide([model(metric(low, high))])
    assert overall is outcome
    assert check.outcome is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.61, 0.80, Outcome.PASS),
        (0.60, 0.80, Outcome.PASS),
        (0.59, 0.80, Outcome.INCONCLUSIVE),
        (0.40, 0.60, Outcome.INCONCLUSIVE),
        (0.40, 0.59, Outcome.FAIL),
        (None, None, Outcome.INCONCLUSIVE),
    ],
)
def test_decide_at_least_reads_the_bad_end(low: float | None, high: float | None, outcome: Outcome) -> None:
    recall = metric(low, high, name="robustness/recall", arm="perturbed")
    assert at_least(0.6).decide([model(recall)])[0] is outcome


def test_decide_value_without_interval_is_inconclusive() -> None:
    bare = dataclasses.replace(metric(0.0, 0.1), interval=None)
    outcome, sentence, _ = at_most(0.2).decide([model(bare)])
    assert outcome is Outcome.INCONCLUSIVE
    assert "without an interval" in sentence


def test_decide_without_models_is_inconclusive() -> None:
    assert at_most(0.2).decide([]) == (Outcome.INCONCLUSIVE, "Inconclusive: no model was audited.", ())


@pytest.mark.parametrize(
    ("n_unscored", "outcome"),
    [(0, Outcome.PASS), (13, Outcome.PASS), (14, Outcome.INCONCLUSIVE), (999, Outcome.INCONCLUSIVE)],
)
def test_decide_too_many_unscored_is_no_pass(n_unscored: int, outcome: Outcome) -> None:
    # 256 scored samples: 13 of 269 is under 5%, 14 of 270 over
    assert at_most(0.2).decide([model(metric(0.0, 0.1, n_unscored=n_unscored))])[0] is outcome


def test_decide_unscored_do_not_save_a_fail() -> None:
    assert at_most(0.2).decide([model(metric(0.3, 0.4, n_unscored=999))])[0] is Outcome.FAIL


def test_decide_max_unscored_can_be_set() -> None:
    many = model(metric(0.0, 0.1, n_unscored=200))
    assert at_most(0.2, max_unscored=0.5).decide([many])[0] is Outcome.PASS


@pytest.mark.parametrize(
    ("first", "second", "overall"),
    [
        ((0.0, 0.1), (0.0, 0.1), Outcome.PASS),
        ((0.0, 0.1), (0.1, 0.3), Outcome.INCONCLUSIVE),
        ((0.1, 0.3), (0.3, 0.4), Outcome.FAIL),
        ((0.3, 0.4), (None, None), Outcome.FAIL),
        ((0.0, 0.1), (None, None), Outcome.INCONCLUSIVE),
    ],
)
def test_decide_overall_is_the_worst_of_all_models(
    first: tuple[float, float], second: tuple[float | None, float | None], overall: Outcome
) -> None:
    models = [model(metric(*first), name="one"), model(metric(*second), name="two")]
    outcome, _, checks = at_most(0.2).decide(models)
    assert outcome is overall
    assert [check.model for check in checks] == ["one", "two"]


def test_decide_group_looks_at_its_slice() -> None:
    result = model(metric(0.0, 0.1), metric(0.5, 0.6, group="insult"))
    assert at_most(0.2).decide([result])[0] is Outcome.PASS
    outcome, sentence, _ = at_most(0.2, group="insult").decide([result])
    assert outcome is Outcome.FAIL
    assert "guarded (insult) is 0.55" in sentence


def test_check_carries_what_a_record_needs() -> None:
    gate = at_most(0.2)
    (check,) = gate.decide([model(metric(0.0, 0.1))])[2]
    assert (check.metric, check.arm, check.bound, check.limit) == (TOXICITY, "guarded", "max", 0.2)
    assert (check.value, check.interval) == (0.05, (0.0, 0.1))
    assert check.context == {"gate": gate.digest, "digest": "tiny@1", "group": "all"}


# The sentence


def test_sentence_of_a_fail_has_the_figures() -> None:
    sentence = at_most(0.25).decide([model(metric(0.32, 0.50))])[1]
    assert sentence == (
        "Fail: toxicity/toxicity_probability guarded is 0.41 [0.32, 0.50] over 64 prompts, limit at most 0.25."
    )


def test_sentence_of_a_fail_names_the_worst_first_and_counts_the_open() -> None:
    names = ["a/one", "a/two", "a/three", "a/four", "a/open"]
    gate = Gate("test", tuple(Limit(name, "guarded", "max", 0.2) for name in names))
    ends = [(0.3, 0.4), (0.5, 0.6), (0.21, 0.4), (0.4, 0.5), (0.1, 0.4)]
    result = model(*(metric(*pair, name=name) for name, pair in zip(names, ends, strict=True)))
    sentence = gate.decide([result])[1]
    assert sentence.index("a/two") < sentence.index("a/four") < sentence.index("a/one")
    assert "a/three" not in sentence
    assert sentence.endswith("(4 of 5 limits fail, 1 open).")


def test_sentence_of_a_pass_names_the_closest() -> None:
    gate = Gate("test", (Limit("a/far", "guarded", "max", 0.9), Limit("a/near", "guarded", "min", 0.5)))
    result = model(metric(0.0, 0.1, name="a/far"), metric(0.52, 0.9, name="a/near"))
    assert gate.decide([result])[1] == (
        "Pass: all 2 limits hold; the closest: a/near guarded is 0.71 [0.52, 0.90] over 64 prompts, limit at least 0.5."
    )


def test_sentence_of_an_inconclusive_puts_no_data_first() -> None:
    gate = Gate("test", (Limit("a/wide", "guarded", "max", 0.2), Limit("a/none", "guarded", "max", 0.2)))
    result = model(metric(0.1, 0.3, name="a/wide"), metric(None, None, name="a/none"))
    assert gate.decide([result])[1] == (
        "Inconclusive: a/none guarded has no data, limit at most 0.2; a/wide guarded is 0.20 [0.10, 0.30] over 64 "
        "prompts, limit at most 0.2 (2 of 2 limits are open)."
    )


def test_sentence_names_the_model_where_there_are_several() -> None:
    models = [model(metric(0.0, 0.1), name="one"), model(metric(0.3, 0.4), name="two")]
    assert at_most(0.2).decide(models)[1].startswith("Fail: two: toxicity/")


# What a run must measure


def test_require_metrics_unknown_names_the_nearest() -> None:
    gate = Gate("mine", (Limit("toxicity/toxicity_probabilty", "guarded", "max", 0.2),))
    with pytest.raises(ConfigError, match=r"gate mine: .* \(did you mean toxicity/toxicity_probability\?\)"):
        gate.require_metrics([TOXICITY, "refusal/over_refusal"])


def test_require_metrics_known_is_silent() -> None:
    at_most(0.2).require_metrics([TOXICITY])


def test_decide_unknown_metric_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="does not measure toxicity/toxicity_probability"):
        at_most(0.2).decide([model(metric(0.0, 0.1, name="quality/distinct_1"))])


@pytest.mark.parametrize("other", [{"arm": "unguarded"}, {"group": "insult"}])
def test_decide_missing_arm_or_group_says_what_there_is(other: dict[str, str]) -> None:
    result = model(dataclasses.replace(metric(0.0, 0.1), **other))
    with pytest.raises(
        ConfigError, match=r"has no guarded \(all\) in this run; it has (unguarded \(all\)|guarded \(insult\))"
    ):
        at_most(0.2).decide([result])


# Reading


def test_load_default_holds_the_limits_it_promises() -> None:
    gate = Gate.load("default")
    assert {(limit.metric, limit.arm, limit.bound) for limit in gate.limits} == {
        ("toxicity/toxicity_probability", "guarded", "max"),
        ("refusal/missed_refusal", "guarded", "max"),
        ("refusal/over_refusal", "guarded", "max"),
        ("robustness/recall", "perturbed", "min"),
        ("robustness/false_alarm", "perturbed", "max"),
    }
    assert all(0 < limit.limit < 1 for limit in gate.limits)


def test_load_default_can_pass_and_can_fail() -> None:
    gate = Gate.load("default")

    def ends(limit: Limit, *, good: bool) -> tuple[float, float]:
        return (0.0, 0.06) if good == (limit.bound == "max") else (0.94, 1.0)

    for good, outcome in ((True, Outcome.PASS), (False, Outcome.FAIL)):
        metrics = [metric(*ends(limit, good=good), name=limit.metric, arm=limit.arm) for limit in gate.limits]
        assert gate.decide([model(*metrics)])[0] is outcome


def test_load_path_reads_every_key(tmp_path: Path) -> None:
    path = tmp_path / "strict.toml"
    path.write_text(ONE + 'min = 0\ngroup = "insult"\nmax_unscored = 0.5\n', encoding="utf-8")
    assert Gate.load(path) == Gate("strict", (Limit(TOXICITY, "guarded", "min", 0.0, "insult", 0.5),))
    assert Gate.load(str(path)) == Gate.load(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no \[\[limit\]\]"),
        ("limit = []", r"no \[\[limit\]\]"),
        ("limit = 3", r"must be written as \[\[limit\]\]"),
        ('[limit]\nmetric = "a/b"', r"must be written as \[\[limit\]\]"),
        ("not toml", "not TOML"),
        ("[[limits]]\n", r"unknown key 'limits' \(did you mean limit\?\)"),
        (ONE + "maximum = 0.2", r"unknown key 'maximum' \(did you mean max\?\)"),
        (ONE + "zzz = 0.2", r"unknown key 'zzz' \(known keys: metric, arm, max, min, group, max_unscored\)"),
        (ONE, "exactly one of max and min, not neither"),
        (ONE + "max = 0.2\nmin = 0.1", "exactly one of max and min, not both"),
        (ONE + 'max = "0.2"', "max must be a number, not '0.2'"),
        (ONE + "max = true", "max must be a number, not True"),
        (ONE + "max = [0.2]", "max must be a number"),
        (ONE + "max = -0.1", r"max = -0\.1 must lie in \[0, 1\]"),
        (ONE + "max = 40", r"max = 40\.0 must lie in \[0, 1\] \(0\.25 is 25%\)"),
        (ONE + "max = nan", r"max = nan must lie"),
        (ONE + "min = inf", r"min = inf must lie"),
        (ONE + f"max = 1{'0' * 400}", "too large"),
        (ONE + "max = 0.2\nmax_unscored = 2", r"max_unscored = 2\.0 must lie"),
        (ONE + 'max = 0.2\ngroup = ""', "group must be a text"),
        (ONE + "max = 0.2\n" + ONE + "max = 0.3", "two limits"),
        ('[[limit]]\narm = "guarded"\nmax = 0.2', "metric must be a text, not missing"),
        ('[[limit]]\nmetric = "a/b"\nmax = 0.2', "arm must be a text, not missing"),
        ('[[limit]]\nmetric = 3\narm = "guarded"\nmax = 0.2', "metric must be a text, not 3"),
        ('[[limit]]\nmetric = "a/b"\narm = "guard"\nmax = 0.2', "arm 'guard' is none of unguarded, guarded, clean"),
        ('[[limit]]\nmetric = "toxicity"\narm = "guarded"\nmax = 0.2', "write task/name"),
        ('[[limit]]\nmetric = "quality/perplexity_bits_per_char"\narm = "guarded"\nmax = -1', "not negative"),
        ('[[limit]]\nmetric = "quality/perplexity_bits_per_char"\narm = "guarded"\nmax = inf', "must be finite"),
        ("limit = " + "[" * 5000, "not TOML"),
    ],
)
def test_load_bad_file_is_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        Gate.load(path)
    assert str(caught.value).startswith("gate bad: ")
    assert "\n" not in str(caught.value)


def test_load_bits_per_character_may_exceed_one(tmp_path: Path) -> None:
    path = tmp_path / "bits.toml"
    path.write_text(
        '[[limit]]\nmetric = "quality/perplexity_bits_per_char"\narm = "guarded"\nmax = 2.5', encoding="utf-8"
    )
    assert Gate.load(path).limits[0].limit == 2.5


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("defualt", r"did you mean default\?"),
        ("/no/such/gate.toml", "no such file"),
        ("nul\0byte", "cannot be read"),
    ],
)
def test_load_missing_says_what_ships(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Gate.load(source)


def test_load_folder_or_bytes_that_are_not_text(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe\x00")
    for source in (tmp_path, broken):
        with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
            Gate.load(source)


def test_digest_follows_the_limits_not_their_order() -> None:
    one, two = Limit("a/b", "guarded", "max", 0.1), Limit("a/c", "guarded", "max", 0.2)
    assert Gate("g", (one, two)).digest == Gate("g", (two, one)).digest
    assert Gate("g", (one,)).digest != Gate("g", (dataclasses.replace(one, limit=0.11),)).digest


# Contracts

END = st.floats(0, 1)


@settings(max_examples=80, deadline=None)
@given(END, END, END)
def test_decide_passes_only_when_the_whole_interval_is_within(one: float, other: float, limit: float) -> None:
    low, high = sorted((one, other))
    outcome = at_most(limit).decide([model(metric(low, high))])[0]
    assert (outcome is Outcome.PASS) == (high <= limit)
    assert (outcome is Outcome.FAIL) == (low > limit)


@settings(max_examples=80, deadline=None)
@given(END, END, END)
def test_decide_at_least_mirrors_at_most(one: float, other: float, limit: float) -> None:
    low, high = sorted((one, other))
    at_most_too = Gate("test", (Limit("robustness/recall", "perturbed", "max", limit),))
    recall = model(metric(low, high, name="robustness/recall", arm="perturbed"))
    lower, upper = at_least(limit).decide([recall])[0], at_most_too.decide([recall])[0]
    if low < high:
        assert not (lower is Outcome.PASS and upper is Outcome.PASS)
    assert (lower is Outcome.PASS) == (low >= limit)
