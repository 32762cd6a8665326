"""A model that is one rule, for ``--model python:tests.evals.commands.answering:NAME``."""

from __future__ import annotations


def rotten_when_asked(prompt: str) -> str:
    """Answer rudely whoever speaks of pirates."""
    return "you rotten scoundrel" if "pirate" in prompt else "good day"
