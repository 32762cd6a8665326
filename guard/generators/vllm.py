"""A model that vLLM runs in this process, where vLLM is installed."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guard.errors import ConfigError, DataError, GeneratorError
from guard.generators.failures import one_line
from guard.schema import Decoding

__all__ = ["VllmGenerator"]

_ROWS = 256
"""vLLM fills its own batches: it only needs enough to choose from."""


class VllmGenerator:
    """A causal language model served by vLLM's engine, in one process with the audit.

    Parameters
    ----------
    engine : vllm.LLM
    sampling : type
        ``vllm.SamplingParams``.
    name : str
        ``vllm@<digest of weights>``.
    decoding : Decoding or None
    batch_size : int or None
        Prompts that a run should hand over at once; None takes 256.

    Attributes
    ----------
    n_tokens : int
        Tokens written so far.

    Notes
    -----
    Each row is drawn from its own seed. vLLM does not promise the same rounding in another batch, so an output is a
    function of (prompt, seed) but for tokens that are almost equally likely.
    """

    def __init__(
        self, engine: Any, sampling: Any, *, name: str, decoding: Decoding | None = None, batch_size: int | None = None
    ) -> None:
        self.batch_size = batch_size or _ROWS
        self.n_tokens = 0
        self._engine, self._sampling, self._name = engine, sampling, name
        self._decoding = decoding or Decoding()

    @classmethod
    def load(
        cls, folder: str | Path, *, digest: str, dtype: str = "auto", batch_size: int | None = None
    ) -> VllmGenerator:
        """Load a local Transformers folder.

        Raises
        ------
        ConfigError
            vLLM is not installed.
        DataError
            vLLM cannot load the folder.
        """
        try:
            vllm: Any = importlib.import_module("vllm")
        except ImportError as error:
            raise ConfigError(
                "vLLM is not installed: pip install vllm on a machine that it supports, or name the model without"
                " vllm: to run it with Transformers, or serve it elsewhere and name endpoint:URL#MODEL"
            ) from error
        try:
            # A model is data: code that a folder brings along is never run.
            engine = vllm.LLM(model=str(folder), dtype=dtype, trust_remote_code=False)
        except Exception as error:  # the library raises OSError, ValueError, RuntimeError and more
            raise DataError(f"vLLM cannot load the folder {folder}: {one_line(error)}") from error
        return cls(engine, vllm.SamplingParams, name=f"vllm@{digest[:12]}", batch_size=batch_size)

    @property
    def name(self) -> str:
        """``vllm@<first 12 hex digits of the digest of weights and tokenizer>``."""
        return self._name

    def with_decoding(self, decoding: Decoding) -> VllmGenerator:
        """Return a generator over the same engine that decodes otherwise."""
        other = copy.copy(self)
        other._decoding = decoding
        return other

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        """Generate one continuation for each prompt.

        Raises
        ------
        GeneratorError
            When the engine fails.
        """
        seeds = [seed] * len(prompts) if isinstance(seed, int) else list(seed)
        if not prompts:
            return []
        texts = [prompt.encode("utf-8", "replace").decode() for prompt in prompts]
        chats = [[{"role": "user", "content": text}] for text in texts]
        params = [self._params(one) for one in seeds]
        try:
            if self._decoding.chat and getattr(self._engine.get_tokenizer(), "chat_template", None):
                outputs = self._engine.chat(chats, params, use_tqdm=False)
            else:
                outputs = self._engine.generate(texts, params, use_tqdm=False)
        except Exception as error:
            raise GeneratorError(f"{self._name} failed while generating: {one_line(error)}") from error
        written = [output.outputs[0] for output in outputs]
        self.n_tokens += sum(len(one.token_ids) for one in written)
        return [str(one.text) for one in written]

    def _params(self, seed: int) -> Any:
        how = self._decoding
        return self._sampling(temperature=how.temperature, top_p=how.top_p, max_tokens=how.max_new_tokens, seed=seed)
