"""Which tokens a generative guard answers with, learnt from one harmless question and checked against its format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from guard.errors import FilterError
from guard.filters.checkpoint import Encoder
from guard.filters.guard_prompts import GuardFormat

__all__ = ["Answer", "learn_answer"]

_MOST_TOKENS = 48


@dataclass(frozen=True)
class Answer:
    """The tokens of an answer.

    Parameters
    ----------
    lead : tuple of int
        What the model writes before its verdict.
    verdicts : tuple of int
        The token that begins each verdict and tells it from the others, the harmless one first.
    path : tuple of int
        From the worst verdict to just before the first category that it lists; empty for guards that list none.
    codes : tuple of int
        The token that begins each category there.
    """

    lead: tuple[int, ...]
    verdicts: tuple[int, ...]
    path: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()


def learn_answer(
    model: Any, tokenizer: Any, encoder: Encoder, prompt: str, *, form: GuardFormat, codes: Sequence[str], name: str
) -> Answer:
    """Let the model answer one prompt and read off how it spells its verdict.

    Templates differ in how much of the answer they give away and tokenizers in how they cut a word, so a fixed table
    would be right for one checkpoint and silently wrong for its neighbour. This asks the model. A model that does not
    answer in the published format is refused, since the probability of a word that it never says means nothing.

    Parameters
    ----------
    model, tokenizer, encoder
    prompt : str
        Rendered, about a harmless text.
    form : GuardFormat
    codes : sequence of str
        The categories that it may list, as it says them.
    name : str
        For errors.

    Raises
    ------
    FilterError
        The answer is not in the format, or the tokenizer has no token that tells the verdicts apart.
    """
    prompt_ids = encoder.marked(prompt)
    ids, lead_text, spelling, said = _first_verdict(model, tokenizer, prompt_ids, form, name)
    n_lead, gap = _lead_tokens(tokenizer, ids, lead_text)
    lead_text = lead_text[: len(lead_text) - len(gap)]
    words = [gap + verdict for verdict in spelling]
    listing = [f"{words[-1]}{form.listing}{code}" for code in codes]
    for anchor in (prompt + lead_text, lead_text, "\n", ""):
        spelt = _continuations(encoder, anchor, [*words, *listing])
        if spelt is None:
            continue
        verdicts, listed = spelt[: len(words)], spelt[len(words) :]
        if verdicts[said][: len(ids) - n_lead] == ids[n_lead:][: len(verdicts[said])]:
            return _answer(tuple(ids[:n_lead]), verdicts, listed, name)
    raise FilterError(
        f"filter {name}: the tokenizer spells {spelling[said]!r} otherwise than the model; it cannot be used"
    )


def _first_verdict(
    model: Any, tokenizer: Any, prompt_ids: list[int], form: GuardFormat, name: str
) -> tuple[list[int], str, tuple[str, ...], int]:
    """Decode greedily to the first verdict: the tokens, the text before it, its spelling, and which it was."""
    ids: list[int] = []
    text = ""
    for token in _greedy(model, prompt_ids):
        ids.append(token)
        text = _text(tokenizer, ids)
        for spelling in form.spellings:
            words = "|".join(map(re.escape, spelling))
            match = re.match(f"(?P<lead>{form.lead})(?P<verdict>{words})(?![A-Za-z])", text)
            if match is not None:
                return ids, match["lead"], spelling, spelling.index(match["verdict"])
    expected = " or ".join(repr(word) for word in form.spellings[0])
    raise FilterError(
        f"filter {name}: asked about a harmless text, the model answers {text[:60]!r} and not {expected} in the"
        " published form; is it a guard of this kind, with its own chat template?"
    )


@torch.inference_mode()
def _greedy(model: Any, prompt_ids: list[int]) -> Iterator[int]:
    """Yield the most probable tokens, one by one; without a cache, whose interface differs between versions."""
    ids = list(prompt_ids)
    for _ in range(_MOST_TOKENS):
        out = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False)
        ids.append(int(out.logits[0, -1].argmax()))
        yield ids[-1]


def _text(tokenizer: Any, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _lead_tokens(tokenizer: Any, ids: Sequence[int], lead_text: str) -> tuple[int, str]:
    """Return how many tokens lie before the verdict, and the white space before it that belongs to its token."""
    best = (0, lead_text)
    for n_tokens in range(len(ids)):
        prefix = _text(tokenizer, ids[:n_tokens])
        if lead_text.startswith(prefix):
            best = (n_tokens, lead_text[len(prefix) :])
    return best if not best[1].strip() else (0, lead_text)


def _continuations(encoder: Encoder, anchor: str, words: Sequence[str]) -> list[list[int]] | None:
    """Tokens of each word right after the anchor; None where the anchor's own tokens change with the word."""
    base = encoder.marked(anchor)
    spelt = [encoder.marked(anchor + word) for word in words]
    if any(ids[: len(base)] != base for ids in spelt):
        return None
    return [ids[len(base) :] for ids in spelt]


def _answer(lead: tuple[int, ...], verdicts: list[list[int]], listed: list[list[int]], name: str) -> Answer:
    shared = _n_shared(verdicts)
    firsts = [ids[shared] if len(ids) > shared else -1 for ids in verdicts]
    if -1 in firsts or len(set(firsts)) < len(firsts):
        raise FilterError(
            f"filter {name}: the vocabulary has no token that tells the verdicts apart; it cannot be used"
        )
    lead = (*lead, *verdicts[0][:shared])
    if not listed:
        return Answer(lead, tuple(firsts))
    known = min(_n_shared(listed), min(map(len, listed)) - 1)
    if listed[0][: shared + 1] != [*verdicts[-1][:shared], firsts[-1]] or known <= shared:
        raise FilterError(f"filter {name}: the tokenizer spells the verdict otherwise before a list; it cannot be used")
    # Where categories share their first token, each gets its probability: too much rather than too little.
    return Answer(lead, tuple(firsts), tuple(listed[0][shared:known]), tuple(ids[known] for ids in listed))


def _n_shared(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the common beginning."""
    shortest = min(map(len, sequences))
    return next((i for i in range(shortest) if len({ids[i] for ids in sequences}) > 1), shortest)
