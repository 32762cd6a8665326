"""The words of an OpenAI-compatible endpoint: a prompt as the body of a request, the body of an answer as text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from guard.errors import ConfigError
from guard.generators.endpoint_retries import Fault
from guard.schema import Decoding

__all__ = ["Answer", "Endpoint", "read_answer", "request_of"]

Api = Literal["chat", "completions", "auto"]

_CHARS_A_TOKEN = 4
_OVERHEAD_TOKENS = 8


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and everything that decides what it is asked.

    Parameters
    ----------
    base_url : str
        With the version, as the OpenAI client takes it: ``http://localhost:8000/v1``. Without key, user or query.
    model : str
        As the endpoint calls it.
    api : {"chat", "completions", "auto"}
        ``chat`` sends every prompt as a user's message; ``completions`` continues every prompt; ``auto`` does as the
        task's decoding says, where the endpoint has both.
    system : str
        A system message before each prompt; chat only.
    length_field : {"max_tokens", "max_completion_tokens"}
        What this endpoint calls the most tokens of an answer.
    omit : tuple of str
        Fields that it does not take: of ``seed``, ``temperature``, ``top_p``.
    extra : mapping
        Further fields of every request. JSON values only.

    Raises
    ------
    ConfigError
        What is no URL, or one that holds a secret; no model; fields that cannot be.
    """

    base_url: str
    model: str
    api: Api = "chat"
    system: str = ""
    length_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    omit: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be asked, before anything is."""
        _check_url(self.base_url)
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        if not self.model.strip():
            raise ConfigError(f"the endpoint {self.base_url} needs the name of a model: endpoint:URL#MODEL")
        unknown = set(self.omit) - {"seed", "temperature", "top_p"}
        if unknown:
            raise ConfigError(f"omit: {', '.join(sorted(unknown))} is not of seed, temperature, top_p")
        if self.system and self.api == "completions":
            raise ConfigError("a system message needs the chat interface: leave it out, or use api chat")
        try:
            json.dumps(dict(self.extra), sort_keys=True)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"extra fields must be JSON values ({error})") from error

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over everything that decides a request. It says nothing about the weights behind it."""
        content = [self.base_url, self.model, self.api, self.system, self.length_field, sorted(self.omit)]
        line = json.dumps([*content, dict(self.extra)], sort_keys=True)
        return hashlib.sha256(line.encode("ascii")).hexdigest()

    def is_chat(self, decoding: Decoding) -> bool:
        """Whether prompts with this decoding go to the chat interface."""
        return self.api == "chat" or (self.api == "auto" and decoding.chat)


def _check_url(url: str) -> None:
    """Never repeats the URL where it may hold a secret: the message ends up in logs."""
    try:
        parts = urlsplit(url)
        port_is_number = parts.port is None or parts.port >= 0
    except ValueError as error:
        raise ConfigError(
            "the URL of the endpoint cannot be read; it should be like http://localhost:8000/v1"
        ) from error
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigError(
            "the URL of the endpoint holds a user, a password, a query or a fragment, which would stand in every"
            " report; give the bare URL, and the key in the environment"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_number or not url.isprintable():
        raise ConfigError(f"{url[:120]!r} is no URL of an endpoint; it should be like http://localhost:8000/v1")


def request_of(endpoint: Endpoint, prompt: str, seed: int, decoding: Decoding) -> tuple[dict[str, Any], int]:
    """Return the body of a request, and about how many tokens it will use.

    Parameters
    ----------
    endpoint : Endpoint
    prompt : str
        Lone surrogates, which no encoding can hold, are replaced.
    seed : int
    decoding : Decoding

    Returns
    -------
    body : dict
    n_tokens : int
        Four characters a token, and all of the answer.
    """
    text = prompt.encode("utf-8", "replace").decode()
    body: dict[str, Any] = {"model": endpoint.model}
    if endpoint.is_chat(decoding):
        system = [{"role": "system", "content": endpoint.system}] if endpoint.system else []
        body["messages"] = [*system, {"role": "user", "content": text}]
    else:
        body["prompt"] = text
    fields = {"temperature": decoding.temperature, "top_p": decoding.top_p, "seed": seed}
    body |= {name: value for name, value in fields.items() if name not in endpoint.omit}
    body[endpoint.length_field] = decoding.max_new_tokens
    n_chars = len(text) + len(endpoint.system)
    return {**body, **endpoint.extra}, n_chars // _CHARS_A_TOKEN + _OVERHEAD_TOKENS + decoding.max_new_tokens


@dataclass(frozen=True)
class Answer:
    """What came back for one request.

    Parameters
    ----------
    text : str or None
    fault : Fault or None
        Why there is no text.
    tokens_in, tokens_out : int or None
        As the answer states them.
    """

    text: str | None
    fault: Fault | None
    tokens_in: int | None = None
    tokens_out: int | None = None


def read_answer(body: bytes) -> Answer:
    """Read the body of an answer with a status of success, whatever it holds.

    Parameters
    ----------
    body : bytes

    Returns
    -------
    Answer
        With a text or a fault. Text that the endpoint's content filter cut is not what the model would have written,
        so it is no text.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return Answer(None, _malformed("is no JSON" if body.strip() else "is empty"))
    if not isinstance(answer, dict):
        return Answer(None, _malformed("is no JSON object"))
    usage = answer.get("usage")
    used = usage if isinstance(usage, dict) else {}
    tokens = _count(used.get("prompt_tokens")), _count(used.get("completion_tokens"))
    found = _text_of(answer)
    if isinstance(found, Fault):
        return Answer(None, found, *tokens)
    return Answer(found, None, *tokens)


def _text_of(answer: Mapping[str, Any]) -> str | Fault:
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        # Some servers put an error into an answer whose status is success.
        return _malformed("holds an error" if answer.get("error") else "holds no choice")
    choice = choices[0]
    finish = choice.get("finish_reason")
    if finish == "content_filter":
        return Fault("content_filter", "the endpoint's own content filter stopped the answer", again=False)
    message = choice.get("message")
    if isinstance(message, dict):
        text = message.get("content")
        text = message.get("refusal") if text is None else text
    else:
        text = choice.get("text")
    if isinstance(text, str):
        return text
    if text is None and finish == "length":
        return Fault(
            "no_text", "all tokens were used before the text began; raise the number of new tokens", again=False
        )
    return _malformed("holds no text")


def _malformed(what: str) -> Fault:
    return Fault("malformed", f"its answer {what}")


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
