"""A streamed chat completion: chunks in, chunks out that hold only text which has passed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from guard.errors import GeneratorError
from guard.guard import Guard
from guard.schema import Verdict
from guard.vault import Vault
from guard.wrappers.answers import NO_TEXT, SOUND, Answer, BlockedError, listed
from guard.wrappers.channel import Channel, Cut
from guard.wrappers.leaves import fields, independent, leaves, like, put

__all__ = ["ChunkScreen", "Work"]

_CALLS = ("tool_calls", "function_call")
_SET_ONCE = frozenset({"id", "type", "name", "index"})


class _Indexed(dict[int, Any]):
    """Calls of a list under their index."""


@dataclass
class _Choice:
    """What is known of one choice."""

    index: int
    channels: dict[str, Channel] = field(default_factory=dict)
    calls: dict[str, Any] = field(default_factory=dict)
    held: list[Any] = field(default_factory=list)
    done: bool = False
    verdict: Verdict | None = None
    """What stopped that which was judged whole."""


@dataclass
class Work:
    """One chunk, cut up: what is to be judged before something of it is given out."""

    chunk: Any
    parts: list[tuple[_Choice, Any, dict[str, Cut]]]
    heavy: bool = False
    """Whether a filter has to run."""


class ChunkScreen:
    """Takes the chunks of one stream in their order.

    Parameters
    ----------
    guard : Guard
    vault : Vault or None
        What it keeps is put back.
    prompts : sequence of Verdict
        On what was asked.
    known_names : collection of str
        Names of the tools on offer.
    n_choices : int
    raise_on_block : bool

    Notes
    -----
    Every text field of a choice (content, refusal, reasoning of some servers) is screened on its own. Tool calls, and
    whatever else is no plain text, are kept until the choice ends and judged whole. Log probabilities are dropped: they
    spell tokens that were not yet released.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        vault: Vault | None,
        prompts: Sequence[Verdict],
        known_names: Collection[str],
        n_choices: int,
        raise_on_block: bool,
    ) -> None:
        self._guard, self._vault, self._prompts = guard, vault, prompts
        self._known_names, self._n_choices, self._raise = known_names, n_choices, raise_on_block
        self._choices: dict[int, _Choice] = {}
        self._last: Any = None
        self._any_stopped = False

    @property
    def over(self) -> bool:
        """Whether every choice has ended and one was stopped: what still comes is not worth its tokens."""
        ended = len(self._choices) >= self._n_choices and all(choice.done for choice in self._choices.values())
        return ended and self._any_stopped

    def take(self, chunk: Any) -> Work:
        """Cut a chunk up. Cheap.

        Raises
        ------
        GeneratorError
            When it is no chunk of a chat completion.
        """
        work = Work(chunk, [])
        for given in listed(chunk, "choices", "chunk"):
            found = fields(given)
            index, delta = found.get("index"), found.get("delta")
            if not isinstance(index, int) or delta is None:
                raise GeneratorError(
                    "a chunk of the endpoint holds a choice without index or delta: it cannot be judged"
                )
            choice = self._choices.setdefault(index, _Choice(index))
            if choice.done:
                continue
            cuts = self._cut(choice, delta)
            work.parts.append((choice, given, cuts))
            work.heavy = work.heavy or found.get("finish_reason") is not None or any(cuts.values())
        return work

    def settle(self, work: Work) -> list[Any]:
        """Judge what is to be judged; return the chunks that may be given out."""
        if not work.parts:  # usage and nothing else, or what comes after an end
            usage = fields(work.chunk).get("usage")
            return [_without_choices(work.chunk)] if usage is not None or not fields(work.chunk)["choices"] else []
        self._last = work.chunk
        chunks = [one for choice, given, cuts in work.parts for one in self._settled(work.chunk, choice, given, cuts)]
        for chunk in chunks[:-1]:
            if fields(chunk).get("usage") is not None:
                put(chunk, "usage", None)  # or it would be counted twice
        return chunks

    def finish(self) -> list[Any]:
        """End the stream; return what may still be given out of choices that never said why they ended."""
        chunks = []
        for choice in self._choices.values():
            if not choice.done:
                chunks += self._closed(self._last, choice, None)
        return chunks

    def end(self, *, failed: bool) -> None:
        """Make the records of what did not end by itself."""
        for choice in self._choices.values():
            for channel in choice.channels.values():
                channel.end("failed" if failed else "abandoned")

    def _cut(self, choice: _Choice, delta: Any) -> dict[str, Cut]:
        cuts: dict[str, Cut] = {}
        for name, value in fields(delta).items():
            if name == "role" or value is None:
                continue
            if isinstance(value, str):
                channel = choice.channels.setdefault(name, Channel(self._guard, self._vault))
                cuts[name] = channel.cut(value)
            elif name in _CALLS:
                _merge_field(choice.calls, name, independent(value))
            else:
                choice.held.append((name, independent(value)))
        return cuts

    def _settled(self, chunk: Any, choice: _Choice, given: Any, cuts: dict[str, Cut]) -> list[Any]:
        if choice.done:  # twice in one chunk
            return []
        found = fields(given)
        texts = {name: choice.channels[name].pass_on(cut) for name, cut in cuts.items()}
        role = fields(found["delta"]).get("role")
        if role is not None:
            texts = {"role": role, **{name: texts.get(name, "") for name in texts}}
        chunks = [_remade(chunk, given, texts)] if any(texts.values()) else []
        if any(channel.stopped for channel in choice.channels.values()):
            return [*chunks, *self._stopped(chunk, choice, given)]
        if found.get("finish_reason") is not None:
            chunks += self._closed(chunk, choice, given)
        return chunks

    def _closed(self, chunk: Any, choice: _Choice, given: Any | None) -> list[Any]:
        """Give out the rest of a choice; `given` is where it said why it ended, None where it did not."""
        template = given if given is not None else _template(chunk, choice.index)
        rest = {
            name: channel.finish(self._prompts if name == "content" else None)
            for name, channel in choice.channels.items()
        }
        chunks = [_remade(chunk, template, rest)] if any(rest.values()) else []
        if any(channel.stopped for channel in choice.channels.values()):
            return [*chunks, *self._stopped(chunk, choice, template)]
        if given is not None and (choice.calls or choice.held):  # a call that was cut off is not given out
            passed = self._judged_whole(choice)
            if passed is None:
                return [*chunks, *self._stopped(chunk, choice, template)]
            chunks += [_remade(chunk, template, values) for values in passed]
        choice.done = True
        if given is not None:
            chunks.append(_remade(chunk, given, {}, finish_reason=fields(given)["finish_reason"]))
        return chunks

    def _judged_whole(self, choice: _Choice) -> list[dict[str, Any]] | None:
        """Judge what was kept until now; None where it is stopped."""
        held: dict[str, list[Any]] = {}
        for name, value in choice.held:
            held.setdefault(name, []).append(value)
        calls = {
            name: list(value.values()) if isinstance(value, _Indexed) else value for name, value in choice.calls.items()
        }
        joined = {name: _joined_texts(name, values) for name, values in held.items()}
        answer = Answer({"choices": [{"message": {**calls, **joined}}]}, known_names=self._known_names)
        judged = self._guard.apply(answer.texts, stage="output", vault=self._vault)
        verdict = answer.settle(judged, self._guard.policy, vault=self._vault, prompts=())
        message = answer.completion["choices"][0]["message"]
        if verdict is not None or any(message[name] != text for name, text in joined.items()):
            choice.verdict = verdict or judged[0].verdict
            return None
        passed: list[dict[str, Any]] = [{name: message[name] for name in calls}] if calls else []
        return passed + [{name: value} for name, value in choice.held]

    def _stopped(self, chunk: Any, choice: _Choice, given: Any) -> list[Any]:
        choice.done = self._any_stopped = True
        for channel in choice.channels.values():
            channel.end("stopped" if channel.stopped else "abandoned")
        policy = self._guard.policy
        if self._raise:
            verdicts = [channel.verdict for channel in choice.channels.values() if channel.stopped]
            raise BlockedError(choice.verdict or verdicts[0], policy.message)
        content = choice.channels.get("content")
        message = f"\n\n{policy.message}" if content is not None and content.said_something else policy.message
        return [_remade(chunk, given, {"content": message}, finish_reason="content_filter")]


def _remade(chunk: Any, choice: Any, delta: dict[str, Any], *, finish_reason: str | None = None) -> Any:
    """Return the chunk with one choice and nothing in its delta but these values."""
    found = fields(choice)
    said = like(found["delta"], **{name: value for name, value in delta.items() if value})
    remade = _without_choices(chunk)
    put(remade, "choices", [like(choice, index=found["index"], delta=said, finish_reason=finish_reason, logprobs=None)])
    return remade


def _without_choices(chunk: Any) -> Any:
    bare = independent(chunk)
    put(bare, "choices", [])
    return bare


def _template(chunk: Any, index: int) -> Any:
    """Return a choice of the chunk, under the index of another."""
    choice = independent(fields(chunk)["choices"][0])
    put(choice, "index", index)
    return choice


def _merge_field(into: dict[str, Any], name: str, value: Any) -> None:
    """Join a piece of calls to what came before; of a list, each under its index."""
    if not isinstance(value, list):
        into[name] = value if name not in into else _merged(into[name], value)
        return
    known = into.setdefault(name, _Indexed())
    for place, one in enumerate(value):
        index = fields(one).get("index")
        index = place if index is None else index
        known[index] = one if index not in known else _merged(known[index], one)


def _merged(known: Any, more: Any) -> Any:
    for name, value in fields(more).items():
        before = fields(known).get(name)
        if value is None or (name in _SET_ONCE and before):
            continue
        if isinstance(value, str) and isinstance(before, str):
            put(known, name, before + value)
        elif isinstance(value, str | int) or before is None:
            put(known, name, value)
        else:
            put(known, name, _merged(before, value))
    return known


def _joined_texts(name: str, values: Sequence[Any]) -> str:
    """All text in values that came one after the other, as one text."""
    return "".join(leaf.text for leaf in leaves(list(values), skip=SOUND if name == "audio" else NO_TEXT))
