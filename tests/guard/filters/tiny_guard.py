"""Generative guards small enough to make on the spot, whose answer is set by hand: a trigger word makes them object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

__all__ = ["GUARDS", "TRIGGER", "TinyGuard", "write_tiny_guard", "write_tiny_tokenizer"]

TRIGGER = "awful"
"""The word that the models object to."""

CONTEXT = 1200
_START, _TURN, _END = "<|start|>", "<|turn|>", "<|end|>"
_LOUD = 12.0  # logit of the token that follows, against 0 of all others


@dataclass(frozen=True)
class TinyGuard:
    """How one kind of guard asks and answers.

    `words` are tokens of their own; `follows` says which token follows which; `verdict_after` is the token behind
    which the verdict stands, `calm` and `alarmed` its tokens without and with the trigger, by log-odds `sure`.
    """

    template: str
    words: tuple[str, ...]
    follows: Mapping[str, str | Mapping[str, float]]
    verdict_after: str
    calm: str
    alarmed: str
    sure: float = 3.0


_LLAMA = (
    "<|start|>user<|turn|>\n\nIs it unsafe?\n<BEGIN UNSAFE CONTENT CATEGORIES>\nS1: Violent Crimes.\nS2: Hate.\n"
    "S10: Sexual Content.\n<END UNSAFE CONTENT CATEGORIES>\n\n<BEGIN CONVERSATION>\n\n{% for message in messages %}"
    "{{ 'User' if message['role'] == 'user' else 'Agent' }}: {{ message['content'] | trim }}\n\n{% endfor %}"
    "<END CONVERSATION>\n\nsafe or unsafe?<|end|><|start|>assistant<|turn|>"
)
_PARTS = _LLAMA.replace(
    "{{ message['content'] | trim }}",
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] | trim }}{% endfor %}",
)
_QWEN = (
    "<|start|>user\n<BEGIN SAFETY POLICY>\nSafety: Safe, Controversial or Unsafe\n<END SAFETY POLICY>\n"
    "<BEGIN UNSAFE CONTENT CATEGORIES>\nViolent.\nPII.\nSuicide & Self-Harm.\n<END UNSAFE CONTENT CATEGORIES>\n"
    "<BEGIN CONVERSATION>\n{% for message in messages %}{{ message['role'] | upper }}: {{ message['content'] }}\n"
    "{% endfor %}<END CONVERSATION><|end|>\n<|start|>assistant<|turn|>"
)
_SHIELD = (
    "<|start|>A policy expert.\nHuman Question: {{ messages[0]['content'] | trim }}\n"
    "{% if messages | length > 1 %}Chatbot Response: {{ messages[1]['content'] | trim }}\n{% endif %}"
    "{{ guideline }}\nStart with 'Yes' or 'No'.<|turn|>"
)
_GRANITE_OLD = (
    "<|start|>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{{ guardian_config['risk_name'] }}<|turn|>"
)
_GRANITE_NEW = (
    "<|start|>{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{{ guardian_config['criteria_id'] }} {{ 'think' if think else 'no think' }}<|turn|>"
)

GUARDS: dict[str, TinyGuard] = {
    "llama-guard": TinyGuard(
        template=_LLAMA,
        words=("safe", "unsafe", "\n\n", "\n"),
        follows={"<|turn|>": "\n\n", "unsafe": "\n", "\n": "S", "S": {"1": 1.0, "2": 0.0}, "safe": _END},
        verdict_after="\n\n",
        calm="safe",
        alarmed="unsafe",
    ),
    "qwen3guard": TinyGuard(
        template=_QWEN,
        words=("Safety:", "\nCategories:", " Violent", " PII", " Suicide", "fe", "nsafe", "ontroversial"),
        # "Ġ" is the space of byte-level tokenizers; the verdicts differ only behind it.
        follows={
            "<|turn|>": "Safety:",
            "Safety:": "Ġ",
            "S": "a",
            "a": "fe",
            "U": "nsafe",
            "nsafe": "\nCategories:",
            "\nCategories:": {" Violent": 0.0, " PII": 1.0, " Suicide": 0.0},
        },
        verdict_after="Ġ",
        calm="S",
        alarmed="U",
    ),
    "shieldgemma": TinyGuard(
        template=_SHIELD, words=("Yes", "No"), follows={}, verdict_after="<|turn|>", calm="No", alarmed="Yes"
    ),
    "granite-guardian": TinyGuard(
        template=_GRANITE_NEW,
        words=("<score>", " yes", " no"),
        follows={"<|turn|>": "<score>"},
        verdict_after="<score>",
        calm=" no",
        alarmed=" yes",
    ),
    "granite-guardian-3.0": TinyGuard(
        template=_GRANITE_OLD, words=("Yes", "No"), follows={}, verdict_after="<|turn|>", calm="No", alarmed="Yes"
    ),
    "llama-guard-parts": TinyGuard(
        template=_PARTS,
        words=("safe", "unsafe", "\n\n", "\n"),
        follows={"<|turn|>": "\n\n", "unsafe": "\n", "\n": "S", "S": {"1": 1.0, "2": 0.0}, "safe": _END},
        verdict_after="\n\n",
        calm="safe",
        alarmed="unsafe",
    ),
}


def write_tiny_tokenizer(folder: Path, *, template: str | None, words: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """Write a byte-level tokenizer in which some words, and the trigger, are tokens of their own."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: index for index, token in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(word, normalized=False) for word in (TRIGGER, *words)])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=_END, eos_token=_END, model_max_length=CONTEXT)
    fast.add_special_tokens({"additional_special_tokens": [_START, _TURN]})
    fast.chat_template = template
    fast.save_pretrained(folder)
    return fast


def write_tiny_guard(folder: Path, guard: TinyGuard, *, template: str | None = None) -> Path:
    """Write a Llama of one layer that answers as `guard` says.

    Its one attention head looks for the trigger anywhere before, and writes what it found into a dimension of its own;
    the embedding of a token is its one-hot vector; the output layer is the table of what follows what.
    """
    tokenizer = write_tiny_tokenizer(
        folder, template=guard.template if template is None else template, words=guard.words
    )
    n_tokens = len(tokenizer)
    size = -(-(n_tokens + 3) // 8) * 8
    constant, trigger, seen = n_tokens, n_tokens + 1, n_tokens + 2
    config = LlamaConfig(
        vocab_size=n_tokens,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=CONTEXT,
        rope_theta=1e9,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(1.0 if "norm" in name else 0.0)
        embeddings = model.model.embed_tokens.weight
        embeddings[:, :n_tokens] = torch.eye(n_tokens)
        embeddings[:, constant] = 1.0
        embeddings[tokenizer.convert_tokens_to_ids(TRIGGER), trigger] = 1.0
        attention = model.model.layers[0].self_attn
        slowest = 7  # of the pairs that the rotary embedding turns: it does not move within this context
        attention.q_proj.weight[slowest, constant] = 10.0
        attention.k_proj.weight[slowest, trigger] = 10.0
        attention.v_proj.weight[0, trigger] = 1.0
        attention.o_proj.weight[seen, 0] = 1.0
        _write_table(model, tokenizer, guard, constant=constant, seen=seen)
    model.save_pretrained(folder)
    return folder


def _write_table(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, guard: TinyGuard, *, constant: int, seen: int
) -> None:
    """Set the output layer so that logits come out as `guard` names them, whatever the norms make of the size."""
    ids = tokenizer.convert_tokens_to_ids
    with torch.no_grad():
        without, with_trigger = (_states(model, [ids(word), ids(guard.verdict_after)]) for word in ("x", TRIGGER))
        one, there = float(without[ids(guard.verdict_after)]), float(with_trigger[seen])
        head = model.lm_head.weight
        for token, following in guard.follows.items():
            options = {following: 0.0} if isinstance(following, str) else following
            for word, logit in options.items():
                head[ids(word), ids(token)] = (_LOUD + logit) / one
        for word in (guard.calm, guard.alarmed):
            head[ids(word), ids(guard.verdict_after)] = _LOUD / one
        # Without the trigger the calm verdict leads by `sure`, with it the alarmed one does, up to the final norm.
        head[ids(guard.calm), constant] = guard.sure / float(without[constant])
        head[ids(guard.alarmed), seen] = 2 * guard.sure / there


def _states(model: LlamaForCausalLM, ids: list[int]) -> torch.Tensor:
    """Last hidden state behind some tokens, after the final norm."""
    hidden: torch.Tensor = model.model(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
    return hidden
