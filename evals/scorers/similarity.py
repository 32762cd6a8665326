"""How alike two texts are in meaning: the cosine of their sentence embeddings."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from guard import assets
from guard.errors import AssayError, FilterError
from guard.filters.bert import BertShape, hidden_states, load_bert
from guard.filters.windows import length_batches

__all__ = ["SentenceEncoder"]

Floats = npt.NDArray[np.float64]

_MOST_TOKENS = 256
_WIDTH_STEP = 16
_TOKEN_BUDGET = 4096
_READABLE = 0.7
_LETTER = re.compile(r"[^\W\d_]")
_LATIN = re.compile("[A-Za-z\u00c0-\u024f]")


@dataclass(frozen=True)
class SentenceEncoder:
    """Mean-pooled states of the asset ``minilm`` (Reimers & Gurevych 2019, "Sentence-BERT", section 3).

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
    shape : BertShape
    weights : mapping of str to Tensor
    name : str

    Notes
    -----
    Texts are cut after 256 tokens, as the model was published to be used. A text is padded to a multiple of 16 tokens
    and batched with texts of the same width only, so that its embedding does not depend on its neighbours.
    """

    tokenizer: Tokenizer
    shape: BertShape
    weights: Mapping[str, Tensor]
    name: str

    @classmethod
    def load(cls, folder: Path | None = None) -> SentenceEncoder:
        """Read the encoder, on the CPU in float32.

        Parameters
        ----------
        folder : pathlib.Path, optional
            A BERT with ``tokenizer.json``; by default the asset ``minilm``, pulled where missing.

        Raises
        ------
        FilterError
            A file is missing or broken.
        AssetError
            The asset cannot be had.
        """
        source = assets.path("minilm") if folder is None else folder
        try:
            tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
            tokenizer.no_padding()
            tokenizer.enable_truncation(_MOST_TOKENS)
            shape, weights = load_bert(source)
        except AssayError:
            raise
        except Exception as error:
            raise FilterError(f"sentence encoder: cannot read {source} ({error})") from error
        digest = assets.digest("minilm")[:12] if folder is None else source.name
        return cls(tokenizer, shape, weights, f"minilm@{digest}")

    def reads(self, text: str) -> bool:
        """Tell whether 70% of the letters of a text are Latin, or it has none: the encoder was trained on English."""
        letters = _LETTER.findall(text)
        return len(_LATIN.findall("".join(letters))) >= _READABLE * len(letters)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Return one unit vector a text, shape (len(texts), hidden)."""
        rows = [encoding.ids for encoding in self.tokenizer.encode_batch([_sound(text) for text in texts])]
        widths = [-(-len(row) // _WIDTH_STEP) * _WIDTH_STEP for row in rows]
        embedded = np.zeros((len(rows), self.weights["embeddings.position_embeddings.weight"].shape[1]))
        for width in sorted(set(widths)):
            same = [index for index, other in enumerate(widths) if other == width]
            for group in length_batches([width] * len(same), token_budget=_TOKEN_BUDGET):
                chosen = [same[index] for index in group]
                embedded[chosen] = self._pooled([rows[index] for index in chosen], width)
        return embedded

    def similarity(self, answers: Sequence[str | None], references: Sequence[str | None]) -> list[float | None]:
        """Return the cosine of each pair, in [-1, 1]; None where one is missing, blank or not in Latin letters."""
        whole = [
            place
            for place, pair in enumerate(zip(answers, references, strict=True))
            if all(text is not None and text.strip() and self.reads(text) for text in pair)
        ]
        texts = sorted({str(side[place]) for side in (answers, references) for place in whole})
        known = dict(zip(texts, self.embed(texts), strict=True)) if texts else {}
        found: list[float | None] = [None] * len(answers)
        for place in whole:
            cosine = float(known[str(answers[place])] @ known[str(references[place])])
            found[place] = min(1.0, max(-1.0, cosine))
        return found

    def _pooled(self, rows: Sequence[Sequence[int]], width: int) -> npt.NDArray[np.float32]:
        padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        mask = torch.arange(width)[None, :] < torch.tensor([len(row) for row in rows])[:, None]
        with torch.inference_mode():
            states = hidden_states(padded, mask, weights=self.weights, shape=self.shape, linear=self._linear)
            summed = (states * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
            pooled: npt.NDArray[np.float32] = functional.normalize(summed, dim=-1).numpy()
        return pooled

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])


def _sound(text: str) -> str:
    """Return a text that has a UTF-8 form: a lone surrogate has none."""
    return text.encode("utf-8", "replace").decode()
