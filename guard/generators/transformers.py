"""Text generation with any causal language model that Transformers can load."""

from __future__ import annotations

import hashlib
import inspect
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache, GenerationConfig

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.batching import MIN_ROWS, batches, padded_width
from guard.generators.seeding import SeededSampler
from guard.schema import Decoding

__all__ = ["TransformersGenerator", "folder_digest", "hub_snapshot", "pick_device", "pick_dtype"]

_log = logging.getLogger(__name__)

_HASHED = ("*.safetensors", "*.bin", "config.json", "generation_config.json", "tokenizer.json", "tokenizer.model",
           "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja", "vocab.json",
           "vocab.txt", "merges.txt", "spiece.model")  # fmt: skip
_AUTO_ROWS = {"cpu": 32, "cuda": 128}


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


class TransformersGenerator:
    """A causal language model as a generator; the output is a function of (prompt, seed) alone.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        In evaluation mode, on its device.
    tokenizer : transformers.PreTrainedTokenizerBase
    name : str
        ``transformers@<digest of weights>``.
    decoding : Decoding
    batch_size : int or None
        Rows that run together; None picks by device. Halved when memory runs out.

    Attributes
    ----------
    batch_size : int
    n_tokens : int
        Tokens written so far, padding after the end not counted.

    Notes
    -----
    On a CPU the independence is exact, bit by bit. On a GPU the random numbers are the same but sums may round
    differently with the batch, so a token can differ where two are almost equally likely.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, name: str, decoding: Decoding | None = None, batch_size: int | None = None
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._name = name
        self._decoding = decoding or Decoding()
        self.batch_size = batch_size or _AUTO_ROWS.get(model.device.type, 32)
        self.n_tokens = 0
        self._grows_a_cache = _grows_a_cache(model)

    @classmethod
    def load(
        cls,
        folder: str | Path,
        *,
        device: str = "auto",
        dtype: str = "auto",
        batch_size: int | None = None,
        decoding: Decoding | None = None,
        digest: str | None = None,
    ) -> TransformersGenerator:
        """Load a local Transformers folder; a `digest` that is known already saves reading all weights for it.

        Raises
        ------
        DataError
            When it holds no causal language model that can be read.
        """
        place, folder = pick_device(device), Path(folder)
        try:
            # A model is data: code that a folder brings along is never run.
            tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model, found = AutoModelForCausalLM.from_pretrained(
                folder, dtype=pick_dtype(dtype, place), trust_remote_code=False, output_loading_info=True
            )
            model = model.to(place).eval()
        except Exception as error:  # the library raises OSError, ValueError, KeyError, SafetensorError and more
            raise DataError(
                f"cannot load a causal language model from the folder {folder}: {_first_line(error)}"
            ) from error
        if found["missing_keys"]:  # the library fills them with random numbers
            lacking = ", ".join(sorted(found["missing_keys"])[:3])
            raise DataError(f"the folder {folder} lacks weights of its model ({lacking}); get it again, whole")
        _drop_sampling_defaults(model)
        name = f"transformers@{(digest or folder_digest(folder))[:12]}"
        return cls(model, tokenizer, name=name, decoding=decoding, batch_size=batch_size)

    @property
    def name(self) -> str:
        """``transformers@<first 12 hex digits of the digest of weights and tokenizer>``."""
        return self._name

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        device = self._model.device
        assert isinstance(device, torch.device)
        return device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the weights."""
        dtype = self._model.dtype
        assert isinstance(dtype, torch.dtype)
        return dtype

    @property
    def model(self) -> Any:
        """The model itself, for whoever scores with it."""
        return self._model

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that belongs to the model."""
        return self._tokenizer

    def with_decoding(self, decoding: Decoding) -> TransformersGenerator:
        """Return a generator over the same weights that decodes otherwise."""
        return TransformersGenerator(
            self._model, self._tokenizer, name=self._name, decoding=decoding, batch_size=self.batch_size
        )

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Generate one continuation for each prompt.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.

        Returns
        -------
        list of str
            What the model wrote after each prompt, without special tokens.

        Raises
        ------
        DataError
            When a prompt with its continuation does not fit the model's context.
        GeneratorError
            When the model fails, or one row alone does not fit memory.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise GeneratorError(f"got {len(prompts)} prompts and {len(seeds)} seeds; give one seed, or one a prompt")
        encoded = [self._encode(prompt) for prompt in prompts]
        self._check_lengths(encoded)
        outputs = [""] * len(prompts)
        for indices, texts in self._run(encoded, seeds):
            for index, text in zip(indices, texts, strict=True):
                outputs[index] = text
        return outputs

    def require_room(self, prompts: Mapping[str, str]) -> None:
        """Refuse prompts that do not fit the model's context, long before their turn comes.

        Parameters
        ----------
        prompts : mapping of str to str
            What an error calls each, to the prompt.

        Raises
        ------
        DataError
            When one does not fit beside the new tokens.
        """
        for name, prompt in prompts.items():
            self._check_length(name, len(self._encode(prompt)))

    def _encode(self, prompt: str) -> list[int]:
        """Turn a prompt into ids, inside the chat template where one is wanted and there."""
        text = prompt.encode("utf-8", "replace").decode() if not prompt.isascii() else prompt
        if self._decoding.chat and getattr(self._tokenizer, "chat_template", None):
            messages = [{"role": "user", "content": text}]
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])
        ids = list(self._tokenizer(text)["input_ids"])
        return ids or [self._start_id()]

    def _start_id(self) -> int:
        """Return the token that an empty prompt begins with."""
        for token in (self._tokenizer.bos_token_id, self._tokenizer.eos_token_id, self._tokenizer.pad_token_id):
            if token is not None:
                return int(token)
        return 0

    def _check_lengths(self, encoded: Sequence[Sequence[int]]) -> None:
        """Refuse a prompt that does not fit, before anything is generated."""
        for position, ids in enumerate(encoded):
            self._check_length(f"prompt {position}", len(ids))

    def _check_length(self, name: str, n_tokens: int) -> None:
        context = getattr(self._model.config, "max_position_embeddings", None)
        new = self._decoding.max_new_tokens
        if context is not None and n_tokens > context - new:
            raise DataError(
                f"{name} has {n_tokens} tokens; the model takes at most {context - new} beside {new} new ones:"
                " shorten it or lower max_new_tokens"
            )

    def _run(self, encoded: list[list[int]], seeds: list[int]) -> Iterator[tuple[list[int], list[str]]]:
        """Yield finished batches, halving the batch for good when memory runs out."""
        new = self._decoding.max_new_tokens
        waiting = batches([len(ids) for ids in encoded], rows=self.batch_size, max_new_tokens=new)
        while waiting:
            batch = waiting.pop(0)
            try:
                yield batch, self._continue([encoded[i] for i in batch], [seeds[i] for i in batch])
            except Exception as error:
                if not _is_out_of_memory(error):
                    raise GeneratorError(f"{self._name} failed while generating: {error}") from error
                self.batch_size = self._halve(len(batch), error)
                left = sorted(i for group in [batch, *waiting] for i in group)
                groups = batches([len(encoded[i]) for i in left], rows=self.batch_size, max_new_tokens=new)
                waiting = [[left[j] for j in group] for group in groups]

    def _halve(self, rows: int, error: BaseException) -> int:
        """Return the next smaller batch, or give up at one row."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if rows <= 1:
            raise GeneratorError(
                f"{self._name} ran out of memory with one row; take a smaller model, fewer new tokens or a shorter"
                " prompt"
            ) from error
        _log.warning("out of memory with %d rows, going on with %d", rows, rows // 2)
        return rows // 2

    def _continue(self, rows: list[list[int]], seeds: list[int]) -> list[str]:
        """Generate one batch."""
        n_real = len(rows)
        n_rows = max(n_real, MIN_ROWS)
        rows, seeds = _fill(rows, n_rows), _fill(seeds, n_rows)
        ids, mask = self._pad(rows)
        with torch.inference_mode(), warnings.catch_warnings():
            # 5.x calls the cache's argument deprecated, and 4.57 knows no other.
            warnings.simplefilter("ignore", FutureWarning)
            out = self._model.generate(
                input_ids=ids,
                attention_mask=mask,
                **self._read(rows, ids, mask),
                generation_config=self._generation_config(),
                logits_processor=[SeededSampler(seeds, self._decoding)] if self._decoding.temperature > 0 else [],
            )
        new = out[:n_real, ids.shape[1] :]
        self.n_tokens += int((new != self._pad_id()).sum())
        return [str(t) for t in self._tokenizer.batch_decode(new, skip_special_tokens=True)]

    def _read(self, rows: list[list[int]], ids: torch.Tensor, mask: torch.Tensor) -> dict[str, Any]:
        """Read every distinct prompt once, all but its last token, for the rows that share it.

        An audit continues each prompt many times. A model whose state is not a growing cache of keys and values reads
        its prompts inside generate; which way is taken depends on the model alone, so batches still agree.
        """
        if not self._grows_a_cache:
            return {}
        first: dict[tuple[int, ...], int] = {}
        for place, row in enumerate(rows):
            first.setdefault(tuple(row), place)
        chosen = _fill(list(first.values()), max(len(first), MIN_ROWS))
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        cache = self._model(
            input_ids=ids[chosen, :-1],
            attention_mask=mask[chosen, :-1],
            position_ids=positions[chosen, :-1],
            past_key_values=DynamicCache(config=self._model.config),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        order = {place: number for number, place in enumerate(first.values())}
        cache.batch_select_indices(torch.tensor([order[first[tuple(row)]] for row in rows], device=ids.device))
        return {"past_key_values": cache}

    def _pad(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Pad on the left; int64 ids and mask, each of shape (n_rows, width)."""
        width = max(padded_width(len(row), self._decoding.max_new_tokens) for row in rows)
        pad = self._pad_id()
        ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows], device=self.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=self.device)
        return ids, mask

    def _pad_id(self) -> int:
        pad = self._tokenizer.pad_token_id
        return int(pad) if pad is not None else self._start_id()

    def _generation_config(self) -> GenerationConfig:
        """Greedy over what the sampler leaves; the model's own end tokens, and none of its sampling defaults."""
        own = self._model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        return GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=ends,
            pad_token_id=self._pad_id(),
            bos_token_id=own.bos_token_id,
        )


def _grows_a_cache(model: Any) -> bool:
    """Tell whether the model keeps keys and values that can be handed to several rows."""
    usual = getattr(model, "_supports_default_dynamic_cache", lambda: False)()
    return bool(usual) and "logits_to_keep" in inspect.signature(model.forward).parameters


def _drop_sampling_defaults(model: Any) -> None:
    """Keep the special tokens of a model's own configuration only: generate() fills ours up with the rest of it."""
    own = model.generation_config
    model.generation_config = GenerationConfig(
        bos_token_id=own.bos_token_id, eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id
    )


def _fill(values: list[Any], n: int) -> list[Any]:
    return values + [values[0]] * (n - len(values))


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error) or "not enough memory" in str(error)


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
