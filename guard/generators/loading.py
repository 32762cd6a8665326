"""A model folder, here or on the hub -> weights and tokenizer in memory, on their device."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from guard.errors import ConfigError, DataError

__all__ = [
    "CONTROL_CODES",
    "folder_digest",
    "folder_prefix",
    "hub_snapshot",
    "load_model",
    "pick_device",
    "pick_dtype",
]

CONTROL_CODES = "control_codes.json"
"""File beside the weights of a model that learnt control codes; its ``prefix`` goes in front of every prompt."""

_HASHED = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
           "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "vocab.json",
           "vocab.txt", "merges.txt", "spiece.model", CONTROL_CODES)  # fmt: skip


def pick_device(device: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device.

    Raises
    ------
    ConfigError
        When CUDA is asked for and there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda was asked for, but PyTorch sees no CUDA device; use --device cpu or auto")
    return torch.device(device)


def pick_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """Turn ``auto``, ``bfloat16``, ``float16`` or ``float32`` into a dtype.

    ``auto`` is bfloat16 where the hardware multiplies it natively, else float32.
    """
    if dtype != "auto":
        chosen = getattr(torch, dtype)
        assert isinstance(chosen, torch.dtype)
        return chosen
    native = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


def folder_digest(folder: Path) -> str:
    """Return the SHA-256, in hex, over the names and contents of a model folder's weights and tokenizer."""
    digest = hashlib.sha256()
    for file in sorted({f for pattern in _HASHED for f in folder.glob(pattern) if f.is_file()}):
        digest.update(f"{file.name}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


def folder_prefix(folder: Path) -> str:
    """Return the control code that a model was trained to be asked with; empty where there is none.

    Raises
    ------
    DataError
        Its file cannot be read.
    """
    file = folder / CONTROL_CODES
    if not file.is_file():
        return ""
    try:
        prefix = json.loads(file.read_text(encoding="utf-8"))["prefix"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is damaged ({error}): write it again, or delete it to use no control code") from error
    if not isinstance(prefix, str):
        raise DataError(f"{file}: the prefix is {type(prefix).__name__}, not text; write it again")
    return prefix


def load_model(folder: Path, *, device: torch.device, dtype: str = "auto") -> tuple[Any, Any]:
    """Load a causal language model and its tokenizer from a local Transformers folder.

    Parameters
    ----------
    folder : pathlib.Path
    device : torch.device
    dtype : str
        As :func:`pick_dtype` takes it.

    Returns
    -------
    model : transformers.PreTrainedModel
        In evaluation mode, without the sampling defaults that came with it.
    tokenizer : transformers.PreTrainedTokenizerBase

    Raises
    ------
    DataError
        When it holds no causal language model that can be read, or lacks weights.
    """
    try:
        # A model is data: code that a folder brings along is never run.
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        model, found = AutoModelForCausalLM.from_pretrained(
            folder, dtype=pick_dtype(dtype, device), trust_remote_code=False, output_loading_info=True
        )
        model = model.to(device).eval()
    except Exception as error:  # the library raises OSError, ValueError, KeyError, SafetensorError and more
        raise DataError(
            f"cannot load a causal language model from the folder {folder}: {_first_line(error)}"
        ) from error
    if found["missing_keys"]:  # the library fills them with random numbers
        lacking = ", ".join(sorted(found["missing_keys"])[:3])
        raise DataError(f"the folder {folder} lacks weights of its model ({lacking}); get it again, whole")
    _drop_sampling_defaults(model)
    return model, tokenizer


def _drop_sampling_defaults(model: Any) -> None:
    """Keep the special tokens of a model's own configuration only: generate() fills ours up with the rest of it."""
    own = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )


def hub_snapshot(model: str) -> Path:
    """Return the local folder of a hub model, fetching it first where it is not there.

    Raises
    ------
    ConfigError
        When the hub does not give it, or cannot be reached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, ignore_patterns=["*.msgpack", "*.h5", "*.onnx", "*.gguf", "*.ot"]))
    except Exception as error:  # HTTP, validation, offline and I/O errors of several libraries
        raise ConfigError(
            f"unknown model {model!r}: it is no asset, local folder or GGUF file, and the hub did not give it"
            f" ({_first_line(error)}); check the name, or the network"
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:200]
