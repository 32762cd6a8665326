"""Any Hugging Face text classifier as a filter: its labels as categories, long texts in windows."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.canonical import Canonical, canonicalize
from guard.errors import ConfigError, FilterError
from guard.filters.checkpoint import (
    Checkpoint,
    Encoder,
    in_halves,
    model_positions,
    open_checkpoint,
    same_width_batches,
    settings_digest,
    special_frame,
)
from guard.filters.embedded_classifier import EmbeddedClassifier, vocabulary_of
from guard.filters.label_columns import LabelColumns
from guard.filters.windows import TokenWindow, window_starts, window_token_ids
from guard.offsets import edited
from guard.schema import Scores

__all__ = ["Scoring", "TransformerFilter", "category_name", "read_labels"]

Scoring = Literal["auto", "softmax", "sigmoid"]

_LONGEST_DEFAULT = 512
_OVERLAP = 4  # consecutive windows share a quarter
_WORD_LIMIT = re.compile(r"(\S{100})(?=\S)")
_BENIGN = frozenset({"benign", "clean", "harmless", "legit", "neither", "neutral", "none", "normal", "ok", "safe"})
_NEGATION = re.compile(r"(?:non|not|no)_?")
_UNNAMED = re.compile(r"label_?\d+|\d+")


def category_name(label: str) -> str:
    """Return a label in lower snake case.

    Examples
    --------
    >>> category_name("Identity Attack (severe)")
    'identity_attack_severe'
    >>> category_name("non-toxic")
    'non_toxic'
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", label)
    return re.sub(r"[^0-9a-z]+", "_", spaced.lower()).strip("_")


def read_labels(
    id2label: Mapping[int, str],
    *,
    problem_type: str | None = None,
    labels: Mapping[str, str] | None = None,
    category: str = "unsafe",
    scoring: Scoring = "auto",
) -> LabelColumns:
    """Read from a model's labels which categories it scores.

    Parameters
    ----------
    id2label : mapping of int to str
        Of the model's configuration.
    problem_type : str or None
        Of the configuration.
    labels : mapping of str to str, optional
        Label to category, for the labels that count; the others are left out. Several may make one category.
    category : str
        What the harmful label of a model is called that does not name its labels.
    scoring : {"auto", "softmax", "sigmoid"}
        ``auto`` is the sigmoid for one label and for ``multi_label_classification``, else the softmax.

    Returns
    -------
    LabelColumns
        Without benign labels (``SAFE``, ``neutral``, ``non-toxic`` ...), which no policy could use.

    Raises
    ------
    ConfigError
        Three or more labels without names, labels that nothing remains of, or that the model does not have.

    Examples
    --------
    >>> read_labels({0: "SAFE", 1: "INJECTION"}).categories
    ('injection',)
    >>> read_labels({0: "LABEL_0", 1: "LABEL_1"}, category="jailbreak").members
    ((1,),)
    """
    if not id2label:
        raise ConfigError("the model has no labels; give a model that is trained to classify")
    names = [str(id2label[index]) for index in sorted(id2label)]
    chosen = _given(names, labels) if labels is not None else _own(names, category)
    members: dict[str, list[int]] = {}
    for index, name in chosen:
        members.setdefault(name, []).append(index)
    if labels is None and any(len(indices) > 1 for indices in members.values()):
        raise ConfigError(f"labels {', '.join(names)} are not distinct in lower snake case; give labels={{...}}")
    resolved = _scoring(scoring, problem_type, len(names))
    return LabelColumns(tuple(members), tuple(tuple(indices) for indices in members.values()), resolved)


def _given(names: Sequence[str], labels: Mapping[str, str]) -> list[tuple[int, str]]:
    unknown = sorted(set(labels) - set(names))
    if unknown or not labels:
        raise ConfigError(
            f"labels {', '.join(unknown) or 'is empty'}: the model has {', '.join(names)}; name some of these"
        )
    return [(index, labels[name]) for index, name in enumerate(names) if name in labels]


def _own(names: Sequence[str], category: str) -> list[tuple[int, str]]:
    if len(names) == 1:
        only = category_name(names[0])
        return [(0, category if _UNNAMED.fullmatch(only) else only)]
    if all(_UNNAMED.fullmatch(category_name(name)) for name in names):
        if len(names) == 2:
            return [(1, category)]
        raise ConfigError(
            f"labels {', '.join(names)} do not say what they mean; give labels={{'{names[1]}': 'toxicity'}}"
        )
    named = [(index, category_name(name)) for index, name in enumerate(names)]
    # Of two labels, one that negates the other is benign. Among more it may well name a harm: "non-violent crimes".
    pair = {name for _, name in named} if len(named) == 2 else set()
    harmful = [(index, name) for index, name in named if not _is_benign(name, pair)]
    if not harmful or not all(name for _, name in harmful):
        raise ConfigError(f"labels {', '.join(names)} leave no category; say which count with labels={{...}}")
    return harmful


def _is_benign(name: str, pair: Collection[str]) -> bool:
    """Tell whether a label says that there is no harm, by itself or as the negation of its one other."""
    rest = _NEGATION.sub("", name, count=1)
    return name in _BENIGN or (_NEGATION.match(name) is not None and rest in pair)


def _scoring(scoring: str, problem_type: str | None, n_labels: int) -> Literal["softmax", "sigmoid"]:
    if scoring in ("softmax", "sigmoid"):
        return "softmax" if scoring == "softmax" else "sigmoid"
    if scoring != "auto":
        raise ConfigError(f"scoring {scoring!r} is unknown; give auto, softmax or sigmoid")
    if problem_type == "regression":
        raise ConfigError(
            "the model was trained for regression, so its output is no probability; give scoring='sigmoid'"
        )
    return "sigmoid" if n_labels == 1 or problem_type == "multi_label_classification" else "softmax"


class TransformerFilter:
    """Scores texts with any model that ``AutoModelForSequenceClassification`` loads.

    Parameters
    ----------
    checkpoint : Checkpoint
    columns : LabelColumns
        Of :func:`read_labels`.
    window : int or None
        Most tokens of a window, special tokens included; None takes what the model takes, at most 512, since a short
        attack in a long window is diluted.
    token_budget : int
        Most padded tokens of one forward pass.

    Notes
    -----
    The score of a text is the highest of its windows, category by category. Windows overlap by a quarter. A window is
    padded to a multiple of 16 tokens and batched only with windows of its width, so in float32 a row does not depend
    on its batch. Half precision does not promise that.

    Control tokens spelled out in a text (``[SEP]``, ``</s>``) are read as characters. WordPiece reads a run of more
    than 100 characters as one unknown token, which is a place to hide: such runs are broken up.

    Examples
    --------
    >>> injection = TransformerFilter.load("protectai/deberta-v3-base-prompt-injection-v2")  # doctest: +SKIP
    >>> injection.categories  # doctest: +SKIP
    ('injection',)
    """

    def __init__(
        self, checkpoint: Checkpoint, columns: LabelColumns, *, window: int | None = None, token_budget: int = 8192
    ) -> None:
        self._model, self._columns = checkpoint.model, columns
        self._encoder = Encoder(checkpoint.tokenizer, name=f"transformer:{checkpoint.source}")
        self._before, self._after = special_frame(checkpoint.tokenizer, self._encoder)
        self._pad = _pad_id(checkpoint)
        self._longest = _window_size(checkpoint, window, n_special=len(self._before) + len(self._after))
        self._breaks_runs = _hides_long_words(checkpoint.tokenizer, self._encoder)
        self._token_budget = token_budget
        self._checkpoint = checkpoint
        settings = [columns.categories, columns.members, columns.scoring, self._longest, str(self._model.dtype)]
        self._name = f"transformer@{settings_digest(checkpoint, settings)}"

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        labels: Mapping[str, str] | None = None,
        category: str = "unsafe",
        scoring: Scoring = "auto",
        window: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        token_budget: int = 8192,
    ) -> TransformerFilter:
        """Load a classifier from a folder or the hub.

        Parameters
        ----------
        source : str or Path
            A folder, a hub id, or ``id@revision``.
        labels, category, scoring
            See :func:`read_labels`.
        window, token_budget
            See the class.
        device : str
            ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        dtype : {"auto", "float32", "bfloat16", "float16"}
            ``auto`` is float32. Scores are float32 whatever it is.

        Raises
        ------
        ConfigError
            The source cannot be had, or an option does not fit the model.
        DataError
            The folder holds no whole text classifier.
        """
        from transformers import AutoModelForSequenceClassification

        checkpoint = open_checkpoint(
            source, AutoModelForSequenceClassification, device=device, dtype=dtype, half_on_gpu=False
        )
        config = checkpoint.model.config
        columns = read_labels(
            config.id2label, problem_type=config.problem_type, labels=labels, category=category, scoring=scoring
        )
        return cls(checkpoint, columns, window=window, token_budget=token_budget)

    @property
    def name(self) -> str:
        """``transformer@`` and 12 hexadecimal digits over the folder and every setting that changes a score."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """The model's harmful labels, in its order."""
        return self._columns.categories

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str
            Of any length and content. Scored in canonical form.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1].

        Raises
        ------
        FilterError
            When the model fails, or one window alone does not fit memory.
        """
        scores = np.zeros((len(items), len(self.categories)))
        if not items:
            return scores.astype(np.float32)
        try:
            owners, windows = self._windows(items)
            lengths = [len(window) for window in windows]
            for width, rows in same_width_batches(lengths, token_budget=self._token_budget, longest=self._longest):
                logits = in_halves(rows, partial(self._forward, windows, width), name=self._name)
                np.maximum.at(scores, [owners[row] for row in rows], self._columns.scores(logits))
        except FilterError:
            raise
        except Exception as error:
            raise FilterError(f"filter {self._name} raised {type(error).__name__}: {error}") from error
        return scores.astype(np.float32)

    @functools.cached_property
    def _embedded(self) -> EmbeddedClassifier:
        return EmbeddedClassifier(self._model, name=self._name)

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden): what a token id stands for in :meth:`logits_of`."""
        return self._embedded.word_embeddings

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer writes it."""
        return vocabulary_of(self._checkpoint)

    def token_windows(self, items: Sequence[str]) -> list[TokenWindow]:
        """Return the windows that :meth:`score_batch` reads, in the order of the texts, with offsets into these."""
        before, after = [(0, 0)] * len(self._before), [(0, 0)] * len(self._after)
        found = []
        for owner, item in enumerate(items):
            form = self._form(item)
            ids, ranges = self._encoder.plain([form.text])[0], self._encoder.offsets(form.text)
            offsets = [form.span(*range_) for range_ in ranges]
            for start in window_starts(len(ids), size=self._size, stride=self._stride):
                places = range(start, min(start + self._size, len(ids)))
                inner = [ids[place] for place in places]
                whole = (*self._before, *inner, *self._after) or (self._pad,)
                kept = (*[-1] * len(before), *places, *[-1] * len(after)) or (-1,)
                at = (*before, *(offsets[place] for place in places), *after) or ((0, 0),)
                found.append(TokenWindow(owner, whole, kept, at))
        return found

    def logits_of(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return the log-odds of each category, shape (n, n_categories), of word embeddings under a bool mask."""
        return self._columns.log_odds(self._embedded.logits(words, mask))

    @property
    def _size(self) -> int:
        return self._longest - len(self._before) - len(self._after)

    @property
    def _stride(self) -> int:
        return max(1, self._size - self._size // _OVERLAP)

    def _form(self, item: str) -> Canonical:
        """Return what the tokenizer is given, with its way back to the text."""
        form = canonicalize(item)
        edits = [(run.end(), run.end(), " ") for run in _WORD_LIMIT.finditer(form.text)] if self._breaks_runs else []
        return edited(form, edits)

    def _windows(self, items: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Token windows of all texts, with special tokens, and the text that each belongs to."""
        texts = [self._form(item).text for item in items]
        size, stride = self._size, self._stride
        owners, windows = [], []
        for owner, ids in enumerate(self._encoder.plain(texts)):
            for window in window_token_ids(ids, size=size, stride=stride):
                owners.append(owner)
                windows.append([*self._before, *window, *self._after])
        return owners, windows

    @torch.inference_mode()
    def _forward(self, windows: Sequence[list[int]], width: int, rows: Sequence[int]) -> npt.NDArray[np.float64]:
        """Run some windows, padded on the right; logits of shape (n_rows, n_labels)."""
        # An empty text of a model without special tokens still needs a token to look at.
        batch = [windows[row] or [self._pad] for row in rows]
        device = self._model.device
        ids = torch.tensor([ids + [self._pad] * (width - len(ids)) for ids in batch], device=device)
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in batch], device=device)
        logits = self._model(input_ids=ids, attention_mask=mask).logits
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float64)


def _pad_id(checkpoint: Checkpoint) -> int:
    """Return the padding token, telling it to models that look for the last token before it."""
    config, tokenizer = checkpoint.model.config, checkpoint.tokenizer
    known = (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id)
    pad = int(next((token for token in known if token is not None), 0))
    if config.pad_token_id is None:
        config.pad_token_id = pad
    return pad


def _window_size(checkpoint: Checkpoint, window: int | None, *, n_special: int) -> int:
    """Return the most tokens of one window, special tokens included."""
    longest = min(model_positions(checkpoint.model), checkpoint.tokenizer.model_max_length)
    size = min(_LONGEST_DEFAULT, longest) if window is None else window
    if not n_special < size <= longest:
        raise ConfigError(f"window={window}: the model takes {n_special + 1} to {longest} tokens; give one of these")
    return int(size)


def _hides_long_words(tokenizer: Any, encoder: Encoder) -> bool:
    """Tell whether a long run of letters becomes the unknown token while a short one does not."""
    short, long = encoder.plain(["a" * 50, "a" * 101])
    return tokenizer.unk_token_id in long and tokenizer.unk_token_id not in short
