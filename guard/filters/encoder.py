"""The encoder filter: one pass of a small BERT with merged low-rank updates, read by several heads at once."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from guard import assets
from guard.canonical import canonicalize
from guard.errors import AssayError, FilterError
from guard.filters.bert import BertShape, hidden_states, linear_names, load_bert
from guard.filters.heads import head_logits
from guard.filters.windows import length_batches, window_token_ids
from guard.schema import Scores

__all__ = ["SHIPPED_WEIGHTS", "EncoderFilter"]

SHIPPED_WEIGHTS = Path(__file__).parent / "weights" / "encoder"
"""Folder of the adapter and heads that ship with the package, beside their model card."""

_WIDTH_STEP = 16
_LONG_RUN = re.compile(r"(\S{64})(?=\S)")
_DTYPES: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class _Model:
    """Merged weights and everything that the forward pass needs."""

    tokenizer: Tokenizer
    shape: BertShape
    weights: Mapping[str, Tensor]
    heads: Mapping[str, Tensor]
    device: torch.device

    def linear(self, name: str, x: Tensor) -> Tensor:
        """Apply a merged linear layer."""
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


class EncoderFilter:
    """Scores text for toxicity, attacks on identity, jailbreaks, harmful requests and refusals.

    Parameters
    ----------
    model : _Model
        Of :meth:`load`.
    name : str
    categories : tuple of str
    window, stride : int
        Tokens of a window and from one window to the next, special tokens not counted.
    token_budget : int
        Most padded tokens of one forward pass.

    Notes
    -----
    Text is canonicalised, cut into overlapping windows (never truncated) and each category takes its highest window.
    A window is padded to the next multiple of 16 tokens and batched only with windows of the same padded width, so
    the shape of its computation, and with it every bit of its float32 score on a CPU, does not depend on the batch.

    Examples
    --------
    >>> from guard.filters.encoder import EncoderFilter
    >>> encoder = EncoderFilter.load()  # doctest: +SKIP
    >>> encoder.score_batch(["have a nice day"]).shape  # doctest: +SKIP
    (1, 5)
    """

    def __init__(
        self,
        model: _Model,
        *,
        name: str,
        categories: tuple[str, ...],
        window: int,
        stride: int,
        token_budget: int = 4096,
    ) -> None:
        self._model, self._name, self._categories = model, name, categories
        self._window = min(window, model.shape.max_positions - 2)
        self._stride = min(stride, self._window)
        self._token_budget = token_budget

    @classmethod
    def load(
        cls, *, base: Path | None = None, weights: Path | None = None, device: str = "auto", dtype: str = "float32"
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
        dtype : {"float32", "bfloat16", "float16"}
            Of the forward pass. Scores are float32 either way; only float32 promises bit-identical rows.

        Raises
        ------
        FilterError
            A file is missing or broken, or the adapter does not fit the encoder, or the device or dtype is unknown.
        AssetError
            The asset could not be had.
        """
        folder = SHIPPED_WEIGHTS if weights is None else weights
        source = assets.path("minilm") if base is None else base
        try:
            return cls._assemble(source, folder, device=_device(device), dtype=_dtype(dtype))
        except AssayError:
            raise
        except Exception as error:
            raise FilterError(f"encoder filter: cannot load {folder} on top of {source} ({error})") from error

    @classmethod
    def _assemble(cls, base: Path, folder: Path, *, device: torch.device, dtype: torch.dtype) -> EncoderFilter:
        """Read both folders and put the filter together."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        adapter = {name: value.float() for name, value in load_file(folder / "encoder.safetensors").items()}
        shape, frozen = load_bert(base)
        merged = _merge(frozen, adapter, names=linear_names(shape), scale=float(config["scale"]))
        tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        model = _Model(
            tokenizer=tokenizer,
            shape=shape,
            weights={name: value.to(device, dtype) for name, value in merged.items()},
            heads={part: adapter[f"heads.{part}"].to(device) for part in ("query", "value", "bias")},
            device=device,
        )
        return cls(
            model,
            name=f"encoder@{_digest(base, folder)}",
            categories=tuple(config["categories"]),
            window=int(config["window"]),
            stride=int(config["stride"]),
        )

    @property
    def name(self) -> str:
        """``encoder@`` and 12 hexadecimal digits over the adapter, its configuration, the base and the tokenizer."""
        return self._name

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`score_batch`."""
        return self._categories

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
            windows, owners = self._windows(items)
            logits = self._logits(windows)
        except Exception as error:
            raise FilterError(f"filter {self._name}: cannot score {len(items)} items ({error})") from error
        highest = np.full((len(items), len(self._categories)), -np.inf)
        np.maximum.at(highest, owners, logits)
        # In float64, where exp cannot overflow for any float32 logit that clip lets through.
        scores: Scores = (1 / (1 + np.exp(-np.clip(highest, -60, 60)))).astype(np.float32)
        return scores

    def _windows(self, items: Sequence[str]) -> tuple[list[list[int]], list[int]]:
        """Return the token ids of all windows with special tokens, and the item that each belongs to."""
        tokenizer = self._model.tokenizer
        begin, end = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
        # A run of over 100 characters is one unknown token to WordPiece: a place to hide, so it is broken up.
        # A typeset apostrophe is another token than the typewriter's, which public text mostly has.
        texts = [_LONG_RUN.sub(r"\1 ", canonicalize(item).text.replace("\u2019", "'")) for item in items]
        windows: list[list[int]] = []
        owners: list[int] = []
        for owner, encoding in enumerate(tokenizer.encode_batch(texts, add_special_tokens=False)):
            for ids in window_token_ids(encoding.ids, size=self._window, stride=self._stride):
                windows.append([begin, *ids, end])
                owners.append(owner)
        return windows, owners

    def _logits(self, windows: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
        """Return the logits of all windows, shape (n_windows, n_categories)."""
        logits = np.zeros((len(windows), len(self._categories)))
        widths = [-(-len(window) // _WIDTH_STEP) * _WIDTH_STEP for window in windows]
        for width in sorted(set(widths)):
            same = [index for index, other in enumerate(widths) if other == width]
            for group in length_batches([width] * len(same), token_budget=self._token_budget):
                rows = [same[index] for index in group]
                logits[rows] = self._forward(
                    [windows[row] for row in rows], min(width, self._model.shape.max_positions)
                )
        return logits

    @torch.inference_mode()
    def _forward(self, windows: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.float32]:
        """Run the encoder and heads over windows padded to one width."""
        model = self._model
        padded = torch.tensor([[*window, *[0] * (width - len(window))] for window in windows], device=model.device)
        lengths = torch.tensor([len(window) for window in windows], device=model.device)
        mask = torch.arange(width, device=model.device)[None, :] < lengths[:, None]
        hidden = hidden_states(padded, mask, weights=model.weights, shape=model.shape, linear=model.linear)
        logits: npt.NDArray[np.float32] = head_logits(hidden.float(), mask, **model.heads).cpu().numpy()
        return logits


def _device(name: str) -> torch.device:
    """Resolve a device name."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise FilterError(f"device {name!r} is unknown; give auto, cpu or cuda") from error


def _dtype(name: str) -> torch.dtype:
    """Resolve a dtype name."""
    if name not in _DTYPES:
        raise FilterError(f"dtype {name!r} is unknown; give one of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def _merge(
    frozen: Mapping[str, Tensor], adapter: Mapping[str, Tensor], *, names: Sequence[str], scale: float
) -> dict[str, Tensor]:
    """Add ``scale * b @ a`` to the weight of every linear layer (Hu et al. 2022, LoRA, section 4.1)."""
    merged = dict(frozen)
    for name in names:
        update = scale * (adapter[f"lora.{name}.b"] @ adapter[f"lora.{name}.a"])
        merged[f"{name}.weight"] = frozen[f"{name}.weight"] + update
    return merged


@functools.lru_cache(maxsize=8)
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    """Hash a file once in a process; size and time of change tell a new file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _digest(base: Path, folder: Path) -> str:
    """Hash everything that a score depends on, in 12 hexadecimal digits."""
    files = (
        folder / "encoder.safetensors",
        folder / "config.json",
        base / "model.safetensors",
        base / "tokenizer.json",
    )
    parts = []
    for path in files:
        stat = path.stat()
        parts.append(_file_digest(path.resolve(), stat.st_size, stat.st_mtime_ns))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
