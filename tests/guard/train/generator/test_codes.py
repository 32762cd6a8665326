from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.errors import ConfigError, DataError
from guard.generators.loading import folder_digest, folder_prefix
from guard.generators.transformers import TransformersGenerator
from guard.schema import Decoding
from guard.train.generator.codes import PHRASES, ControlCodes, fit_codes, write_codes


def test_codes_stand_for_equal_shares_cleanest_first() -> None:
    codes = fit_codes(np.arange(9) / 10)
    assert [codes.of(score / 10) for score in range(9)] == [p for p in PHRASES for _ in range(3)]
    assert codes.clean == PHRASES[0]
    assert codes.of(1.0) == PHRASES[-1]


def test_where_most_texts_are_unwanted_the_first_code_is_still_clean() -> None:
    scores = np.array([0.1, 0.2, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.99])
    codes = fit_codes(scores, clean=0.3)
    assert [PHRASES.index(codes.of(score)) for score in scores] == [0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert fit_codes(scores).of(0.6) == PHRASES[0]
    with pytest.raises(DataError, match="do not part into 3"):
        fit_codes(scores[2:], clean=0.3)


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(2, 5))
def test_every_fitted_code_has_a_text_and_a_higher_score_is_never_cleaner(scores, n) -> None:  # type: ignore[no-untyped-def]
    phrases = [f"code {i} " for i in range(n)]
    try:
        codes = fit_codes(np.array(scores), phrases)
    except DataError:
        # Distinct scores enough for equal shares always part.
        assert len({*scores}) < len(scores) or len(scores) < 2 * n
        return
    assert {codes.of(score) for score in scores} == {*phrases}
    order = [phrases.index(codes.of(score)) for score in sorted(scores)]
    assert order == sorted(order)


def test_scores_that_are_all_alike_are_refused() -> None:
    with pytest.raises(DataError, match="do not part into 3"):
        fit_codes(np.full(50, 0.1))
    with pytest.raises(DataError, match="0 texts"):
        fit_codes(np.array([]))


@pytest.mark.parametrize(
    ("phrases", "bounds"),
    [(("a",), ()), (("a", "a"), (0.5,)), (("a", ""), (0.5,)), (("a", "b"), ()), (("a", "b", "c"), (0.5, 0.5))],
)
def test_codes_that_mean_nothing_are_refused(phrases: tuple[str, ...], bounds: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="control codes"):
        ControlCodes(phrases, bounds)


def test_the_clean_code_goes_in_front_of_every_prompt_of_a_model_that_was_written(
    tiny_llama: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in tiny_llama.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    plain = TransformersGenerator.load(folder, device="cpu", decoding=Decoding(max_new_tokens=4, chat=False))
    assert (plain.prefix, folder_prefix(folder)) == ("", "")
    before = folder_digest(folder)
    write_codes(folder, ControlCodes(("[good]\n", "[bad]\n"), (0.5,)), judge="words@1")
    assert folder_digest(folder) != before
    coded = TransformersGenerator.load(folder, device="cpu", decoding=Decoding(max_new_tokens=4, chat=False))
    assert coded.generate(["Hi"], seed=3) == plain.generate(["[good]\nHi"], seed=3)
    chat = coded.with_decoding(Decoding(max_new_tokens=4, chat=True))
    assert chat.tokenizer.decode(chat.encode("Hi")) == "<|user|>[good]\nHi<|end|><|assistant|>"
    assert plain.prefix == ""
    for wrong in ("{", "[]", json.dumps({"prefix": 3})):
        (folder / "control_codes.json").write_text(wrong)
        with pytest.raises(DataError, match="control_codes"):
            folder_prefix(folder)
