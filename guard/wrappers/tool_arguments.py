"""Arguments of a tool call as the tool will read them, to be judged and redacted value by value."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from guard.judge import Judgement
from guard.schema import Action
from guard.vault import Vault
from guard.wrappers.leaves import Leaf, leaves

__all__ = ["ToolArguments"]

_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


class ToolArguments:
    """One text of JSON, read. JSON may spell any letter as an escape, so filters must see what the tool sees.

    Parameters
    ----------
    text : str
        What the model wrote. Of a key that is there twice, the last value counts and the other is dropped. Broken JSON
        is judged as a text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._leaves: list[Leaf] = []
        self._repeats = False
        self._whole = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
        try:
            self._read = json.loads(text, object_pairs_hook=self._object)
        except (ValueError, RecursionError):
            return
        if isinstance(self._read, dict | list):
            self._leaves = list(leaves(self._read, skip=frozenset(), numbers=True))
            self._whole = json.dumps(self._read, ensure_ascii=False)

    @property
    def texts(self) -> list[str]:
        """What is to be judged: the whole, with its keys, and then every value."""
        return [self._whole, *(leaf.text for leaf in self._leaves)]

    def settled(self, judged: Sequence[Judgement], vault: Vault | None = None) -> str | None:
        """Return the arguments that may be passed on; None where they may not.

        Parameters
        ----------
        judged : sequence of Judgement
            One for each of :attr:`texts`.
        vault : Vault or None
            What it keeps is put back.
        """
        whole, values = judged[0], judged[1:]
        if any(one.verdict.action >= Action.REGENERATE for one in judged):
            return None
        if not self._leaves:
            text = whole.text if vault is None else vault.restore(whole.text)
            return self._text if text == self._whole else text
        redacted = {c for one in values if one.verdict.action == Action.REDACT for c in one.verdict.triggered}
        if whole.verdict.action == Action.REDACT and not set(whole.verdict.triggered) <= redacted:
            return None  # what was found lies in a key, or across values
        for leaf, one in zip(self._leaves, values, strict=True):
            text = one.text if vault is None else vault.restore(one.text)
            if text != leaf.text:
                leaf.put(text)
        changed = json.dumps(self._read, ensure_ascii=False)
        # Written anew also where a key was there twice: another parser would read the other value.
        return self._text if changed == self._whole and not self._repeats else changed

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        self._repeats = self._repeats or len(found) < len(pairs)
        return found
