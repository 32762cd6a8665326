"""The catalogue that ships: complete, pinned, licensed, and read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.assets import catalogue
from guard.catalogue import read_catalogue
from guard.errors import ConfigError

NAMES = {
    "smollm2-135m",
    "gemma3-270m",
    "minilm",
    "rtp-prompts",
    "jailbreaks",
    "donotanswer",
    "harmbench",
    "profanity",
    "advbench",
    "response-refusal",
    "response-harm",
    "nltk-stopwords",
    "punkt",
}
ONE = """
[wheel.w]
version = "1"
sha256 = "ab"
[[asset]]
name = "a"
kind = "words"
what = "w"
licence = "l"
source = "s"
wheels = ["w"]
files = [{ path = "p", sha256 = "cd", members = ["m"] }]
"""


def test_catalogue_names_are_unique_and_complete() -> None:
    names = [asset.name for asset in catalogue()]
    assert len(names) == len(set(names))
    assert set(names) == NAMES


def test_catalogue_pins_everything() -> None:
    for asset in catalogue():
        assert asset.licence
        assert asset.what.endswith(".")
        assert asset.source.startswith("https://")
        hashes = [wheel.sha256 for wheel in asset.wheels] + [file.sha256 for file in asset.files]
        assert all(re.fullmatch(r"[0-9a-f]{64}", digest) for digest in hashes)
        assert asset.entry in {"", *(file.path for file in asset.files)}


def test_gemma_is_joined_from_four_parts() -> None:
    gemma = next(asset for asset in catalogue() if asset.name == "gemma3-270m")
    assert [len(file.members) for file in gemma.files] == [4, 1, 1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('kind = "words"', 'kind = "words"\nlicense = "typo"'),
        ('licence = "l"', ""),
        ('wheels = ["w"]', 'wheels = ["v"]'),
        ('version = "1"', 'version = "1"\nmd5 = "x"'),
        ('members = ["m"]', 'member = "m"'),
        ("[[asset]]", "[asset"),
        ('path = "p"', 'path = "../p"'),
    ],
)
def test_read_catalogue_refuses(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text(ONE)
    assert read_catalogue(file)[0].name == "a"
    file.write_text(ONE.replace(old, new))
    with pytest.raises(ConfigError, match=r"catalogue"):
        read_catalogue(file)
