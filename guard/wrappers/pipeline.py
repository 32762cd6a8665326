"""A Transformers text-generation pipeline that is guarded on its way in and out, with the shapes of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from guard.drawing import notices
from guard.errors import ConfigError, GeneratorError
from guard.guard import Guard
from guard.schema import Action, Verdict
from guard.vault import Vault
from guard.wrappers.leaves import independent
from guard.wrappers.messages import Messages

__all__ = ["GuardedPipeline", "guarded_pipeline"]

_REFUSED = {
    "return_tensors": "token ids would hold text that nobody judged",
    "streamer": "it would show text before it is judged; use Guard.stream",
}
_UNGUARDED = ("predict", "transform")


def guarded_pipeline(pipe: Any, guard: Guard, *, vault: Vault | None = None) -> GuardedPipeline:
    """Return the pipeline with what it is asked and what it answers guarded.

    Parameters
    ----------
    pipe : transformers.TextGenerationPipeline, or a callable with its shapes
    guard : Guard
        Needs filters for inputs and outputs.
    vault : Vault or None
        Of one conversation: what is redacted in prompts is restored in answers.

    Raises
    ------
    ConfigError
        When `pipe` cannot be called, or the guard judges nothing.

    Examples
    --------
    >>> write = guarded_pipeline(pipeline("text-generation"), guard)  # doctest: +SKIP
    >>> write("Once upon a time", max_new_tokens=20)[0]["generated_text"]  # doctest: +SKIP
    """
    if not callable(pipe):
        raise ConfigError(f"{type(pipe).__name__} cannot be called: give a text-generation pipeline")
    for stage in ("input", "output"):
        guard.check([], stage=stage)  # refuses a guard that would judge nothing
    return GuardedPipeline(pipe, guard, vault)


@dataclass
class _Asked:
    """One prompt, as given and as the pipeline gets it."""

    given: Any
    messages: Messages
    passed: Any = None
    verdicts: list[Verdict] = field(default_factory=list)
    blocked: bool = False

    @classmethod
    def of(cls, prompt: Any) -> _Asked:
        if isinstance(prompt, str):
            return cls(prompt, Messages([{"role": "user", "content": prompt}]))
        if isinstance(prompt, list | tuple) and prompt and all(isinstance(message, Mapping) for message in prompt):
            return cls(independent(prompt), Messages(prompt))
        raise ConfigError(f"a prompt is {type(prompt).__name__}: give a text, or a chat as a list of messages")

    def whole(self, text: str, *, continues: bool | None) -> Any:
        """Return prompt and answer together, as the pipeline puts them."""
        if isinstance(self.given, str):
            return self.given + text
        last = self.given[-1]
        if last["role"] == "assistant" if continues is None else continues:
            return [*self.given[:-1], {**last, "content": last["content"] + text}]
        return [*self.given, {"role": "assistant", "content": text}]


class GuardedPipeline:
    """Takes and returns what the pipeline does, see :func:`guarded_pipeline`.

    Where the policy stops something, its message stands in place of the answer. Messages with the role ``system`` or
    ``developer`` are the application's own and not judged.
    """

    def __init__(self, pipe: Any, guard: Guard, vault: Vault | None) -> None:
        self._pipe, self._guard, self._vault = pipe, guard, vault

    def __call__(self, text_inputs: Any, **options: Any) -> Any:
        """Write after one prompt or several.

        Parameters
        ----------
        text_inputs : str, list of str, chat, list of chats, or an iterator over prompts
        **options
            For the pipeline. Its ``batch_size`` says how many prompts of an iterator are judged and written together.

        Returns
        -------
        list or iterator
            For one prompt a list of records with ``generated_text``, for several a list of such lists; for an iterator
            an iterator.

        Raises
        ------
        ConfigError
            An option that would let text out unjudged, or a prompt that is neither text nor chat.
        GeneratorError
            When the pipeline gives something other than records with texts.
        """
        for name, why in _REFUSED.items():
            if options.get(name):
                raise ConfigError(f"{name} is not possible with a guarded pipeline: {why}")
        if isinstance(text_inputs, str) or (isinstance(text_inputs, list | tuple) and _is_chat(text_inputs)):
            return self._written([text_inputs], options)[0]
        if isinstance(text_inputs, list | tuple):
            return self._written(text_inputs, options)
        return self._one_batch_after_another(iter(text_inputs), options)

    def __getattr__(self, name: str) -> Any:
        if name == "_pipe":  # not set yet, as in a copy
            raise AttributeError(name)
        if name in _UNGUARDED:
            raise ConfigError(f"{name} is not guarded: call the pipeline itself")
        return getattr(self._pipe, name)

    def __repr__(self) -> str:
        return f"guarded({self._pipe!r})"

    def _one_batch_after_another(self, prompts: Iterator[Any], options: dict[str, Any]) -> Iterator[Any]:
        size = max(options.get("batch_size") or getattr(self._pipe, "_batch_size", None) or 1, 1)
        while batch := list(islice(prompts, size)):
            yield from self._written(batch, options)

    def _written(self, prompts: Sequence[Any], options: dict[str, Any]) -> list[list[dict[str, Any]]]:
        asked = [_Asked.of(prompt) for prompt in prompts]
        self._admit(asked)
        n_texts = options.get("num_return_sequences") or 1
        passed = [one for one in asked if not one.blocked]
        written = iter(self._judged(passed, self._generated([one.passed for one in passed], options)))
        refusals = [self._guard.policy.message] * n_texts
        full = self._gives_full_text(options)
        continues = options.get("continue_final_message")
        results = []
        for one in asked:
            texts = refusals if one.blocked else next(written)
            results.append([{"generated_text": one.whole(t, continues=continues) if full else t} for t in texts])
        return results

    def _gives_full_text(self, options: dict[str, Any]) -> bool:
        wanted = options.get("return_full_text")
        if wanted is None:  # as the pipeline was made
            made = getattr(self._pipe, "_postprocess_params", {}).get("return_type")
            return getattr(made, "name", "FULL_TEXT") != "NEW_TEXT"
        return bool(wanted)

    def _admit(self, asked: Sequence[_Asked]) -> None:
        texts = [text for one in asked for text in one.messages.texts]
        judged = iter(self._guard.apply(texts, stage="input", vault=self._vault))
        for one in asked:
            own = [next(judged) for _ in one.messages.texts]
            one.verdicts = [judgement.verdict for judgement in own]
            one.blocked = one.messages.settle(own) is not None
            chat = one.messages.messages
            one.passed = chat[0]["content"] if isinstance(one.given, str) else chat

    def _generated(self, prompts: Sequence[Any], options: dict[str, Any]) -> list[list[str]]:
        """Ask the pipeline for the new text only; the prompts are put before it again afterwards."""
        if not prompts:
            return []
        kept = {name: value for name, value in options.items() if name != "return_text"}
        records = list(self._pipe(list(prompts), **{**kept, "return_full_text": False}))
        if len(records) != len(prompts):
            raise GeneratorError(f"the pipeline gave {len(records)} results for {len(prompts)} prompts")
        return [[_text_of(record) for record in group] for group in records]

    def _judged(self, asked: Sequence[_Asked], texts: Sequence[Sequence[str]]) -> list[list[str]]:
        flat = [text for group in texts for text in group]
        judged = iter(self._guard.apply(flat, stage="output", vault=self._vault))
        policy = self._guard.policy
        results: list[list[str]] = []
        for one, group in zip(asked, texts, strict=True):
            results.append([])
            for found in (next(judged) for _ in group):
                if found.verdict.action >= Action.REGENERATE:
                    results[-1].append(policy.message)
                    continue
                text = found.text if self._vault is None else self._vault.restore(found.text)
                results[-1].append(text + notices(policy, [*one.verdicts, found.verdict]))
        return results


def _is_chat(prompts: Sequence[Any]) -> bool:
    return bool(prompts) and isinstance(prompts[0], Mapping)


def _text_of(record: Any) -> str:
    text = record.get("generated_text") if isinstance(record, Mapping) else None
    if not isinstance(text, str):
        raise GeneratorError(f"the pipeline gave {type(record).__name__} without a generated text: it cannot be judged")
    return text
