"""A Detoxify checkpoint small enough to make on the spot."""

from __future__ import annotations

import string
from pathlib import Path

import torch

__all__ = ["CLASSES", "write_tiny_detoxify"]

CLASSES = ["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]
_WORDS = ["you", "are", "nice", "awful"]
_LENGTH = 32


def write_tiny_detoxify(folder: Path, *, repository: str | None = None) -> Path:
    """Write a BERT of Detoxify's "original" shape: configuration, tokenizer, and a checkpoint in its own format.

    The checkpoint says that its configuration lies in `folder`, or in a `repository` of the hub, as published ones do.
    """
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    pieces = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_WORDS, *pieces]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizer(str(folder / "vocab.txt"), model_max_length=_LENGTH).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=_LENGTH, num_labels=len(CLASSES), **sizes)
    config.save_pretrained(folder)
    model = BertForSequenceClassification(config)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    arguments = {
        "model_type": repository or str(folder),
        "model_name": "BertForSequenceClassification",
        "tokenizer_name": "BertTokenizer",
        "num_classes": len(CLASSES),
    }
    stored = {"arch": {"args": arguments}, "dataset": {"args": {"classes": CLASSES}}}
    path = folder / ("tiny.ckpt" if repository is None else "published.ckpt")
    torch.save({"config": stored, "state_dict": model.state_dict()}, path)
    return path
