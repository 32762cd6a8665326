from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertModel

from guard.errors import ConfigError, DataError, FilterError
from guard.filters.transformer import TransformerFilter, category_name, read_labels
from tests.guard.filters.tiny_classifier import LENGTH, write_tiny_classifier

TEXTS = ["you are nice", "awful", "you are awful awful awful", "", "nice day " * 12]
FAMILIES = ["bert", "roberta", "distilbert", "llama"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_classifier(tmp_path_factory.mktemp("tiny-classifier"))


@pytest.fixture(scope="module")
def tiny(folder: Path) -> TransformerFilter:
    return TransformerFilter.load(folder)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("INJECTION", "injection"),
        ("non-toxic", "non_toxic"),
        ("Identity Attack", "identity_attack"),
        ("severeToxicity", "severe_toxicity"),
        ("self-harm/intent", "self_harm_intent"),
        ("S1: Violence.", "s1_violence"),
        ("H2", "h2"),
    ],
)
def test_category_name_is_lower_snake_case(label: str, name: str) -> None:
    assert category_name(label) == name


@pytest.mark.parametrize(
    ("labels", "problem_type", "categories", "members", "scoring"),
    [
        (["SAFE", "INJECTION"], None, ("injection",), ((1,),), "softmax"),
        (["toxic", "non-toxic"], None, ("toxic",), ((0,),), "softmax"),
        (["neutral", "toxic"], "single_label_classification", ("toxic",), ((1,),), "softmax"),
        (["nothate", "hate"], None, ("hate",), ((1,),), "softmax"),
        (["NOT-HATE", "HATE"], None, ("hate",), ((1,),), "softmax"),
        (["LABEL_0", "LABEL_1"], None, ("unsafe",), ((1,),), "softmax"),
        (["LABEL_0"], None, ("unsafe",), ((0,),), "sigmoid"),
        (["toxicity"], None, ("toxicity",), ((0,),), "sigmoid"),
        (["BENIGN", "INJECTION", "JAILBREAK"], None, ("injection", "jailbreak"), ((1,), (2,)), "softmax"),
        (["toxic", "obscene", "neutral"], "multi_label_classification", ("toxic", "obscene"), ((0,), (1,)), "sigmoid"),
        # Near-misses: these name a harm, though they begin like a negation.
        (
            ["Violent Crimes", "Non-violent Crimes", "OK"],
            None,
            ("violent_crimes", "non_violent_crimes"),
            ((0,), (1,)),
            "softmax",
        ),
        (["noise", "novelty"], None, ("noise", "novelty"), ((0,), (1,)), "softmax"),
    ],
)
def test_read_labels_keeps_what_names_a_harm(
    labels: list[str],
    problem_type: str | None,
    categories: tuple[str, ...],
    members: tuple[tuple[int, ...], ...],
    scoring: str,
) -> None:
    columns = read_labels(dict(enumerate(labels)), problem_type=problem_type)
    assert (columns.categories, columns.members, columns.scoring) == (categories, members, scoring)


def test_read_labels_takes_the_labels_and_names_that_are_given() -> None:
    prompt_guard = {0: "BENIGN", 1: "INJECTION", 2: "JAILBREAK"}
    columns = read_labels(prompt_guard, labels={"INJECTION": "jailbreak", "JAILBREAK": "jailbreak"})
    assert columns.categories == ("jailbreak",)
    # Labels that exclude each other add up: softmax of (0, 0, log 2) is (1/4, 1/4, 1/2).
    assert columns.scores(np.array([[0.0, 0.0, np.log(2)]])) == pytest.approx(0.75)
    assert read_labels({0: "LABEL_0", 1: "LABEL_1"}, category="jailbreak").categories == ("jailbreak",)


def test_scoring_can_be_overridden() -> None:
    labels = {0: "a", 1: "b"}
    assert read_labels(labels).scores(np.zeros((1, 2))).tolist() == [[0.5, 0.5]]
    sigmoid = read_labels(labels, scoring="sigmoid").scores(np.array([[0.0, np.log(3)]]))
    assert sigmoid == pytest.approx(np.array([[0.5, 0.75]]))
    # No logit, however large, becomes NaN.
    assert read_labels(labels).scores(np.array([[1e4, -1e4]])).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["LABEL_0", "LABEL_1", "LABEL_2"], {}, "do not say what they mean"),
        (["OK", "neutral"], {}, "leave no category"),
        (["Hate", "hate"], {}, "not distinct"),
        (["toxic", "ok"], {"labels": {"toxicity": "toxic"}}, "labels toxicity: the model has toxic, ok"),
        (["toxic", "ok"], {"labels": {}}, "labels is empty"),
        (["toxic", "ok"], {"scoring": "softmix"}, "give auto, softmax or sigmoid"),
        (["toxicity"], {"problem_type": "regression"}, "trained for regression"),
        ([], {}, "no labels"),
    ],
)
def test_read_labels_refuses_what_it_would_have_to_guess(
    labels: list[str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_labels(dict(enumerate(labels)), **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_the_model_itself(tmp_path: Path, family: str) -> None:
    write_tiny_classifier(tmp_path, family=family)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    texts = ["you are nice", "awful", "awful you"]
    with torch.inference_mode():
        rows = [model(**tokenizer(t, return_tensors="pt", return_token_type_ids=False)).logits[0] for t in texts]
    expected = torch.stack(rows).softmax(dim=1)[:, 1:].numpy()
    scores = TransformerFilter.load(tmp_path).score_batch(texts)
    assert scores.dtype == np.float32
    assert np.ptp(expected) > 0.01
    assert np.allclose(scores, expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_row_does_not_depend_on_its_batch(tmp_path: Path, family: str) -> None:
    filter_ = TransformerFilter.load(write_tiny_classifier(tmp_path, family=family), token_budget=64)
    together = filter_.score_batch(TEXTS)
    alone = np.concatenate([filter_.score_batch([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.array_equal(filter_.score_batch(TEXTS[::-1])[::-1], together)


@pytest.mark.parametrize("family", FAMILIES)
def test_long_text_is_seen_whole(tmp_path: Path, family: str) -> None:
    filter_ = TransformerFilter.load(write_tiny_classifier(tmp_path, family=family, labels=["a", "b"]))
    padding = "nice day " * 200
    endings = ["awful " * 60, "you " * 60, "zq x " * 60]
    without, *hidden = filter_.score_batch([padding, *(padding + ending for ending in endings)])
    # With random weights one ending or another scores above the padding; cut off, none could.
    assert any((row > without + 1e-3).any() for row in hidden)


def test_windows_fill_the_model_and_no_more(tmp_path: Path) -> None:
    # RoBERTa keeps two positions for padding: one window too long and its forward pass raises an IndexError.
    for family in ("bert", "roberta"):
        filter_ = TransformerFilter.load(write_tiny_classifier(tmp_path / family, family=family))
        owners, windows = filter_._windows(["a" * 90 + " b c d e " * 20, "x"])
        assert max(map(len, windows)) == LENGTH
        assert owners[-1] == 1
        assert len(windows[-1]) == 3


def test_control_tokens_in_a_text_are_only_characters(tmp_path: Path) -> None:
    filter_ = TransformerFilter.load(write_tiny_classifier(tmp_path))
    _, [window] = filter_._windows(["you [SEP] awful"])
    separator = AutoTokenizer.from_pretrained(tmp_path).sep_token_id
    assert window.count(separator) == 1
    assert window[-1] == separator


def test_long_run_of_letters_is_no_hiding_place(tiny: TransformerFilter) -> None:
    glued, other = tiny.score_batch(["awful" * 40, "nice" * 50])
    assert not np.allclose(glued, other, atol=1e-4)  # as one unknown token each they would be the same


def test_batch_is_halved_when_memory_runs_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filter_ = TransformerFilter.load(folder)
    texts = ["you", "are", "nice", "awful", "day"]
    expected, forward, sizes = filter_.score_batch(texts), filter_._model.forward, []

    def small_memory(input_ids: torch.Tensor, **inputs: torch.Tensor) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids=input_ids, **inputs)

    monkeypatch.setattr(filter_._model, "forward", small_memory)
    assert np.allclose(filter_.score_batch(texts), expected, atol=1e-5)
    assert sizes == [5, 2, 3, 1, 2]


def test_one_text_too_large_for_memory_is_a_filter_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filter_ = TransformerFilter.load(folder)

    def no_memory(**inputs: torch.Tensor) -> None:
        raise RuntimeError("DefaultCPUAllocator: not enough memory")

    monkeypatch.setattr(filter_._model, "forward", no_memory)
    with pytest.raises(FilterError, match="out of memory with one text"):
        filter_.score_batch(["you", "are"])


def test_threads_share_a_filter(tiny: TransformerFilter) -> None:
    texts = ["awful day " * (i % 7) + "you" for i in range(64)]
    expected = tiny.score_batch(texts)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda text: tiny.score_batch([text])[0], texts))
    assert np.allclose(rows, expected, atol=1e-5)


def test_failing_model_is_a_filter_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filter_ = TransformerFilter.load(folder)

    def broken(**inputs: torch.Tensor) -> None:
        raise IndexError("index out of range in self")

    monkeypatch.setattr(filter_._model, "forward", broken)
    with pytest.raises(FilterError, match="IndexError: index out of range"):
        filter_.score_batch(["you"])


def test_name_tells_weights_and_settings_apart(folder: Path, tiny: TransformerFilter, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert TransformerFilter.load(copy).name == tiny.name  # wherever it lies
    others = {
        TransformerFilter.load(folder, window=20).name,
        TransformerFilter.load(folder, scoring="sigmoid").name,
        TransformerFilter.load(folder, labels={"INJECTION": "jailbreak"}).name,
        TransformerFilter.load(write_tiny_classifier(tmp_path / "other", seed=1)).name,
    }
    assert len(others | {tiny.name}) == 5
    assert tiny.name.startswith("transformer@")


def test_base_model_without_a_trained_head_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    BertModel.from_pretrained(folder).save_pretrained(tmp_path)  # the head would be random numbers
    with pytest.raises(DataError, match=r"lacks weights of its model \(.*classifier"):
        TransformerFilter.load(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": LENGTH + 1}, f"the model takes 3 to {LENGTH} tokens"),
        ({"window": 2}, "the model takes 3"),
        ({"device": "tpu"}, "device 'tpu' is unknown"),
        ({"dtype": "int8"}, "dtype 'int8' is unknown"),
    ],
)
def test_option_that_does_not_fit_is_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TransformerFilter.load(folder, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_device_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        TransformerFilter.load(folder, device="cuda")


@pytest.mark.parametrize("source", ["no-such-organisation/no-such-model", "no-such-organisation/no-such-model@main"])
def test_hub_that_cannot_be_reached_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="give the folder of a downloaded model") as caught:
        TransformerFilter.load(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("source", ["/no/such/folder", "bad\0name", "a b", "x" * 5000 + "/"])
def test_source_that_is_neither_folder_nor_hub_id_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match=r"neither a folder nor a hub id|cannot be the path"):
        TransformerFilter.load(source)


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no config\.json"):
        TransformerFilter.load(tmp_path)
