"""Other readings of a canonical text, which filters score beside it: what a person or a model would make of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from guard.canonical import Canonical, canonicalize
from guard.offsets import followed, kept
from guard.views import decoding, joining, respelling, slips, turning
from guard.views.chunks import reads_plainly

__all__ = ["View", "views"]

_MOST_LAYERS = 3
_LEAST_PASSAGE = 8  # characters: a shorter passage has its meaning from the text around it
_ENTITY = re.compile(r"&#?\w{1,30};")
_SIGNS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class View:
    """One other reading of a text.

    Parameters
    ----------
    kind : str
        What was undone, in order, joined by ``+``: hidden, decoded, turned, joined, respelled, mended, reread.
    form : Canonical
        Its map leads to the original text.
    """

    kind: str
    form: Canonical


def views(form: Canonical) -> tuple[View, ...]:
    """Return the other readings of a canonical text: none for text that reads as it stands.

    Parameters
    ----------
    form : Canonical

    Returns
    -------
    tuple of View
        At most five: what was decoded, that alone without the text around it, each in ordinary spelling, and the text
        with all its slips read. Four again, and one, for each thing that invisible characters say.
    """
    found = _readings(form, ())
    reread = slips.reread(form)
    if reread.text not in (form.text, *(view.form.text for view in found)):
        found += (View("reread", reread),)
    for aside in form.asides:
        found += (View("hidden", aside), *_readings(aside, ("hidden",)))
    return found


def _readings(form: Canonical, kinds: tuple[str, ...]) -> tuple[View, ...]:
    if reads_plainly(form.text):
        return ()
    found = [View("+".join((*kinds, "decoded")), said) for said in _decoded(form)]
    for view in found or [View("+".join(kinds), form)]:
        done, reading = [view.kind] * bool(view.kind), view.form
        for kind, read in _STEPS:
            changed = read(reading)
            if changed.text != reading.text:
                reading = changed
                done.append(kind)
        if reading.text != view.form.text:
            found.append(View("+".join(dict.fromkeys(done)), reading))
    return tuple(found)


def _decoded(form: Canonical) -> list[Canonical]:
    """Return a text with its encoded passages decoded, and these passages alone if there is more: it may divert."""
    text = Canonical(form.text, len(form.text))
    for _ in range(_MOST_LAYERS):
        plain = decoding.decoded(text)
        if plain.text == text.text:
            break
        text = followed(plain, canonicalize(plain.text))
    if text.starts is None or text.ends is None or _same_letters(form.text, text.text):
        return []
    # What was decoded is shorter than its code; the rest stands for itself.
    inside = text.ends - text.starts > 1
    rest = "".join(char for char, code in zip(text.text, inside, strict=True) if not code)
    found = [followed(form, text)]
    if int(inside.sum()) >= _LEAST_PASSAGE and any(map(str.isalpha, rest)):
        found.append(followed(form, kept(text, inside | np.array([char.isspace() for char in text.text]))))
    return found


def _same_letters(text: str, reading: str) -> bool:
    """Whether a reading differs in signs only, such as a quotation mark that was written as an HTML entity."""
    return _SIGNS.sub("", _ENTITY.sub("", text)) == _SIGNS.sub("", reading)


_STEPS = (
    ("joined", joining.joined),
    ("respelled", respelling.respelled),
    ("turned", turning.turned),
    ("mended", respelling.mended),
    ("joined", joining.regrouped),
)
