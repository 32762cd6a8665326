"""An objective with ethics in it: which terms stand beside the language-model loss, and what each is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from guard.errors import ConfigError, DataError
from guard.train.generator.codes import PHRASES, ControlCodes, fit_codes
from guard.train.generator.examples import Example, Kind
from guard.train.generator.fit_settings import Beside
from guard.train.generator.judging import TrainingJudge
from guard.train.generator.pairs import (
    PairSettings,
    Sampled,
    judged_examples,
    pair_examples,
    pairs_of,
    unlearnt_examples,
)
from guard.train.generator.spans import JudgedText, language_rows, unlearnt_texts
from guard.train.generator.terms import Kto, Leash, Preference, SpanUnlikelihood, Term
from guard.train.generator.token_rows import TokenRow

__all__ = ["TERMS", "EthicsWeights", "beside_of", "codes_of", "judged", "parse_weights", "rows_of"]

TERMS: Mapping[str, str] = {
    "unlikelihood": "words that the judge points at, in the data and in what the model says, are unlearnt",
    "dpo": "of two answers of the model the one that the judge finds cleaner is preferred",
    "kto": "answers of the model are accepted or rejected one by one",
    "kl": "on plain prose the model stays near the original",
}

_QUOTAS: Mapping[Kind, int] = {"unlearn": 4, "prefer": 4, "accept": 3, "reject": 3, "text": 2}
_VALIDATED = 10  # one in so many examples is looked at and not learnt


@dataclass(frozen=True)
class EthicsWeights:
    """How much each term weighs beside a language-model loss of weight 1; 0 leaves one out.

    Parameters
    ----------
    unlikelihood, dpo, kto, kl : float
    control_codes : bool
        Texts are learnt behind a code for how clean they are.
    """

    unlikelihood: float = 0.0
    dpo: float = 0.0
    kto: float = 0.0
    kl: float = 0.0
    control_codes: bool = False

    def __post_init__(self) -> None:
        if not all(0 <= getattr(self, name) < float("inf") for name in TERMS):
            raise ConfigError(f"{self}: the weights are at least 0 and finite")

    @property
    def is_plain(self) -> bool:
        """Whether nothing is there but the language-model loss."""
        return not self.control_codes and not any(getattr(self, name) for name in TERMS)

    @property
    def needs_samples(self) -> bool:
        """Whether the model has to be sampled."""
        return bool(self.dpo or self.kto or self.unlikelihood)

    def terms(self) -> tuple[Term, ...]:
        """Return the terms that weigh something."""
        every: tuple[Term, ...] = (
            SpanUnlikelihood(self.unlikelihood),
            Preference(self.dpo),
            Kto(self.kto),
            Leash(self.kl, kinds=("text",)),
        )
        return tuple(term for term in every if term.weight > 0)

    def told(self) -> str:
        """Return the settings as they are given on the command line.

        Examples
        --------
        >>> EthicsWeights(dpo=0.5, control_codes=True).told()
        'dpo=0.5, control codes'
        """
        parts = [f"{name}={getattr(self, name):g}" for name in TERMS if getattr(self, name)]
        return ", ".join([*parts, *(["control codes"] if self.control_codes else [])]) or "none"


def parse_weights(given: Sequence[str], *, control_codes: bool = False) -> EthicsWeights:
    """Read ``NAME=WEIGHT`` settings.

    Raises
    ------
    ConfigError
        An unknown name, a weight that is no number, or one name twice.

    Examples
    --------
    >>> parse_weights(["dpo=0.5"]).dpo
    0.5
    """
    found: dict[str, float] = {}
    for one in given:
        name, _, number = one.partition("=")
        if name not in TERMS or name in found:
            again = "is given twice" if name in found else f"is not known (known: {', '.join(TERMS)})"
            raise ConfigError(f"term {name!r} {again}: give NAME=WEIGHT once for each, for example dpo=0.5")
        try:
            found[name] = float(number)
        except ValueError as error:
            raise ConfigError(f"{one!r}: the weight is no number; give for example {name}=0.3") from error
    return EthicsWeights(**found, control_codes=control_codes)


def judged(texts: Sequence[JudgedText], judge: TrainingJudge, *, located: bool) -> list[JudgedText]:
    """Return texts with their scores, and with the words that the judge points at where they are wanted.

    Raises
    ------
    FilterError
        A text could not be judged.
    """
    scores = judge.scores([one.text for one in texts])
    ranges = judge.ranges([one.text for one in texts], scores) if located else [()] * len(texts)
    rows = zip(texts, scores.tolist(), ranges, strict=True)
    return [replace(one, score=score, ranges=where) for one, score, where in rows]


def codes_of(
    texts: Sequence[JudgedText], weights: EthicsWeights, phrases: Sequence[str] = PHRASES, *, clean: float = 0.3
) -> ControlCodes | None:
    """Return the control codes that the scores of the training texts part into; None where none are wanted.

    Parameters
    ----------
    texts : sequence of JudgedText
    weights : EthicsWeights
    phrases : sequence of str
    clean : float
        Most that a text behind the clean code scores.

    Raises
    ------
    DataError
        The scores do not part into so many groups.
    """
    import numpy as np

    return fit_codes(np.array([one.score for one in texts]), phrases, clean=clean) if weights.control_codes else None


def rows_of(
    tokenizer: Any, texts: Sequence[JudgedText], weights: EthicsWeights, codes: ControlCodes | None, *, most: int
) -> list[TokenRow]:
    """Encode texts for the language-model loss; with the unlikelihood term flagged words are not learnt."""
    spared = weights.unlikelihood > 0
    return [
        row
        for one in texts
        for row in language_rows(tokenizer, one, code=codes.of(one.score) if codes else "", spared=spared, most=most)
    ]


def beside_of(
    tokenizer: Any,
    weights: EthicsWeights,
    texts: Sequence[JudgedText],
    sampled: Sequence[Sampled],
    prose: Sequence[Example],
    judge: TrainingJudge,
    *,
    codes: ControlCodes | None = None,
    pairs: PairSettings | None = None,
    chat: bool = False,
    most: int = 64,
) -> Beside:
    """Return what is learnt beside the texts themselves.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    weights : EthicsWeights
    texts : sequence of JudgedText
        The training texts.
    sampled : sequence of Sampled
        What the model said to prompts.
    prose : sequence of Example
        Of the kind ``text``.
    judge : TrainingJudge
    codes : ControlCodes, optional
        Answers of the model are learnt behind the clean code: what it says there is what counts.
    pairs : PairSettings, optional
    chat : bool
        Whether the prompts were put as a user's turn.
    most : int
        Ids of a text of which flagged words are unlearnt.

    Returns
    -------
    Beside
        One example in ten validates.

    Raises
    ------
    DataError
        Too few pairs or judged answers, or a term without any example.
    """
    settings, code = pairs or PairSettings(), codes.clean if codes else ""
    found: list[Example] = []
    if weights.unlikelihood:
        found += unlearnt_texts(tokenizer, texts, [codes.of(one.score) if codes else "" for one in texts], most=most)
        found += unlearnt_examples(tokenizer, sampled, judge, chat=chat, code=code)
    if weights.dpo:
        made = pairs_of(sampled, tokenizer, settings, threshold=judge.threshold)
        found += pair_examples(tokenizer, made, chat=chat, code=code)
    if weights.kto:
        found += judged_examples(tokenizer, sampled, settings, threshold=judge.threshold, chat=chat, code=code)
    if weights.kl:
        found += prose
    return _split(found, weights.terms())


def _split(found: Sequence[Example], terms: Sequence[Term]) -> Beside:
    if not terms:
        return Beside()
    kinds = {kind: [one for one in found if one.kind == kind] for term in terms for kind in term.kinds}
    for kind, ones in kinds.items():
        if len(ones) < 2:
            raise DataError(
                f"{len(ones)} examples of the kind {kind!r}: give texts or prompts of which the judge flags more, or"
                " leave its term out"
            )
    looked = [one for ones in kinds.values() for one in ones[: max(1, len(ones) // _VALIDATED)]]
    learnt = [one for ones in kinds.values() for one in ones[max(1, len(ones) // _VALIDATED) :]]
    return Beside(terms, learnt, looked, {kind: _QUOTAS[kind] for kind in kinds})
