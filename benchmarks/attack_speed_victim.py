"""The encoder filter as a Hugging Face classifier of two labels, so that TextAttack and Assay attack one model."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import SequenceClassifierOutput

from guard import assets
from guard.attacks.classifier import ClassifierVictim
from guard.filters.bert import linear_names, read_bert
from guard.filters.checkpoint import Checkpoint
from guard.filters.encoder import SHIPPED_WEIGHTS
from guard.filters.encoder_weights import merged
from guard.filters.heads import head_logits

LONGEST = 512
CATEGORY = "toxicity"


class EncoderForSequenceClassification(PreTrainedModel):
    """A BERT with the filter's merged weights, and the head of one category: its logit against 0."""

    config_class = BertConfig

    def __init__(self, config: BertConfig) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.query = torch.nn.Parameter(torch.zeros(1, config.hidden_size))
        self.value = torch.nn.Parameter(torch.zeros(1, config.hidden_size))
        self.bias = torch.nn.Parameter(torch.zeros(1))
        self.post_init()

    def get_input_embeddings(self) -> torch.nn.Module:
        """Return the word embeddings."""
        return self.bert.get_input_embeddings()

    def forward(self, input_ids: Any = None, attention_mask: Any = None, inputs_embeds: Any = None, **_: Any) -> Any:
        """Return two logits: 0, and the category's."""
        states = self.bert(input_ids=input_ids, attention_mask=attention_mask, inputs_embeds=inputs_embeds)[0]
        mask = attention_mask.bool()
        logit = head_logits(states, mask, query=self.query, value=self.value, bias=self.bias)
        return SequenceClassifierOutput(logits=torch.cat((torch.zeros_like(logit), logit), dim=1))


def load() -> tuple[EncoderForSequenceClassification, PreTrainedTokenizerFast]:
    """Return the merged model in float32, and its tokenizer."""
    base = assets.path("minilm")
    settings = json.loads((SHIPPED_WEIGHTS / "config.json").read_text(encoding="utf-8"))
    adapter = load_file(SHIPPED_WEIGHTS / "encoder.safetensors")
    shape, frozen = read_bert(base)
    weights = {
        name: value.clone()
        for name, value in merged(frozen, adapter, names=linear_names(shape), scale=float(settings["scale"]))
    }
    config = BertConfig.from_pretrained(base)
    config.num_labels, config.id2label = 2, {0: f"not {CATEGORY}", 1: CATEGORY}
    model = EncoderForSequenceClassification(config).eval()
    lacking, _ = model.bert.load_state_dict(weights, strict=False)
    assert not [name for name in lacking if "position_ids" not in name], lacking
    row = settings["categories"].index(CATEGORY)
    for part in ("query", "value", "bias"):
        getattr(model, part).data = adapter[f"heads.{part}"][row : row + 1].float()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(base / "tokenizer.json"),
        model_max_length=LONGEST,
        **{"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"},
    )
    return model.requires_grad_(False), tokenizer


def as_victim(model: EncoderForSequenceClassification, tokenizer: PreTrainedTokenizerFast) -> ClassifierVictim:
    """Return the same model as Assay attacks it."""
    digest = hashlib.sha256((SHIPPED_WEIGHTS / "encoder.safetensors").read_bytes()).hexdigest()
    return ClassifierVictim(Checkpoint(model, tokenizer, digest, "encoder"))


def toxic(path: Path, victim: ClassifierVictim, n: int) -> list[str]:
    """Return the first texts of 6 to 30 words whose toxicity the victim sees."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream) if row["label"] in ("1", "offensive", "hate")]
    fitting = [text for text in dict.fromkeys(texts) if 6 <= len(text.split()) <= 30 and text.isascii()]
    found: list[str] = []
    for start in range(0, len(fitting), 64):
        some = fitting[start : start + 64]
        found += [text for text, row in zip(some, victim.probabilities(some), strict=True) if row[1] > 0.5]
        if len(found) >= n:
            break
    return found[:n]
