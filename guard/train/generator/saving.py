"""What hardening leaves behind: the updates by themselves, and a whole model that plain Transformers opens."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard import cache
from guard.errors import ConfigError, OutputError
from guard.train.generator.adapter import Adapted

__all__ = ["ADAPTER", "MERGED", "merged_model", "require_free", "save"]

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
            weight = module.get_base_layer().weight
            with torch.no_grad():
                for name in module.active_adapters:
                    summed = weight.float() + module.get_delta_weight(name).float()
                    weight.copy_(summed.to(weight.dtype))
    merged = wrapped.unload()
    merged.set_attn_implementation(adapted.attention)
    return merged


def save(adapted: Adapted, tokenizer: Any, out: Path, *, base: Path, card: str, record: Mapping[str, object]) -> None:
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
        Written as ``hardening.json``.

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
            _write(adapted, tokenizer, staged / "all", base=base, card=card, record=record)
            if out.is_dir():
                out.rmdir()
            cache.place(staged / "all", out)
    except OSError as error:
        raise OutputError(f"cannot write {out} ({error.strerror}): make room, or name another folder") from error


def _write(
    adapted: Adapted, tokenizer: Any, folder: Path, *, base: Path, card: str, record: Mapping[str, object]
) -> None:
    content = json.dumps(record, ensure_ascii=False, indent=2) + "\n"
    adapted.wrapped.save_pretrained(str(folder / ADAPTER), safe_serialization=True)
    model = merged_model(adapted)
    model.save_pretrained(str(folder / MERGED), safe_serialization=True)
    tokenizer.save_pretrained(str(folder / MERGED))
    _take_over(base, folder / MERGED)
    for place in (folder / ADAPTER, folder / MERGED):
        (place / "README.md").write_text(card, encoding="utf-8")
        (place / "hardening.json").write_text(content, encoding="utf-8")


_TAKEN = ("tokenizer*", "special_tokens_map.json", "added_tokens.json", "chat_template*", "vocab*", "merges.txt",
          "*.model", "generation_config.json", "config.json", "LICENSE*", "NOTICE*")  # fmt: skip


def _take_over(base: Path, folder: Path) -> None:
    """Copy what does not change, so that no version of Transformers rewrites it on the way."""
    for pattern in _TAKEN:
        for file in base.glob(pattern):
            if file.is_file():
                shutil.copy2(file, folder / file.name)
