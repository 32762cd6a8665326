"""Checkpoints of Transformers as filters use them: found, digested, loaded whole, tokenized and run within memory."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from guard.errors import ConfigError, DataError, FilterError

__all__ = [
    "Checkpoint",
    "Encoder",
    "find_folder",
    "in_halves",
    "model_positions",
    "open_checkpoint",
    "same_width_batches",
    "settings_digest",
    "special_frame",
]

R = TypeVar("R")

_HASHED = (
    *("*.safetensors", "*.bin", "config.json", "tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    *("special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab.json", "vocab.txt", "merges.txt"),
    *("spiece.model", "sentencepiece.bpe.model"),
)
_IGNORED = ("*.msgpack", "*.h5", "*.onnx", "*.gguf", "*.ot", "*.pth", "original/*", "onnx/*", "openvino/*")
_HUB_ID = re.compile(r"(?P<id>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?")
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_WIDTH_STEP = 16
_UNKNOWN_POSITIONS = 512


@dataclass(frozen=True)
class Checkpoint:
    """A model in evaluation mode with its tokenizer.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one.
    digest : str
        SHA-256, in hex, over weights, configuration, tokenizer and chat template.
    source : str
        As the user named it.
    """

    model: Any
    tokenizer: Any
    digest: str
    source: str


def find_folder(source: str | Path) -> Path:
    """Return the local folder of a checkpoint, fetching it from the hub where it is no folder.

    Parameters
    ----------
    source : str or Path
        A folder, or a hub id such as ``org/name``, or ``org/name@revision`` to pin what is fetched.

    Raises
    ------
    ConfigError
        When it is neither, or the hub does not give it.
    """
    try:
        if Path(source).is_dir():
            return Path(source)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{str(source)[:80]!r} cannot be the path of a model ({type(error).__name__})") from error
    match = _HUB_ID.fullmatch(str(source))
    if match is None:
        raise ConfigError(f"{str(source)[:80]!r} is neither a folder nor a hub id; give one of both")
    from huggingface_hub import snapshot_download

    try:
        # A model is data: what it brings along as code is not even fetched.
        return Path(snapshot_download(match["id"], revision=match["revision"], ignore_patterns=[*_IGNORED, "*.py"]))
    except Exception as error:  # HTTP, validation, offline and I/O errors of several libraries
        reason = f"{type(error).__name__}: {_first_line(error)}"
        raise ConfigError(
            f"{source}: there is no such folder, and the hub did not give it ({reason});"
            " check the name and the network, or give the folder of a downloaded model"
        ) from error


def open_checkpoint(source: str | Path, auto_class: Any, *, device: str, dtype: str, half_on_gpu: bool) -> Checkpoint:
    """Load a model and its tokenizer.

    Parameters
    ----------
    source : str or Path
        A folder or a hub id.
    auto_class : type
        Such as ``transformers.AutoModelForSequenceClassification``.
    device : str
        ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.
    dtype : {"auto", "float32", "bfloat16", "float16"}
        ``auto`` is float32, or what `half_on_gpu` says.
    half_on_gpu : bool
        Whether ``auto`` is bfloat16 on a GPU: for models that do not fit it otherwise.

    Raises
    ------
    ConfigError
        The source, the device or the dtype cannot be had.
    DataError
        The folder holds no such model, or lacks a part of it. A head that is not in the file is such a lack: the
        library would fill it with random numbers.
    """
    from transformers import AutoTokenizer

    folder, place = find_folder(source), _device(device)
    if not (folder / "config.json").is_file():
        raise DataError(f"{folder} holds no config.json, so it is no model folder; give one that save_pretrained wrote")
    precision = _dtype(dtype, place, half_on_gpu=half_on_gpu)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, found = auto_class.from_pretrained(
            folder, dtype=precision, trust_remote_code=False, output_loading_info=True
        )
        model = model.to(place).eval()
    except Exception as error:  # the library raises OSError, ValueError, KeyError, SafetensorError and more
        raise DataError(f"{folder} cannot be loaded by {auto_class.__name__}: {_first_line(error)}") from error
    _check_whole(folder, found)
    return Checkpoint(model, tokenizer, _folder_digest(folder), str(source))


def _check_whole(folder: Path, found: Mapping[str, Any]) -> None:
    """Refuse weights that the library made up."""
    lacking = sorted([*found["missing_keys"], *(str(key[0]) for key in found["mismatched_keys"])])
    if lacking:
        some = ", ".join(lacking[:3])
        raise DataError(f"{folder} lacks weights of its model ({some}); give a whole, fine-tuned checkpoint")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if re.fullmatch(r"cpu|cuda(:\d+)?", name) is None:
        raise ConfigError(f"device {name!r} is unknown; give auto, cpu, cuda or cuda:N")
    if name != "cpu" and not torch.cuda.is_available():
        raise ConfigError(f"device {name} was asked for, but PyTorch sees no CUDA device; give auto or cpu")
    return torch.device(name)


def _dtype(name: str, device: torch.device, *, half_on_gpu: bool) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and half_on_gpu else torch.float32
    if name not in _DTYPES:
        raise ConfigError(f"dtype {name!r} is unknown; give auto, {', '.join(_DTYPES)}")
    return _DTYPES[name]


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted({f for pattern in _HASHED for f in folder.glob(pattern) if f.is_file()}):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def settings_digest(checkpoint: Checkpoint, settings: object) -> str:
    """Return 12 hexadecimal digits over a checkpoint and everything else that its scores depend on."""
    text = json.dumps([checkpoint.digest, settings], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class Encoder:
    """A tokenizer of one's own: nothing is cut off or padded, and threads may share it.

    Transformers keeps truncation, padding and the handling of special tokens as state of the one tokenizer that all
    callers share, so two threads can disturb each other; this works on private copies.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    name : str
        For errors.

    Raises
    ------
    ConfigError
        When it is not a fast tokenizer.
    """

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if not isinstance(backend, Tokenizer):
            raise ConfigError(
                f"{name}: {type(tokenizer).__name__} is no fast tokenizer; the folder needs tokenizer.json"
            )
        self._plain, self._marked = (Tokenizer.from_str(backend.to_str()) for _ in range(2))
        for copy in (self._plain, self._marked):
            copy.no_truncation()
            copy.no_padding()
        self._plain.encode_special_tokens = True
        self._marked.encode_special_tokens = False

    def plain(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode text that comes from outside: ``[SEP]`` or ``<|eot|>`` in it are characters, not control tokens."""
        return [encoding.ids for encoding in self._plain.encode_batch(list(texts), add_special_tokens=False)]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Return the character range of each token of :meth:`plain`."""
        offsets: list[tuple[int, int]] = self._plain.encode(text, add_special_tokens=False).offsets
        return offsets

    def marked(self, text: str) -> list[int]:
        """Encode text of our own making, whose control tokens mean what they say."""
        ids: list[int] = self._marked.encode(text, add_special_tokens=False).ids
        return ids


def special_frame(tokenizer: Any, encoder: Encoder) -> tuple[list[int], list[int]]:
    """Return the special tokens that a tokenizer puts before and after a text.

    Raises
    ------
    ConfigError
        When it does not put them around the text.
    """
    bare = encoder.plain(["a"])[0]
    whole = list(tokenizer("a")["input_ids"])
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    raise ConfigError(f"{type(tokenizer).__name__} does not put its special tokens around the text; it cannot be used")


def model_positions(model: Any) -> int:
    """Return how many tokens a model has positions for; 512 where it does not say."""
    config = model.config
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if not positions or positions < 1:
        return _UNKNOWN_POSITIONS
    # RoBERTa and its family number positions from behind the padding token's, and so lose some.
    table = next((part for name, part in model.named_modules() if name.endswith("position_embeddings")), None)
    padding = getattr(table, "padding_idx", None)
    return int(positions) if padding is None else int(positions) - int(padding) - 1


def same_width_batches(
    lengths: Sequence[int], *, token_budget: int, longest: int, step: int = _WIDTH_STEP
) -> list[tuple[int, list[int]]]:
    """Group sequences that are padded to the same width, so that a row's computation does not depend on its batch.

    Parameters
    ----------
    lengths : sequence of int
        Tokens of each sequence.
    token_budget : int
        Most padded tokens of a batch; a longer sequence is a batch of its own.
    longest : int
        Most tokens that the model takes.
    step : int
        Widths are multiples of it: a small one pads less, a large one makes fewer batches.

    Returns
    -------
    list of (int, list of int)
        Padded width, and positions in `lengths`. Shortest first.

    Examples
    --------
    >>> same_width_batches([3, 20, 5, 1], token_budget=32, longest=24)
    [(16, [0, 2]), (16, [3]), (24, [1])]
    """
    widths = [min(-(-max(1, length) // step) * step, max(longest, length)) for length in lengths]
    batches: list[tuple[int, list[int]]] = []
    for width in sorted(set(widths)):
        rows = [index for index, other in enumerate(widths) if other == width]
        size = max(1, token_budget // width)
        batches += [(width, rows[start : start + size]) for start in range(0, len(rows), size)]
    return batches


def in_halves(
    rows: Sequence[R], forward: Callable[[Sequence[R]], npt.NDArray[np.float64]], *, name: str
) -> npt.NDArray[np.float64]:
    """Run a batch, and its halves where memory runs out.

    Parameters
    ----------
    rows : sequence
        At least one.
    forward : callable
        From rows to an array whose first axis is the rows.
    name : str
        Of the filter, for the error.

    Raises
    ------
    FilterError
        When one row alone does not fit.
    """
    try:
        return forward(rows)
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        if len(rows) == 1:
            raise FilterError(f"filter {name}: out of memory with one text; give a smaller window or model") from error
    # Outside the handler, where the traceback no longer holds the tensors of the batch that failed.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    middle = len(rows) // 2
    parts = [in_halves(part, forward, name=name) for part in (rows[:middle], rows[middle:])]
    return np.concatenate(parts)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
