"""A changed word keeps its part of speech, told by spaCy where it is installed with a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from guard.attacks.schema import Check
from guard.attacks.words import AttackedText
from guard.errors import ConfigError

__all__ = ["SameWordClass"]

_MODEL = "en_core_web_sm"
_SWAPPABLE = frozenset({"NOUN", "VERB"})


class SameWordClass:
    """Every newly changed word has the part of speech of the one that it stands for.

    Parameters
    ----------
    pipeline : spacy.language.Language
        That sets ``token.pos_``.
    noun_for_verb : bool
        Let nouns and verbs stand for each other, as TextFooler does.

    Notes
    -----
    The classes are the universal ones (Universal Dependencies). A word that the pipeline cuts in several tokens has
    the class of its first. A change of the number of words is let pass: there is no pair to compare.
    """

    def __init__(self, pipeline: Any, *, noun_for_verb: bool = True) -> None:
        self._pipeline, self._noun_for_verb = pipeline, noun_for_verb
        meta = pipeline.meta
        self._name = f"{meta.get('lang', '')}_{meta.get('name', '')}@{meta.get('version', '')}"

    @classmethod
    def load(cls, model: str = _MODEL) -> SameWordClass:
        """Load an installed spaCy model.

        Raises
        ------
        ConfigError
            spaCy or the model is not installed.
        """
        try:
            import spacy

            return cls(spacy.load(model, exclude=["ner", "lemmatizer"]))
        except (ImportError, OSError) as error:
            raise ConfigError(
                f"parts of speech need spaCy and its model {model}, which is not here: pip install spacy, then"
                f" python -m spacy download {model}"
            ) from error

    def __repr__(self) -> str:
        """Say all settings."""
        return f"SameWordClass({self._name!r}, noun_for_verb={self._noun_for_verb})"

    def keep(self, checks: Sequence[Check]) -> list[list[AttackedText]]:
        """Return the candidates whose changed words keep their class."""
        texts = dict.fromkeys(text.text for check in checks for text in (check.current, *check.candidates))
        parsed = dict(zip(texts, self._pipeline.pipe(texts), strict=True))
        return [[text for text in check.candidates if self._passes(text, check.current, parsed)] for check in checks]

    def _passes(self, text: AttackedText, current: AttackedText, parsed: dict[str, Any]) -> bool:
        if text.n_words != current.n_words:
            return True
        return all(
            self._alike(_class(parsed[text.text], text, index), _class(parsed[current.text], current, index))
            for index in text.newly_modified
        )

    def _alike(self, one: str, other: str) -> bool:
        return one == other or (self._noun_for_verb and {one, other} == _SWAPPABLE)


def _class(document: Any, text: AttackedText, index: int) -> str:
    """Return the class of the token in which a word begins."""
    start, _ = text.span(index)
    return next((str(token.pos_) for token in document if token.idx <= start < token.idx + len(token)), "")
