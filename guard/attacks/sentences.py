"""Texts to vectors by a sentence encoder: mean-pooled, batched, each text once."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from guard import assets
from guard.errors import FilterError
from guard.filters.bert import BertShape, hidden_states, load_bert
from guard.filters.checkpoint import same_width_batches

__all__ = ["SentenceEncoder"]

_MOST_TEXTS = 1 << 16


class SentenceEncoder:
    """A BERT whose token states are averaged, as all-MiniLM-L6-v2 is trained to be read.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    shape : BertShape
    weights : mapping of str to Tensor
        float32, under their names in the checkpoint.
    name : str
    token_budget : int
        Most padded tokens of one pass.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        shape: BertShape,
        weights: Mapping[str, Tensor],
        *,
        name: str,
        token_budget: int = 4096,
    ) -> None:
        self._tokenizer, self._shape, self._weights = tokenizer, shape, weights
        self._name, self._token_budget = name, token_budget
        self._known: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()

    @classmethod
    def load(cls, folder: Path | None = None, *, device: str = "cpu") -> SentenceEncoder:
        """Load a folder with a BERT and ``tokenizer.json``; the default is the asset ``minilm``.

        Raises
        ------
        AssetError
            The asset cannot be had.
        FilterError
            The folder holds no BERT.
        """
        folder = assets.path("minilm") if folder is None else folder
        shape, weights = load_bert(folder)
        try:
            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise FilterError(f"{folder}: no readable tokenizer.json ({error})") from error
        tokenizer.no_padding()
        tokenizer.enable_truncation(shape.max_positions)
        with (folder / "model.safetensors").open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:12]
        placed = {name: value.to(device) for name, value in weights.items()}
        return cls(tokenizer, shape, placed, name=f"sentences@{digest}")

    @property
    def name(self) -> str:
        """``sentences@`` and 12 hexadecimal digits over the weights."""
        return self._name

    def __repr__(self) -> str:
        """Say which encoder it is."""
        return f"SentenceEncoder({self._name!r})"

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return a vector of length 1 for each text.

        Parameters
        ----------
        texts : sequence of str
            Read up to the encoder's length (512 tokens). Repeats, here and in later calls, cost nothing.

        Returns
        -------
        ndarray
            float32, shape (len(texts), n_hidden). A row does not depend on its neighbours.

        Raises
        ------
        FilterError
            The encoder failed.
        """
        new = list(dict.fromkeys(text for text in texts if text not in self._known))
        rows = {text: self._known[text] for text in texts if text in self._known} | self._encoded(new)
        for text, row in rows.items():
            self._known[text] = row
            self._known.move_to_end(text)
        while len(self._known) > _MOST_TEXTS:
            self._known.popitem(last=False)
        width = int(self._weights["embeddings.position_embeddings.weight"].shape[1])
        return np.array([rows[text] for text in texts], dtype=np.float32).reshape(len(texts), width)

    def _encoded(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        # A lone surrogate is no text to the tokenizer.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(clean)]
        lengths = [len(row) for row in ids]
        found: dict[str, npt.NDArray[np.float32]] = {}
        batches = same_width_batches(lengths, token_budget=self._token_budget, longest=self._shape.max_positions)
        for width, rows in batches:
            try:
                pooled = self._pooled([ids[row] for row in rows], width)
            except RuntimeError as error:
                raise FilterError(f"{self._name}: cannot encode {len(rows)} texts ({error})") from error
            found.update(zip([texts[row] for row in rows], pooled, strict=True))
        return found

    def _pooled(self, ids: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.float32]:
        """Average the states over the tokens and bring them to length 1 (Reimers and Gurevych 2019, section 3)."""
        device = self._weights["embeddings.position_embeddings.weight"].device
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids], device=device)
        counts = torch.tensor([[len(row)] for row in ids], device=device)
        mask = torch.arange(width, device=device) < counts
        with torch.inference_mode():
            states = hidden_states(padded, mask, weights=self._weights, shape=self._shape, linear=self._linear)
            mean = (states * mask[..., None]).sum(dim=1) / counts
            return np.asarray(functional.normalize(mean, dim=1).cpu().numpy(), dtype=np.float32)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])
