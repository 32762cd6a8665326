"""Rows of a fine-tuning as texts to judge, and the prose that a leash holds the model to."""

from __future__ import annotations

import importlib.resources
import tomllib

from evals.finetuning.texts import TrainingText
from guard.errors import ConfigError
from guard.train.generator.spans import JudgedText

__all__ = ["judged_text", "taught_prose"]

_LEAST_CHARS = 200


def judged_text(row: TrainingText) -> JudgedText:
    """Return a plain text, or a question with its answer, to be judged.

    Raises
    ------
    ConfigError
        The row is a longer dialogue, of which one score would say too little.
    """
    if row.is_plain:
        return JudgedText(row.turns[0].content, unit=row.unit or row.id)
    if [turn.role for turn in row.turns] != ["user", "assistant"]:
        raise ConfigError(
            f"{row.id} has {len(row.turns)} turns: terms beside the language-model loss take plain texts, or a question"
            " and its answer a row"
        )
    return JudgedText(row.turns[1].content, row.turns[0].content, unit=row.unit or row.id)


def taught_prose() -> tuple[str, ...]:
    """Return the longer pieces of matter-of-fact discussion that were written for Assay."""
    file = importlib.resources.files("guard.train").joinpath("phrases_discussion.toml")
    lists = tomllib.loads(file.read_text(encoding="utf-8"))
    return tuple(text for text in lists["matter_of_fact"] if len(text) >= _LEAST_CHARS)
