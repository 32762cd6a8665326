"""Gradients: values worked out by hand, completeness, Captum's own values, windows, batches, and what fails closed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import ConfigError, FilterError
from guard.explain.filters.embedded import EmbeddedModel
from guard.explain.filters.quadrature import Rule
from guard.explain.filters.table import explainer
from guard.filters.encoder import EncoderFilter
from guard.filters.transformer import TransformerFilter
from tests.guard.explain.filters.two_numbers import HandFilter
from tests.guard.filters.tiny_bert import WORDS, write_tiny_adapter, write_tiny_bert
from tests.guard.filters.tiny_classifier import write_tiny_classifier

TEXTS = ["you are a stupid person", "i hate you", "", "the weather is not kind", "you are a stupid person " * 12]
RULES: list[Rule] = ["gauss-legendre", "riemann-left", "riemann-middle", "riemann-right", "riemann-trapezoid"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> EncoderFilter:
    base, adapter = write_tiny_bert(tmp_path_factory.mktemp("bert")), write_tiny_adapter(tmp_path_factory.mktemp("ad"))
    return EncoderFilter.load(base=base, weights=adapter, dtype="float32")


def relu_of_two() -> HandFilter:
    """The model of Captum's first test: f(a, b) = relu(relu(a) - 1 - relu(b))."""
    return HandFilter(
        {"three": [3.0], "one": [1.0]},
        lambda words: torch.relu(torch.relu(words[:, 0, 0]) - 1 - torch.relu(words[:, 1, 0])),
    )


def test_integrated_gradients_of_the_model_of_the_paper() -> None:
    """f(3, 1) = 1; f is 0 until t = 1/2 on the way t(3, 1), then grows by 3 - 1 a unit: values 3/2 and -1/2."""
    (found,) = explainer(
        relu_of_two(), "integrated-gradients", rule="riemann-middle", n_steps=1000, baseline="zero"
    ).explain(["three one"], "toxicity")
    assert found.values == pytest.approx([1.5, -0.5], abs=1e-6)
    assert (found.number, found.baseline, found.gap) == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)


def test_gradient_times_input_of_the_model_of_the_paper() -> None:
    (found,) = explainer(relu_of_two(), "gradient-x-input", baseline="zero").explain(["three one"], "toxicity")
    assert found.values == pytest.approx([3.0, -1.0])
    assert found.gap is None


def test_a_square_is_integrated_exactly() -> None:
    """f = x^2 + x y at (2, 1): on the line (2t, t) the gradients are 5t and 2t, their integrals along it 5 and 1."""
    square = HandFilter(
        {"two": [2.0], "one": [1.0], "[MASK]": [0.0]},
        lambda words: words[:, 0, 0] ** 2 + words[:, 0, 0] * words[:, 1, 0],
    )
    (found,) = explainer(square, "integrated-gradients", gap=1e-6).explain(["two one"], "toxicity")
    assert found.values == pytest.approx([5.0, 1.0])
    assert found.n_scored == 10  # nine points, and one that changes nothing
    assert found.parts == ((0, 3), (4, 7))


@pytest.mark.parametrize("rule", RULES)
def test_integrated_gradients_are_captums(encoder: EncoderFilter, rule: Rule) -> None:
    attr = pytest.importorskip("captum.attr")
    texts = [text for text in TEXTS if text]
    found = explainer(encoder, "integrated-gradients", unit="token", rule=rule, n_steps=7).explain(texts, "toxicity")
    model = EmbeddedModel(encoder, 0)
    table = encoder.word_embeddings
    nothing = table[encoder.vocabulary.index("[MASK]")]
    theirs = attr.IntegratedGradients(lambda words: encoder.logits_of(words, torch.ones(words.shape[:2]) > 0)[:, 0])
    for window, ours in zip(model.windows(texts, "token"), found, strict=True):
        words = table[torch.tensor([window.tokens.ids])]
        inner = torch.tensor(window.inner)[None, :, None]
        name = rule.replace("-", "_").replace("gauss_legendre", "gausslegendre")
        values = theirs.attribute(words, torch.where(inner, nothing, words), n_steps=7, method=name)
        expected = values.sum(dim=2)[0].detach().double().numpy()
        assert ours.values == pytest.approx(window.parts.sums(expected), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([*WORDS, "STUPID!", "ki\u200bnd", "ｈａｔｅ", "x"]), min_size=1, max_size=60),
    st.sampled_from(["mask", "pad", "zero"]),
    st.sampled_from(["word", "token"]),
)
def test_values_sum_to_what_they_explain(encoder: EncoderFilter, words: list[str], baseline: str, unit: str) -> None:
    text = " ".join(words)
    made = explainer(encoder, "integrated-gradients", baseline=baseline, unit=unit, gap=0.01)
    (found,) = made.explain([text], "toxicity")
    assert found.complete
    assert found.gap is not None
    assert abs(found.gap) <= 0.01
    score = encoder.score_batch([text])[0, 0]
    assert 1 / (1 + np.exp(-found.number)) == pytest.approx(score, abs=1e-5)
    edges = [edge for part in found.parts for edge in part]
    assert edges == sorted(edges)
    assert 0 <= edges[0] <= edges[-1] <= len(text)


def test_a_text_does_not_depend_on_the_others(encoder: EncoderFilter) -> None:
    made = explainer(encoder, "integrated-gradients")
    together = made.explain(TEXTS, "toxicity")
    for text, found in zip(reversed(TEXTS), reversed(together), strict=True):
        (alone,) = made.explain([text], "toxicity")
        assert alone.values == pytest.approx(found.values, abs=1e-5)
        assert alone.n_scored == found.n_scored


def test_empty_text_has_no_parts_and_no_gap(encoder: EncoderFilter) -> None:
    (found,) = explainer(encoder, "integrated-gradients").explain([""], "toxicity")
    assert found.parts == ()
    assert (found.number - found.baseline, found.gap) == pytest.approx((0.0, 0.0))


def test_a_long_text_is_explained_where_it_is_decided() -> None:
    loud = HandFilter(
        {"bad": [2.0]}, lambda words: words[:, :, 0].sum(dim=1), window=4, stride=2
    )  # 2 for every bad word in a window of four
    text = "a b c d e f bad bad g h i"
    (found,) = explainer(loud, "integrated-gradients").explain([text], "toxicity")
    assert [text[start:end] for start, end in found.parts] == ["e", "f", "bad", "bad"]
    assert found.values == pytest.approx([0.0, 0.0, 2.0, 2.0])
    assert found.number == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a stu\u200bpid\u2060 kind", ["a", "stu\u200bpid\u2060", "kind"]), ("ｙｏｕ　ｈａｔｅ", ["ｙｏｕ", "ｈａｔｅ"])],
)
def test_parts_are_words_of_the_text_as_given(encoder: EncoderFilter, text: str, expected: list[str]) -> None:
    (found,) = explainer(encoder).explain([text], "toxicity")
    assert [text[start:end] for start, end in found.parts] == expected


def test_a_text_that_does_not_converge_says_so() -> None:
    jump = HandFilter({"big": [1.0]}, lambda words: torch.sigmoid(4000 * (words[:, 0, 0] - 0.4142)) * 9)
    (found,) = explainer(jump, "integrated-gradients", baseline="zero").explain(["big"], "toxicity")
    assert found.n_scored == 129
    assert found.gap is not None
    assert abs(found.gap) > 0.05


def test_what_is_not_finite_is_an_error() -> None:
    broken = HandFilter({"big": [1.0]}, lambda words: words[:, 0, 0] / 0)
    for method in ("gradient-x-input", "integrated-gradients", "occlusion", "shapley"):
        with pytest.raises(FilterError, match="not finite"):
            explainer(broken, method).explain(["big big"], "toxicity")


def test_a_gradient_that_is_not_finite_is_an_error() -> None:
    root = HandFilter({"big": [1.0]}, lambda words: words[:, 0, 0].sqrt())
    with pytest.raises(FilterError, match="not finite"):
        explainer(root, "integrated-gradients", baseline="zero").explain(["big"], "toxicity")


def test_half_precision_is_widened(tmp_path: Path) -> None:
    base, adapter = write_tiny_bert(tmp_path / "bert"), write_tiny_adapter(tmp_path / "adapter")
    half = EncoderFilter.load(base=base, weights=adapter, dtype="bfloat16")
    (found,) = explainer(half, "integrated-gradients").explain([TEXTS[0]], "toxicity")
    assert found.gap is not None
    assert abs(found.gap) <= 0.05
    assert half.dtype == "bfloat16"
    assert half.widened().dtype == "float32"


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "llama"])
@pytest.mark.parametrize("problem_type", [None, "multi_label_classification"])
def test_classifiers_of_transformers_are_explained(tmp_path: Path, family: str, problem_type: str | None) -> None:
    folder = write_tiny_classifier(tmp_path, labels=["a", "b", "c"], family=family, problem_type=problem_type)
    filter_ = TransformerFilter.load(folder)
    texts = ["you are nice", "aw\u200bful day", "", "you are awful " * 40]
    found = explainer(filter_, "integrated-gradients", gap=0.05).explain(texts, "b")
    scores = filter_.score_batch(texts)[:, 1]
    assert [1 / (1 + np.exp(-one.number)) for one in found] == pytest.approx(scores.tolist(), abs=1e-4)
    # The kink of a rectifier in a random head is integrated slowly: such a text ends with its gap stated.
    assert all(one.gap is not None and (abs(one.gap) <= 0.05 or one.n_scored == 129) for one in found)
    assert found[1].parts == ((0, 6), (7, 10))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "lime"}, "method 'lime'; filter hand@1 is explained by integrated-gradients"),
        ({"method": "exact"}, "'exact', which this filter does not allow"),
        ({"steps": 3}, "setting 'steps' is unknown"),
        ({"unit": "sentence"}, "unit 'sentence' is unknown; give one of token, word"),
        ({"rule": "gauss-legendre"}, "give both or neither"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        explainer(relu_of_two(), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings_", "message"),
    [({"baseline": "noise"}, "'noise' is unknown"), ({"baseline": "pad"}, "no [PAD]"), ({"gap": 0.0}, "above 0")],
)
def test_settings_that_do_not_fit_are_refused(settings_: dict[str, object], message: str) -> None:
    made = explainer(relu_of_two(), "integrated-gradients", **settings_)
    with pytest.raises(ConfigError, match=re.escape(message)):
        made.explain(["three one"], "toxicity")


def test_an_unknown_category_is_an_error() -> None:
    with pytest.raises(FilterError, match="no category 'sarcasm'; it has toxicity"):
        explainer(relu_of_two()).explain(["three one"], "sarcasm")
