from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.calibrate import calibrate
from guard.calibrated_policy import calibrated_policy, uncertified_policy, write_policy
from guard.certificate import Certificate
from guard.errors import ConfigError, OutputError
from guard.policy import Policy
from guard.policy_file import read_policy
from guard.schema import Action


def _certificate(step: int = 1) -> Certificate:
    found = calibrate([step / 100] * 100, [1] * 100, risk="miss", level=0.05)
    return found.certificate(data="sha256:0", filters=("lexical@1", "encoder@2"), created_by="assay 0.1.0")


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_bytes(text.encode("utf-8"))
    return path


BEFORE = """\
# mine
on_error = "review"  # open

[output.toxicity]
# costs a lot
threshold = 0.6  # was 0.5
action = "redact"  # not block

# the next rule
[output.profanity]
threshold = 0.65
action = "block"
"""

AFTER = """\
# mine
on_error = "review"  # open

[output.toxicity]
# costs a lot
threshold = 0.01  # was 0.5
action = "redact"  # not block

[output.toxicity.certificate]
method = "clopper-pearson"
risk = "miss"
level = 0.05
confidence = 0.95
future_n = 100
threshold = 0.01
bound = 0.029513049607039925
unit = "text"
n = 100
n_events = 0
data = "sha256:0"
filters = ["lexical@1", "encoder@2"]
created_by = "assay 0.1.0"

# the next rule
[output.profanity]
threshold = 0.65
action = "block"
"""


def test_one_threshold_changes_and_everything_else_stays(tmp_path: Path) -> None:
    path = _write(tmp_path, BEFORE)
    assert calibrated_policy(path, "output", "toxicity", _certificate()) == AFTER


def test_calibrating_again_replaces_the_certificate(tmp_path: Path) -> None:
    path = _write(tmp_path, AFTER)
    assert calibrated_policy(path, "output", "toxicity", _certificate()) == AFTER
    again = calibrated_policy(path, "output", "toxicity", _certificate(7))
    assert again == AFTER.replace("threshold = 0.01", "threshold = 0.07")
    assert calibrated_policy(_write(tmp_path, again), "output", "toxicity", _certificate()) == AFTER


def test_threshold_that_left_its_certificate_can_be_calibrated_again(tmp_path: Path) -> None:
    path = _write(tmp_path, AFTER.replace("threshold = 0.01  #", "threshold = 0.5  #"))
    with pytest.raises(ConfigError, match="delete the certificate or calibrate again"):
        Policy.load(path)
    assert uncertified_policy(path, "output", "toxicity").thresholds["output", "toxicity"] == (0.5, Action.REDACT)
    assert calibrated_policy(path, "output", "toxicity", _certificate()) == AFTER


def test_rule_that_is_not_there_is_added_at_the_end(tmp_path: Path) -> None:
    path = _write(tmp_path, BEFORE)
    text = calibrated_policy(path, "input", "toxicity", _certificate(), action=Action.REVIEW)
    assert text.startswith(BEFORE + '\n[input.toxicity]\nthreshold = 0.01\naction = "review"\n\n[input.toxicity.cert')
    added = Policy.load(_write(tmp_path, text))
    assert added.thresholds["input", "toxicity"] == (0.01, Action.REVIEW)
    assert added.certificates == {("input", "toxicity"): _certificate()}


@pytest.mark.parametrize("policy", ["standard", "permissive"])
def test_shipped_policy_takes_a_new_name(policy: str) -> None:
    text = calibrated_policy(policy, "output", "toxicity", _certificate(), name='our "own"')
    found, shipped = Policy.parse(text.encode("utf-8"), "x.toml"), Policy.load(policy)
    assert found.name == 'our "own"'
    assert found.certificates == {("output", "toxicity"): _certificate()}
    rest = {key: rule for key, rule in shipped.thresholds.items() if key != ("output", "toxicity")}
    assert {key: rule for key, rule in found.thresholds.items() if key != ("output", "toxicity")} == rest
    comments = [line for line in read_policy(policy)[0].decode("utf-8").splitlines() if line.startswith("#")]
    assert [line for line in text.splitlines() if line.startswith("#")] == comments


@pytest.mark.parametrize("category", ["a.b", 'quo"te', "", "naïve", "[x]", "# no", "back\\slash", "tab\there"])
def test_category_of_any_letters_is_quoted(tmp_path: Path, category: str) -> None:
    text = calibrated_policy(_write(tmp_path, BEFORE), "output", category, _certificate())
    path = _write(tmp_path, text)
    assert Policy.load(path).thresholds["output", category] == (0.01, Action.BLOCK)
    assert calibrated_policy(path, "output", category, _certificate()) == text


def test_other_line_ends_stay(tmp_path: Path) -> None:
    path = _write(tmp_path, BEFORE.replace("\n", "\r\n"))
    assert calibrated_policy(path, "output", "toxicity", _certificate()) == AFTER.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "output.toxicity.threshold = 0.6\noutput.toxicity.action = 'block'",
        "output = { toxicity = { threshold = 0.6, action = 'block' } }",
        "[output]\ntoxicity = { threshold = 0.6, action = 'block' }",
        "[output.toxicity]\naction = 'block'\n'threshold' = 0.6",
        "message = '''\n[output.toxicity]\nthreshold = 0.1'''\n[output.toxicity]\nthreshold = 0.6\naction = 'block'",
    ],
)
def test_rule_in_another_form_is_refused_and_not_broken(tmp_path: Path, text: str) -> None:
    path = _write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"mine\.toml: output\.toxicity cannot be set in place: write its rule under"):
        calibrated_policy(path, "output", "toxicity", _certificate())
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("data", [b"name = \xff", b"nmae = 'x'", b"[output.toxicity\n"])
def test_policy_that_does_not_load_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"policy .*mine\.toml"):
        calibrated_policy(path, "output", "toxicity", _certificate())


KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)
RULES = st.dictionaries(KEYS, st.tuples(st.integers(0, 100), st.sampled_from(["block", "review"])), max_size=4)


@given(RULES, KEYS, st.integers(1, 100))
def test_written_policy_reads_back_as_meant(rules, category, step) -> None:  # type: ignore[no-untyped-def]
    lines = ["name = 'n'"]
    for key, (threshold, action) in rules.items():
        lines += [f"[output.{json.dumps(key, ensure_ascii=False)}]", f"threshold = {threshold / 100}"]
        lines += [f"action = {action!r} # why", "", "# next"]
    with tempfile.TemporaryDirectory() as folder:
        path = _write(Path(folder), "\n".join(lines))
        before = Policy.load(path)
        text = calibrated_policy(path, "output", category, _certificate(step))
    after = Policy.parse(text.encode("utf-8"), "x.toml")
    kept = {key: rule for key, rule in after.thresholds.items() if key != ("output", category)}
    assert after.thresholds["output", category][0] == step / 100
    assert kept == {key: rule for key, rule in before.thresholds.items() if key != ("output", category)}
    assert dataclasses.replace(after, thresholds=before.thresholds, certificates={}) == before


def test_write_replaces_the_file_whole(tmp_path: Path) -> None:
    path = _write(tmp_path, "old")
    write_policy("name = 'ü'\n", path)
    assert path.read_bytes() == "name = 'ü'\n".encode()
    assert [entry.name for entry in tmp_path.iterdir()] == ["mine.toml"]


def test_write_into_no_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*mine\.toml .*No such file"):
        write_policy("", tmp_path / "nowhere" / "mine.toml")


def test_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _write(tmp_path, "old")

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_policy("new", path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("mine.toml", "old")]
