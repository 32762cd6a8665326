from __future__ import annotations

import dataclasses
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from guard.errors import ConfigError, FilterError
from guard.policy import Policy
from guard.schema import Action, Stage, Verdict

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
    speech, kept = {"toxicity", "identity_attack", "profanity"}, {"secret", "pii_card", "pii_bank", "pii_identity"}
    assert speech | kept == set(standard.categories("output"))


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
        regenerations = 3
        regenerate_note = ""
        [on_error_for]
        transformer = "allow"
        [input.toxicity]
        threshold = 1
        action = "regenerate"
        notice = "Be kind."
        """,
    )
    rule: tuple[Stage, str] = ("input", "toxicity")
    expected = Policy(
        "strict",
        {rule: (1.0, Action.REGENERATE)},
        Action.REVIEW,
        "No.",
        2.0,
        regenerations=3,
        regenerate_note="",
        on_error_for={"transformer": Action.ALLOW},
        notices={rule: "Be kind."},
    )
    assert Policy.from_toml(path) == expected
    assert Policy.load(str(path)) == expected


def test_standard_documents_every_key() -> None:
    page = (resources.files("guard") / "policies" / "standard.toml").read_text(encoding="utf-8")
    keys = [key.name for key in dataclasses.fields(Policy) if key.name not in ("thresholds", "notices", "certificates")]
    missing = [key for key in keys if not re.search(rf"^\[?{key}\b", page, re.MULTILINE)]
    assert missing == []
    assert [key for key in ("threshold", "action", "notice", "certificate") if f"#   {key} " not in page] == []


def test_standard_states_the_defaults() -> None:
    standard = Policy.load("standard")
    assert (standard.regenerations, standard.regenerate_note) == (
        Policy("x").regenerations,
        Policy("x").regenerate_note,
    )


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
        ("regenerations = -1", "regenerations is -1: expected a whole number from 0 to 10"),
        ("regenerations = 11", "regenerations is 11: expected a whole number from 0 to 10"),
        ("regenerations = 2.0", r"regenerations is 2\.0: expected a whole number"),
        ("regenerations = true", "regenerations is True: expected a whole number"),
        ("regenerate_note = 3", "regenerate_note is 3: expected a text"),
        ("regenerate_notes = 'x'", "unknown key 'regenerate_notes' .did you mean 'regenerate_note'"),
        ("on_error_for = 'allow'", "on_error_for must be a table from kinds of filters to actions"),
        ("[on_error_for]\nencoder = 'alow'", r"on_error_for\.encoder: unknown action 'alow' .did you mean 'allow'"),
        ("[on_error_for]\n'encoder@1f' = 'allow'", "on_error_for has the key 'encoder@1f': expected the kind"),
        ("[on_error_for]\n'' = 'allow'", "on_error_for has the key '': expected the kind"),
        (RULE + "threshold = 0.5\naction = 'block'\nnotice = ''", r"input\.toxicity\.notice is '': expected a text"),
        (RULE + "threshold = 0.5\naction = 'block'\nnotice = 3", r"input\.toxicity\.notice is 3"),
        (RULE + "threshold = 0.5\naction = 'block'\nnotise = 'x'", "unknown key 'notise' .did you mean 'notice'"),
        (
            RULE + "threshold = 0.5\naction = 'block'\ncertificate = 1",
            r"certificate must be a table, as assay calibrate",
        ),
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


RULES: dict[tuple[Stage, str], tuple[float, Action]] = {("output", "toxicity"): (0.5, Action.BLOCK)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"regenerations": 11}, "regenerations is 11"),
        ({"regenerate_note": None}, "regenerate_note is None: expected a text"),
        ({"on_error_for": {"encoder": "allow"}}, "on_error_for.encoder: 'allow' is not an Action"),
        ({"on_error_for": {"encoder:x": Action.ALLOW}}, "on_error_for has the key 'encoder:x'"),
        ({"notices": {("input", "toxicity"): "x"}}, r"input\.toxicity has a notice and no threshold"),
        ({"notices": {("output", "toxicity"): " "}}, r"output\.toxicity\.notice is ''"),
    ],
)
def test_constructor_refuses_new_keys_as_toml_would(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"^policy mine: .*{message}"):
        Policy("mine", RULES, **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"regenerations": 1},
        {"regenerate_note": ""},
        {"on_error_for": {"encoder": Action.ALLOW}},
        {"notices": {("output", "toxicity"): "x"}},
        {"message": "No."},
        {"filter_timeout_s": 1.0},
    ],
)
def test_digest_is_of_every_key_that_decides(fields: dict[str, Any]) -> None:
    assert Policy("a", RULES, **fields).digest != Policy("a", RULES).digest


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("encoder@1f2e", Action.ALLOW),
        ("encoder", Action.ALLOW),
        ("encoder2@1f2e", Action.REVIEW),
        ("lexical@encoder", Action.REVIEW),
        ("", Action.REVIEW),
    ],
)
def test_on_error_goes_by_the_kind_of_the_filter(name: str, action: Action) -> None:
    policy = Policy("a", on_error=Action.REVIEW, on_error_for={"encoder": Action.ALLOW})
    assert policy.on_error_of(name) == action


def test_threshold_on_a_category_is_of_prompts_or_else_of_outputs() -> None:
    rules: dict[tuple[Stage, str], tuple[float, Action]] = {
        ("input", "a"): (0.2, Action.BLOCK),
        ("output", "a"): (0.3, Action.BLOCK),
        ("output", "b"): (0.4, Action.ALLOW),
    }
    policy = Policy("mine", rules)
    assert (policy.threshold_on("a"), policy.threshold_on("b")) == (0.2, 0.4)
    with pytest.raises(ConfigError, match=r"no threshold on 'c' \(it has a, b\)"):
        policy.threshold_on("c")
    with pytest.raises(ConfigError, match="none at all"):
        Policy("empty").threshold_on("a")


def test_note_names_the_reasons_and_obeys_nothing_else() -> None:
    policy = Policy("a", regenerate_note="No {reasons}, {0} {reasons.__class__} %s.")
    assert policy.note_for(["toxicity", "{0}"]) == "No toxicity, {0}, {0} {reasons.__class__} %s."
    assert Policy("a", regenerate_note="").note_for(["toxicity"]) == ""


@pytest.mark.parametrize(
    ("action", "stage", "triggered", "notices"),
    [
        (Action.ALLOW, "output", ("medical",), ("See a doctor.",)),
        (Action.REVIEW, "output", ("legal", "medical"), ("Ask a lawyer.", "See a doctor.")),
        (Action.REDACT, "output", ("medical", "health", "rude"), ("See a doctor.",)),
        (Action.BLOCK, "output", ("medical",), ()),
        (Action.ALLOW, "input", ("medical",), ()),
        (Action.ALLOW, "output", (), ()),
    ],
)
def test_notices_are_of_the_rules_that_fired(
    action: Action, stage: Stage, triggered: tuple[str, ...], notices: tuple[str, ...]
) -> None:
    rules: dict[tuple[Stage, str], tuple[float, Action]] = {
        ("output", category): (0.5, Action.ALLOW) for category in ("medical", "health", "legal", "rude")
    }
    texts: dict[tuple[Stage, str], str] = {
        ("output", "medical"): "See a doctor.",
        ("output", "health"): "See a doctor.",
        ("output", "legal"): "Ask a lawyer.",
    }
    policy = Policy("a", rules, notices=texts)
    assert policy.notices_for(Verdict(action, stage, {}, triggered)) == notices
