"""Chat messages on their way in: which texts are judged, and the messages with what the policy made of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from guard.errors import ConfigError
from guard.judge import Judgement
from guard.schema import Action, Verdict
from guard.wrappers.leaves import Leaf, fields, independent, leaves
from guard.wrappers.tool_arguments import ToolArguments

__all__ = ["OPERATOR_ROLES", "Messages"]

OPERATOR_ROLES = ("system", "developer")
"""Whose words are those of the application itself."""

_NO_TEXT = frozenset(
    {"role", "type", "id", "tool_call_id", "image_url", "input_audio", "file", "audio", "cache_control"}
)
_ARGUMENTS = "arguments"


class Messages:
    """The messages of one request.

    Parameters
    ----------
    messages : iterable
        Dicts or objects with role and content, the content a text or a list of parts. They are not changed.
    trusted_roles : collection of str
        Messages of these roles are not judged.
    known_names : collection of str
        Names of the tools on offer, which are the application's own words.

    Notes
    -----
    Every text of a message is judged, wherever it stands: content, text parts, arguments of earlier tool calls, names.
    A message with several texts is judged as one text too, since a word may be cut in two. Images, audio and files pass
    unjudged.

    Raises
    ------
    ConfigError
        A message without a role: nobody could tell whether to judge it.
    """

    def __init__(
        self,
        messages: Iterable[Any],
        *,
        trusted_roles: Collection[str] = OPERATOR_ROLES,
        known_names: Collection[str] = (),
    ) -> None:
        if isinstance(messages, str | Mapping):
            raise ConfigError(f"messages is one {type(messages).__name__}: give a list of messages")
        self.messages: list[Any] = independent(list(messages))
        self._leaves: list[Leaf] = []
        self._arguments: list[tuple[Leaf, ToolArguments]] = []
        self._joined: list[tuple[str, range]] = []
        for place, message in enumerate(self.messages):
            role = fields(message).get("role")
            if not isinstance(role, str):
                raise ConfigError(f"messages[{place}] has no role: give it one")
            if role not in trusted_roles:
                self._add(message, known_names)

    def _add(self, message: Any, known_names: Collection[str]) -> None:
        first = len(self._leaves)
        for leaf in leaves(message, skip=_NO_TEXT):
            if leaf.name == _ARGUMENTS:
                self._arguments.append((leaf, ToolArguments(leaf.text)))
            elif not (leaf.name == "name" and leaf.text in known_names):
                self._leaves.append(leaf)
        parts = range(first, len(self._leaves))
        if len(parts) > 1:
            texts = [self._leaves[place].text for place in parts]
            self._joined += [(glue.join(texts), parts) for glue in ("", "\n")]  # servers join them in either way

    @property
    def texts(self) -> list[str]:
        """All that is to be judged."""
        single = [leaf.text for leaf in self._leaves]
        return [*single, *(t for _, a in self._arguments for t in a.texts), *(text for text, _ in self._joined)]

    def settle(self, judged: Sequence[Judgement]) -> Verdict | None:
        """Put the redacted texts into :attr:`messages`; return the verdict that stops the request, if any does.

        Parameters
        ----------
        judged : sequence of Judgement
            One for each of :attr:`texts`.
        """
        stopping = [one.verdict for one in judged if one.verdict.action >= Action.REGENERATE]
        if stopping:
            return stopping[0]
        place = len(self._leaves)
        for leaf, one in zip(self._leaves, judged, strict=False):
            leaf.put(one.text)
        for leaf, given in self._arguments:
            own = judged[place : place + len(given.texts)]
            place += len(given.texts)
            text = given.settled(own)
            if text is None:
                return own[0].verdict
            leaf.put(text)
        for (_, parts), one in zip(self._joined, judged[place:], strict=True):
            found = {category for part in parts for category in judged[part].verdict.triggered}
            if one.verdict.action == Action.REDACT and not set(one.verdict.triggered) <= found:
                return one.verdict  # it lies across two parts: no part can be redacted
        return None
