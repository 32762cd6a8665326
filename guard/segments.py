"""Output text to the windows it is judged in: the same windows however the text arrives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Segment", "Segmenter", "segments"]

_SHORTEST = 100  # characters from one cut to the next; a sentence that ends earlier goes on
_LONGEST = 280  # about 65 tokens of English: what an encoder reads at once beside its context
_HELD = 48  # of what a window ends with, kept back until the next one has read across the cut
_CONTEXT = 64  # that a window reads again from before its own text
_STOPS = frozenset(".!?…")
_CLOSERS = frozenset("\"')]}»”’")
_WIDE_STOPS = frozenset("\n。！？｡؟।")


@dataclass(frozen=True)
class Segment:
    """One window of a text.

    Parameters
    ----------
    start, end : int
        The window is ``text[start:end]``.
    release : int
        What stands before this offset may be released once the window, and all before it, have passed.
    """

    start: int
    end: int
    release: int


class Segmenter:
    """Cuts a text that arrives in chunks.

    The cuts depend on the text alone: after 100 characters at the next end of a sentence, at the latest after 280,
    then at white space where there is some. A window reads from an earlier cut, at least 64 characters before its own
    text where there are so many, to its end. At least 48 characters before each cut are held back until the next
    window has read across it, and more where these would part a word: what is found across a cut, up to that length,
    was not yet released.

    Examples
    --------
    >>> cutter = Segmenter()
    >>> cutter.push("Short")
    []
    >>> cutter.finish()
    [Segment(start=0, end=5, release=5)]
    """

    def __init__(self) -> None:
        self._text = ""
        self._base = 0  # offset of the first character of `_text`: what no window needs again is let go
        self._cuts = [0]
        self._released = 0
        self._scanned = _SHORTEST
        self._finished = False

    def push(self, chunk: str) -> list[Segment]:
        """Take more text; return the segments that are complete now.

        Raises
        ------
        ValueError
            After :meth:`finish`.
        """
        if self._finished:
            raise ValueError("the text has ended: a finished segmenter takes no more")
        self._forget()
        self._text += chunk
        found = []
        while (cut := self._next_cut()) is not None:
            found.append(self._segment(cut))
        return found

    def finish(self) -> list[Segment]:
        """End the text; return its last segment, empty where the text is."""
        self._finished = True
        length = self._base + len(self._text)  # past the last cut, which was made once a character after it was seen
        return [Segment(self._window_start(), length, length)]

    def window(self, segment: Segment) -> str:
        """Return the text of a segment that :meth:`push` or :meth:`finish` has just returned."""
        return self._text[segment.start - self._base : segment.end - self._base]

    def _segment(self, cut: int) -> Segment:
        start = self._window_start()
        self._cuts.append(cut)
        self._released = max(self._released, self._hold(cut))
        self._scanned = cut + _SHORTEST
        return Segment(start, cut, self._released)

    def _forget(self) -> None:
        """Let go of text that no window reads again, so that a stream of any length takes bounded memory."""
        kept = max(self._window_start() - 1, self._base)
        self._text, self._base = self._text[kept - self._base :], kept
        self._cuts = [cut for cut in self._cuts if cut >= kept]

    def _window_start(self) -> int:
        """Return the last cut that lies far enough back for context and for all that is held."""
        latest = min(self._cuts[-1] - _CONTEXT, self._released)
        return next((cut for cut in reversed(self._cuts) if cut <= latest), self._cuts[0])

    def _next_cut(self) -> int | None:
        """Return the next cut, or None until the text tells it."""
        last, text, base = self._cuts[-1], self._text, self._base
        limit = last + _LONGEST
        # One character of what follows must be seen: "3." is no end where a 5 comes next.
        for place in range(self._scanned, min(limit, base + len(text) - 1) + 1):
            if _ends_sentence(text, place - base):
                return place
        self._scanned = max(self._scanned, min(limit, base + len(text) - 1) + 1)
        if base + len(text) <= limit:
            return None
        for place in range(limit, last + _SHORTEST - 1, -1):
            if text[place - base - 1].isspace():
                return place
        return limit

    def _hold(self, cut: int) -> int:
        """Return the offset from which text is held back: the start of a word, where one begins not too far back."""
        for place in range(cut - _HELD, max(self._released, cut - _HELD - _LONGEST), -1):
            if self._text[place - self._base - 1].isspace():
                return place
        return self._released if cut - self._released <= _LONGEST + _HELD else cut - _LONGEST


def segments(text: str) -> list[Segment]:
    """Return the segments of a whole text; the empty text has one, which is empty.

    Parameters
    ----------
    text : str

    Returns
    -------
    list of Segment
        In order of their ends; the last one ends with the text and releases all of it.
    """
    cutter = Segmenter()
    return [*cutter.push(text), *cutter.finish()]


def _ends_sentence(text: str, place: int) -> bool:
    """Whether a sentence ends before `place`, where a character is known to stand."""
    before = text[place - 1]
    if before in _WIDE_STOPS:
        return True
    if not text[place].isspace():
        return False
    if before in _CLOSERS and place > 1:
        before = text[place - 2]
    return before in _STOPS
