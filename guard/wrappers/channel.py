"""One guarded text that is pushed in, chunk by chunk, where several come interleaved in one stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from guard.drawing import notices
from guard.guard import Guard
from guard.schema import Verdict
from guard.segments import Segment
from guard.stream import Ended
from guard.vault import Vault

__all__ = ["Channel", "Cut"]

Cut = list[tuple[Segment, str]]


class Channel:
    """Takes chunks of one text; gives what may be read.

    Parameters
    ----------
    guard : Guard
    vault : Vault or None
        What it keeps is put back in what is given out.
    """

    def __init__(self, guard: Guard, vault: Vault | None) -> None:
        self._guard = guard
        self._screen = guard.open_screen(vault=vault)
        self._restorer = None if vault is None else vault.restorer()
        self._ended = False
        self.said_something = False

    @property
    def stopped(self) -> bool:
        """Whether the policy stopped the text."""
        return self._screen.stopped

    @property
    def verdict(self) -> Verdict:
        """The verdict so far."""
        return self._screen.verdict()

    def cut(self, chunk: str) -> Cut:
        """Take a chunk; return what is to be judged next. Cheap."""
        return self._screen.cut(chunk)

    def pass_on(self, cut: Cut) -> str:
        """Judge that; return what may be read. Runs the filters."""
        return self._given(self._screen.pass_on(cut) if cut else "")

    def finish(self, prompts: Sequence[Verdict] | None = None) -> str:
        """End the text: judge the rest, make the record, return what may still be read.

        Parameters
        ----------
        prompts : sequence of Verdict or None
            On what was asked; where given, notices are said after the text.
        """
        piece = self._given(self._screen.pass_on(self._screen.cut_last()))
        if self._restorer is not None:
            piece += self._restorer.finish()
        self.end("stopped" if self.stopped else "finished")
        said = notices(self._guard.policy, [*prompts, self.verdict]) if prompts is not None and not self.stopped else ""
        return piece + said

    def end(self, how: Literal["finished", "stopped", "abandoned", "failed"]) -> None:
        """Make the record, once."""
        if not self._ended:
            self._ended = True
            self._guard.close_screen(Ended(how, self._screen))

    def _given(self, piece: str) -> str:
        given = piece if self._restorer is None else self._restorer.push(piece)
        self.said_something = self.said_something or bool(given)
        return given
