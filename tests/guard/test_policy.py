from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.schema import Action

POLICY = Policy(
    "test",
    {
        ("output", "toxicity"): (0.5, Action.BLOCK),
        ("output", "profanity"): (0.3, Action.REDACT),
        ("output", "spam"): (0.9, Action.REVIEW),
        ("input", "toxicity"): (0.8, Action.REVIEW),
    },
)


@pytest.mark.parametrize(
    ("toxicity", "profanity", "spam", "action", "triggered"),
    [
        (0.0, 0.0, 0.0, Action.ALLOW, ()),
        (0.49, 0.29, 0.89, Action.ALLOW, ()),
        (0.5, 0.0, 0.0, Action.BLOCK, ("toxicity",)),
        (0.0, 0.3, 0.0, Action.REDACT, ("profanity",)),
        (0.0, 0.0, 0.9, Action.REVIEW, ("spam",)),
        (0.0, 0.5, 0.95, Action.REDACT, ("profanity", "spam")),  # 0.2 and 0.05 over
        (0.6, 0.9, 1.0, Action.BLOCK, ("profanity", "spam", "toxicity")),  # 0.6, then 0.1 twice by name
    ],
)
def test_decide_by_scores(
    toxicity: float, profanity: float, spam: float, action: Action, triggered: tuple[str, ...]
) -> None:
    scores = {"toxicity": toxicity, "profanity": profanity, "spam": spam, "unruled": 1.0}
    verdict = POLICY.decide(scores, "output")
    assert verdict.action == action
    assert set(verdict.triggered) == set(triggered)
    assert verdict.triggered[:1] == triggered[:1]
    assert verdict.scores == scores
    assert verdict.stage == "output"


def test_decide_uses_the_rules_of_the_stage_alone() -> None:
    assert POLICY.decide({"toxicity": 0.7}, "input").action == Action.ALLOW
    assert POLICY.decide({"toxicity": 0.8}, "input").action == Action.REVIEW


def test_decide_without_a_score_for_a_rule_is_refused() -> None:
    with pytest.raises(FilterError, match="no score for profanity"):
        POLICY.decide({"toxicity": 0.1, "spam": 0.1}, "output")


@pytest.mark.parametrize("name", ["standard", "permissive"])
def test_shipped_policy_loads(name: str) -> None:
    assert Policy.load(name).name == name


def test_standard_blocks_and_fails_closed() -> None:
    standard = Policy.load("standard")
    assert standard.on_error == Action.BLOCK
    assert {"jailbreak", "harmful_request", "toxicity", "identity_attack"} == set(standard.categories("input"))
    assert {"toxicity", "identity_attack", "profanity"} == set(standard.categories("output"))


def test_permissive_has_no_rules() -> None:
    assert not Policy.load("permissive").thresholds


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_from_toml_reads_every_key(tmp_path: Path) -> None:
    path = _write(
        tmp_path,
        """
        name = "strict"
        on_error = "review"
        message = "No."
        filter_timeout_s = 2
        [input.toxicity]
        threshold = 1
        action = "regenerate"
        """,
    )
    expected = Policy("strict", {("input", "toxicity"): (1.0, Action.REGENERATE)}, Action.REVIEW, "No.", 2.0)
    assert Policy.from_toml(path) == expected
    assert Policy.load(str(path)) == expected


def test_from_toml_of_an_empty_file_fails_closed_and_takes_the_name_of_the_file(tmp_path: Path) -> None:
    policy = Policy.from_toml(_write(tmp_path, ""))
    assert policy == Policy("mine")
    assert policy.on_error == Action.BLOCK


RULE = "[input.toxicity]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae = 'x'", r"mine\.toml: unknown key 'nmae' \(did you mean 'name'\?\)"),
        ("onerror = 'block'", "unknown key 'onerror' .did you mean 'on_error'"),
        ("[inputs.toxicity]\nthreshold = 0.5", "unknown key 'inputs' .did you mean 'input'"),
        (RULE + "treshold = 0.5", r"input\.toxicity: unknown key 'treshold' .did you mean 'threshold'"),
        (
            RULE + "threshold = -0.1\naction = 'block'",
            r"input\.toxicity\.threshold is -0\.1: expected a number in \[0, 1\]",
        ),
        (RULE + "threshold = 1.5\naction = 'block'", r"threshold is 1\.5"),
        (RULE + "threshold = nan\naction = 'block'", "threshold is nan"),
        (RULE + "threshold = inf\naction = 'block'", "threshold is inf"),
        (RULE + "threshold = '0.5'\naction = 'block'", r"threshold is '0\.5': expected a number"),
        (RULE + "threshold = true\naction = 'block'", "threshold is True: expected a number"),
        (
            RULE + "threshold = 0.5\naction = 'blok'",
            r"input\.toxicity\.action: unknown action 'blok' .did you mean 'block'",
        ),
        (RULE + "threshold = 0.5\naction = 4", "unknown action 4"),
        (RULE + "threshold = 0.5\naction = ['block']", "unknown action"),
        (RULE + "threshold = 0.5", "input.toxicity lacks action"),
        (RULE + "action = 'block'", "input.toxicity lacks threshold"),
        ("[input]\ntoxicity = 0.5", "input.toxicity must be a table"),
        ("input = 0.5", "input must be tables"),
        ("on_error = 'ignore'", "on_error: unknown action 'ignore'"),
        ("on_error = 1", "on_error is 1: expected a text"),
        ("message = ''", "message is ''"),
        ("name = 3", "name is 3"),
        ("filter_timeout_s = 0", "filter_timeout_s is 0: expected a positive number of seconds"),
        ("filter_timeout_s = '1 s'", "filter_timeout_s is '1 s'"),
        ("name = \n", r"mine\.toml is not valid TOML: .*line 1"),
        ("[input.toxicity\n", "not valid TOML: .*line 1"),
    ],
)
def test_from_toml_refuses(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Policy.from_toml(_write(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_from_toml_of_a_binary_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Policy.from_toml(path)


@pytest.mark.parametrize("path", ["nowhere.toml", "a\x00b.toml"])
def test_from_toml_of_no_file_is_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Policy.from_toml(path)


def test_load_of_an_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no policy named 'standart' .did you mean 'standard'"):
        Policy.load("standart")


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({("inptu", "toxicity"): (0.5, Action.BLOCK)}, "unknown stage 'inptu' .did you mean 'input'"),
        ({("input", "toxicity"): (2.0, Action.BLOCK)}, "threshold is 2.0"),
        ({("input", "toxicity"): (float("nan"), Action.BLOCK)}, "threshold is nan"),
        ({("input", "toxicity"): (0.5, 4)}, "4 is not an Action"),
    ],
)
def test_constructor_refuses_what_toml_would(thresholds: dict[object, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy("mine", thresholds)  # type: ignore[arg-type]


def test_digest_is_of_what_decides() -> None:
    rules = {("input", "toxicity"): (0.5, Action.BLOCK), ("output", "toxicity"): (0.5, Action.BLOCK)}
    policy = Policy("a", rules)  # type: ignore[arg-type]
    reordered = Policy("b", dict(reversed(rules.items())))  # type: ignore[arg-type]
    assert policy.digest == reordered.digest
    assert policy.digest != Policy("a", {**rules, ("input", "toxicity"): (0.6, Action.BLOCK)}).digest  # type: ignore[dict-item]
    assert policy.digest != Policy("a", rules, on_error=Action.ALLOW).digest  # type: ignore[arg-type]


def test_thresholds_are_a_copy() -> None:
    rules: dict[object, object] = {("input", "toxicity"): (0.5, Action.BLOCK)}
    policy = Policy("a", rules)  # type: ignore[arg-type]
    rules.clear()
    assert policy.categories("input") == ("toxicity",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RULE + f"threshold = {'9' * 5000}\naction = 'block'", "not valid TOML: Exceeds the limit"),
        (RULE + f"threshold = 0x{'f' * 5000}\naction = 'block'", "threshold is int too long to show: expected"),
        (RULE + f"threshold = {10**400}\naction = 'block'", "threshold is 1000.*0: expected a number in"),
        (RULE + f"threshold = '{'x' * 5000}'\naction = 'block'", r"threshold is 'xxx.*\.\.\.x"),
        (RULE + f"threshold = 0.5\naction = '{'x' * 5000}'", "unknown action 'xxx"),
        (f"[input.{'x' * 5000}]\nthreshold = 2\naction = 'block'", r"x\.\.\.x*\.threshold is 2"),
        (f"{'x' * 5000} = 1", "unknown key 'xxx"),
        (f"name = {['x' * 50] * 100}", "name is .'xxx"),
        (f"{'x' * 5000} = 1\n{'x' * 5000} = 1", "Cannot overwrite a value"),
        ("filter_timeout_s = 1e10", r"filter_timeout_s is 10000000000\.0: expected a positive number of seconds, "),
        (f"filter_timeout_s = {10**400}", "filter_timeout_s is 1000"),
        ("filter_timeout_s = 0", "filter_timeout_s is 0: expected a positive number"),
        ("filter_timeout_s = nan", "filter_timeout_s is nan: expected a positive number"),
    ],
)
def test_from_toml_refuses_in_one_short_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Policy.from_toml(_write(tmp_path, text))
    line = str(caught.value).replace(str(tmp_path), "")
    assert "\n" not in line
    assert len(line) < 250


@pytest.mark.parametrize("name", ["x" * 300, "x" * 5000, "x" * 300 + ".toml"])
def test_load_of_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(
        ConfigError, match=r"policy x+(\.\.\.)?x*(\.toml)? cannot be read: File name too long"
    ) as caught:
        Policy.load(name)
    assert len(str(caught.value)) < 400


def test_load_from_a_closed_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bool:  # as stat does, but for root
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(ConfigError, match="mine cannot be read: Permission denied"):
        Policy.load(tmp_path / "mine")


def test_constructor_takes_no_timeout_that_a_thread_cannot_wait() -> None:
    with pytest.raises(ConfigError, match="filter_timeout_s is 1e"):
        Policy("mine", filter_timeout_s=1e300)
