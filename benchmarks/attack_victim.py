"""A small BERT trained here and read in one fixed shape, so that attackers in two processes get the same bits."""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import BertWordPieceTokenizer
from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

LONGEST_TOKENS = 128
N_ROWS = 16
LABELS = ("not hateful", "hateful")


def rows(path: Path, split: str) -> list[tuple[str, int]]:
    """Return the texts and labels of one split."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        return [(row["text"], int(row["label"])) for row in csv.DictReader(stream) if row["split"] == split]


def train(path: Path, folder: Path, *, steps: int, seed: int) -> None:
    """Train a two-layer BERT on the training split for some steps of 32 texts, and save it as a Hugging Face folder."""
    torch.manual_seed(seed)
    examples = rows(path, "train")
    made = BertWordPieceTokenizer(lowercase=True)
    made.train_from_iterator([text for text, _ in examples], vocab_size=8000, show_progress=False)
    folder.mkdir(parents=True, exist_ok=True)
    made.save_model(str(folder))
    tokenizer = BertTokenizerFast(vocab_file=str(folder / "vocab.txt"), model_max_length=LONGEST_TOKENS)
    shape = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    names = dict(enumerate(LABELS))
    config = BertConfig(vocab_size=len(tokenizer), max_position_embeddings=LONGEST_TOKENS, id2label=names, **shape)
    model = BertForSequenceClassification(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    order = np.random.default_rng(seed).permutation(np.resize(np.arange(len(examples)), steps * 32))
    for batch in order.reshape(steps, 32):
        texts = [examples[i][0] for i in batch]
        encoded = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        loss = model(**encoded, labels=torch.tensor([examples[i][1] for i in batch])).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


class FixedShapeVictim:
    """Reads texts in batches of 16 rows and widths of 16, 32, 48 ... tokens, filled up with copies of the first row.

    With its shape fixed, a row came out with the same bits whatever its neighbours (0 of 1,200 differed; with 4 or 8
    rows 304 did): :meth:`check` tells whether that holds where it runs.

    Parameters
    ----------
    folder : pathlib.Path
        Of :func:`train`.
    """

    labels = LABELS

    def __init__(self, folder: Path) -> None:
        self.model = BertForSequenceClassification.from_pretrained(folder).eval()
        self.tokenizer = BertTokenizerFast.from_pretrained(folder)
        weights = (folder / "model.safetensors").read_bytes()
        self.name = f"fixed-shape@{hashlib.sha256(weights).hexdigest()[:12]}"
        self.n_texts = 0
        self.seconds = 0.0

    def logits(self, texts: Sequence[str]) -> torch.Tensor:
        """Return float32 logits, shape (len(texts), 2)."""
        began = time.perf_counter()
        tokens = self.tokenizer(list(texts), truncation=True)["input_ids"] if texts else []
        widths = [-(-len(ids) // 16) * 16 for ids in tokens]
        found = torch.zeros((len(texts), len(self.labels)))
        for width in sorted(set(widths)):
            mine = [row for row, its in enumerate(widths) if its == width]
            for start in range(0, len(mine), N_ROWS):
                part = mine[start : start + N_ROWS]
                found[part] = self._forward([tokens[row] for row in part], width)
        self.n_texts += len(texts)
        self.seconds += time.perf_counter() - began
        return found

    @torch.inference_mode()
    def _forward(self, tokens: list[list[int]], width: int) -> torch.Tensor:
        full = tokens + tokens[:1] * (N_ROWS - len(tokens))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in full])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in full])
        return self.model(input_ids=ids, attention_mask=mask).logits[: len(tokens)]

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """Return float64 probabilities, shape (len(texts), 2): the softmax in float32, as TextAttack takes it."""
        return torch.softmax(self.logits(texts), dim=1).double().numpy()

    def check(self, texts: Sequence[str]) -> None:
        """Stop unless each text gets the same bits alone and among all."""
        together = self.logits(texts)
        different = sum(not torch.equal(self.logits([text])[0], row) for text, row in zip(texts, together, strict=True))
        if different:
            raise SystemExit(f"{different} of {len(texts)} texts get other bits alone: parity cannot be told here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="dynahate.csv.gz")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    train(options.data, options.out, steps=options.steps, seed=options.seed)


if __name__ == "__main__":
    main()
