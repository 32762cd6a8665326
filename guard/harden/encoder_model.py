"""The encoder filter in training: its low-rank updates and heads, its texts, and the folder that it came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from guard.errors import FilterError
from guard.filters.bert import WORD_EMBEDDINGS, BertShape, load_bert
from guard.filters.encoder_text import encoder_text
from guard.harden.batch import Tokens
from guard.train.lora import LoraEncoder, LoraSettings

__all__ = ["HardenableEncoder"]


class HardenableEncoder:
    """An encoder filter whose updates and heads are trained on.

    Parameters
    ----------
    network : LoraEncoder
    tokenizer : Tokenizer
    words : Tensor
        float32, shape (vocabulary size, hidden): the word embeddings, which are frozen.
    config : mapping
        ``config.json`` of the filter's folder.
    max_tokens : int
        Longest text in training, special tokens included; of a longer one its beginning is read.
    bfloat16 : bool
        Multiply matrices in bfloat16. Weights stay float32.
    """

    def __init__(
        self,
        network: LoraEncoder,
        tokenizer: Tokenizer,
        words: Tensor,
        config: Mapping[str, object],
        *,
        max_tokens: int = 96,
        bfloat16: bool = True,
    ) -> None:
        self._network, self._tokenizer, self._words = network, tokenizer, words
        self.config = dict(config)
        self._max_tokens, self._bfloat16 = max_tokens, bfloat16

    @classmethod
    def load(cls, *, base: Path, weights: Path, max_tokens: int = 96, bfloat16: bool = True) -> HardenableEncoder:
        """Read the frozen encoder and the filter's folder.

        Raises
        ------
        FilterError
            A file is missing or broken, or the adapter does not fit the encoder.
        """
        shape, frozen = load_bert(base)
        try:
            config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
            tensors = load_file(weights / "encoder.safetensors")
            tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
            network = _network(_cast(frozen, bfloat16=bfloat16), shape, tensors, config)
        except Exception as error:
            raise FilterError(
                f"cannot train on {weights} on top of {base} ({error}): give a filter's folder"
            ) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        longest = min(max_tokens, shape.max_positions)
        return cls(network, tokenizer, frozen[WORD_EMBEDDINGS], config, max_tokens=longest, bfloat16=bfloat16)

    def copy(self) -> HardenableEncoder:
        """Return the model as it is now, apart from what becomes of this one; the frozen encoder is shared."""
        twin = LoraEncoder(
            self._network.frozen,
            self._network.shape,
            n_heads=len(self.categories),
            settings=self._network.settings,
            seed=0,
        )
        twin.load_tensors(self.tensors())
        made = HardenableEncoder(twin, self._tokenizer, self._words, self.config, bfloat16=self._bfloat16)
        made._max_tokens = self._max_tokens
        return made

    @property
    def categories(self) -> tuple[str, ...]:
        """Column order of :meth:`logits`."""
        names = self.config["categories"]
        return tuple(map(str, names)) if isinstance(names, list) else ()

    def tokens(self, texts: Sequence[str]) -> Tokens:
        """Read texts in their canonical form; of one that is too long, its beginning."""
        names = bool(self.config.get("emoji_names", False))
        forms = [encoder_text(text, emoji_names=names) for text in texts]
        begin, end = self._tokenizer.token_to_id("[CLS]"), self._tokenizer.token_to_id("[SEP]")
        rows, offsets = [], []
        for form, encoding in zip(
            forms, self._tokenizer.encode_batch([form.text for form in forms], add_special_tokens=False), strict=True
        ):
            kept = self._max_tokens - 2
            rows.append([begin, *encoding.ids[:kept], end])
            offsets.append(((0, 0), *(form.span(*span) for span in encoding.offsets[:kept]), (0, 0)))
        return _padded(rows, tuple(offsets))

    def embed(self, tokens: Tokens) -> Tensor:
        """Look the word embeddings up, float32, shape (n, t, hidden)."""
        return self._words[tokens.ids]

    def logits(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Return log-odds, float32, shape (n, n_categories)."""
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self._bfloat16):
            found: Tensor = self._network(embedded, mask)
        return found.float()

    def parameters(self) -> Iterator[Tensor]:
        """Return the low-rank updates and the heads."""
        return iter(self._network.parameters())

    def tensors(self) -> dict[str, Tensor]:
        """Return what the filter's folder holds, float32."""
        return self._network.tensors()

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the tensors of :meth:`tensors` up again."""
        self._network.load_tensors(tensors)


def _network(
    frozen: Mapping[str, Tensor], shape: BertShape, tensors: Mapping[str, Tensor], config: Mapping[str, object]
) -> LoraEncoder:
    """Build the network around trained tensors."""
    rank = max(value.shape[0] for name, value in tensors.items() if name.endswith(".a"))
    settings = LoraSettings(rank=int(rank), scale=float(str(config["scale"])))
    network = LoraEncoder(frozen, shape, n_heads=len(tensors["heads.bias"]), settings=settings, seed=0)
    network.load_tensors(tensors)
    return network


def _cast(frozen: Mapping[str, Tensor], *, bfloat16: bool) -> dict[str, Tensor]:
    """Keep the large matrices in the dtype in which they are multiplied: autocast would cast them at every step."""
    large = {name for name, value in frozen.items() if value.dim() == 2 and name.startswith("encoder.layer.")}
    return {name: value.bfloat16() if bfloat16 and name in large else value for name, value in frozen.items()}


def _padded(rows: Sequence[Sequence[int]], offsets: tuple[tuple[tuple[int, int], ...], ...]) -> Tokens:
    """Pad token ids on the right."""
    width = max(map(len, rows), default=2)
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    mask = torch.zeros(len(rows), width, dtype=torch.bool)
    for at, row in enumerate(rows):
        ids[at, : len(row)] = torch.tensor(row)
        mask[at, : len(row)] = True
    return Tokens(ids, mask, offsets)
