from __future__ import annotations

from pathlib import Path

import pytest

from guard.assembled import assemble_guard
from guard.errors import ConfigError
from guard.schema import Action, Decoding

POLICY = '[input.rude]\nthreshold = 0.5\naction = "block"\n'
WORDS = '[[term]]\ntext = "zonk"\ncategory = "rude"\nscore = 0.9\n'


@pytest.fixture
def names(tmp_path: Path) -> tuple[str, list[str]]:
    (tmp_path / "policy.toml").write_text(POLICY, encoding="utf-8")
    (tmp_path / "words.toml").write_text(WORDS, encoding="utf-8")
    return str(tmp_path / "policy.toml"), [f"lexical:{tmp_path / 'words.toml'}"]


def test_a_guard_of_names_generates(names: tuple[str, list[str]], tiny_llama: Path) -> None:
    policy, filters = names
    decoding = Decoding(max_new_tokens=5, chat=False)
    guard = assemble_guard(str(tiny_llama), policy=policy, filters=filters, device="cpu", decoding=decoding)
    blocked, answered = guard.generate(["zonk", "Hello"])
    assert blocked.action == Action.BLOCK
    assert answered.output is not None
    assert "".join(guard.stream("Hello")) == answered.text


def test_without_a_model_it_only_checks(names: tuple[str, list[str]]) -> None:
    guard = assemble_guard(policy=names[0], filters=names[1])
    assert [v.action for v in guard.check(["zonk", "fine"], stage="input")] == [Action.BLOCK, Action.ALLOW]
    with pytest.raises(ConfigError, match="no generator"):
        guard.generate(["Hello"])


def test_cheap_mistakes_are_found_first(names: tuple[str, list[str]], tmp_path: Path) -> None:
    broken = str(tmp_path / "no-such-model")
    with pytest.raises(ConfigError, match="nowhere"):
        assemble_guard(broken, policy="nowhere", filters=names[1])
    (tmp_path / "policy.toml").write_text(POLICY.replace("rude", "crude"), encoding="utf-8")
    with pytest.raises(ConfigError, match="did you mean 'rude'"):
        assemble_guard(broken, policy=names[0], filters=names[1])
