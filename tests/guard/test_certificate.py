from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from guard.certificate import Certificate
from guard.errors import ConfigError
from guard.policy import Policy
from guard.schema import Action

CERTIFICATE = Certificate(
    method="clopper-pearson",
    risk="miss",
    level=0.05,
    confidence=0.95,
    future_n=100,
    threshold=0.5,
    bound=0.049,
    unit="text",
    n=100,
    n_events=1,
    data="sha256:" + "0" * 64,
    filters=("lexical@1", "encoder@2"),
    created_by="assay 0.1.0",
)
OUTPUT = "[output.toxicity]\naction = 'block'\nthreshold = 0.5\n"


def _write(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _certified(**changed: Any) -> str:
    return OUTPUT + _toml({**CERTIFICATE.table(), **changed})


def _toml(certificate: dict[str, Any]) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in certificate.items()]
    return "[output.toxicity.certificate]\n" + "\n".join(lines)


def test_certificate_is_read_back_and_decides_nothing(tmp_path: Path) -> None:
    policy = Policy.from_toml(_write(tmp_path, _certified()))
    assert policy.certificates == {("output", "toxicity"): CERTIFICATE}
    bare = Policy.from_toml(_write(tmp_path, OUTPUT))
    assert policy.digest == bare.digest
    assert policy.decide({"toxicity": 0.5}, "output") == bare.decide({"toxicity": 0.5}, "output")


def test_certificate_on_average_has_no_confidence(tmp_path: Path) -> None:
    average = dataclasses.replace(CERTIFICATE, method="conformal-risk-control", confidence=None, future_n=None)
    path = _write(tmp_path, OUTPUT + _toml(average.table()))
    assert Policy.from_toml(path).certificates == {("output", "toxicity"): average}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"treshold": 0.5}, "certificate: unknown key 'treshold' .did you mean 'threshold'"),
        ({"method": "guess"}, r"certificate\.method: unknown method 'guess'"),
        ({"risk": "mis"}, r"certificate\.risk: unknown risk 'mis' .did you mean 'miss'"),
        ({"unit": "row"}, r"certificate\.unit: unknown unit 'row'"),
        ({"level": 0.0}, r"certificate\.level is 0: expected a number between 0 and 1, neither included"),
        ({"level": 1}, r"certificate\.level is 1: expected a number between 0 and 1"),
        ({"confidence": 1.5}, r"certificate\.confidence is 1\.5: expected a number between 0 and 1"),
        ({"confidence": "0.95"}, r"certificate\.confidence is '0\.95'"),
        ({"future_n": -1}, r"certificate\.future_n is -1: expected a whole number of at least 0"),
        ({"method": "conformal-risk-control"}, "confidence says nothing beside method 'conformal-risk-control'"),
        ({"bound": 0.051}, r"bound 0\.051 is outside 1 of 100 to level 0\.05, so no calibration wrote it"),
        ({"bound": 0.009}, r"bound 0\.009 is outside 1 of 100 to level 0\.05"),
        ({"n": 0}, r"certificate\.n is 0: expected a whole number of at least 1"),
        ({"n_events": 101}, r"certificate\.n_events is 101: expected a whole number from 0 to 100"),
        ({"n_events": True}, r"certificate\.n_events is True"),
        ({"filters": []}, r"certificate\.filters is \(\): expected the names of the filters"),
        ({"filters": "lexical@1"}, r"certificate\.filters is 'lexical@1': expected the names"),
        ({"filters": [3]}, r"certificate\.filters is 3: expected a text"),
        ({"data": ""}, r"certificate\.data is '': expected a text"),
        ({"created_by": 1}, r"certificate\.created_by is 1: expected a text"),
        ({"threshold": 1.5}, r"certificate\.threshold is 1\.5: expected a number in"),
    ],
)
def test_impossible_certificate_is_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        Policy.from_toml(_write(tmp_path, _certified(**changed)))
    assert "mine.toml: output.toxicity.certificate" in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("bound", "certificate lacks bound: delete the certificate or calibrate again"),
        ("confidence", "method 'clopper-pearson' needs confidence and future_n"),
        ("future_n", "method 'clopper-pearson' needs confidence and future_n"),
    ],
)
def test_certificate_without_a_key_is_refused(tmp_path: Path, missing: str, message: str) -> None:
    table = {key: value for key, value in CERTIFICATE.table().items() if key != missing}
    with pytest.raises(ConfigError, match=message):
        Policy.from_toml(_write(tmp_path, OUTPUT + _toml(table)))


@pytest.mark.parametrize("threshold", ["0.49", "0.5000001", "1"])
def test_threshold_changed_under_its_certificate_is_refused(tmp_path: Path, threshold: str) -> None:
    text = _certified().replace("threshold = 0.5", f"threshold = {threshold}", 1)
    message = (
        r"mine\.toml: output\.toxicity: threshold is .* certificate is of 0\.5: "
        r"delete the certificate or calibrate again"
    )
    with pytest.raises(ConfigError, match=message):
        Policy.from_toml(_write(tmp_path, text))


def test_certificate_of_no_rule_is_refused() -> None:
    rules: Any = {("output", "toxicity"): (0.5, Action.BLOCK)}
    with pytest.raises(ConfigError, match=r"policy mine: input\.toxicity has a certificate and no threshold"):
        Policy("mine", rules, certificates={("input", "toxicity"): CERTIFICATE})


def test_certificate_survives_its_table() -> None:
    assert Certificate.from_table(CERTIFICATE.table(), "here") == CERTIFICATE
