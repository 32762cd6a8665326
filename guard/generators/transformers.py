"""Text generation with any causal language model that Transformers can load."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import GenerationConfig

from guard.errors import AssayError, DataError, GeneratorError
from guard.generators.batching import batches, refill_pays
from guard.generators.continuous import seeded_draw, write_all, write_whole
from guard.generators.decoding_loop import DecodingLoop, grows_a_cache
from guard.generators.detokenizing import Detokenizer
from guard.generators.failures import is_out_of_memory
from guard.generators.loading import folder_digest, folder_prefix, hub_snapshot, load_model, pick_device, pick_dtype
from guard.generators.seeding import SeededSampler
from guard.schema import Decoding

__all__ = ["TransformersGenerator", "folder_digest", "hub_snapshot", "pick_device", "pick_dtype"]

R = TypeVar("R")
_log = logging.getLogger(__name__)

_AUTO_ROWS = {"cpu": 32, "cuda": 128}
_AHEAD = 4


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
    prefix : str
        Put in front of every prompt: the control code of a model that learnt one, else empty.

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
        self.prefix = ""
        self.batch_size = batch_size or _AUTO_ROWS.get(model.device.type, 32)
        self.n_tokens = 0
        self._grows_a_cache = grows_a_cache(model)

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
        folder = Path(folder)
        model, tokenizer = load_model(folder, device=pick_device(device), dtype=dtype)
        name = f"transformers@{(digest or folder_digest(folder))[:12]}"
        made = cls(model, tokenizer, name=name, decoding=decoding, batch_size=batch_size)
        made.prefix = folder_prefix(folder)
        return made

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

    @property
    def decoding(self) -> Decoding:
        """How it decodes."""
        return self._decoding

    @property
    def grows_a_cache(self) -> bool:
        """Whether the model keeps keys and values token by token, from which some can be taken back."""
        return self._grows_a_cache

    @property
    def batches_ahead(self) -> int:
        """How many batches it wants at once, to fill the places of rows that end early; 1 where that does not pay."""
        return _AHEAD if self._grows_a_cache and refill_pays(self._decoding.max_new_tokens) else 1

    def with_decoding(self, decoding: Decoding) -> TransformersGenerator:
        """Return a generator over the same weights that decodes otherwise."""
        other = copy.copy(self)
        other._decoding, other.n_tokens = decoding, 0
        return other

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
        n_steps = self._decoding.max_new_tokens
        return self.run_batches(prompts, seed, self._continue, n_steps=n_steps, ahead=self.batches_ahead)

    def stream(self, prompt: str, *, seed: int) -> Iterator[str]:
        """Yield the continuation of one prompt as it is written.

        The pieces add up to what :meth:`generate` returns for the same prompt and seed. Nothing runs between two
        pieces, so a stream that is closed, or no longer asked, costs nothing.

        Parameters
        ----------
        prompt : str
        seed : int

        Yields
        ------
        str
            Never empty. A model whose state is not a growing cache of keys and values gives its text in one piece.

        Raises
        ------
        DataError, GeneratorError
            As :meth:`generate` does.
        """
        if not self._grows_a_cache:
            yield from filter(None, self.generate([prompt], seed=seed))
            return
        pieces = self._pieces(self.encode(prompt), seed)
        while True:
            try:
                piece = next(pieces, None)
            except AssayError:
                raise
            except Exception as error:
                if is_out_of_memory(error):
                    self._halve(1, error)
                raise GeneratorError(f"{self._name} failed while generating: {error}") from error
            if piece is None:
                return
            if piece:
                yield piece

    def _pieces(self, row: list[int], seed: int) -> Iterator[str]:
        """Yield the text that each token settles, and at last what was held back."""
        decoding, text = self._decoding, Detokenizer(self._tokenizer)
        loop = DecodingLoop(self._model, [row], pad_id=self.pad_id, n_steps=decoding.max_new_tokens)
        sampler = SeededSampler([seed], decoding) if decoding.temperature > 0 else None
        token = row[-1]
        for _ in range(decoding.max_new_tokens):
            logits = loop.step({0: token})
            token = int(sampler.draw(logits) if sampler else logits.argmax(-1))
            self.n_tokens += token != self.pad_id
            if token in self.end_ids:
                break
            yield text.add(token)
        yield text.end()

    def run_batches(
        self,
        prompts: Sequence[str],
        seed: int | Sequence[int],
        write: Callable[[list[list[int]], list[int]], Sequence[R]],
        *,
        n_steps: int,
        ahead: int = 1,
    ) -> list[R]:
        """Encode prompts and hand them, in batches that fit together, to what writes the continuations.

        Parameters
        ----------
        prompts : sequence of str
        seed : int or sequence of int
            One for all prompts, or one a prompt.
        write : callable
            Gets the ids of each prompt of a batch and its seeds; returns one result a prompt. It is asked again, with
            half as many, where it ran out of memory.
        n_steps : int
            The most steps of decoding that `write` takes.
        ahead : int
            How many batches `write` gets at once, of which it has to run one at a time.

        Returns
        -------
        list
            In the order of the prompts.

        Raises
        ------
        DataError, GeneratorError
            As :meth:`generate` does.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if len(seeds) != len(prompts):
            raise GeneratorError(f"got {len(prompts)} prompts and {len(seeds)} seeds; give one seed, or one a prompt")
        encoded = [self._encode(prompt) for prompt in prompts]
        for position, ids in enumerate(encoded):
            self._check_length(f"prompt {position}", len(ids))
        results: dict[int, R] = {}
        for indices, found in self._run(encoded, seeds, write, n_steps, ahead):
            results.update(zip(indices, found, strict=True))
        return [results[index] for index in range(len(prompts))]

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

    def encode(self, prompt: str) -> list[int]:
        """Turn a prompt into ids, inside the chat template where one is wanted and there.

        Raises
        ------
        DataError
            When it does not fit beside the new tokens.
        """
        row = self._encode(prompt)
        self._check_length("the prompt", len(row))
        return row

    def _encode(self, prompt: str) -> list[int]:
        """Turn a prompt of any length into ids."""
        text = (self.prefix + prompt).encode("utf-8", "replace").decode()
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

    def _check_length(self, name: str, n_tokens: int) -> None:
        context = getattr(self._model.config, "max_position_embeddings", None)
        new = self._decoding.max_new_tokens
        if context is not None and n_tokens > context - new:
            raise DataError(
                f"{name} has {n_tokens} tokens; the model takes at most {context - new} beside {new} new ones:"
                " shorten it or lower max_new_tokens"
            )

    def _run(
        self,
        encoded: list[list[int]],
        seeds: list[int],
        write: Callable[[list[list[int]], list[int]], Sequence[R]],
        n_steps: int,
        ahead: int,
    ) -> Iterator[tuple[list[int], Sequence[R]]]:
        """Yield finished batches, halving the batch for good when memory runs out."""
        waiting = batches([len(ids) for ids in encoded], rows=self.batch_size * ahead, max_new_tokens=n_steps)
        while waiting:
            batch = waiting.pop(0)
            try:
                yield batch, write([encoded[i] for i in batch], [seeds[i] for i in batch])
            except Exception as error:
                if not is_out_of_memory(error):
                    raise GeneratorError(f"{self._name} failed while generating: {error}") from error
                self.batch_size = self._halve(min(len(batch), self.batch_size), error)
                left = sorted(i for group in [batch, *waiting] for i in group)
                lengths = [len(encoded[i]) for i in left]
                groups = batches(lengths, rows=self.batch_size * ahead, max_new_tokens=n_steps)
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
        """Generate some batches; rows that wait take the place of rows that have ended."""
        decoding = self._decoding
        if self._grows_a_cache:
            new = write_all(
                self._model,
                rows,
                seeded_draw(seeds, decoding),
                pad_id=self.pad_id,
                end_ids=self.end_ids,
                n_steps=decoding.max_new_tokens,
                most_rows=self.batch_size,
                refill=self.batches_ahead > 1,
            )
        else:
            new = write_whole(self._model, rows, seeds, decoding, config=self._generation_config())
        self.n_tokens += sum(token != self.pad_id for tokens in new for token in tokens)
        return [str(t) for t in self._tokenizer.batch_decode(new, skip_special_tokens=True)]

    @property
    def pad_id(self) -> int:
        """Token that fills up what is shorter."""
        pad = self._tokenizer.pad_token_id
        return int(pad) if pad is not None else self._start_id()

    @property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end a text."""
        own = self._model.generation_config
        ends = own.eos_token_id if own.eos_token_id is not None else self._tokenizer.eos_token_id
        return frozenset(ends if isinstance(ends, list) else [] if ends is None else [ends])

    def _generation_config(self) -> GenerationConfig:
        """Greedy over what the sampler leaves; the model's own end tokens, and none of its sampling defaults."""
        return GenerationConfig(
            max_new_tokens=self._decoding.max_new_tokens,
            do_sample=False,
            eos_token_id=sorted(self.end_ids) or None,
            pad_token_id=self.pad_id,
            bos_token_id=self._model.generation_config.bos_token_id,
        )
