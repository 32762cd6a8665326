"""The one bridge to TextAttack: its recipes against our victims, and results as the other side has them."""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import io
import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein

from guard import assets
from guard.attacks.example_run import example_seed
from guard.attacks.goals import decided_labels
from guard.attacks.schema import Attempt, Example, Probabilities, Status, Victim, WhiteBox
from guard.attacks.words import split_words
from guard.errors import ConfigError

__all__ = ["BROKEN", "TEXTATTACK_RECIPES", "padded_to_longest", "run_textattack", "textattack", "to_result", "wrapped"]

TEXTATTACK_RECIPES: Mapping[str, str] = MappingProxyType(
    {
        "a2t": "A2TYoo2021",
        "bad-characters": "BadCharacters2021",
        "bae": "BAEGarg2019",
        "bert-attack": "BERTAttackLi2020",
        "checklist": "CheckList2020",
        "clare": "CLARE2020",
        "deepwordbug": "DeepWordBugGao2018",
        "faster-alzantot": "FasterGeneticAlgorithmJia2019",
        "genetic": "GeneticAlgorithmAlzantot2018",
        "hotflip": "HotFlipEbrahimi2017",
        "iga": "IGAWang2019",
        "input-reduction": "InputReductionFeng2018",
        "kuleshov": "Kuleshov2017",
        "leap": "LEAP2023",
        "pruthi": "Pruthi2019",
        "pso": "PSOZang2020",
        "pwws": "PWWSRen2019",
        "textbugger": "TextBuggerLi2018",
        "textfooler": "TextFoolerJin2019",
    }
)
"""Every classification recipe of TextAttack 0.3.11 by name: its class in ``textattack.attack_recipes``."""

_SENTENCE_ENCODER = "needs the Universal Sentence Encoder, which tensorflow_hub downloads from tfhub.dev"
_COUNTER_FITTED = "needs the counter-fitted word embeddings that TextAttack downloads from its bucket"
_FLAIR = "needs the part-of-speech model that flair downloads"
_OWN = "this project has a recipe of that name that runs without"

BROKEN: Mapping[str, str] = MappingProxyType(
    {
        "a2t": f"{_COUNTER_FITTED}, {_FLAIR}, and a sentence model from a hub",
        "bad-characters": "asks for a kind of goal when it is built, which no other recipe does, and reads"
        " intentional_homoglyphs.txt, which the wheel of 0.3.11 does not hold",
        "bae": f"{_SENTENCE_ENCODER}, {_FLAIR}, and bert-base-uncased from a hub; {_OWN}",
        "bert-attack": f"{_SENTENCE_ENCODER}, and bert-base-uncased from a hub",
        "checklist": "needs a named-entity model that flair downloads",
        "clare": f"{_SENTENCE_ENCODER}, and distilroberta-base from a hub",
        "faster-alzantot": f"{_COUNTER_FITTED}, and a language model from the same bucket",
        "genetic": f"{_COUNTER_FITTED}, and a language model that tensorflow runs",
        "hotflip": "takes TextAttack's own LSTM as a victim and refuses every other model; this project's hotflip takes"
        " the encoder filter and any Hugging Face classifier",
        "iga": _COUNTER_FITTED,
        "kuleshov": f"{_COUNTER_FITTED}, and GPT-2 from a hub",
        "leap": "needs WordNet of NLTK: python -m nltk.downloader wordnet omw-1.4",
        "pso": "needs the sememe data that OpenHowNet downloads",
        "pwws": "needs WordNet of NLTK: python -m nltk.downloader wordnet omw-1.4",
        "textbugger": "reads intentional_homoglyphs.txt, which the wheel of 0.3.11 does not hold; it also"
        f" {_SENTENCE_ENCODER}; {_OWN}",
        "textfooler": f"{_SENTENCE_ENCODER}, {_COUNTER_FITTED}, and {_FLAIR}; textfooler-style runs without",
    }
)
"""What stands in the way of a recipe in 0.3.11, in words for whoever asked for it; the others run as they come."""


_SUMS_TO_ONE = 5e-7
_ENVIRONMENT = ("HF_HOME", "PYTORCH_TRANSFORMERS_CACHE", "TFHUB_CACHE_DIR", "TOKENIZERS_PARALLELISM", "XDG_CACHE_HOME")


@functools.cache
def textattack() -> Any:
    """Import TextAttack, with NLTK's data where it looks for them.

    Returns
    -------
    module
        ``textattack``.

    Raises
    ------
    ConfigError
        It is not installed, or does not import.
    AssetError
        The asset ``nltk-stopwords`` or ``punkt`` cannot be had.

    Notes
    -----
    TextAttack cannot be imported without NLTK's stop words, tries to download six data sets at its first import, and
    sets environment variables that other libraries read; these are put back, and what it prints is swallowed.
    """
    try:
        nltk_data = importlib.import_module("nltk.data")
    except ImportError as error:
        raise ConfigError(_NOT_INSTALLED) from error
    for name in ("nltk-stopwords", "punkt"):
        folder = str(assets.path(name))
        if folder not in nltk_data.path:
            nltk_data.path.append(folder)
    before = {name: os.environ.get(name) for name in _ENVIRONMENT}
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return importlib.import_module("textattack")
    except ImportError as error:
        raise ConfigError(_NOT_INSTALLED) from error
    except LookupError as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip(" *")), "")
        raise ConfigError(f"TextAttack does not import: NLTK says {first!r}; install that data set") from error
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


_NOT_INSTALLED = (
    "TextAttack is not installed: pip install 'assay[attacks]' (it holds transformers below 5, so a virtual environment"
    " of its own is best)"
)


def wrapped(victim: Victim) -> Any:
    """Return a victim as a ``textattack.models.wrappers.ModelWrapper``.

    Parameters
    ----------
    victim : Victim
        Any of ours. Texts go to it as they come, so what it pads is its own affair: ours pad to the longest.

    Returns
    -------
    ModelWrapper
        With ``n_texts``, how many texts the victim read. A white box also gives ``get_grad`` and ``tokenize``.
    """
    return _wrapper_class()(victim)


@functools.cache
def _wrapper_class() -> Any:
    """Make the class once TextAttack is there."""
    import torch

    class VictimWrapper(textattack().models.wrappers.ModelWrapper):  # type: ignore[misc]
        """A victim as TextAttack calls it."""

        def __init__(self, victim: Victim) -> None:
            self.model, self.tokenizer, self.n_texts = victim, None, 0

        def __call__(self, text_input_list: Sequence[str], **_: Any) -> torch.Tensor:
            self.n_texts += len(text_input_list)
            exact = torch.from_numpy(self.model.probabilities(list(text_input_list)))
            # As its own wrappers give them; but rows that rounding takes from a sum of 1 it would softmax once more.
            rounded = exact.float()
            return rounded if bool(((rounded.sum(dim=1) - 1).abs() < _SUMS_TO_ONE).all()) else exact

        def get_grad(self, text_input: str) -> dict[str, Any]:
            """Return ids and the gradient of the predicted label's loss, as TextAttack's own wrappers do."""
            model = self._white_box()
            label = int(model.probabilities([text_input])[0].argmax())
            ids = np.array([model.tokens([text_input])[0].ids])
            return {"ids": ids, "gradient": model.gradients([text_input], [label])[0]}

        def _tokenize(self, inputs: Sequence[str]) -> list[list[str]]:
            model = self._white_box()
            names = getattr(model, "vocabulary", ())
            return [[names[token] if names else str(token) for token in one.ids] for one in model.tokens(inputs)]

        def _white_box(self) -> WhiteBox:
            if not isinstance(self.model, WhiteBox):
                raise ConfigError(f"victim {self.model.name} has no gradients; choose a recipe that needs none")
            return self.model

    return VictimWrapper


def padded_to_longest(model: Any, tokenizer: Any, *, max_length: int = 512) -> Any:
    """Return TextAttack's own Hugging Face wrapper, mended: batches are padded to their longest text.

    The one of 0.3.11 pads every text to the model's length.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        For sequence classification.
    tokenizer : transformers.PreTrainedTokenizerBase
    max_length : int
        Texts are cut to so many tokens.
    """
    import torch

    class PaddedToLongest(textattack().models.wrappers.HuggingFaceModelWrapper):  # type: ignore[misc]
        """The stock wrapper with another way to pad."""

        def __call__(self, text_input_list: Sequence[str], **_: Any) -> torch.Tensor:
            inputs = self.tokenizer(
                list(text_input_list), padding=True, truncation=True, max_length=max_length, return_tensors="pt"
            ).to(self.model.device)
            with torch.inference_mode():
                logits = self.model(**inputs).logits
            assert isinstance(logits, torch.Tensor)
            return logits

    return PaddedToLongest(model, tokenizer)


def run_textattack(
    name: str,
    victim: Victim,
    examples: Iterable[Example],
    *,
    threshold: float | None = None,
    seed: int = 0,
    budget: int | None = None,
) -> Iterator[Attempt]:
    """Run one of TextAttack's recipes, and yield what came of each example as our own engine would tell it.

    Parameters
    ----------
    name : str
        A key of `TEXTATTACK_RECIPES`, or the class name itself.
    victim : Victim
    examples : iterable of Example
        Attacked one after the other, as TextAttack does.
    threshold : float or None
        Of label 1, for a victim with two labels that decides by one.
    seed : int
        Each example starts TextAttack's generators at the seed that our engine would give it; the process's own random
        state is put back.
    budget : int or None
        Most queries of one example.

    Raises
    ------
    ConfigError
        No such recipe, TextAttack is not there, or the recipe cannot run: the message says why.
    """
    key = _key_of(name)
    attack = _built(key, wrapper := wrapped(victim))
    if budget is not None:
        attack.goal_function.query_budget = budget
    for example in examples:
        attack.clear_cache()
        if threshold is not None:
            attack.goal_function.target_max_score = threshold if example.label == 1 else 1 - threshold
        before = wrapper.n_texts
        with _seeded(example_seed(seed, example.id)), _told(key):
            result = attack.attack(example.text, example.label)
        yield _attempt(result, example, victim, threshold, n_victim_texts=wrapper.n_texts - before)


def _key_of(name: str) -> str:
    """Return the table's name of a recipe."""
    asked = name.lower().replace("_", "-")
    for key, known in TEXTATTACK_RECIPES.items():
        if asked == key or name == known:
            return key
    raise ConfigError(f"TextAttack has no recipe {name!r}; known: {', '.join(TEXTATTACK_RECIPES)}")


def _built(key: str, wrapper: Any) -> Any:
    """Build a recipe by its class, looked up in the table."""
    recipes = textattack().attack_recipes
    with _told(key):
        return vars(recipes)[TEXTATTACK_RECIPES[key]].build(wrapper)


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what TextAttack raises into one line that says what is missing."""
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    except ConfigError:
        raise
    except Exception as error:  # whatever its downloads, data files and validators raise
        said = next((line.strip() for line in str(error).splitlines() if line.strip(" *")), "")[:120]
        why = BROKEN.get(name, "it failed")
        raise ConfigError(
            f"TextAttack 0.3.11's {TEXTATTACK_RECIPES[name]} does not run here ({type(error).__name__}: {said}): it"
            f" {why}"
        ) from error


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Start the generators that TextAttack draws from at a seed, and put the process's own state back."""
    import torch

    states = random.getstate(), np.random.get_state(), torch.random.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    torch.random.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.random.set_rng_state(states[2])


_STATUSES: Mapping[str, Status] = {
    "SuccessfulAttackResult": "succeeded",
    "FailedAttackResult": "failed",
    "SkippedAttackResult": "skipped",
    "MaximizedAttackResult": "maximized",
}


def _attempt(result: Any, example: Example, victim: Victim, threshold: float | None, *, n_victim_texts: int) -> Attempt:
    """Tell one of TextAttack's results in our words."""
    perturbed = str(result.perturbed_result.attacked_text.text)
    rows: Probabilities = np.array([np.asarray(result.perturbed_result.raw_output)], dtype=np.float64)
    words, new_words = split_words(example.text), split_words(perturbed)
    return Attempt(
        example_id=example.id,
        label=example.label,
        original=example.text,
        perturbed=perturbed,
        status=_STATUSES[type(result).__name__],
        n_queries=int(result.num_queries),
        n_victim_texts=n_victim_texts,
        n_words=len(words),
        n_words_changed=Levenshtein.distance(words, new_words),
        edit_distance=Levenshtein.distance(example.text, perturbed),
        score_before=float(result.original_result.score),
        score_after=float(result.perturbed_result.score),
        label_after=int(decided_labels(rows, threshold)[0]),
    )


def to_result(attempt: Attempt, victim: Victim) -> Any:
    """Return an attempt of ours as a ``textattack.attack_results.AttackResult``, for its loggers and metrics.

    Parameters
    ----------
    attempt : Attempt
    victim : Victim
        The same as was attacked: the result holds its probabilities for both texts.
    """
    kinds = textattack().attack_results
    status = textattack().goal_function_results.goal_function_result.GoalFunctionResultStatus
    before, after = victim.probabilities([attempt.original, attempt.perturbed])
    first = _goal_result(
        attempt.original, before, attempt, attempt.score_before, 1, status.SKIPPED if attempt.status == "skipped" else 1
    )
    if attempt.status == "skipped":
        return kinds.SkippedAttackResult(first)
    reached = {"succeeded": status.SUCCEEDED, "failed": status.SEARCHING, "maximized": status.MAXIMIZING}
    last = _goal_result(
        attempt.perturbed, after, attempt, attempt.score_after, attempt.n_queries, reached[attempt.status]
    )
    name = next(name for name, ours in _STATUSES.items() if ours == attempt.status)
    return vars(kinds)[name](first, last)


def _goal_result(text: str, row: Any, attempt: Attempt, score: float, n_queries: int, status: int) -> Any:
    """Make TextAttack's record of one text."""
    import torch

    attacked = textattack().shared.AttackedText(text)
    attacked.attack_attrs["original_index_map"] = _index_map(attempt.original, text)
    return textattack().goal_function_results.ClassificationGoalFunctionResult(
        attacked, torch.from_numpy(np.asarray(row)), int(np.argmax(row)), status, score, n_queries, attempt.label
    )


def _index_map(original: str, text: str) -> Any:
    """Return for each word of the original its index in the text, -1 where it is gone."""
    old, new = split_words(original), split_words(text)
    found = np.full(len(old), -1)
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        shared = min(i2 - i1, j2 - j1)
        found[i1 : i1 + shared] = np.arange(j1, j1 + shared)
    return found
