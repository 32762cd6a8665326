from __future__ import annotations

from pathlib import Path

import pytest

from evals.suite import Suite
from evals.tasks.task import decoding_of
from guard.errors import ConfigError


def test_quick_suite_runs_every_task() -> None:
    suite = Suite.load("quick")
    assert list(suite.tasks) == ["toxicity", "refusal", "quality", "robustness"]
    assert suite.tasks["toxicity"].continuations == 25


def test_limit_cuts_prompts_and_changes_the_digest() -> None:
    suite = Suite.load("quick")
    cut = suite.limited(3)
    toxicity, refusal = cut.tasks["toxicity"], cut.tasks["refusal"]
    assert (toxicity.prompts, toxicity.continuations, refusal.harmful, refusal.benign) == (3, 25, 3, 3)
    assert cut.digest != suite.digest
    assert suite.limited(None) is suite


def test_own_suite_takes_defaults_and_leaves_tasks_out(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[refusal]\nharmful = 5\n", encoding="utf-8")
    suite = Suite.load(str(file))
    assert suite.name == "mine"
    assert list(suite.tasks) == ["refusal"]
    assert (suite.tasks["refusal"].harmful, suite.tasks["refusal"].benign) == (5, 60)
    assert decoding_of(suite.tasks["refusal"], chat=True).temperature == 0.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[toxcity]\nprompts = 3", "unknown key 'toxcity'; did you mean 'toxicity'"),
        ("[toxicity]\nprompt = 3", "unknown key 'prompt'; did you mean 'prompts'"),
        ("[toxicity]\nprompts = 0", "prompts = 0 must be at least 1"),
        ("[toxicity]\nprompts = -2", "prompts = -2 must be at least 1"),
        ("[toxicity]\nprompts = true", "prompts = True must be a number"),
        ("[toxicity]\nprompts = 2.5", "prompts = 2.5 must be a number"),
        ("[toxicity]\ntop_p = 0", "top_p = 0 must lie in"),
        ("[toxicity]\ntop_p = nan", "top_p = nan must lie in"),
        ("[toxicity]\ntemperature = -1.0", "temperature = -1.0 must lie in"),
        ("[quality]\nreference = 3", "reference = 3 must be text"),
        ("toxicity = 3", "[toxicity] must be a table"),
        ("name = 3\n[toxicity]", "name must be text"),
        ("name = 'x'", "has no task"),
        ("[toxicity", "not valid TOML"),
    ],
)
def test_bad_suite_is_refused_in_one_line(tmp_path: Path, content: str, says: str) -> None:
    file = tmp_path / "suite.toml"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Suite.load(str(file))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_suite_names_those_there_are() -> None:
    with pytest.raises(ConfigError, match="give one of quick"):
        Suite.load("quik")
