"""Text classifiers of several families with random weights, small enough to make on the spot."""

from __future__ import annotations

import string
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

__all__ = ["LENGTH", "write_tiny_classifier"]

LENGTH = 40
"""Most tokens that the models take, special tokens included."""

_WORDS = ["you", "are", "nice", "awful", "day"]
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def write_tiny_classifier(
    folder: Path,
    *,
    labels: Sequence[str] = ("SAFE", "INJECTION"),
    family: str = "bert",
    problem_type: str | None = None,
    seed: int = 0,
) -> Path:
    """Write weights, configuration and a fast tokenizer; `family` is bert, roberta, distilbert or llama."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _byte_level(folder) if family in ("roberta", "llama") else _word_piece(folder)
    sizes = dict(_SIZES)
    positions = LENGTH + tokenizer.pad_token_id + 1 if family == "roberta" else LENGTH
    if family == "distilbert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    config = AutoConfig.for_model(
        family,
        vocab_size=len(tokenizer),
        max_position_embeddings=positions,
        pad_token_id=None if family == "llama" else tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=None,
        **sizes,
    )
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = problem_type
    model = AutoModelForSequenceClassification.from_config(config)
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        spread = 0.0 if name.endswith("bias") else 2.0 if "embed" in name else 0.5
        torch.nn.init.normal_(parameter, std=spread, generator=generator)
    model.save_pretrained(folder)
    return folder


def _word_piece(folder: Path) -> PreTrainedTokenizerFast:
    """Words, and letters for other words; over 100 characters in a row are the unknown token, as in BERT."""
    pieces = [*string.ascii_lowercase, *(f"##{letter}" for letter in string.ascii_lowercase)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *_WORDS, *pieces]
    vocabulary = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return _saved(tokenizer, folder, special)


def _byte_level(folder: Path) -> PreTrainedTokenizerFast:
    """Bytes; nothing is unknown."""
    tokens = ["<s>", "<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return _saved(tokenizer, folder, {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"})


def _saved(tokenizer: Tokenizer, folder: Path, special: dict[str, str]) -> PreTrainedTokenizerFast:
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LENGTH, **special)
    fast.save_pretrained(folder)
    return fast
