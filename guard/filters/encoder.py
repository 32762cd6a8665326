"""The encoder filter: one pass of a small BERT with merged low-rank updates, read by several heads at once."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from guard import assets
from guard.errors import AssayError, FilterError
from guard.filters.attribution import evident_spans
from guard.filters.bert import WORD_EMBEDDINGS, linear_names, read_bert
from guard.filters.encoder_model import EncoderModel
from guard.filters.encoder_text import encoder_text
from guard.filters.encoder_weights import device_of, dtype_of, merged, placed, weights_digest, word_rows
from guard.filters.heads import head_readings
from guard.filters.path_gradient import deciding_windows, path_slopes
from guard.filters.slip_reading import LogitsOf, SlipReader, highest
from guard.filters.window_memo import Looked, WindowMemo
from guard.filters.windows import TokenWindow, length_batches, window_starts, window_token_ids
from guard.offsets import Canonical, edited
from guard.schema import Scores, Span

__all__ = ["SHIPPED_WEIGHTS", "EncoderFilter"]

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "encoder"
"""Folder of the adapter and heads that ship with the package, beside their model card."""

Floats = npt.NDArray[np.float64]

_WIDTH_STEP = 16
_LEAST = 0.3


class EncoderFilter:
    """Scores text for toxicity, attacks on identity, jailbreaks, harmful requests and refusals.

    Parameters
    ----------
    model : EncoderModel
        Of :meth:`load`.
    name : str
    categories : tuple of str
    window, stride : int
        Tokens of a window and from one window to the next, special tokens not counted.
    emoji_names : bool
        Spell emoji out, for weights that were trained so.
    slips : SlipReader, optional
        Text with slips is scored in its ordinary spelling too.
    token_budget : int
        Most padded tokens of one forward pass.

    Notes
    -----
    Text is canonicalised, cut into overlapping windows (never truncated) and each category takes its highest window.
    A window is padded to the next multiple of 16 tokens and batched only with windows of the same padded width, so
    the shape of its computation, and with it every bit of its score on a CPU, does not depend on the batch.

    Examples
    --------
    >>> from guard.filters.encoder import EncoderFilter
    >>> encoder = EncoderFilter.load()  # doctest: +SKIP
    >>> encoder.score_batch(["have a nice day"]).shape  # doctest: +SKIP
    (1, 5)
    """

    def __init__(
        self,
        model: EncoderModel,
        *,
        name: str,
        categories: tuple[str, ...],
        window: int,
        stride: int,
        emoji_names: bool = False,
        slips: SlipReader | None = None,
        token_budget: int = 4096,
    ) -> None:
        self._model, self._name, self._categories = model, name, categories
        self._window = min(window, model.shape.max_positions - 2)
        self._stride = min(stride, self._window)
        self._emoji_names, self._slips, self._token_budget = emoji_names, slips, token_budget
        self._memo = WindowMemo()

    @classmethod
    def load(
        cls, *, base: Path | None = None, weights: Path | None = None, device: str = "auto", dtype: str = "auto"
    ) -> EncoderFilter:
        """Load the frozen encoder, merge the adapter into it, and attach the heads.

        Parameters
        ----------
        base : Path, optional
            Folder of the frozen BERT with ``tokenizer.json``. Default: the asset ``minilm``, pulled where missing.
        weights : Path, optional
            Folder with ``encoder.safetensors`` and ``config.json``. Default: what ships with the package.
        device : str
            ``auto`` (CUDA where there is one), or a torch device.
        dtype : {"auto", "float32", "bfloat16", "float16", "float64"}
            Of the forward pass. ``auto`` is bfloat16 on a CPU that multiplies in it and has no AMX tiles, else float32.
            Scores are float32 either way, and differ a little between dtypes, so the name tells them apart.

        Raises
        ------
        FilterError
            A file is missing or broken, or the adapter does not fit the encoder, or the device or dtype is unknown.
        AssetError
            The asset could not be had.
        """
        folder, source = weights or SHIPPED_WEIGHTS, base or assets.path("minilm")
        try:
            where = device_of(device)
            return cls._assemble(source, folder, device=where, dtype=dtype_of(dtype, where))
        except AssayError:
            raise
        except Exception as error:
            raise FilterError(f"encoder filter: cannot load {folder} on top of {source} ({error})") from error

    @classmethod
    def _assemble(cls, base: Path, folder: Path, *, device: torch.device, dtype: torch.dtype) -> EncoderFilter:
        """Read both folders and put the filter together."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        adapter = load_file(folder / "encoder.safetensors")
        shape, frozen = read_bert(base)
        whole = merged(frozen, adapter, names=linear_names(shape), scale=float(config["scale"]))
        model = EncoderModel(
            tokenizer=tokenizer,
            shape=shape,
            weights={name: placed(name, value, device, dtype) for name, value in whole},
            heads={part: adapter[f"heads.{part}"].float().to(device) for part in ("query", "value", "bias")},
            device=device,
            rows=word_rows(base, device),
        )
        return cls(
            model,
            name=f"encoder@{weights_digest(base, folder, dtype)}",
            categories=tuple(config["categories"]),
            window=int(config["window"]),
            stride=int(config["stride"]),
            emoji_names=bool(config.get("emoji_names", False)),
            slips=SlipReader.of(config.get("slips"), config["categories"]),
        )

    @property
    def name(self) -> str:
        """``encoder@`` and 12 hexadecimal digits over the adapter, its configuration, the base and the tokenizer."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`score_batch`."""
        return self._categories

    @property
    def dtype(self) -> str:
        """Of the forward pass: ``float32``, ``bfloat16`` or ``float16``."""
        return str(self._model.dtype).removeprefix("torch.")

    def score_batch(self, items: Sequence[str]) -> Scores:
        """Score every text.

        Parameters
        ----------
        items : sequence of str
            Of any length and content; the empty text is scored as an empty window.

        Returns
        -------
        Scores
            float32, shape (len(items), len(categories)), in [0, 1].

        Raises
        ------
        FilterError
            Something other than text was given, or the forward pass failed.
        """
        try:
            return _scores(self._logits([self._form(item).text for item in items], self._plain))
        except Exception as error:
            raise FilterError(f"filter {self._name}: cannot score {len(items)} items ({error})") from error

    def widened(self) -> EncoderFilter:
        """Return a filter of the same weights that computes in float32: itself, where it does so or finer already."""
        if self.dtype in ("float32", "float64"):
            return self
        model = self._model
        wide = copy.copy(self)
        wide._model = replace(model, weights={name: value.float() for name, value in model.weights.items()})
        wide._memo = WindowMemo()
        return wide

    def _logits(self, texts: Sequence[str], logits_of: LogitsOf) -> Floats:
        """Return the log-odds of texts as the tokenizer is given them, in all their readings."""
        return logits_of(texts) if self._slips is None else self._slips.combined(texts, logits_of)

    def _plain(self, texts: Sequence[str]) -> Floats:
        """Return the log-odds of texts as they stand, shape (n_texts, n_categories)."""
        windows, owners = self._windows(texts)
        return highest(self._read(windows)[0], owners, len(texts))

    def _recalled(self, texts: Sequence[str]) -> Floats:
        """Return :meth:`_plain` of texts that were perhaps just scored."""
        windows, owners = self._windows(texts)
        return highest((self._memo.find(windows) or self._read(windows))[0], owners, len(texts))

    def _windows(self, texts: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Return the token ids of all windows with special tokens, and the text of each."""
        tokenizer = self._model.tokenizer
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        windows, owners = list[list[int]](), list[int]()
        for owner, encoding in enumerate(tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            for ids in window_token_ids(encoding.ids, size=self._window, stride=self._stride):
                windows.append([begin, *ids, end])
                owners.append(owner)
        return windows, owners

    def _read(self, windows: Sequence[Sequence[int]]) -> tuple[Floats, list[Looked]]:
        """Return the logits of all windows, shape (n_windows, n_categories), and where the categories look in each."""
        logits, looked = np.zeros((len(windows), len(self._categories))), dict[int, Looked]()
        widths = [-(-len(window) // _WIDTH_STEP) * _WIDTH_STEP for window in windows]
        for width in sorted(set(widths)):
            same = [index for index, other in enumerate(widths) if other == width]
            for group in length_batches([width] * len(same), token_budget=self._token_budget):
                rows = [same[index] for index in group]
                some = [windows[row] for row in rows]
                logits[rows], attention = self._forward(some, min(width, self._model.shape.max_positions))
                looked.update(zip(rows, attention, strict=True))
        every = [looked[row] for row in range(len(windows))]
        self._memo.keep(windows, logits, every)
        return logits, every

    def _forward(self, windows: Sequence[Sequence[int]], width: int) -> tuple[npt.NDArray[np.float32], Looked]:
        """Run the encoder and heads over windows padded to one width."""
        with torch.inference_mode():
            words, mask = self._model.padded(windows, width)
            logits, attention = head_readings(self._model.hidden(words, mask).float(), mask, **self._model.heads)
            return logits.cpu().numpy(), attention.cpu().numpy()

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden): what a token id stands for in :meth:`logits_of`."""
        return self._model.weights[WORD_EMBEDDINGS]

    @functools.cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id, as the tokenizer writes it: ``##ing`` continues a word."""
        tokenizer = self._model.tokenizer
        return tuple(tokenizer.id_to_token(index) or "" for index in range(self.word_embeddings.shape[0]))

    def token_windows(self, items: Sequence[str]) -> list[TokenWindow]:
        """Return the windows that :meth:`score_batch` reads, in the order of the texts, with offsets into these."""
        return [window for owner, item in enumerate(items) for window in self._cut(owner, self._form(item))]

    def explained_windows(self, items: Sequence[str], column: int) -> list[TokenWindow]:
        """Return :meth:`token_windows`, and those of the other reading of a text where it counts for the category."""
        counts = self._slips is not None and column in self._slips.columns
        return [
            window
            for owner, item in enumerate(items)
            for form in (self._readings(item) if counts else [self._form(item)])
            for window in self._cut(owner, form)
        ]

    def _form(self, item: str) -> Canonical:
        """Return what the tokenizer is given."""
        return encoder_text(item, emoji_names=self._emoji_names)

    def _readings(self, item: str) -> list[Canonical]:
        """Return what the tokenizer is given, and its other readings where there are any."""
        form = self._form(item)
        others = self._slips.edits(form.text, self._recalled) if self._slips else []
        return [form, *(edited(form, edits) for edits in others)]

    def _cut(self, owner: int, form: Canonical) -> Iterator[TokenWindow]:
        """Yield the windows of a text in one form, with offsets into the text as given."""
        tokenizer = self._model.tokenizer
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        encoding = tokenizer.encode(form.text, add_special_tokens=False)
        offsets = [form.span(*range_) for range_ in encoding.offsets]
        for start in window_starts(len(encoding.ids), size=self._window, stride=self._stride):
            places = range(start, min(start + self._window, len(encoding.ids)))
            ids = (begin, *(encoding.ids[place] for place in places), end)
            ranges = ((0, 0), *(offsets[place] for place in places), (0, 0))
            yield TokenWindow(owner, ids, (-1, *places, -1), ranges)

    def logits_of(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return the logits of windows given as word embeddings, through which a gradient can be followed.

        Parameters
        ----------
        words : Tensor
            float, shape (n, t, hidden): rows of :attr:`word_embeddings`, or anything near them.
        mask : Tensor
            bool, shape (n, t): True at tokens.

        Returns
        -------
        Tensor
            float, shape (n, n_categories); their sigmoid is the score. Follow gradients in a filter that was loaded
            with ``dtype="float32"`` or wider.
        """
        return self._model.read(self._model.hidden(words, mask), mask)

    def locate(self, text: str) -> tuple[Span, ...]:
        """Return the words that carry most of each category's score.

        Parameters
        ----------
        text : str
            As given to :meth:`score_batch`.

        Returns
        -------
        tuple of Span
            For each category that scores 0.3 or more, in offsets of `text`, in order of their start; every span has
            the category's score for the whole text, and as its value, in log-odds, what its words add by the gradient
            below. Of a long text, words of the highest window only.

        Raises
        ------
        FilterError
            Something other than text was given, or a forward pass failed.

        Notes
        -----
        The gradient of the category's log-odds by the states in the middle of the encoder is taken once, where 0.65 of
        every token's state has come in over that of a mask. At the text itself a score near 1 hardly answers to any
        word (saturation: Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks", section 2.1). A word is
        strong by its way from the mask times the gradient, and by how much the category's pooling attends to it; which
        are returned: :func:`guard.filters.attribution.evident_spans`. A text that was just scored is not scored again.
        """
        try:
            forms = self._readings(text)
            layout = [
                (form, encoding.offsets[start : start + self._window])
                for form in forms
                for encoding in (self._model.tokenizer.encode(form.text, add_special_tokens=False),)
                for start in window_starts(len(encoding.ids), size=self._window, stride=self._stride)
            ]
            texts = [form.text for form in forms]
            windows, owners = self._windows(texts)
            logits, looked = self._memo.find(windows) or self._read(windows)
            known = dict(zip(texts, highest(logits, owners, len(texts)), strict=True))
            scores = _scores(self._logits(texts[:1], lambda some: np.array([known[one] for one in some])))[0]
            if self._slips:  # other readings count for some categories only
                logits[np.ix_(np.array(owners) > 0, ~np.isin(range(logits.shape[1]), self._slips.columns))] = -np.inf
            spans: set[Span] = set()
            for at, columns in deciding_windows(logits, scores >= _LEAST):
                form, offsets = layout[at]
                found = zip(columns, self.state_slopes(windows[at], columns), strict=True)
                for column, slopes in found if offsets else ():
                    attended = looked[at][1 : 1 + len(offsets), column].astype(np.float64)
                    for (start, end), worth in evident_spans(form.text, offsets, slopes, attended):
                        place, score = form.span(start, end), float(scores[column])
                        spans.add(Span(*place, self._categories[column], score, value=worth, method="state-gradient"))
        except Exception as error:
            raise FilterError(f"filter {self._name}: cannot locate in {type(text).__name__} ({error})") from error
        return tuple(sorted(spans, key=lambda span: (span.start, span.end, span.category)))

    def state_slopes(self, window: Sequence[int], columns: Sequence[int]) -> list[Floats]:
        """Return what each token of a window adds to some columns' log-odds, by one gradient in the middle.

        Parameters
        ----------
        window : sequence of int
            Token ids, one special token at each end.
        columns : sequence of int

        Returns
        -------
        list of ndarray
            float64, shape (len(window) - 2,), for each column: :func:`guard.filters.path_gradient.path_slopes`.

        Raises
        ------
        FilterError
            A gradient that is not finite.
        """
        with torch.inference_mode():
            states = self._model.lower(*self._model.padded([window], len(window)))
        return path_slopes(states, self._model.absent, self._model.upper, columns)


def _scores(logits: npt.NDArray[np.float64]) -> Scores:
    """Map logits to scores, in float64, where exp cannot overflow for what clip lets through."""
    scores: Scores = (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
    return scores
