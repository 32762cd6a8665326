"""Tokenizers built from GGUF metadata, on vocabularies small enough to merge by hand."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.errors import GeneratorError
from guard.generators.gguf_tokenizer import TokenizerSpec, build_tokenizer, read_tokenizer_spec, tokenizer_config
from tests.guard.generators.gguf_files import byte_alphabet

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
PIECES = ["▁", "a", "b", "ab", "▁ab", "ba"]


def _sentencepiece(**changes: object) -> Mapping[str, object]:
    """Ids: <unk> 0, <s> 1, </s> 2, bytes 3 to 258, pieces from 259, then a run of two blanks and a tag."""
    tokens = ["<unk>", "<s>", "</s>", *BYTES, *PIECES, "  ", "<tag>"]
    types = [2, 3, 3, *[6] * 256, *[1] * len(PIECES), 4, 4]
    scores = [0.0] * 259 + [-5.0, -6.0, -7.0, -1.0, -3.0, -2.0] + [-1000.0, -1000.0]
    ggml = {
        "model": "llama",
        "tokens": tokens,
        "token_type": types,
        "scores": scores,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "unknown_token_id": 0,
        "add_space_prefix": False,
        **changes,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in ggml.items()}


def _byte_level(pre: str, **changes: object) -> Mapping[str, object]:
    """Ids: <end> 0, the byte n at 1 + n, then the merged tokens from 257."""
    merges = ["Ġ Ġ", "1 2", "12 3", "Ġ 1"]
    tokens = ["<end>", *byte_alphabet(), *(merge.replace(" ", "") for merge in merges)]
    ggml = {
        "model": "gpt2",
        "pre": pre,
        "tokens": tokens,
        "token_type": [3, *[1] * (len(tokens) - 1)],
        "merges": merges,
        "eos_token_id": 0,
        **changes,
    }
    return {f"tokenizer.ggml.{key}": value for key, value in ggml.items()}


def _ids(metadata: Mapping[str, object], text: str) -> list[int]:
    return list(build_tokenizer(read_tokenizer_spec(metadata)).encode(text).ids)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", [1]),
        ("a", [1, 260]),
        # "ab" (-1) is merged before "ba" (-2) could be: b|ab, not ba|b.
        ("bab", [1, 261, 262]),
        (" ab", [1, 263]),
        ("ba", [1, 264]),
        # A run of two blanks is whole before anything else is merged.
        ("  ab", [1, 265, 262]),
        ("<tag>a", [1, 266, 260]),
        ("</s>", [1, 2]),
        ("é", [1, 3 + 0xC3, 3 + 0xA9]),
        ("\n", [1, 3 + 0x0A]),
    ],
)
def test_sentencepiece_merges_by_score(text: str, ids: list[int]) -> None:
    assert _ids(_sentencepiece(), text) == ids


@pytest.mark.parametrize(
    ("changes", "ids"),
    [
        ({}, [1, 262]),
        ({"add_bos_token": False}, [262]),
        ({"add_eos_token": True}, [1, 262, 2]),
        ({"add_space_prefix": True}, [1, 263]),
        ({"bos_token_id": None}, [262]),
        ({"bos_token_id": 10**6}, [262]),
    ],
)
def test_affixes_follow_the_file(changes: dict[str, object], ids: list[int]) -> None:
    assert _ids(_sentencepiece(**changes), "ab") == ids


B1, B2, B3, BLANK = 1 + 0x31, 1 + 0x32, 1 + 0x33, 1 + 0x20
RUN, M12, M123, M_1 = 257, 258, 259, 260


@pytest.mark.parametrize(
    ("pre", "text", "ids"),
    [
        ("gpt-2", "123", [M123]),
        ("smollm", "123", [B1, B2, B3]),
        ("llama-bpe", "123", [M123]),
        ("qwen2", "123", [B1, B2, B3]),
        # " 1" is one word for GPT-2; where digits are cut off first the blanks stay together.
        ("gpt-2", "  1", [BLANK, M_1]),
        ("smollm", "  1", [RUN, B1]),
        ("smollm", "<end>1", [0, B1]),
    ],
)
def test_byte_level_cuts_as_the_file_says(pre: str, text: str, ids: list[int]) -> None:
    assert _ids(_byte_level(pre), text) == ids


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (_byte_level("martian"), "'martian' way"),
        ({**_byte_level("gpt-2"), "tokenizer.ggml.model": "t5"}, "kind 't5'"),
        ({}, "kind 'none'"),
    ],
)
def test_unknown_tokenizer_is_refused(metadata: Mapping[str, object], message: str) -> None:
    with pytest.raises(GeneratorError, match=message):
        read_tokenizer_spec(metadata)


@pytest.mark.parametrize("merges", [["x nowhere"], ["oneword"]])
def test_merges_outside_the_vocabulary_are_refused(merges: list[str]) -> None:
    spec = read_tokenizer_spec(_byte_level("gpt-2", merges=merges))
    with pytest.raises(GeneratorError, match="contradicts itself"):
        build_tokenizer(spec)


@pytest.mark.parametrize(
    "metadata",
    [
        _sentencepiece(token_type=[1, 2]),
        _byte_level("gpt-2", token_type=[1, 2]),
        _sentencepiece(scores=[1.0]),
        _byte_level("gpt-2", tokens=[], merges=[]),
    ],
)
def test_lists_that_do_not_match_the_tokens_are_refused(metadata: Mapping[str, object]) -> None:
    spec = read_tokenizer_spec(metadata)
    with pytest.raises(GeneratorError, match="contradicts itself"):
        build_tokenizer(spec)


@pytest.mark.parametrize(
    "changes", [{"token_type": ["normal"]}, {"token_type": [[1]]}, {"scores": ["high"]}, {"token_type": [float("inf")]}]
)
def test_list_of_something_else_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(GeneratorError, match="holds what it should not") as caught:
        read_tokenizer_spec(_sentencepiece(**changes))
    assert "\n" not in str(caught.value)


def test_config_names_special_tokens_and_pads_with_the_end() -> None:
    spec = read_tokenizer_spec({**_sentencepiece(), "tokenizer.chat_template": "{{ messages }}"})
    config = tokenizer_config(spec, max_length=99)
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert [config[f"{name}_token"] for name in ("bos", "eos", "unk", "pad")] == ["<s>", "</s>", "<unk>", "</s>"]
    assert config["model_max_length"] == 99
    assert config["chat_template"] == "{{ messages }}"
    bare = tokenizer_config(read_tokenizer_spec(_byte_level("gpt-2")), max_length=None)
    assert not {"bos_token", "chat_template", "model_max_length"} & bare.keys()


@pytest.fixture(scope="module")
def specs() -> list[TokenizerSpec]:
    return [
        read_tokenizer_spec(metadata)
        for metadata in (_sentencepiece(add_bos_token=False), *(_byte_level(p) for p in ("gpt-2", "smollm", "qwen2")))
    ]


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="▁"), max_size=30))
@settings(max_examples=60, deadline=None)
def test_decoding_gives_the_text_back(specs: list[TokenizerSpec], text: str) -> None:
    for spec in specs:
        tokenizer = build_tokenizer(spec)
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text
