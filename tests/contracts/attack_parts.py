"""Every transformation and constraint of attacks under contract, one factory each: add yours here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from guard.attacks.constraints.modifiable import AtMostModified, LongWords, NotStopWords, NotTwice
from guard.attacks.constraints.overlap import AtMostWordsPerturbed, EditDistance, PhrasesKept
from guard.attacks.schema import Allowed, Constraint, Transformation
from guard.attacks.transformations.characters import (
    DeleteCharacter,
    InsertCharacter,
    SubstituteCharacter,
    SwapNeighbours,
)
from guard.attacks.transformations.contractions import Contract, WriteOut
from guard.attacks.transformations.deletion import DeleteWord
from guard.attacks.transformations.keys import PressKeyBeside, SwapHomoglyph
from guard.attacks.transformations.numbers import ChangeNumber
from guard.attacks.transformations.whole_text import InFrame, Paraphrase
from guard.attacks.transformations.wordnet import SwapSynonym
from guard.generators.scripted import ScriptedGenerator
from tests.guard.attacks.transformations.tiny_wordnet import write_tiny_wordnet

__all__ = ["ALLOWED", "CONSTRAINTS", "TRANSFORMATIONS"]

TRANSFORMATIONS: dict[str, Callable[[Path], Transformation]] = {
    "swap neighbours": lambda _: SwapNeighbours(),
    "swap all neighbours": lambda _: SwapNeighbours(False, True, True),
    "delete": lambda _: DeleteCharacter(),
    "delete all": lambda _: DeleteCharacter(False, True, True),
    "insert": lambda _: InsertCharacter(),
    "insert all": lambda _: InsertCharacter(False, True, True),
    "substitute": lambda _: SubstituteCharacter(),
    "key": lambda _: PressKeyBeside(),
    "all keys": lambda _: PressKeyBeside(False, True, True),
    "homoglyph": lambda _: SwapHomoglyph(one=True),
    "all homoglyphs": lambda _: SwapHomoglyph(),
    "delete word": lambda _: DeleteWord(),
    "synonym": lambda folder: SwapSynonym(write_tiny_wordnet(folder)),
    "write out": lambda _: WriteOut(),
    "contract": lambda _: Contract(),
    "number": lambda _: ChangeNumber(),
    "frame": lambda _: InFrame(),
    "paraphrase": lambda _: Paraphrase(ScriptedGenerator(lambda prompt, seed: f"say {seed % 997}")),
}

ALLOWED: dict[str, Callable[[], Allowed]] = {
    "not twice": NotTwice,
    "not stop words": lambda: NotStopWords(["the", "a"]),
    "long words": lambda: LongWords(4),
    "at most modified": lambda: AtMostModified(1),
}

CONSTRAINTS: dict[str, Callable[[], Constraint]] = {
    "edit distance": lambda: EditDistance(2),
    "words perturbed": lambda: AtMostWordsPerturbed(number=1),
    "share perturbed": lambda: AtMostWordsPerturbed(share=0.2),
    "phrases": lambda: PhrasesKept(("the", "cat")),
}
