"""What training leaves behind: the updates by themselves, and a whole model that plain Transformers opens."""

from __future__ import annotations

import copy
import inspect
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard import cache
from guard.errors import ConfigError, OutputError
from guard.train.generator.adapter import Adapted

__all__ = ["ADAPTER", "MERGED", "merged_model", "require_free", "save", "write_beside", "write_merged"]

ADAPTER, MERGED = "adapter", "model"
"""Folders inside the one that is written."""


def require_free(out: Path) -> None:
    """Refuse a folder that holds something already, before an hour of work.

    Raises
    ------
    ConfigError
        It is a file, or a folder with something in it.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already: name a folder that is new or empty")


def merged_model(adapted: Adapted) -> Any:
    """Return a copy of the model with the updates added into its weights; `adapted` stays as it is.

    The sums are taken in float32 and rounded once to the precision of the model, which attends as the original did.
    """
    import torch

    wrapped = copy.deepcopy(adapted.wrapped)
    for module in wrapped.modules():
        if hasattr(module, "lora_A") and hasattr(module, "get_base_layer"):
            with torch.no_grad():
                _add_update(module)
    merged = wrapped.unload()
    merged.set_attn_implementation(adapted.attention)
    # As when a model is loaded: with frozen bfloat16 weights PyTorch took 1.5 times as long for a token on a CPU.
    merged.requires_grad_(True)
    return merged


def _add_update(module: Any) -> None:
    """Add the update of a layer into its weight."""
    weight = module.get_base_layer().weight
    for name in module.active_adapters:
        summed = weight.float() + module.get_delta_weight(name).float()
        lengths = getattr(module, "lora_magnitude_vector", {})
        if name in lengths:
            # DoRA (Liu et al. 2024, arXiv 2402.09353, equation 5): each output's weights get the learnt length.
            transposed = bool(getattr(module, "fan_in_fan_out", False))
            length = lengths[name].weight.float() / summed.norm(dim=0 if transposed else 1)
            summed = summed * (length[None, :] if transposed else length[:, None])
        weight.copy_(summed.to(weight.dtype))


def save(
    adapted: Adapted,
    tokenizer: Any,
    out: Path,
    *,
    base: Path,
    card: str,
    record: Mapping[str, object],
    record_name: str = "hardening.json",
) -> None:
    """Write the updates and the merged model, with their card; the folder is there whole or not at all.

    Parameters
    ----------
    adapted : Adapted
    tokenizer : transformers.PreTrainedTokenizerBase
    out : pathlib.Path
        Must be new or empty.
    base : pathlib.Path
        The folder of the original, whose tokenizer, template and configuration files are taken over byte by byte.
    card : str
        Markdown, written beside both.
    record : mapping of str to object
        Written as JSON.
    record_name : str
        Of its file.

    Raises
    ------
    ConfigError
        `out` holds something already.
    OutputError
        It cannot be written.
    """
    require_free(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with cache.staging(out.parent) as staged:
            folder = staged / "all"
            adapted.wrapped.save_pretrained(str(folder / ADAPTER), safe_serialization=True)
            write_merged(merged_model(adapted), tokenizer, folder / MERGED, base=base)
            for place in (folder / ADAPTER, folder / MERGED):
                write_beside(place, card, record, record_name=record_name)
            if out.is_dir():
                out.rmdir()
            cache.place(staged / "all", out)
    except OSError as error:
        raise OutputError(f"cannot write {out} ({error.strerror}): make room, or name another folder") from error


def write_merged(model: Any, tokenizer: Any, folder: Path, *, base: Path) -> None:
    """Write a whole model that plain Transformers opens.

    Parameters
    ----------
    model : transformers.PreTrainedModel
    tokenizer : transformers.PreTrainedTokenizerBase
    folder : pathlib.Path
    base : pathlib.Path
        The folder of the original, whose tokenizer, template and configuration files are taken over byte by byte, but
        for the names of inputs where the tokenizer has none.
    """
    model.save_pretrained(str(folder), safe_serialization=True)
    tokenizer.save_pretrained(str(folder))
    _take_over(base, folder)
    _name_inputs(model, folder / "tokenizer_config.json")


def _name_inputs(model: Any, file: Path) -> None:
    """Keep a tokenizer that names no inputs from making some that the model does not take, such as token types."""
    if not file.exists() or "token_type_ids" in inspect.signature(model.forward).parameters:
        return
    config = json.loads(file.read_text(encoding="utf-8"))
    if "model_input_names" not in config:
        config["model_input_names"] = ["input_ids", "attention_mask"]
        file.write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_beside(folder: Path, card: str, record: Mapping[str, object], *, record_name: str) -> None:
    """Write a card and a record beside a model."""
    content = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    (folder / record_name).write_text(content, encoding="utf-8")


_TAKEN = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*", "merges.txt",
          "*.model", "generation_config.json", "config.json", "LICENSE*", "NOTICE*")  # fmt: skip


def _take_over(base: Path, folder: Path) -> None:
    """Copy what does not change, so that no version of Transformers rewrites it on the way."""
    for pattern in _TAKEN:
        for file in base.glob(pattern):
            if file.is_file():
                shutil.copy2(file, folder / file.name)
