"""A Hugging Face sequence classifier as a victim: read as its users read it, with gradients by its embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from guard.attacks.schema import Probabilities, TokenEncoding
from guard.attacks.whitebox import WhiteBoxVictim
from guard.errors import ConfigError, FilterError
from guard.filters.checkpoint import (
    Checkpoint,
    Encoder,
    model_positions,
    open_checkpoint,
    same_width_batches,
    settings_digest,
    special_frame,
)
from guard.filters.embedded_classifier import EmbeddedClassifier, vocabulary_of
from guard.filters.windows import TokenWindow

__all__ = ["ClassifierVictim"]

_TOKEN_BUDGET = 4096
_WIDTH_STEP = 4


class ClassifierVictim:
    """Any Hugging Face sequence classifier of exclusive labels: text as it stands, long texts cut off.

    ``TransformerFilter`` is the safer reading of the same models (canonical text, windows); this one scores what a
    user of the model sees, so that an attack on it is an attack on the model.

    Parameters
    ----------
    checkpoint : Checkpoint
        Of a model with a fast tokenizer.
    token_budget : int
        Most padded tokens of one pass. Batches are padded to their longest text, rounded up to 4 tokens, never to
        the model's length.

    Raises
    ------
    ConfigError
        The labels do not exclude each other, the tokenizer is not a fast one, or the model takes no embeddings.

    """

    def __init__(self, checkpoint: Checkpoint, *, token_budget: int = _TOKEN_BUDGET) -> None:
        self._model, self._token_budget = checkpoint.model, token_budget
        config = checkpoint.model.config
        if len(config.id2label) < 2 or config.problem_type in ("multi_label_classification", "regression"):
            raise ConfigError(
                f"{checkpoint.source}: its labels do not exclude each other; attack it as the filter"
                f" transformer:{checkpoint.source}, one category at a time"
            )
        encoder = Encoder(checkpoint.tokenizer, name=f"classifier:{checkpoint.source}")
        self._before, self._after = special_frame(checkpoint.tokenizer, encoder)
        self._tokenizer = _own_tokenizer(checkpoint)
        self._longest = min(model_positions(checkpoint.model), int(checkpoint.tokenizer.model_max_length))
        self._labels = tuple(str(config.id2label[index]) for index in range(len(config.id2label)))
        if config.pad_token_id is None:  # without one, some models refuse a batch
            config.pad_token_id = int(checkpoint.tokenizer.pad_token_id or 0)
        self._pad = int(config.pad_token_id)
        self._vocabulary = vocabulary_of(checkpoint)
        settings = [self._labels, self._longest, str(self._model.dtype)]
        self._name = f"classifier@{settings_digest(checkpoint, settings)}"
        self._embedded = EmbeddedClassifier(self._model, name=self._name)
        columns = [(index, 1) for index in range(len(self._labels))]
        self._white_box = WhiteBoxVictim(self, self, columns, token_budget=token_budget)

    @classmethod
    def load(cls, source: str | Path, *, device: str = "auto", dtype: str = "float32") -> ClassifierVictim:
        """Load a classifier from a folder or the hub; raises ConfigError and DataError as ``TransformerFilter``."""
        from transformers import AutoModelForSequenceClassification

        return cls(
            open_checkpoint(source, AutoModelForSequenceClassification, device=device, dtype=dtype, half_on_gpu=False)
        )

    @property
    def name(self) -> str:
        """``classifier@`` and 12 hexadecimal digits over the folder and what changes a probability."""
        return self._name

    @property
    def labels(self) -> tuple[str, ...]:
        """The model's labels, in its order."""
        return self._labels

    @property
    def word_embeddings(self) -> Tensor:
        """float, shape (vocabulary size, hidden)."""
        return self._embedded.word_embeddings

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """The token of each id."""
        return self._vocabulary

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Read every text: float64, shape (len(texts), n_labels), rows summing to 1.

        Raises
        ------
        FilterError
            When the model fails.
        """
        odds = torch.zeros((len(texts), len(self._labels)), dtype=torch.float64)
        ids = [self._framed(encoding.ids) for encoding in self._encodings(texts)]
        lengths = [len(row) for row in ids]
        with torch.inference_mode():
            for width, rows in same_width_batches(
                lengths, token_budget=self._token_budget, longest=self._longest, step=_WIDTH_STEP
            ):
                try:
                    odds[rows] = self._read([ids[row] for row in rows], width)
                except RuntimeError as error:
                    raise FilterError(f"victim {self._name}: cannot read {len(texts)} texts ({error})") from error
        return np.asarray(odds.softmax(dim=1).numpy(), dtype=np.float64)

    def _encodings(self, texts: Sequence[str]) -> list[Any]:
        # A lone surrogate is no text to the tokenizer.
        clean = [text.encode("utf-8", "replace").decode() for text in texts]
        found: list[Any] = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        return found

    def _framed(self, ids: Sequence[int]) -> list[int]:
        """Cut a text to the model's length and put the special tokens around it."""
        room = self._longest - len(self._before) - len(self._after)
        return [*self._before, *ids[:room], *self._after] or [0]

    def _read(self, ids: Sequence[Sequence[int]], width: int) -> Tensor:
        """Return the logits of token ids that are padded to one width."""
        device = self._model.device
        padded = torch.tensor([[*row, *[self._pad] * (width - len(row))] for row in ids], device=device)
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids], device=device)
        if not self._embedded.pads:
            return self._embedded.logits(self.word_embeddings[padded], mask.bool()).double().cpu()
        logits = self._model(input_ids=padded, attention_mask=mask).logits
        assert isinstance(logits, Tensor)
        return logits.double().cpu()

    def tokens(self, texts: Sequence[str]) -> list[TokenEncoding]:
        """Return the tokens that the model reads of each text."""
        return self._white_box.tokens(texts)

    def gradients(
        self, texts: Sequence[str], labels: Sequence[int], *, halfway_to: int | None = None
    ) -> list[npt.NDArray[np.float32]]:
        """Return the gradient of each label's cross entropy by the word embeddings of its text."""
        return self._white_box.gradients(texts, labels, halfway_to=halfway_to)

    def embeddings(self) -> npt.NDArray[np.float32]:
        """Return the word embeddings, float32, shape (n_vocabulary, n_hidden)."""
        return self._white_box.embeddings()

    def token_windows(self, items: Sequence[str]) -> list[TokenWindow]:
        """Return what the model reads of each text: its first tokens, as many as the model takes."""
        before, after = [(0, 0)] * len(self._before), [(0, 0)] * len(self._after)
        room = self._longest - len(before) - len(after)
        windows = []
        for owner, encoding in enumerate(self._encodings(items)):
            offsets = encoding.offsets[:room]
            places = (*[-1] * len(before), *range(len(offsets)), *[-1] * len(after))
            windows.append(
                TokenWindow(
                    owner, tuple(self._framed(encoding.ids)), places or (-1,), (*before, *offsets, *after) or ((0, 0),)
                )
            )
        return windows

    def logits_of(self, words: Tensor, mask: Tensor) -> Tensor:
        """Return the log-odds of each label against all others, shape (n, n_labels)."""
        logits = self._embedded.logits(words, mask)
        n = logits.shape[1]
        others = logits[:, None, :].expand(-1, n, -1)[:, ~torch.eye(n, dtype=torch.bool, device=logits.device)]
        return logits - others.reshape(-1, n, n - 1).logsumexp(dim=2)


def _own_tokenizer(checkpoint: Checkpoint) -> Any:
    """Return a tokenizer that neither cuts nor pads, and reads ``[UNK]`` in a text as its users' does: as one token."""
    from tokenizers import Tokenizer

    own = Tokenizer.from_str(checkpoint.tokenizer.backend_tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    own.encode_special_tokens = False
    return own
