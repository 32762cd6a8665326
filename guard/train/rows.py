"""The record that training data is made of, its heads, and how a text is normalised and hashed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["HEADS", "Row", "Split", "hash_fraction", "hash_split", "normal_form"]

HEADS = ("toxicity", "identity_attack", "jailbreak", "harmful_request", "refusal")
"""Column order of every label vector."""

Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Row:
    """One labelled text.

    Parameters
    ----------
    text : str
    labels : mapping of str to float
        Probability in [0, 1] for each head that the row speaks for. A head that is missing is unknown and takes no
        part in the loss.
    source : str
        Name of the data set, or ``own:<kind>`` for text written for this project.
    split : {"train", "val", "test"}
    group : str
        Subset of the source that metrics are broken down by; may be empty.
    """

    text: str
    labels: Mapping[str, float] = field(hash=False)
    source: str
    split: Split
    group: str = ""


def normal_form(text: str) -> str:
    """Return the text without case, punctuation and spacing: what two copies of one text share."""
    return re.sub(r"\W+", " ", text.casefold()).strip()


def hash_fraction(text: str, *, salt: str) -> float:
    """Map a text to a number in [0, 1) that stays the same on every machine and in every run.

    Parameters
    ----------
    text : str
        Hashed in its :func:`normal_form`.
    salt : str
        Another salt gives an independent number.
    """
    digest = hashlib.sha256(f"{salt}\0{normal_form(text)}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def hash_split(text: str, *, val: float = 0.1, test: float = 0.1) -> Split:
    """Assign a text of a set without published splits by its hash.

    Parameters
    ----------
    text : str
    val, test : float
        Shares of the validation and test split.
    """
    fraction = hash_fraction(text, salt="split")
    if fraction < test:
        return "test"
    return "val" if fraction < test + val else "train"
