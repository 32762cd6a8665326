from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError, DataError
from guard.generators.loading import load_model
from guard.train.generator.codes import ControlCodes
from guard.train.generator.ethics import EthicsWeights, beside_of, codes_of, judged, parse_weights, rows_of
from guard.train.generator.examples import plain_example
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.pairs import PairSettings, Sampled
from guard.train.generator.spans import JudgedText
from tests.guard.train.generator.scripted import WordFilter


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> object:
    return load_model(tiny_llama, device=torch.device("cpu"))[1]


JUDGE = TrainingJudge([WordFilter()])
CODES = ControlCodes(("[a]\n", "[b]\n"), (0.5,))


def test_weights_are_read_as_they_are_given() -> None:
    weights = parse_weights(["unlikelihood=0.3", "dpo=2", "kl=1e-1"], control_codes=True)
    assert weights == EthicsWeights(0.3, 2.0, 0.0, 0.1, True)
    assert weights.told() == "unlikelihood=0.3, dpo=2, kl=0.1, control codes"
    assert [term.name for term in weights.terms()] == ["span unlikelihood", "preference", "leash"]
    assert parse_weights([]).is_plain
    assert not EthicsWeights(control_codes=True).is_plain


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["ppo=1"], "term 'ppo' is not known"),
        (["dpo=1", "dpo=2"], "given twice"),
        (["dpo"], "no number"),
        (["dpo=x"], "no number"),
        (["kl=-1"], "at least 0"),
        (["kl=inf"], "finite"),
        (["kl=nan"], "at least 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(given: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_weights(given)


def test_texts_get_scores_and_places(tokenizer) -> None:  # type: ignore[no-untyped-def]
    texts = judged([JudgedText("a bad one"), JudgedText("fine")], JUDGE, located=True)
    assert [(round(one.score, 3), one.ranges) for one in texts] == [(0.9, ((2, 5),)), (0.1, ())]
    assert [one.ranges for one in judged(texts, JUDGE, located=False)] == [(), ()]


def test_rows_stand_behind_their_code_and_flagged_words_are_not_learnt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    texts = judged([JudgedText("a bad one", unit="u"), JudgedText("fine")], JUDGE, located=True)
    bad, fine = rows_of(tokenizer, texts, EthicsWeights(unlikelihood=1.0), CODES, most=64)
    assert (tokenizer.decode(bad.ids), bad.unit) == ("[b]\na bad one<|end|>", "u")
    assert tokenizer.decode([i for i, mark in zip(bad.ids, bad.learnt, strict=True) if mark]) == "a  one<|end|>"
    assert tokenizer.decode([i for i, mark in zip(fine.ids, fine.learnt, strict=True) if mark]) == "fine<|end|>"
    plain = rows_of(tokenizer, texts, EthicsWeights(dpo=1.0), None, most=64)[0]
    assert tokenizer.decode([i for i, mark in zip(plain.ids, plain.learnt, strict=True) if mark]) == " bad one<|end|>"


def test_answers_in_chat_stand_behind_their_prompt(tokenizer) -> None:  # type: ignore[no-untyped-def]
    texts = judged([JudgedText("so bad", "Hi")], JUDGE, located=True)
    (row,) = rows_of(tokenizer, texts, EthicsWeights(unlikelihood=1.0), CODES, most=64)
    assert tokenizer.decode(row.ids).startswith("<|user|>[b]\nHi<|end|><|assistant|>so bad")
    learnt = tokenizer.decode([i for i, mark in zip(row.ids, row.learnt, strict=True) if mark])
    assert learnt.startswith("so ")
    assert "bad" not in learnt


SAMPLED = [Sampled(f"p{n}", ("is bad", "is rude", "is fine", "is kind"), (0.9, 0.6, 0.1, 0.2)) for n in range(4)]


def test_each_term_gets_examples_of_its_kinds_and_one_in_ten_validates(tokenizer) -> None:  # type: ignore[no-untyped-def]
    texts = judged([JudgedText(f"so bad {n}") for n in range(20)], JUDGE, located=True)
    prose = [plain_example(tokenizer, f"the sea is {n}", most=9) for n in range(12)]
    weights = EthicsWeights(1.0, 1.0, 1.0, 1.0)
    made = beside_of(tokenizer, weights, texts, SAMPLED, prose, JUDGE, codes=CODES, pairs=PairSettings(least=4))
    counts = {kind: sum(one.kind == kind for one in made.examples) for kind in made.quotas}
    looked = {kind: sum(one.kind == kind for one in made.validation) for kind in made.quotas}
    assert counts == {"unlearn": 26, "prefer": 7, "accept": 7, "reject": 7, "text": 11}
    assert looked == {"unlearn": 2, "prefer": 1, "accept": 1, "reject": 1, "text": 1}
    prefer = next(one for one in made.examples if one.kind == "prefer")
    assert tokenizer.decode(prefer.prompt).startswith("[a]\np")
    assert not beside_of(tokenizer, EthicsWeights(control_codes=True), texts, (), prose, JUDGE).terms


def test_a_term_without_examples_is_refused(tokenizer) -> None:  # type: ignore[no-untyped-def]
    fine = judged([JudgedText("fine")] * 3, JUDGE, located=True)
    with pytest.raises(DataError, match="0 examples of the kind 'unlearn'"):
        beside_of(tokenizer, EthicsWeights(unlikelihood=1.0), fine, (), (), JUDGE)
    with pytest.raises(DataError, match="0 examples of the kind 'text'"):
        beside_of(tokenizer, EthicsWeights(kl=1.0), fine, (), (), JUDGE)


def test_codes_follow_the_scores_only_where_they_are_wanted() -> None:
    texts = judged([JudgedText(t) for t in ("a bad", "b bad", "c", "d")], JUDGE, located=False)
    assert codes_of(texts, EthicsWeights(dpo=1.0)) is None
    codes = codes_of(texts, EthicsWeights(control_codes=True), ("[a]", "[b]"))
    assert codes is not None
    assert [codes.of(one.score) for one in texts] == ["[b]", "[b]", "[a]", "[a]"]
