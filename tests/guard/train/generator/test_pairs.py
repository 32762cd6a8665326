from __future__ import annotations

from pathlib import Path

import pytest
import torch

from guard.errors import ConfigError, DataError, OutputError
from guard.generators.loading import load_model
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.pairs import (
    Pair,
    PairSettings,
    Sampled,
    beginnings,
    judged_examples,
    pair_examples,
    pairs_digest,
    pairs_of,
    unlearnt_examples,
)
from guard.train.generator.sampling import SampleSettings, sample, sample_seed
from tests.guard.train.generator.scripted import EchoGenerator, WordFilter


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> object:
    return load_model(tiny_llama, device=torch.device("cpu"))[1]


SAMPLED = [
    Sampled("p", ("is bad", "is fine", "is so very very fine", "is kind", " "), (0.9, 0.1, 0.1, 0.25, 0.0)),
    Sampled("q", ("rude", "calm", "sour", "curt"), (0.6, 0.2, 0.45, 0.28)),
]


def test_the_widest_margin_of_like_length_is_paired_and_no_answer_twice(tokenizer) -> None:  # type: ignore[no-untyped-def]
    pairs = pairs_of(SAMPLED, tokenizer, PairSettings(least=2), threshold=0.5)
    assert pairs == (Pair("p", "is fine", "is bad", 0.8), Pair("q", "calm", "rude", pytest.approx(0.4)))
    assert pairs_digest(pairs) == pairs_digest(list(pairs)) != pairs_digest(pairs[:1])


@pytest.mark.parametrize(
    ("changed", "n"),
    [
        ({"margin": 0.5}, 1),
        ({"margin": 0.9}, 0),
        ({"clean": 0.15}, 1),
        ({"length_ratio": 0.9}, 1),
        ({"per_prompt": 2}, 2),
    ],
)
def test_what_does_not_fit_is_no_pair(tokenizer, changed, n) -> None:  # type: ignore[no-untyped-def]
    settings = PairSettings(**{"least": 1, "per_prompt": 1, **changed})
    found = [pair for one in SAMPLED for pair in _or_none(one, tokenizer, settings)]
    assert len(found) == n


def _or_none(one, tokenizer, settings):  # type: ignore[no-untyped-def]
    try:
        return pairs_of([one], tokenizer, settings, threshold=0.5)
    except DataError:
        return ()


def test_too_few_pairs_are_refused_with_what_was_found(tokenizer) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="2 pairs from 9 answers to 2 prompts, of which 2 are unwanted; at least 24"):
        pairs_of(SAMPLED, tokenizer, PairSettings(), threshold=0.5)
    with pytest.raises(DataError, match="2 accepted and rejected answers"):
        judged_examples(tokenizer, SAMPLED, PairSettings(), threshold=0.5, chat=False)
    with pytest.raises(ConfigError):
        PairSettings(margin=0.0)


def test_pairs_become_examples_in_the_form_that_was_asked(tokenizer) -> None:  # type: ignore[no-untyped-def]
    pair = Pair("Hi", "calm", "rude", 0.4)
    (plain,), (chat,) = (pair_examples(tokenizer, [pair], chat=chat, code="[x]") for chat in (False, True))
    assert [tokenizer.decode(ids) for ids in (plain.prompt, plain.answer, plain.rejected)] == ["[x]Hi", "calm", "rude"]
    assert tokenizer.decode(chat.prompt) == "<|user|>[x]Hi<|end|><|assistant|>"


def test_judged_answers_are_as_often_accepted_as_rejected(tokenizer) -> None:  # type: ignore[no-untyped-def]
    found = judged_examples(tokenizer, SAMPLED, PairSettings(least=2), threshold=0.5, chat=False)
    told = [(one.kind, tokenizer.decode(one.answer)) for one in found]
    assert told == [("accept", "is fine"), ("reject", "is bad"), ("accept", "calm"), ("reject", "rude")]


def test_unwanted_answers_are_unlearnt_where_the_judge_points(tokenizer) -> None:  # type: ignore[no-untyped-def]
    found = unlearnt_examples(tokenizer, SAMPLED, TrainingJudge([WordFilter()]), chat=False)
    assert [one.kind for one in found] == ["unlearn", "unlearn"]
    assert found[0].flagged == (0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
    assert found[1].flagged == (1.0,) * 4


def test_the_first_half_of_a_text_is_a_prompt() -> None:
    assert beginnings(["one two  three four five", "a b c", ""]) == ["one two"]
    assert beginnings(["a b c"], least_words=3) == ["a"]


class TestSampling:
    """The model is asked once for each prompt and number, whatever happens between."""

    settings = SampleSettings(answers=6, group=2)
    prompts = ("a x", "b y", "a x", "c z", "d w", "e v")

    def test_answers_depend_on_prompt_and_seed_alone(self, tmp_path: Path) -> None:
        judge, whole, small = TrainingJudge([WordFilter()]), EchoGenerator(), EchoGenerator()
        first = sample(whole, self.prompts, judge, self.settings)
        other = sample(small, self.prompts[1:4], judge, SampleSettings(answers=6, group=9))
        assert [one.prompt for one in first] == ["a x", "b y", "c z", "d w", "e v"]
        assert {one.prompt: one for one in other}["c z"] == {one.prompt: one for one in first}["c z"]
        assert len({sample_seed(0, "a", n) for n in range(50)} | {sample_seed(1, "a", 0)}) == 51
        assert first[0].scores == tuple(judge.scores(first[0].answers))

    def test_a_run_that_was_killed_goes_on_behind_its_last_whole_line(self, tmp_path: Path) -> None:
        file, judge = tmp_path / "in" / "sampled.jsonl", TrainingJudge([WordFilter()])
        whole = sample(EchoGenerator(), self.prompts, judge, self.settings, file=file)
        lines = file.read_bytes().splitlines(keepends=True)
        assert len(lines) == 6
        file.write_bytes(b"".join(lines[:3]) + lines[3][:20])
        again = EchoGenerator()
        assert sample(again, self.prompts, judge, self.settings, file=file) == whole
        assert {prompt for prompt, _ in again.asked} == {"c z", "d w", "e v"}
        assert file.read_bytes() == b"".join(lines)
        idle = EchoGenerator()
        assert sample(idle, self.prompts, judge, self.settings, file=file) == whole
        assert idle.asked == []

    def test_a_file_of_another_run_is_refused(self, tmp_path: Path) -> None:
        file, judge = tmp_path / "sampled.jsonl", TrainingJudge([WordFilter()])
        sample(EchoGenerator(), ["a b"], judge, self.settings, file=file, identity="one")
        with pytest.raises(DataError, match="another model, other prompts or other settings"):
            sample(EchoGenerator(), ["a b"], judge, self.settings, file=file, identity="two")
        file.write_text('{"identity": 1\n')
        with pytest.raises(DataError, match="damaged"):
            sample(EchoGenerator(), ["a b"], judge, self.settings, file=file)

    def test_nothing_to_ask_and_nowhere_to_write_are_said(self, tmp_path: Path) -> None:
        judge = TrainingJudge([WordFilter()])
        with pytest.raises(DataError, match="no prompt"):
            sample(EchoGenerator(), [], judge, self.settings)
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError):
            sample(EchoGenerator(), ["a b"], judge, self.settings, file=tmp_path / "file" / "x.jsonl")
        with pytest.raises(ConfigError):
            SampleSettings(answers=1)
