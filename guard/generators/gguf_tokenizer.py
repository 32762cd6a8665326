"""The tokenizer that a GGUF file's own metadata describes, as files that every transformers version reads alike.

transformers 4.57 derives it from the architecture instead and gets it wrong (an extra first token, another end of
sequence), so nothing of its reading is used here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
)

from guard.errors import GeneratorError

__all__ = ["TokenizerSpec", "build_tokenizer", "read_tokenizer_spec", "tokenizer_config"]

T = TypeVar("T")

_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # llama_token_type in llama.cpp
_SPACE = "▁"

# How each value of tokenizer.ggml.pre cuts text before merging, after llama.cpp's llama-vocab.cpp.
_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_SPLITS = {
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "llama-bpe": _LLAMA3,
    "falcon3": _LLAMA3,
    "smaug-bpe": _LLAMA3,
    "dbrx": _LLAMA3,
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "megrez": _QWEN2,
}
_SINGLE_DIGITS = frozenset({"smollm", "starcoder", "refact", "command-r", "codeshell"})
_PLAIN = frozenset({"gpt-2", "gpt2", "phi-2", "olmo", "jina-en", "mpt"})
_ADDS_BOS = frozenset({"llama3", "llama-v3", "llama-bpe", "falcon3"})


@dataclass(frozen=True)
class TokenizerSpec:
    """What a GGUF file says about its tokenizer, with llama.cpp's defaults for what it leaves out.

    Parameters
    ----------
    kind : {"gpt2", "llama"}
        Byte-level BPE, or SentencePiece BPE with byte fallback.
    pre : str
        How text is cut before merging; only byte-level BPE uses it.
    tokens : sequence of str
        Position is the token id.
    types : sequence of int
        llama.cpp's token type, one a token.
    scores : sequence of float
        SentencePiece only.
    merges : sequence of str
        Each a pair with a blank between; empty where the file lists none.
    bos, eos, unk, pad : int or None
        Token ids. `pad` falls back to `eos`, since batches must be padded with something.
    add_bos, add_eos, add_space_prefix : bool
    chat_template : str or None
    """

    kind: str
    pre: str
    tokens: Sequence[str]
    types: Sequence[int]
    scores: Sequence[float]
    merges: Sequence[str]
    bos: int | None
    eos: int | None
    unk: int | None
    pad: int | None
    add_bos: bool
    add_eos: bool
    add_space_prefix: bool
    chat_template: str | None


def read_tokenizer_spec(metadata: Mapping[str, object]) -> TokenizerSpec:
    """Read the tokenizer's part of a GGUF file's metadata.

    Parameters
    ----------
    metadata : mapping
        Every key of the file to its value; arrays as lists.

    Raises
    ------
    GeneratorError
        A kind of tokenizer, or a way to cut text, that is not known here: guessing would give wrong tokens silently.
        Or a list that holds something else than it should.
    """
    ggml = {key.removeprefix("tokenizer.ggml."): value for key, value in metadata.items()}
    kind = str(ggml.get("model", "none"))
    pre = str(ggml.get("pre", "gpt-2" if metadata.get("general.architecture") == "gpt2" else "none"))
    _check_known(kind, pre)
    tokens = _array(ggml, "tokens", str)
    bos, eos = _token_id(ggml, "bos", tokens), _token_id(ggml, "eos", tokens)
    pad = _token_id(ggml, "padding", tokens)
    template = metadata.get("tokenizer.chat_template")
    return TokenizerSpec(
        kind=kind,
        pre=pre,
        tokens=tokens,
        types=_array(ggml, "token_type", int) or [_NORMAL] * len(tokens),
        scores=_array(ggml, "scores", float),
        merges=_array(ggml, "merges", str),
        bos=bos,
        eos=eos,
        unk=_token_id(ggml, "unknown", tokens),
        pad=eos if pad is None else pad,
        add_bos=bos is not None and bool(ggml.get("add_bos_token", kind == "llama" or pre in _ADDS_BOS)),
        add_eos=eos is not None and bool(ggml.get("add_eos_token", False)),
        add_space_prefix=bool(ggml.get("add_space_prefix", kind == "llama")),
        chat_template=str(template) if template else None,
    )


def _check_known(kind: str, pre: str) -> None:
    way_out = "use the model's original folder in the Hugging Face format instead"
    if kind not in ("gpt2", "llama"):
        raise GeneratorError(f"the GGUF file has a tokenizer of kind {kind!r}; known are 'gpt2' and 'llama': {way_out}")
    if kind == "gpt2" and pre not in _SPLITS and pre not in _SINGLE_DIGITS and pre not in _PLAIN:
        raise GeneratorError(f"the GGUF file cuts text the {pre!r} way, which is not known here: {way_out}")


def _array(ggml: Mapping[str, object], key: str, kind: Callable[[Any], T]) -> list[T]:
    values = ggml.get(key, [])
    try:
        return [kind(value) for value in values] if isinstance(values, list) else []
    except (TypeError, ValueError, OverflowError) as error:
        raise GeneratorError(
            f"tokenizer.ggml.{key} in the GGUF file holds what it should not ({str(error)[:100]}): get the file again"
        ) from error


def _token_id(ggml: Mapping[str, object], key: str, tokens: Sequence[str]) -> int | None:
    """Return the id, or None where the file has none or one outside the vocabulary."""
    value = ggml.get(f"{key}_token_id")
    return value if isinstance(value, int) and 0 <= value < len(tokens) else None


def build_tokenizer(spec: TokenizerSpec) -> Tokenizer:
    """Build the tokenizer of `spec`.

    Parameters
    ----------
    spec : TokenizerSpec

    Returns
    -------
    tokenizers.Tokenizer
        Every id is the position in ``spec.tokens``.

    Raises
    ------
    GeneratorError
        The vocabulary or the merges contradict themselves.
    """
    try:
        _check_lengths(spec)
        tokenizer = _byte_level(spec) if spec.kind == "gpt2" else _sentencepiece(spec)
    except Exception as error:  # tokenizers raises bare Exception for a merge outside the vocabulary
        raise GeneratorError(
            f"the tokenizer in the GGUF file contradicts itself ({error}): get the file again"
        ) from error
    _add_marked_tokens(tokenizer, spec)
    template = _affixes(spec)
    if template is not None:
        tokenizer.post_processor = template
    return tokenizer


def _check_lengths(spec: TokenizerSpec) -> None:
    n_tokens = len(spec.tokens)
    if not n_tokens:
        raise ValueError("it lists no tokens")
    for name, values in (("types", spec.types), ("scores", spec.scores)):
        if values and len(values) != n_tokens:
            raise ValueError(f"{n_tokens} tokens, {len(values)} {name}")


def _byte_level(spec: TokenizerSpec) -> Tokenizer:
    vocabulary = {token: index for index, token in enumerate(spec.tokens)}
    merges = [_pair(merge) for merge in spec.merges]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = _byte_level_cut(spec.pre)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _pair(merge: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    return left, right


def _byte_level_cut(pre: str) -> pre_tokenizers.PreTokenizer:
    if pre in _SPLITS:
        cut = pre_tokenizers.Split(Regex(_SPLITS[pre]), behavior="isolated")
        return pre_tokenizers.Sequence([cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    by_words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    if pre in _SINGLE_DIGITS:
        return pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), by_words])
    return by_words


def _sentencepiece(spec: TokenizerSpec) -> Tokenizer:
    tokens = [_respelled(token) for token in spec.tokens]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    merges = [_pair(merge) for merge in spec.merges] or _implied_merges(spec, tokens)
    unknown = None if spec.unk is None else tokens[spec.unk]
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    replace = normalizers.Replace(" ", _SPACE)
    prefixed = normalizers.Sequence([normalizers.Prepend(_SPACE), replace])
    tokenizer.normalizer = prefixed if spec.add_space_prefix else replace
    strip = [decoders.Strip(" ", 1, 0)] if spec.add_space_prefix else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    return tokenizer


def _respelled(token: str) -> str:
    """Spell a run of blanks the way the normalizer will."""
    return _SPACE * len(token) if token and not token.strip(" ") else token


def _implied_merges(spec: TokenizerSpec, tokens: Sequence[str]) -> list[tuple[str, str]]:
    """Rank every cut of a token into two tokens by the token's score, which is the order SentencePiece merges in.

    Runs of blanks come first: SentencePiece matches them whole before it merges anything.
    """
    scores = spec.scores or [float(-index) for index in range(len(tokens))]
    rank = {
        token: (set(token) != {_SPACE}, -score)
        for token, kind, score in zip(tokens, spec.types, scores, strict=True)
        if kind == _NORMAL or set(token) == {_SPACE}
    }
    ranked = [
        (*rank[token], -cut, token)
        for token in rank
        for cut in range(1, len(token))
        if token[:cut] in rank and token[cut:] in rank
    ]
    # Stable and by position among equals: a run of blanks has no score of its own.
    ranked.sort(key=lambda entry: (entry[0], len(entry[3]) if not entry[0] else entry[1], entry[2]))
    return [(token[:-negative], token[-negative:]) for _, _, negative, token in ranked]


def _add_marked_tokens(tokenizer: Tokenizer, spec: TokenizerSpec) -> None:
    """Keep whole what the file marks as control or user-defined, as llama.cpp does."""
    known = tokenizer.get_vocab(with_added_tokens=False)
    marked: dict[int, list[AddedToken]] = {_CONTROL: [], _USER_DEFINED: []}
    for token, kind in zip(spec.tokens, spec.types, strict=True):
        if kind in marked and token in known:
            marked[kind].append(AddedToken(token, normalized=False, special=kind == _CONTROL))
    tokenizer.add_special_tokens(marked[_CONTROL])
    tokenizer.add_tokens(marked[_USER_DEFINED])


def _affixes(spec: TokenizerSpec) -> processors.TemplateProcessing | None:
    """Return what puts the first and the last token around a text, where the file asks for them."""
    before = [spec.tokens[spec.bos]] if spec.add_bos and spec.bos is not None else []
    after = [spec.tokens[spec.eos]] if spec.add_eos and spec.eos is not None else []
    if not before and not after:
        return None
    return processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *after, *before, "$B:1", *after],
        special_tokens=[(token, spec.tokens.index(token)) for token in dict.fromkeys([*before, *after])],
    )


def tokenizer_config(spec: TokenizerSpec, *, max_length: int | None) -> dict[str, object]:
    """Return the content of tokenizer_config.json.

    Parameters
    ----------
    spec : TokenizerSpec
    max_length : int or None
        Context length of the model, in tokens.
    """
    named = {"bos_token": spec.bos, "eos_token": spec.eos, "unk_token": spec.unk, "pad_token": spec.pad}
    config: dict[str, object] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
        "add_bos_token": spec.add_bos,
        "add_eos_token": spec.add_eos,
        **{name: spec.tokens[index] for name, index in named.items() if index is not None},
    }
    if max_length is not None:
        config["model_max_length"] = max_length
    if spec.chat_template is not None:
        config["chat_template"] = spec.chat_template
    return config
