"""A chat completion on its way out: every text of every choice judged, and the completion that may be returned."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from guard.drawing import notices
from guard.errors import AssayError, GeneratorError
from guard.judge import Judgement
from guard.policy import Policy
from guard.schema import Action, Verdict
from guard.vault import Vault
from guard.wrappers.leaves import Leaf, fields, independent, leaves, like, put
from guard.wrappers.tool_arguments import ToolArguments

__all__ = ["NO_TEXT", "SOUND", "Answer", "BlockedError", "blocked_chunk", "blocked_completion", "listed"]

NO_TEXT = frozenset({"role", "type", "id", "index"})
"""Fields of an answer that hold no text that people read."""

_OF_CHOICE = frozenset({"index", "finish_reason", "logprobs", "message"})

SOUND = NO_TEXT | {"data"}
"""The same of an ``audio`` field."""

_FILTERED = "content_filter"


class BlockedError(AssayError):
    """A request or an answer that the policy stopped, where the caller asked for an exception.

    Parameters
    ----------
    verdict : Verdict
    message : str
        What users may read.
    """

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


class Answer:
    """One completion with one choice or several.

    Parameters
    ----------
    completion : object
        As the client returned it. It is not changed.
    known_names : collection of str
        Names of the tools on offer.

    Raises
    ------
    GeneratorError
        When it is no chat completion: what cannot be read cannot be judged.
    """

    def __init__(self, completion: Any, *, known_names: Collection[str] = ()) -> None:
        self.completion = independent(completion)
        self._choices = listed(self.completion, "choices", "answer")
        if not self._choices:
            raise GeneratorError("the answer of the endpoint holds no choice: nothing can be judged or returned")
        self._found: list[list[Leaf | tuple[Leaf, ToolArguments]]] = []
        for choice in self._choices:
            message = fields(choice).get("message")
            if message is None:
                raise GeneratorError("a choice of the endpoint's answer holds no message: nothing can be judged")
            found = [leaf for leaf in (*_message_leaves(message), *leaves(choice, skip=_OF_CHOICE)) if leaf.text]
            self._found.append(
                [
                    (leaf, ToolArguments(leaf.text)) if leaf.name == "arguments" else leaf
                    for leaf in found
                    if not (leaf.name == "name" and leaf.text in known_names)
                ]
            )

    @property
    def texts(self) -> list[str]:
        """All that is to be judged, choice by choice."""
        return [
            text
            for found in self._found
            for one in found
            for text in ([one.text] if isinstance(one, Leaf) else one[1].texts)
        ]

    def settle(
        self, judged: Sequence[Judgement], policy: Policy, *, vault: Vault | None, prompts: Sequence[Verdict]
    ) -> Verdict | None:
        """Put into :attr:`completion` what may be returned; return the verdict that stopped a choice, if any did.

        Parameters
        ----------
        judged : sequence of Judgement
            One for each of :attr:`texts`.
        policy : Policy
        vault : Vault or None
            What it keeps is put back.
        prompts : sequence of Verdict
            On what was asked: their notices are said too.
        """
        place, stopped = 0, None
        for choice, found in zip(self._choices, self._found, strict=True):
            first = place
            texts: list[str | None] = []
            for one in found:
                n_texts = 1 if isinstance(one, Leaf) else len(one[1].texts)
                texts.append(_settled(one, judged[place : place + n_texts], vault))
                place += n_texts
            own = [one.verdict for one in judged[first:place]]
            if None in texts:
                stopped = stopped or max(own, key=lambda verdict: verdict.action)
                _block(choice, policy.message)
                continue
            _put_all(choice, found, texts)
            _say(choice, notices(policy, [*prompts, *own]))
        return stopped


def _message_leaves(message: Any) -> Iterator[Leaf]:
    sound = fields(message).get("audio")
    if sound is None or isinstance(sound, str):
        yield from leaves(message, skip=NO_TEXT)
        return
    yield from leaves(message, skip=NO_TEXT | {"audio"})
    yield from leaves(sound, skip=SOUND)


def _settled(one: Leaf | tuple[Leaf, ToolArguments], judged: Sequence[Judgement], vault: Vault | None) -> str | None:
    if not isinstance(one, Leaf):
        return one[1].settled(judged, vault)
    if judged[0].verdict.action >= Action.REGENERATE:
        return None
    if one.name == "transcript" and judged[0].text != one.text:
        return None  # the sound would still say it
    return judged[0].text if vault is None else vault.restore(judged[0].text)


def _put_all(choice: Any, found: Sequence[Leaf | tuple[Leaf, ToolArguments]], texts: Sequence[str | None]) -> None:
    for one, text in zip(found, texts, strict=True):
        leaf = one if isinstance(one, Leaf) else one[0]
        if text is not None and text != leaf.text:
            leaf.put(text)
            put(choice, "logprobs", None)  # they spell what was taken out


def _say(choice: Any, said: str) -> None:
    message = fields(choice)["message"]
    content = fields(message).get("content")
    if said and isinstance(content, str):
        put(message, "content", content + said)


def _block(choice: Any, message: str) -> None:
    old = fields(choice)["message"]
    for name in fields(choice).keys() - _OF_CHOICE:
        put(choice, name, None)
    put(choice, "message", like(old, role="assistant", content=message))
    put(choice, "finish_reason", _FILTERED)
    put(choice, "logprobs", None)


def listed(node: Any, name: str, what: str) -> list[Any]:
    """Return the list in a field of what an endpoint gave.

    Raises
    ------
    GeneratorError
        When there is none.
    """
    found = fields(node).get(name)
    if not isinstance(found, list):
        kind = type(node).__name__
        raise GeneratorError(f"the endpoint gave a {kind} without a list of {name} as {what}: it cannot be judged")
    return found


def blocked_completion(client: Any, model: str, message: str, n_choices: int) -> Any:
    """Return the completion for a request that was not sent: the message, and ``content_filter`` as the reason.

    Parameters
    ----------
    client : object
        Where it comes from the openai package, so does the type of the result; else it is a plain object.
    model : str
    message : str
    n_choices : int
    """
    choice = {"message": {"role": "assistant", "content": message}, "finish_reason": _FILTERED}
    usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    choices = [{**choice, "index": index} for index in range(n_choices)]
    return _made(client, "ChatCompletion", "chat.completion", model, choices=choices, usage=usage)


def blocked_chunk(client: Any, model: str, message: str, n_choices: int) -> Any:
    """Return the same as the one chunk of a stream."""
    choice = {"delta": {"role": "assistant", "content": message}, "finish_reason": _FILTERED}
    choices = [{**choice, "index": index} for index in range(n_choices)]
    return _made(client, "ChatCompletionChunk", "chat.completion.chunk", model, choices=choices)


def _made(client: Any, kind: str, what: str, model: str, **values: Any) -> Any:
    found = {"id": f"guard-{uuid.uuid4().hex}", "created": int(time.time()), "model": model, "object": what, **values}
    if any(base.__module__.partition(".")[0] == "openai" for base in type(client).__mro__):
        return getattr(import_module("openai.types.chat"), kind).model_validate(found)
    return _as_object(found)


def _as_object(node: Any) -> Any:
    if isinstance(node, dict):
        return SimpleNamespace(**{key: _as_object(value) for key, value in node.items()})
    return [_as_object(value) for value in node] if isinstance(node, list) else node
