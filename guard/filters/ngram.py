"""The n-gram filter: hashed n-grams into small linear heads, for Chinese and for English, in NumPy alone."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_tensors

from guard.canonical import canonicalize
from guard.errors import ConfigError, FilterError
from guard.filters.grams import HAN, Grams, gram_indices, gram_places, text_windows
from guard.filters.windows import window_starts
from guard.offsets import Canonical, edited, same_length
from guard.schema import Scores

__all__ = [
    "FEWEST_GRAMS",
    "SHIPPED_WEIGHTS",
    "Evidence",
    "Head",
    "Language",
    "NgramFilter",
    "prepare",
    "prepared_form",
    "windows_in",
]

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "ngram"
"""Folder of the weights that ship with the package, beside their figures."""

FEWEST_GRAMS = 8
"""Least number of n-grams whose root a window's sum is divided by: a lone n-gram is weak evidence."""

Language = Literal["en", "zh"]

_LANGUAGES: tuple[Language, ...] = ("en", "zh")
_HAN = re.compile(f"[{HAN}]")
_HAN_RUN = re.compile(f"[{HAN}]+")
_KANA = re.compile("[\u3041-\u30ff]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")
_LETTER = re.compile(r"[^\W\d_]")
_SPACES = re.compile(r"\s+")
# A typeset or Chinese mark is another character than the keyboard's, and says the same.
_PLAIN = str.maketrans("\u2018\u2019\u201c\u201d，。！？；：（）【】、", "''\"\",.!?;:()[],")
_MOST_KANA_A_HAN = 0.4
_READABLE = 0.7
_CHUNK = 1 << 18


def prepare(text: str, language: Language, *, variants: Mapping[int, int] | None = None) -> str:
    """Return a text as the heads of a language read it.

    Parameters
    ----------
    text : str
    language : {"en", "zh"}
        For English, Chinese characters count as spaces.
    variants : mapping of int to int, optional
        Code points of traditional characters to simplified ones.

    Returns
    -------
    str
        Canonical, lower case, with plain spaces and marks, without NUL, and with a space at both ends.
    """
    plain = canonicalize(text).text.replace("\0", " ").translate(_PLAIN)
    plain = plain.translate(variants or {}) if language == "zh" else _HAN_RUN.sub(" ", plain)
    return f" {_SPACES.sub(' ', plain.lower()).strip()} "


def prepared_form(text: str, language: Language, *, variants: Mapping[int, int] | None = None) -> Canonical:
    """Return :func:`prepare` of a text with its way back to the original, for the one text that is explained."""
    form = canonicalize(text)
    plain = form.text.replace("\0", " ").translate(_PLAIN)
    form = same_length(form, plain.translate(variants or {}) if language == "zh" else plain)
    if language == "en":
        form = edited(form, [(run.start(), run.end(), " ") for run in _HAN_RUN.finditer(form.text)])
    # Some letters are longer in lower case, and what is lowered depends on the neighbours of one (the final sigma).
    form = edited(form, [(at, at + 1, char.lower()) for at, char in enumerate(form.text) if len(char.lower()) > 1])
    form = same_length(form, form.text.lower())
    form = edited(form, [(gap.start(), gap.end(), " ") for gap in _SPACES.finditer(form.text)])
    inner = form.text.strip()
    start = form.text.index(inner)
    end = len(form.text)
    return edited(form, [(0, start, " "), (start + len(inner), end, " ")])


def windows_in(text: str, language: Language, *, size: int, stride: int) -> list[str]:
    """Cut a prepared text into windows, and keep those in which something is in the language.

    Parameters
    ----------
    text : str
        Of :func:`prepare`.
    language : {"en", "zh"}
        A window with much kana is Japanese, which no head reads.
    size, stride : int
        See :func:`guard.filters.grams.text_windows`.
    """
    return [window for window in text_windows(text, size=size, stride=stride) if _holds(window, language)]


def _holds(window: str, language: Language) -> bool:
    if language == "en":
        return _LATIN.search(window) is not None
    n_han = len(_HAN.findall(window))
    return n_han > 0 and len(_KANA.findall(window)) <= _MOST_KANA_A_HAN * n_han


@dataclass(frozen=True)
class Head:
    """The linear heads of one language.

    Parameters
    ----------
    language : {"en", "zh"}
    categories : tuple of str
    size, stride : int
        Of the windows, in characters.
    blocks : tuple of (Grams, ndarray of int8, ndarray of float64)
        For each kind of n-gram its weights of shape (2 ** bits, n_categories) and their scale of shape
        (n_categories,). A weight ``q`` stands for ``q * abs(q) * scale``: finer near zero, where most weights are.
    bias : ndarray of float64, shape (n_categories,)
    """

    language: Language
    categories: tuple[str, ...]
    size: int
    stride: int
    blocks: tuple[tuple[Grams, npt.NDArray[np.int8], npt.NDArray[np.float64]], ...]
    bias: npt.NDArray[np.float64]

    def logits(self, windows: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the logits of windows, shape (len(windows), n_categories); a row depends on its window alone."""
        logits = np.tile(self.bias, (len(windows), 1))
        for grams, weights, scale in self.blocks:
            rows, indices = gram_indices(windows, grams)
            quantised = weights[indices].astype(np.int64)
            squares = np.concatenate(
                (np.zeros((1, len(scale)), np.int64), np.cumsum(quantised * abs(quantised), axis=0))
            )
            bounds = np.searchsorted(rows, np.arange(len(windows) + 1))
            sums = squares[bounds[1:]] - squares[bounds[:-1]]  # of integers, hence exact in any batch
            logits += sums * scale / np.sqrt(np.maximum(np.diff(bounds), FEWEST_GRAMS))[:, None]
        return logits

    def sums(self, window: str, column: int) -> list[tuple[tuple[int, int], float]]:
        """Return the ranges of the n-grams of one window and what each adds to a category's logit.

        An n-gram counts once however often it occurs: its weight is shared out over its occurrences.
        """
        found = []
        for grams, weights, scale in self.blocks:
            starts, ends, indices = gram_places(window, grams)
            distinct, which, counts = np.unique(indices, return_inverse=True, return_counts=True)
            quantised = weights[distinct, column].astype(np.int64)
            norm = np.sqrt(max(len(distinct), FEWEST_GRAMS))
            values = quantised * abs(quantised) * scale[column] / norm / counts
            ranges = zip(starts.tolist(), ends.tolist(), strict=True)
            found += list(zip(ranges, values[which].tolist(), strict=True))
        return found


@dataclass(frozen=True)
class Evidence:
    """What the log-odds of a linear model is the sum of.

    Parameters
    ----------
    number : float
        The log-odds.
    baseline : float
        Of nothing: the bias.
    terms : tuple of ((int, int), float)
        Ranges of the original text and what each adds. They overlap, and sum to ``number - baseline``.
    """

    number: float
    baseline: float
    terms: tuple[tuple[tuple[int, int], float], ...]


class NgramFilter:
    """Scores text by hashed n-grams: Chinese for toxicity, English for all five categories of the encoder.

    Parameters
    ----------
    heads : sequence of Head
        One a language.
    name : str
    variants : mapping of int to int, optional
        Code points of traditional characters to simplified ones.

    Raises
    ------
    ConfigError
        No head.

    Notes
    -----
    A text is cut into windows, and each category takes its highest window. Text in none of the languages scores 0: that
    is no sign of harmlessness, and :meth:`reads` tells. In a mixed text each head reads its own part, and the higher
    score counts.

    Examples
    --------
    >>> from guard.filters.ngram import NgramFilter
    >>> chinese = NgramFilter.load(languages=("zh",))
    >>> chinese.categories, chinese.score_batch(["good morning"]).tolist()
    (('toxicity',), [[0.0]])
    """

    def __init__(self, heads: Sequence[Head], *, name: str, variants: Mapping[int, int] | None = None) -> None:
        if not heads:
            raise ConfigError(f"{name}: no language was named; name at least one of {', '.join(_LANGUAGES)}")
        self._heads, self._name, self._variants = tuple(heads), name, dict(variants or {})
        self._categories = tuple(dict.fromkeys(category for head in heads for category in head.categories))

    @classmethod
    def load(cls, folder: Path | None = None, *, languages: Sequence[Language] = _LANGUAGES) -> NgramFilter:
        """Read the filter.

        Parameters
        ----------
        folder : Path, optional
            With ``ngram.safetensors`` and ``config.json``. Default: what ships with the package.
        languages : sequence of {"en", "zh"}
            Which heads to use. ``("zh",)`` stands beside an encoder that reads English only: it scores toxicity, and
            0 for text without Chinese, so it never outvotes the encoder there.

        Raises
        ------
        ConfigError
            A language that there is no head for, or none.
        FilterError
            A file is missing or broken.
        """
        unknown = [language for language in languages if language not in _LANGUAGES]
        if unknown or not languages:
            raise ConfigError(
                f"languages {list(languages)}: the n-gram filter has {', '.join(_LANGUAGES)}; name one or both"
            )
        source = SHIPPED_WEIGHTS if folder is None else folder
        chosen = tuple(language for language in _LANGUAGES if language in languages)
        try:
            return cls._assemble(source, chosen)
        except Exception as error:
            raise FilterError(f"{source}: not a readable n-gram filter ({error})") from error

    @classmethod
    def _assemble(cls, folder: Path, languages: tuple[Language, ...]) -> NgramFilter:
        """Read both files and check that they fit each other."""
        files = [(folder / file).read_bytes() for file in ("ngram.safetensors", "config.json")]
        tensors, config = load_tensors(files[0]), json.loads(files[1])
        heads = [_head(language, config[language], tensors) for language in languages]
        digest = hashlib.sha256(b"".join((*files, *(language.encode() for language in languages)))).hexdigest()
        variants = {int(before): int(after) for before, after in tensors["variants"]}
        return cls(heads, name=f"ngram@{digest[:12]}", variants=variants)

    @property
    def name(self) -> str:
        """``ngram@`` and 12 hexadecimal digits over the weights, their configuration and the languages in use."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`score_batch`."""
        return self._categories

    def reads(self, text: str) -> bool:
        """Tell whether 70% of the letters of a text are in a language that this filter scores, or it has none."""
        languages = [head.language for head in self._heads]
        plain = canonicalize(text).text
        n_letters = len(_LETTER.findall(plain))
        n_read = sum(len({"en": _LATIN, "zh": _HAN}[language].findall(plain)) for language in languages)
        return n_read >= _READABLE * n_letters

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1]; the same bits for a text in any batch.

        Raises
        ------
        FilterError
            Something other than text was given.
        """
        scores: Scores = np.zeros((len(items), len(self._categories)), dtype=np.float32)
        try:
            for head in self._heads:
                columns = [self._categories.index(category) for category in head.categories]
                scores[:, columns] = np.maximum(scores[:, columns], self._scores_of(head, items))
        except Exception as error:
            raise FilterError(f"filter {self._name}: cannot score {len(items)} items ({error})") from error
        return scores

    def evidence(self, text: str, category: str) -> Evidence | None:
        """Return what the window that decides a category's score is the sum of, exactly.

        Parameters
        ----------
        text : str
        category : str

        Returns
        -------
        Evidence or None
            None where nothing is in a language that has a head for the category; the score is then 0.
        """
        found = [
            evidence
            for head in self._heads
            if category in head.categories
            for evidence in self._evidence_of(head, text, head.categories.index(category))
        ]
        return max(found, key=lambda one: one.number, default=None)

    def _evidence_of(self, head: Head, text: str, column: int) -> Iterator[Evidence]:
        """Yield what each window of a text is the sum of, those in which nothing is in the language left out."""
        form = prepared_form(text, head.language, variants=self._variants)
        for start in window_starts(len(form.text), size=head.size, stride=head.stride):
            window = form.text[start : start + head.size]
            if _holds(window, head.language):
                sums = head.sums(window, column)
                spans = tuple((form.span(start + left, start + right), value) for (left, right), value in sums)
                bias = float(head.bias[column])
                yield Evidence(bias + sum(value for _, value in sums), bias, spans)

    def _scores_of(self, head: Head, items: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the scores of one language's head; 0 where nothing is in that language."""
        highest = np.full((len(items), len(head.categories)), -np.inf)
        for owners, windows in self._chunks(head, items):
            np.maximum.at(highest, owners, head.logits(windows))
        read = np.isfinite(highest)
        return np.where(read, 1 / (1 + np.exp(-np.clip(highest, -60, 60))), 0.0)

    def _chunks(self, head: Head, items: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
        """Yield windows and the items they belong to, not too many at once for the memory."""
        owners: list[int] = []
        windows: list[str] = []
        for owner, item in enumerate(items):
            text = prepare(item, head.language, variants=self._variants)
            for window in windows_in(text, head.language, size=head.size, stride=head.stride):
                owners.append(owner)
                windows.append(window)
                if len(windows) * head.size >= _CHUNK:
                    yield owners, windows
                    owners, windows = [], []
        if windows:
            yield owners, windows


def _head(language: Language, config: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> Head:
    """Put the head of one language together."""
    blocks = []
    categories = tuple(str(category) for category in config["categories"])
    for index, given in enumerate(config["grams"]):
        grams = Grams(given["kind"], tuple(given["orders"]), int(given["bits"]), tuple(given["skips"]))
        weights, scale = tensors[f"{language}.{index}.weights"], tensors[f"{language}.{index}.scale"]
        if weights.shape != (1 << grams.bits, len(categories)) or weights.dtype != np.int8:
            raise ValueError(f"weights {weights.shape} of {weights.dtype} do not fit {grams} and {categories}")
        blocks.append((grams, weights, scale.astype(np.float64)))
    size, stride = int(config["size"]), int(config["stride"])
    return Head(language, categories, size, stride, tuple(blocks), tensors[f"{language}.bias"].astype(np.float64))
