"""A masked language model of one layer, small enough to make on the spot; what it puts into a gap is known."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

WORDS = ["you", "are", "nice", "awful", "kind", "day", "!", "##ly"]
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LENGTH = 12


def write_tiny_masked_lm(folder: Path, *, likeliest: tuple[str, ...] = ("##ly", "!", "nice", "kind", "awful")) -> Path:
    """Write a model that puts the same tokens into every gap, those of `likeliest` first."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {word: index for index, word in enumerate([*_SPECIAL, *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=LENGTH, mask_token="[MASK]", **special)
    fast.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=LENGTH, **sizes)
    torch.manual_seed(0)
    model = BertForMaskedLM(config)
    with torch.no_grad():
        for rank, word in enumerate(likeliest):
            model.cls.predictions.bias[vocabulary[word]] = 20.0 - 2 * rank
    model.save_pretrained(folder)
    return folder
