"""The prompt of a generative guard around a text that comes from outside and must not get out of its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from guard.errors import ConfigError
from guard.filters.guard_prompts import GuardFormat
from guard.schema import Stage

__all__ = ["HARMLESS_TEXT", "Prompter"]

HARMLESS_TEXT = "Which herbs go well with tomato soup?"
"""What a guard is asked about when it is tried out."""

_OTHER_TEXT = "Name a river."

# What guards call a turn: a text that begins a turn of its own would be judged by that one alone.
_LINE_START = r"(?im)(?:^|(?<=[\r\v\f\x85\u2028\u2029]))"
_SPEAKER = r"(?:user|agent|assistant|human|chatbot)(?:[ \t]+(?:message|question|response))?"
_TURN = re.compile(rf"{_LINE_START}(?=[ \t]*{_SPEAKER}[ \t]*:)")


class Prompter:
    """Renders a text into the prompt of a guard, and makes sure that the text cannot get out of its place.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
    form : GuardFormat
    stage : {"input", "output"}
        Whether texts are what a user asks or what an assistant answers.
    question : str
        For the stage "output": what the assistant is taken to answer.
    options : mapping of str to object
        More variables for the chat template.
    name : str
        For errors.

    Raises
    ------
    ConfigError
        The tokenizer has no template that shows the text and asks for a verdict as `form` says.

    Notes
    -----
    A text that spells out control tokens or the marks of the prompt (``<|eot_id|>``, ``<END CONVERSATION>``) could
    close its own place and answer for the guard. Each such string is broken up by a space, in any case, and a prompt
    that still holds more control tokens than the one of a harmless text is refused.
    """

    def __init__(
        self,
        tokenizer: Any,
        form: GuardFormat,
        *,
        stage: Stage,
        question: str = "",
        options: Mapping[str, object] | None = None,
        name: str,
    ) -> None:
        self._tokenizer, self._form, self._stage, self._name = tokenizer, form, stage, name
        self._template = tokenizer.chat_template or form.own_template
        if not isinstance(self._template, str):
            raise ConfigError(f"filter {name}: the tokenizer carries no chat template of its own; get the whole folder")
        added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
        forgeable = sorted({mark for mark in (*added, *form.delimiters) if len(mark) > 1}, key=len, reverse=True)
        self._forgeable = re.compile("|".join(map(re.escape, forgeable)) or r"(?!)", re.IGNORECASE)
        self._question, self._arguments = self.harmless(question), {**form.arguments, **(options or {})}
        self._variable = next((v for v in form.policy_variables if v.split(".")[-1] in self._template), None)
        self._parts = False
        self._parts = self._takes_parts()

    def harmless(self, text: str) -> str:
        """Return the text with every control token and mark of the prompt broken up, and turns quoted."""
        text = _TURN.sub("> ", text)
        while self._forgeable.search(text):
            text = self._forgeable.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        return text

    def render(self, text: str, policy: str | None = None) -> str:
        """Return the prompt that asks for a verdict on a text that is :meth:`harmless`."""
        messages = [{"role": "user", "content": self._content(text if self._stage == "input" else self._question)}]
        if self._stage == "output":
            messages.append({"role": "assistant", "content": self._content(text)})
        arguments = {**self._arguments, **self._policy(policy)}
        rendered = self._tokenizer.apply_chat_template(
            messages, chat_template=self._template, tokenize=False, add_generation_prompt=True, **arguments
        )
        return str(rendered)

    def check(self, policies: Sequence[str | None]) -> None:
        """Refuse a template that does not ask what `form` says, or asks the same whatever the policy."""
        variables = " or ".join(self._form.policy_variables)
        prompts = [self.render(HARMLESS_TEXT, policy) for policy in policies]
        if len(set(prompts)) < len(prompts) or (variables and self._variable is None):
            raise ConfigError(f"filter {self._name}: the chat template takes no {variables}: it is another model's")
        lacking = [mark for mark in self._form.evidence if any(mark not in prompt for prompt in prompts)]
        if lacking:
            raise ConfigError(
                f"filter {self._name}: the chat template does not say {lacking[0]!r}: it is another model's"
            )

    def _content(self, text: str) -> object:
        return [{"type": "text", "text": text}] if self._parts else text

    def _policy(self, policy: str | None) -> dict[str, object]:
        if policy is None or self._variable is None:
            return {}
        outer, _, inner = self._variable.partition(".")
        return {outer: {inner: policy} if inner else policy}

    def _takes_parts(self) -> bool:
        """Find out whether the template takes a text as such or as a list of parts."""
        reasons = []
        for parts in (False, True):
            self._parts = parts
            try:
                shown = self.render(HARMLESS_TEXT, "harm")
                if shown.count(HARMLESS_TEXT) == 1 and self.render(_OTHER_TEXT, "harm") == shown.replace(
                    HARMLESS_TEXT, _OTHER_TEXT
                ):
                    return parts
                reasons.append("it does not show the text once")
            except Exception as error:  # whatever a template raises
                reasons.append(f"{type(error).__name__}: {error}".splitlines()[0][:150])
        raise ConfigError(
            f"filter {self._name}: the chat template cannot be used ({'; '.join(dict.fromkeys(reasons))})"
        )
