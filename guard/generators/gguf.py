"""A GGUF file converted, once, to a folder that plain Transformers opens in any version from 4.57 on."""

from __future__ import annotations

import errno
import hashlib
import json
import mmap
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from guard import cache
from guard.errors import DataError, GeneratorError
from guard.generators.gguf_tokenizer import TokenizerSpec, build_tokenizer, read_tokenizer_spec, tokenizer_config

__all__ = ["convert"]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
# Sizes of the values of GGUF metadata, in bytes, by their type; the least one for a string and for an array.
_VALUE_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 8: 8, 9: 12, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_MOST_NESTED = 2  # arrays of arrays of scalars; known files hold none deeper
_MOST_DIMENSIONS = 8  # GGML has four
_RECORD = "conversion.json"
_FORMAT = 1
"""Raised when a conversion comes out differently, so that older ones are made again."""


def convert(gguf: Path, out: Path | None = None) -> Path:
    """Convert a GGUF file to safetensors in bfloat16, with config and tokenizer beside them.

    The weights are dequantised by Transformers. The tokenizer, its special tokens and the chat template are built
    from the metadata of the file. Converted once: a second call returns at once, and a second process waits.

    Parameters
    ----------
    gguf : pathlib.Path
        A GGUF file of a causal language model whose architecture the installed Transformers knows.
    out : pathlib.Path, optional
        The folder to make; by default one under :func:`guard.cache.cache_dir`, named by the file's SHA-256.

    Returns
    -------
    pathlib.Path
        A folder for ``AutoModelForCausalLM.from_pretrained`` and ``AutoTokenizer.from_pretrained``.

    Raises
    ------
    DataError
        The file is missing, cut short or no GGUF file, or `out` holds something else already.
    GeneratorError
        An architecture or a tokenizer that cannot be converted rightly.
    AssetError
        The folder cannot be written, or the disk is full.
    """
    _check_magic(gguf)
    digest = _sha256(gguf)
    converted = cache.cache_dir() / "converted"
    target = out or converted / f"{digest[:32]}-{_FORMAT}"
    with cache.clear_errors(target.parent):
        if _is_whole(target, digest, ours=out is None):
            return target
    with cache.locked(converted), cache.clear_errors(target.parent):
        if _is_whole(target, digest, ours=out is None):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        # What a killed conversion left, in a user's folder too: hidden, of our own prefix, and nobody else's.
        cache.sweep(target.parent)
        with cache.staging(target.parent) as staged:
            _build(gguf, digest, staged / "model")
            cache.place(staged / "model", target)
    return target


def _is_whole(target: Path, digest: str, *, ours: bool) -> bool:
    """Say whether `target` is this file's conversion already; raise rather than replace what a user has there."""
    if not target.is_dir() or not any(target.iterdir()):
        return False
    try:
        record = json.loads((target / _RECORD).read_text(encoding="utf-8"))
        same = (record["source_sha256"], record["format"]) == (digest, _FORMAT)
        whole = same and all((target / name).stat().st_size == size for name, size in record["bytes"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole and not ours:
        raise DataError(f"{target} is not empty and no whole conversion of {digest[:12]}...: name another folder")
    return whole


def _sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in sorted(folder.iterdir())}


def _check_magic(gguf: Path) -> None:
    try:
        with gguf.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise DataError(f"cannot read the GGUF file {gguf} ({error.strerror}): check the path") from error
    if magic != _MAGIC:
        raise DataError(f"{gguf} is no GGUF file: it begins with {magic!r}, not {_MAGIC!r}")


def _sha256(file: Path) -> str:
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _build(gguf: Path, digest: str, staged: Path) -> None:
    """Write everything into the folder `staged`, the cheap part first so that a refusal comes early."""
    metadata = _read_metadata(gguf)
    spec = read_tokenizer_spec(metadata)
    staged.mkdir()
    (staged / "tokenizer.json").write_text(build_tokenizer(spec).to_str(), encoding="utf-8")
    context = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    length = context if isinstance(context, int) else None
    _write_json(staged / "tokenizer_config.json", tokenizer_config(spec, max_length=length))
    _save_model(gguf, staged)
    _mend_configs(staged, spec, metadata)
    record = {"source": gguf.name, "source_sha256": digest, "format": _FORMAT, "bytes": _sizes(staged)}
    _write_json(staged / _RECORD, record)


def _read_metadata(gguf: Path) -> dict[str, object]:
    """Read every key of the file, and touch its tensors, so that a file that is cut short shows here."""
    from gguf import GGUFReader

    try:
        n_tensors = _walk_header(gguf)
        reader = GGUFReader(gguf)
        metadata = {key: field.contents() for key, field in reader.fields.items()}
        _check_sizes(metadata, n_tensors, gguf.stat().st_size)
        return metadata
    except (ValueError, IndexError, KeyError, TypeError, ArithmeticError, MemoryError, struct.error) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{gguf} is a damaged GGUF file, cut short perhaps ({reason}): get it again") from error


def _walk_header(gguf: Path) -> int:
    """Return the number of tensors; raise ValueError where a count or a length says more than the file can hold.

    GGUFReader believes them, and fills the memory.
    """
    with gguf.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return _HeaderWalk(data).run()


class _HeaderWalk:
    """One pass over the header, after docs/gguf.md of the ggml repository."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._size, self._place = data, len(data), len(_MAGIC)
        # A file of the other byte order shows it in the version, which is a small number.
        order = "<" if self._number(struct.Struct("<I")) & 0xFFFF else ">"
        self._u32, self._u64 = struct.Struct(f"{order}I"), struct.Struct(f"{order}Q")
        version = self._u32.unpack_from(data, len(_MAGIC))[0]
        if version not in _VERSIONS:
            raise ValueError(f"its version is {version}, known are 2 and 3")

    def run(self) -> int:
        n_tensors, n_keys = self._number(self._u64), self._number(self._u64)
        self._fit(n_keys, 8 + 4 + 1, "keys")
        for _ in range(n_keys):
            self._text()
            self._value(self._number(self._u32), 0)
        self._fit(n_tensors, 8 + 4 + 4 + 8, "tensors")
        for _ in range(n_tensors):
            self._text()
            n_dimensions = self._number(self._u32)
            if n_dimensions > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor has {n_dimensions} dimensions")
            self._skip(n_dimensions, 8, "dimensions")
            self._skip(1, 4 + 8, "types and offsets")
        return n_tensors

    def _fit(self, count: int, size: int, what: str) -> None:
        if count * size > self._size - self._place:
            raise ValueError(f"it announces {count} {what} at byte {self._place} and ends at {self._size}")

    def _skip(self, count: int, size: int, what: str) -> None:
        self._fit(count, size, what)
        self._place += count * size

    def _number(self, kind: struct.Struct) -> int:
        start = self._place
        self._skip(1, kind.size, "numbers")
        number: int = kind.unpack_from(self._data, start)[0]
        return number

    def _text(self) -> None:
        self._skip(self._number(self._u64), 1, "bytes of text")

    def _value(self, kind: int, depth: int) -> None:
        if kind not in _VALUE_SIZES:
            raise ValueError(f"a value is of the unknown type {kind}")
        if kind == _STRING:
            self._text()
        elif kind == _ARRAY:
            self._array(depth + 1)
        else:
            self._skip(1, _VALUE_SIZES[kind], "values")

    def _array(self, depth: int) -> None:
        if depth > _MOST_NESTED:
            raise ValueError(f"arrays are nested more than {_MOST_NESTED} deep")
        kind, count = self._number(self._u32), self._number(self._u64)
        size = _VALUE_SIZES.get(kind)
        if size is None:
            raise ValueError(f"an array is of the unknown type {kind}")
        self._fit(count, size, "values")
        if kind not in (_STRING, _ARRAY):
            self._skip(count, size, "values")
            return
        for _ in range(count):
            self._value(kind, depth)


def _check_sizes(metadata: Mapping[str, object], n_tensors: int, n_bytes: int) -> None:
    """Refuse a model of more layers than tensors, or wider than the file is long: Transformers would build it."""
    architecture = metadata.get("general.architecture")
    bounds = {"block_count": n_tensors, "embedding_length": n_bytes, "feed_forward_length": n_bytes}
    for name, bound in bounds.items():
        value = metadata.get(f"{architecture}.{name}", 0)
        widest = max(value, default=0) if isinstance(value, list) else value
        if not isinstance(widest, int) or not 0 <= widest <= bound:
            raise ValueError(f"its {name} is {str(value)[:40]}")


def _save_model(gguf: Path, staged: Path) -> None:
    """Let Transformers read the weights, and save them as an ordinary model."""
    import torch
    import transformers

    version = transformers.__version__
    # From 5.x on weights may stay packed, which cannot be saved; earlier there is nothing to ask for.
    packing = getattr(transformers, "GgufConfig", None)
    extra = {} if packing is None else {"quantization_config": packing(dequantize=True)}
    try:
        model = transformers.AutoModelForCausalLM.from_pretrained(
            str(gguf.parent.absolute()), gguf_file=gguf.name, dtype=torch.bfloat16, local_files_only=True, **extra
        )
        _take_marks_off(model)
        model.save_pretrained(str(staged), safe_serialization=True)
    except Exception as error:  # its loaders raise whatever the file's content leads them to
        if cache.tells_no_room(str(error)):
            raise OSError(errno.ENOSPC, "No space left on device") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GeneratorError(
            f"transformers {version} cannot convert {gguf.name} ({reason[:200]}): try another version of transformers, "
            "or the model's original folder in the Hugging Face format"
        ) from error


def _take_marks_off(model: Any) -> None:
    """Make Transformers 5.x forget that the weights were quantised, or it refuses to save them."""
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config


def _mend_configs(staged: Path, spec: TokenizerSpec, metadata: Mapping[str, object]) -> None:
    """Rewrite config.json and generation_config.json so that 4.57 and 5.x read them alike."""
    config = json.loads((staged / "config.json").read_text(encoding="utf-8"))
    ids = {"bos_token_id": spec.bos, "eos_token_id": spec.eos, "pad_token_id": spec.pad}
    known = {name: index for name, index in ids.items() if index is not None}
    kept = {key: value for key, value in config.items() if key not in ("quantization_config", "unk_token_id")}
    _write_json(staged / "config.json", {**_flat_rope(kept), **known})
    end_of_turn = metadata.get("tokenizer.ggml.eot_token_id")
    ends = [index for index in dict.fromkeys([spec.eos, end_of_turn]) if isinstance(index, int)]
    several = {"eos_token_id": ends} if len(ends) > 1 else {}
    _write_json(staged / "generation_config.json", {**known, **several})


def _flat_rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """Say the rotary settings at the top level, which both versions read.

    4.57 does not know ``rope_parameters`` of 5.x and would silently take a default base frequency.
    """
    flat = {key: value for key, value in config.items() if key != "rope_parameters"}
    rope = config.get("rope_parameters")
    if not rope:
        return flat
    local = rope.get("sliding_attention")
    if local:
        flat["rope_local_base_freq"] = local["rope_theta"]
    main = dict(rope.get("full_attention", rope))
    for name in ("rope_theta", "partial_rotary_factor"):
        if name in main:
            flat[name] = main.pop(name)
    flat["rope_scaling"] = main if main.get("rope_type", "default") != "default" else None
    return flat


def _write_json(file: Path, value: object) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
