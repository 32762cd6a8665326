"""Recipes that need a model beside the victim's answers, and how each differs from the published one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from guard.attacks.constraints.modifiable import NotStopWords, NotTwice
from guard.attacks.constraints.overlap import AtMostWordsPerturbed
from guard.attacks.goals import Untargeted
from guard.attacks.schema import Constraint, Victim
from guard.attacks.search.beam import Beam
from guard.attacks.search.greedy import GreedyByImportance
from guard.attacks.space import Attack
from guard.attacks.transformations.characters import DeleteCharacter, InsertCharacter, SwapNeighbours
from guard.attacks.transformations.keys import SwapHomoglyph
from guard.errors import ConfigError
from guard.schema import Generator

if TYPE_CHECKING:
    from guard.attacks.constraints.meaning import SimilarSentence

__all__ = ["DIFFERS", "NEURAL_RECIPES", "NeuralRecipe", "Parts"]


@dataclass(frozen=True)
class Parts:
    """What a recipe may need beside the victim's answers.

    Parameters
    ----------
    victim : Victim or None
        For recipes that follow gradients: a white box.
    masked_lm : str, Path or None
        Folder or hub id of a masked language model.
    sentence_encoder : Path or None
        Folder of a BERT that is read by its mean; None takes the asset ``minilm``.
    device : str
        Of the masked language model.
    paraphraser : Generator of str or None
        Model that says texts in other words.
    """

    victim: Victim | None = None
    masked_lm: str | Path | None = None
    sentence_encoder: Path | None = None
    device: str = "auto"
    paraphraser: Generator[str] | None = None


NeuralRecipe = Callable[[float | None, Parts], Attack]
"""A threshold, or None for the most probable label, and the parts, to the attack."""


def _textbugger(threshold: float | None, parts: Parts) -> Attack:
    """Li et al. 2019, "TextBugger: Generating Adversarial Text Against Real-world Applications", black-box."""
    from guard.attacks.transformations.neighbours import SwapNearWord
    from guard.attacks.word_table import WordTable

    return Attack(
        "textbugger",
        Untargeted(threshold),
        (
            InsertCharacter(one=True, keep_first=True, keep_last=True, letters=" "),
            DeleteCharacter(one=True, keep_first=True, keep_last=True),
            SwapNeighbours(one=True, keep_first=True, keep_last=True),
            SwapHomoglyph(),
            SwapNearWord(WordTable.minilm(), n=5),
        ),
        GreedyByImportance("delete"),
        (NotTwice(), NotStopWords.english()),
        (_similar(parts, 0.5),),
    )


def _hotflip(threshold: float | None, parts: Parts) -> Attack:
    """Ebrahimi et al. 2018, "HotFlip: White-Box Adversarial Examples for Text Classification"."""
    from guard.attacks.transformations.hotflip import FlipTokens, TokenWhiteBox

    if not isinstance(parts.victim, TokenWhiteBox):
        given = "none" if parts.victim is None else parts.victim.name
        raise ConfigError(
            f"hotflip follows the victim's gradients, and the victim given ({given}) has none: attack the encoder"
            " filter or a Hugging Face classifier"
        )
    return Attack(
        "hotflip",
        Untargeted(threshold),
        (FlipTokens(parts.victim, top=10),),
        Beam(10),
        (NotTwice(), NotStopWords.english()),
        (AtMostWordsPerturbed(number=2),),
    )


def _textfooler(threshold: float | None, parts: Parts) -> Attack:
    """Jin et al. 2020, "Is BERT Really Robust? A Strong Baseline for Natural Language Attack"."""
    from guard.attacks.constraints.meaning import SimilarSentence
    from guard.attacks.sentences import SentenceEncoder
    from guard.attacks.transformations.neighbours import SwapNearWord
    from guard.attacks.word_table import WordTable

    sentence = SimilarSentence(
        SentenceEncoder.load(parts.sentence_encoder),
        0.840845057,  # 1 - 0.5 / pi: the authors' code leaves the division by pi out
        metric="angular",
        against="current",
        window_words=15,
        skip_shorter=True,
    )
    return Attack(
        "textfooler-style",
        Untargeted(threshold),
        (SwapNearWord(WordTable.minilm(), n=50, least=0.5),),
        GreedyByImportance("delete"),
        (NotTwice(), NotStopWords.english()),
        (*_word_class(), sentence),
    )


def _bae(threshold: float | None, parts: Parts) -> Attack:
    """Garg and Ramakrishnan 2020, "BAE: BERT-based Adversarial Examples for Text Classification", BAE-R."""
    from guard.attacks.constraints.meaning import SimilarSentence
    from guard.attacks.sentences import SentenceEncoder
    from guard.attacks.transformations.masked_lm import SwapByMaskedLM

    swap = SwapByMaskedLM.load(parts.masked_lm, device=parts.device, n=50)
    encoder = SentenceEncoder.load(parts.sentence_encoder)
    return Attack(
        "bae",
        Untargeted(threshold),
        (swap,),
        GreedyByImportance("delete"),
        (NotTwice(), NotStopWords.english()),
        (*_word_class(), SimilarSentence(encoder, 0.936338023, window_words=15, skip_shorter=True)),
    )


def _bert_attack(threshold: float | None, parts: Parts) -> Attack:
    """Li et al. 2020, "BERT-ATTACK: Adversarial Attack Against BERT Using BERT"."""
    from guard.attacks.transformations.masked_lm import SwapByMaskedLM

    return Attack(
        "bert-attack-style",
        Untargeted(threshold),
        (SwapByMaskedLM.load(parts.masked_lm, device=parts.device, n=48, mode="keep"),),
        GreedyByImportance("unknown"),
        (NotTwice(), NotStopWords.english()),
        (AtMostWordsPerturbed(share=0.4), _similar(parts, 0.2)),
    )


def _paraphrase(threshold: float | None, parts: Parts) -> Attack:
    """Iyyer et al. 2018, "Adversarial Example Generation with Syntactically Controlled Paraphrase Networks"."""
    from guard.attacks.transformations.whole_text import Paraphrase

    if parts.paraphraser is None:
        raise ConfigError("paraphrase needs a model that says texts in other words, and none is given: name one")
    return Attack(
        "paraphrase",
        Untargeted(threshold),
        (Paraphrase(parts.paraphraser, n=8),),
        Beam(1),
        (NotTwice(),),
        (_similar(parts, 0.6),),
    )


def _similar(parts: Parts, least: float) -> SimilarSentence:
    from guard.attacks.constraints.meaning import SimilarSentence
    from guard.attacks.sentences import SentenceEncoder

    return SimilarSentence(SentenceEncoder.load(parts.sentence_encoder), least)


def _word_class() -> tuple[Constraint, ...]:
    """Return the constraint on parts of speech where spaCy has a model, else none: ``DIFFERS`` says so."""
    from guard.attacks.constraints.word_class import SameWordClass

    try:
        return (SameWordClass.load(),)
    except ConfigError:
        return ()


NEURAL_RECIPES: Mapping[str, NeuralRecipe] = MappingProxyType(
    {
        "bae": _bae,
        "bert-attack-style": _bert_attack,
        "hotflip": _hotflip,
        "paraphrase": _paraphrase,
        "textbugger": _textbugger,
        "textfooler-style": _textfooler,
    }
)
"""Every recipe that needs a model of its own, by name."""

_SENTENCES = "Sentences are compared by all-MiniLM-L6-v2 instead of the Universal Sentence Encoder"
_PARTS_OF_SPEECH = "Parts of speech are held only where spaCy is installed with en_core_web_sm"

DIFFERS: Mapping[str, str] = MappingProxyType(
    {
        "bae": f"{_SENTENCES}. {_PARTS_OF_SPEECH}. Replacement (BAE-R) only, by the model that is given.",
        "bert-attack-style": f"{_SENTENCES}. A word of several pieces is left alone, where the published attack tries"
        " combinations of pieces. Words are ranked by the unknown token in their place.",
        "hotflip": "Tokens of the victim's vocabulary are exchanged instead of characters; embeddings are not held to a"
        " cosine of 0.8 nor words to their part of speech. Gradients are not counted as queries.",
        "paraphrase": f"An instructed model in the place of one that was trained on syntax. {_SENTENCES} at a"
        " cosine of 0.6.",
        "textbugger": f"{_SENTENCES}, at a cosine of 0.5 in the place of 0.8, since a misspelling costs more there."
        " Near words come from the encoder's word embeddings instead of GloVe. Look-alikes are of other scripts.",
        "textfooler-style": f"{_SENTENCES}. {_PARTS_OF_SPEECH}. Near words come from the encoder's embeddings, since"
        " the counter-fitted vectors cannot be had: an opposite may count as near. Stop words are NLTK's.",
    }
)
"""What each of them does otherwise than published, in words for whoever reads its figures."""
