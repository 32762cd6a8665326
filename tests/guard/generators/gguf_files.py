"""A tiny Llama as a GGUF file, with a byte-level tokenizer, for the tests of the conversion."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

HIDDEN, FORWARD, HEADS, CONTEXT = 32, 64, 2, 128
ROPE_BASE = 123_456.0
CONTROL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


def byte_alphabet() -> list[str]:
    """Spell the 256 bytes as GPT-2 does: those that print as themselves, the others from U+0100 on."""
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(0x100, 0x200))
    return [chr(byte if byte in prints else next(spare)) for byte in range(256)]


def write_tiny_gguf(path: Path, *, pre: str = "smollm", architecture: str = "llama") -> Path:
    """Write a file that Transformers can read, of random weights from a fixed seed."""
    merges = ["Ġ a", "h e", "Ġ Ġ"]
    tokens = [*CONTROL, *byte_alphabet(), *(merge.replace(" ", "") for merge in merges)]
    writer = gguf.GGUFWriter(str(path), architecture)
    for add, value in (
        (writer.add_context_length, CONTEXT),
        (writer.add_embedding_length, HIDDEN),
        (writer.add_block_count, 1),
        (writer.add_feed_forward_length, FORWARD),
        (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, HEADS),
        (writer.add_rope_freq_base, ROPE_BASE),
        (writer.add_rope_dimension_count, HIDDEN // HEADS),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_vocab_size, len(tokens)),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_tokenizer_pre, pre),
        (writer.add_token_list, tokens),
        (writer.add_token_types, [3] * len(CONTROL) + [1] * (len(tokens) - len(CONTROL))),
        (writer.add_token_merges, merges),
        (writer.add_bos_token_id, 1),
        (writer.add_eos_token_id, 2),
        (writer.add_unk_token_id, 0),
        (writer.add_add_bos_token, False),
        (writer.add_chat_template, TEMPLATE),
    ):
        add(value)
    random = np.random.default_rng(0)
    for name, shape in _shapes(len(tokens)).items():
        scaled = random.normal(scale=0.1, size=shape).astype(np.float32)
        writer.add_tensor(name, np.ones(shape, np.float32) if "norm" in name else scaled)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _shapes(n_tokens: int) -> dict[str, tuple[int, ...]]:
    square = (HIDDEN, HIDDEN)
    return {
        "token_embd.weight": (n_tokens, HIDDEN),
        "output_norm.weight": (HIDDEN,),
        "blk.0.attn_norm.weight": (HIDDEN,),
        "blk.0.attn_q.weight": square,
        "blk.0.attn_k.weight": square,
        "blk.0.attn_v.weight": square,
        "blk.0.attn_output.weight": square,
        "blk.0.ffn_norm.weight": (HIDDEN,),
        "blk.0.ffn_gate.weight": (FORWARD, HIDDEN),
        "blk.0.ffn_up.weight": (FORWARD, HIDDEN),
        "blk.0.ffn_down.weight": (HIDDEN, FORWARD),
    }
