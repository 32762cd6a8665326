from __future__ import annotations

import asyncio
import copy
import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from guard.audit_log import AuditLog, verify
from guard.errors import ConfigError, GeneratorError
from guard.filters.callable import CallableFilter, RegexFilter
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Filter
from guard.vault import Vault
from guard.wrappers.answers import BlockedError
from guard.wrappers.openai import guarded_openai
from tests.guard.wrappers.chat_server import ChatServer, chunk, completion, serve

openai = pytest.importorskip("openai")

MARKS = RegexFilter({"rude": [r"zonk"], "email": [r"\w+@\w+\.org"], "medical": [r"aspirin"], "card": [r"\b4111\b"]})
ACTIONS = {"rude": Action.BLOCK, "email": Action.REDACT, "card": Action.REDACT, "medical": Action.REVIEW}
CLEAN = "A harmless sentence about the weather in the north of the country. "


def _guard(filter_: Filter[str] = MARKS, log: AuditLog | None = None) -> Guard:
    rules = {(stage, c): (0.5, action) for stage in ("input", "output") for c, action in ACTIONS.items()}
    notices = {("output", "medical"): "Ask a doctor.", ("input", "medical"): "No advice."}
    if filter_ is not MARKS:
        rules = {(stage, c): (0.5, Action.BLOCK) for stage in ("input", "output") for c in filter_.categories}
        notices = {}
    policy = Policy("marks", rules, message="Not here.", notices=notices)  # type: ignore[arg-type]
    return Guard(None, policy, inputs=[filter_], outputs=[filter_], audit_log=log)


@pytest.fixture(scope="module")
def running() -> Iterator[ChatServer]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: ChatServer) -> ChatServer:
    running.answer, running.chunks = completion({"content": "Fine."}), []
    running.asked.clear()
    running.paths.clear()
    return running


def _client(server: ChatServer, **options: Any) -> Any:
    guard = options.pop("guard", None) or _guard()
    return guarded_openai(openai.OpenAI(base_url=server.url, api_key="none", max_retries=0), guard, **options)


def _ask(client: Any, *messages: Any, **request: Any) -> Any:
    told = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    return client.chat.completions.create(model="tiny", messages=told, **request)


def _texts(chunks: Any) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_harmless_talk_is_what_the_bare_client_gives(server: ChatServer) -> None:
    bare = openai.OpenAI(base_url=server.url, api_key="none")
    assert _ask(_client(server), "Hi", temperature=0.5) == _ask(bare, "Hi", temperature=0.5)
    assert server.asked[0] == server.asked[1]


def test_a_blocked_prompt_is_never_sent(server: ChatServer) -> None:
    found = _ask(_client(server), "you zonk", n=2)
    assert isinstance(found, openai.types.chat.ChatCompletion)
    assert [choice.finish_reason for choice in found.choices] == ["content_filter"] * 2
    assert found.choices[0].message.content == "Not here."
    assert found.usage.total_tokens == 0
    assert server.asked == []


@pytest.mark.parametrize(
    ("message", "blocked"),
    [
        ({"role": "user", "content": "zonk"}, True),
        ({"role": "user", "content": "zo nk"}, False),
        ({"role": "tool", "tool_call_id": "a", "content": "zonk"}, True),
        ({"role": "assistant", "content": "zonk"}, True),
        ({"role": "guest", "content": "zonk"}, True),
        ({"role": "system", "content": "never say zonk"}, False),
        ({"role": "developer", "content": "never say zonk"}, False),
        ({"role": "user", "content": [{"type": "text", "text": "zonk"}]}, True),
        ({"role": "user", "content": ({"type": "text", "text": text} for text in ("a", "zonk"))}, True),
        ({"role": "user", "content": [{"type": "text", "text": "zo"}, {"type": "text", "text": "nk"}]}, True),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://zonk/"}}]}, False),
        ({"role": "user", "name": "zonk", "content": "Hi"}, True),
        (
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"a": "\\u007aonk"}'}}
                ],
            },
            True,
        ),
    ],
)
def test_every_text_of_a_message_is_judged(server: ChatServer, message: dict[str, Any], blocked: bool) -> None:
    found = _ask(_client(server), message)
    assert (found.choices[0].finish_reason == "content_filter") == blocked
    assert (server.asked == []) == blocked


def test_messages_may_be_objects_of_the_client(server: ChatServer) -> None:
    client = _client(server, vault=Vault())
    server.answer = completion({"content": "Written."})
    said = _ask(client, "Write to jo@a.org").choices[0].message
    said.content = "I wrote to jo@a.org"
    _ask(client, "Write to jo@a.org", said, "Again")
    assert [m["content"] for m in server.asked[-1]["messages"]] == [
        "Write to [EMAIL_1]",
        "I wrote to [EMAIL_1]",
        "Again",
    ]
    assert said.content == "I wrote to jo@a.org"  # what the caller holds is left alone


def test_redacted_values_come_back_in_the_answer_and_found_ones_do_not(server: ChatServer) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "I am jo@a.org"}]}]
    server.answer = completion({"content": "Hello [EMAIL_1], meet x@b.org"})
    found = _client(server, vault=Vault()).chat.completions.create(model="tiny", messages=messages)
    assert server.asked[-1]["messages"][0]["content"][0]["text"] == "I am [EMAIL_1]"
    assert messages[0]["content"][0]["text"] == "I am jo@a.org"  # type: ignore[index]
    assert found.choices[0].message.content == "Hello jo@a.org, meet [EMAIL_2]"
    assert _ask(_client(server), "I am jo@a.org").choices[0].message.content == "Hello [EMAIL_1], meet [email]"


def test_each_choice_is_judged_for_itself(server: ChatServer) -> None:
    server.answer = completion({"content": "one"}, {"content": "zonk"}, {"content": "x@b.org", "refusal": "no"})
    server.answer["choices"][1]["logprobs"] = {"content": [{"token": "zonk", "logprob": -1.0, "top_logprobs": []}]}
    found = _ask(_client(server), "Hi", n=3)
    assert [c.message.content for c in found.choices] == ["one", "Not here.", "[email]"]
    assert [c.finish_reason for c in found.choices] == ["stop", "content_filter", "stop"]
    assert "zonk" not in found.model_dump_json()
    assert found.usage.total_tokens == 7


@pytest.mark.parametrize(
    "message",
    [
        {"content": "fine", "reasoning_content": "zonk"},
        {"content": "fine", "reasoning_details": [{"type": "text", "text": "zonk"}]},
        {"content": "fine", "reasoning_details": [{"type": "text", "data": "zonk"}]},
        {"content": None, "refusal": "zonk"},
        {"content": "fine", "annotations": [{"type": "url_citation", "url_citation": {"title": "zonk"}}]},
        {"content": None, "function_call": {"name": "f", "arguments": '{"a": "zonk"}'}},
        {"content": None, "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "f", "input": "zonk"}}]},
        {"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": "zonk", "expires_at": 1}},
        {"content": None, "audio": {"id": "a", "data": "AAAA", "transcript": "x@b.org", "expires_at": 1}},
    ],
)
def test_no_field_of_an_answer_passes_unjudged(server: ChatServer, message: dict[str, Any]) -> None:
    server.answer = completion(message)
    (choice,) = _ask(_client(server), "Hi").choices
    assert (choice.finish_reason, choice.message.content) == ("content_filter", "Not here.")
    assert "zonk" not in choice.model_dump_json()
    assert "AAAA" not in choice.model_dump_json()


def _call(arguments: str, name: str = "send") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "a", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"to":  "Ann", "n": [1, true, null]}', '{"to":  "Ann", "n": [1, true, null]}'),
        ('{"to": "[EMAIL_1]"}', '{"to": "jo@a.org"}'),
        ('{"to": "\\u005bEMAIL_1]", "n": 1.50}', '{"to": "jo@a.org", "n": 1.5}'),
        ('{"to": "x@b.org"}', '{"to": "[EMAIL_2]"}'),
        ('{"to": "x\\u0040b.org"}', '{"to": "[EMAIL_2]"}'),
        ('{"card": 4111}', '{"card": "[CARD_1]"}'),
        ('{"to": "zonk"}', None),
        ('{"to": "\\u007aonk"}', None),
        ('{"zonk": 1}', None),
        ('{"x@b.org": 1}', None),
        ('{"to": "zonk', None),
        ('{"to": "\\u007aonk', None),
        ('{"to": "zonk", "to": "fine"}', '{"to": "fine"}'),
        ('"zonk"', None),
        ('{"to": "fine', '{"to": "fine'),
        ("", ""),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_arguments_of_tool_calls(server: ChatServer, arguments: str, expected: str | None, stream: bool) -> None:
    server.answer = completion(_call(arguments))
    server.chunks = [chunk({"role": "assistant"})]
    first = {"index": 0, "id": "a", "type": "function", "function": {"name": "send", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": letter}} for letter in arguments]
    server.chunks += [chunk({"tool_calls": [piece]}) for piece in [first, *pieces]]
    server.chunks.append(chunk({}, finish="tool_calls"))
    found = _ask(_client(server, vault=Vault()), "I am jo@a.org", stream=stream)
    choices = [c.choices[0] for c in found] if stream else found.choices
    messages = [choice.delta if stream else choice.message for choice in choices]
    calls = [call for message in messages for call in message.tool_calls or ()]
    if expected is None:
        assert calls == []
        assert choices[-1].finish_reason == "content_filter"
    else:
        assert [(c.id, c.type, c.function.name, c.function.arguments) for c in calls] == [
            ("a", "function", "send", expected)
        ]


def test_fields_beside_the_message_are_judged_or_left_out(server: ChatServer) -> None:
    server.answer = completion({"content": "Fine."})
    server.answer["choices"][0]["explanation"] = "zonk"
    server.chunks = [chunk({"content": "Fine."}, explanation="zonk"), chunk({}, finish="stop", explanation="zonk")]
    found = _ask(_client(server), "Hi")
    assert found.choices[0].finish_reason == "content_filter"
    assert "zonk" not in found.model_dump_json()
    chunks = list(_ask(_client(server), "Hi", stream=True))
    assert _texts(chunks) == "Fine."
    assert "zonk" not in "".join(one.model_dump_json() for one in chunks)


def test_names_of_offered_tools_are_the_applications_own_words(server: ChatServer) -> None:
    tools = [{"type": "function", "function": {"name": "zonk", "parameters": {}}}]
    server.answer = completion(_call("{}", name="zonk"))
    assert _ask(_client(server), "Hi", tools=tools).choices[0].message.tool_calls[0].function.name == "zonk"
    assert _ask(_client(server), "Hi").choices[0].finish_reason == "content_filter"


def test_notices_are_said_once(server: ChatServer) -> None:
    server.answer = completion({"content": "Take aspirin."})
    server.chunks = [chunk({"content": "Take aspirin."}), chunk({}, finish="stop")]
    expected = "Take aspirin.\n\nNo advice.\n\nAsk a doctor."
    assert _ask(_client(server), "aspirin?").choices[0].message.content == expected
    assert _texts(_ask(_client(server), "aspirin?", stream=True)) == expected


TALKS = [
    [CLEAN * 12],
    list(CLEAN * 12),
    [CLEAN * 6, "write to x@", "b.org or [EMAIL_1] ", CLEAN * 3],
    ["short"],
    [],
]


@pytest.mark.parametrize("pieces", TALKS)
def test_a_stream_says_what_the_whole_answer_says(server: ChatServer, pieces: list[str]) -> None:
    server.answer = completion({"content": "".join(pieces)})
    server.chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
    server.chunks += [chunk({}, finish="stop"), {**chunk(), "usage": server.answer["usage"]}]
    client = _client(server, vault=Vault())
    whole = _ask(client, "I am jo@a.org").choices[0].message.content
    with _ask(client, "I am jo@a.org", stream=True) as stream:
        chunks = list(stream)
    assert _texts(chunks) == whole
    assert all(isinstance(one, openai.types.chat.ChatCompletionChunk) for one in chunks)
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["stop"]
    assert [c.usage.total_tokens for c in chunks if c.usage] == [7]
    assert chunks[0].choices[0].delta.role == "assistant"


def test_text_streams_before_the_answer_ends(server: ChatServer) -> None:
    server.chunks = [chunk({"content": CLEAN}) for _ in range(30)] + [chunk({}, finish="stop")]
    assert len([c for c in _ask(_client(server), "Hi", stream=True) if c.choices[0].delta.content]) > 10


def test_a_stream_that_turns_bad_stops(server: ChatServer) -> None:
    server.chunks = [chunk({"content": CLEAN}) for _ in range(8)]
    server.chunks += [chunk({"content": piece}) for piece in ("you z", "onk. ", CLEAN * 5, "the secret")]
    server.chunks += [chunk({}, finish="stop")]
    chunks = list(_ask(_client(server), "Hi", stream=True))
    text = _texts(chunks)
    assert text.startswith(CLEAN)
    assert text.endswith("\n\nNot here.")
    assert "zonk" not in text
    assert "secret" not in text
    assert [c.choices[0].finish_reason for c in chunks].count("content_filter") == 1
    assert chunks[-1].choices[0].finish_reason == "content_filter"


def test_choices_and_fields_of_one_stream_are_kept_apart(server: ChatServer) -> None:
    server.chunks = [
        chunk({"reasoning_content": "zo"}),
        chunk({"content": "one "}, index=1),
        chunk({"content": "nk"}),  # of another field: no zonk here
        chunk({"content": "zo"}, index=1),
        chunk({"content": " two"}, index=2),
        chunk({"content": "nk"}, index=1),
        *(chunk({}, index=index, finish="stop") for index in range(3)),
    ]
    said: dict[int, str] = {}
    ends: dict[int, str] = {}
    for one in _ask(_client(server), "Hi", n=3, stream=True):
        for choice in one.choices:
            said[choice.index] = said.get(choice.index, "") + (choice.delta.content or "")
            ends[choice.index] = choice.finish_reason or ends.get(choice.index, "")
    assert said == {0: "nk", 1: "Not here.", 2: " two"}
    assert ends == {0: "stop", 1: "content_filter", 2: "stop"}


def test_a_streamed_function_call_is_judged_whole(server: ChatServer) -> None:
    for word, reason in [("zonk", "content_filter"), ("fine", "function_call")]:
        pieces = [{"name": "f", "arguments": ""}, {"arguments": f'{{"a": "{word[:2]}'}, {"arguments": f'{word[2:]}"}}'}]
        server.chunks = [chunk({"function_call": piece}) for piece in pieces] + [chunk({}, finish="function_call")]
        found = list(_ask(_client(server), "Hi", stream=True))
        calls = [c.choices[0].delta.function_call for c in found if c.choices[0].delta.function_call]
        assert [call.arguments for call in calls] == ([] if word == "zonk" else ['{"a": "fine"}'])
        assert found[-1].choices[0].finish_reason == reason


def test_sound_in_a_stream_waits_for_its_words(server: ChatServer) -> None:
    def chunks(word: str) -> list[dict[str, Any]]:
        sound = [{"id": "a", "data": "AA=="}, {"transcript": word[:2]}, {"data": "BB=="}, {"transcript": word[2:]}]
        return [*(chunk({"audio": piece}) for piece in sound), chunk({}, finish="stop")]

    server.chunks = chunks("zonk")
    found = list(_ask(_client(server), "Hi", stream=True))
    assert [c.choices[0].finish_reason for c in found] == ["content_filter"]
    server.chunks = chunks("fine")
    found = list(_ask(_client(server), "Hi", stream=True))
    assert [c.choices[0].delta.audio.data for c in found if c.choices[0].delta.audio] == ["AA==", None, "BB==", None]


def test_log_probabilities_do_not_run_ahead(server: ChatServer) -> None:
    spelled = {"content": [{"token": "zonk", "logprob": -1.0, "top_logprobs": []}]}
    server.chunks = [chunk({"content": "zonk"}, logprobs=spelled), chunk({}, finish="stop", logprobs=spelled)]
    found = list(_ask(_client(server), "Hi", stream=True))
    assert "zonk" not in "".join(c.model_dump_json() for c in found)


def test_a_stream_cut_off_gives_the_text_and_not_the_call(server: ChatServer) -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": '{"amount": 1'}}
    server.chunks = [chunk({"content": "Paying"}), chunk({"tool_calls": [call]})]
    found = list(_ask(_client(server), "Hi", stream=True))
    assert _texts(found) == "Paying"
    assert not any(c.choices[0].delta.tool_calls for c in found)


def test_blocking_may_raise(server: ChatServer) -> None:
    client = _client(server, raise_on_block=True)
    for stream in (False, True):
        with pytest.raises(BlockedError, match=r"Not here\.") as caught:
            _ask(client, "zonk", stream=stream)
        assert caught.value.verdict.triggered == ("rude",)
    server.answer = completion(_call('{"a": "zonk"}'))
    with pytest.raises(BlockedError):
        _ask(client, "Hi")
    server.chunks = [chunk({"content": "zonk"}), chunk({}, finish="stop")]
    with pytest.raises(BlockedError):
        list(_ask(client, "Hi", stream=True))


@pytest.mark.parametrize(
    "answer",
    [{}, {"choices": []}, {"choices": None}, {"choices": [{"index": 0}]}, {"choices": [{"index": 0, "text": "zonk"}]}],
)
def test_malformed_answers_are_not_returned(server: ChatServer, answer: dict[str, Any]) -> None:
    server.answer = answer
    with pytest.raises(GeneratorError, match="judged"):
        _ask(_client(server), "Hi")
    server.chunks = [{"choices": [{"index": 0, "text": "zonk"}]}]
    with pytest.raises(GeneratorError, match="judged"):
        list(_ask(_client(server), "Hi", stream=True))


def test_a_filter_that_fails_blocks(server: ChatServer) -> None:
    def fails(text: str) -> float:
        raise ValueError(text)

    guard = _guard(CallableFilter(fails, categories=["odd"]))
    assert _ask(_client(server, guard=guard), "Hi").choices[0].finish_reason == "content_filter"
    assert server.asked == []


def test_everything_is_in_the_audit_log(server: ChatServer, tmp_path: Path) -> None:
    with AuditLog(tmp_path / "log.jsonl") as log:
        client = _client(server, guard=_guard(log=log))
        _ask(client, "Hi")
        server.chunks = [chunk({"content": "zonk"}), chunk({}, finish="stop")]
        list(_ask(client, "Hi", stream=True))
        server.chunks = [chunk({"content": CLEAN}) for _ in range(30)]
        with _ask(client, "Hi", stream=True) as left:
            next(left)
    verify(tmp_path / "log.jsonl")
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text("utf-8").splitlines()]
    kinds = [record["record"]["verdicts"][0]["stage"] for record in records]
    assert kinds == ["input", "output"] * 3


def test_other_ways_to_text_are_refused_by_name(server: ChatServer) -> None:
    client = _client(server)
    for part, name in [
        (client, "responses"),
        (client, "completions"),
        (client, "with_raw_response"),
        (client.chat, "with_streaming_response"),
        (client.chat.completions, "parse"),
        (client.chat.completions, "stream"),
    ]:
        with pytest.raises(ConfigError, match=rf"{name} is not guarded"):
            getattr(part, name)
        assert name not in dir(part)


def test_everything_else_is_the_client(server: ChatServer) -> None:
    client = _client(server)
    assert client.base_url == openai.OpenAI(base_url=server.url, api_key="none").base_url
    server.answer = {"object": "list", "data": []}
    assert client.models.list().data == []
    assert server.paths == ["/v1/models"]
    assert "models" in dir(client)
    client.timeout = 7
    assert client._part.timeout == 7
    assert copy.copy(client).timeout == 7


@pytest.mark.parametrize("method", ["with_options", "copy"])
def test_a_client_with_other_options_is_still_guarded(server: ChatServer, method: str) -> None:
    with getattr(_client(server), method)(timeout=5) as client:
        assert _ask(client, "zonk").choices[0].finish_reason == "content_filter"


def test_what_is_no_client_or_judges_nothing_is_refused(server: ChatServer) -> None:
    with pytest.raises(ConfigError, match=r"no chat\.completions\.create"):
        guarded_openai(object(), _guard())
    half = Guard(None, Policy("half", {}), inputs=[MARKS], outputs=[])
    with pytest.raises(ConfigError, match="no output filters"):
        _client(server, guard=half)
    with pytest.raises(ConfigError, match="messages"):
        _client(server).chat.completions.create(model="tiny")
    with pytest.raises(ConfigError, match="no role"):
        _ask(_client(server), {"content": "zonk"})


def test_a_client_that_only_looks_like_one(server: ChatServer) -> None:
    """Plain objects and dicts do: the openai package is not needed."""

    def create(**request: Any) -> Any:
        if request.get("stream"):
            return iter([chunk({"content": "z"}), chunk({"content": "onk"}), chunk({}, finish="stop")])
        return completion({"content": request["messages"][0]["content"] + " x@b.org"})

    client = guarded_openai(SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create))), _guard())
    assert _ask(client, "Hi jo@a.org")["choices"][0]["message"]["content"] == "Hi [email] [email]"
    assert _ask(client, "zonk").choices[0].message.content == "Not here."
    (only,) = _ask(client, "Hi", stream=True)
    assert only["choices"][0]["delta"] == {"content": "Not here."}
    del server


def test_async_client_does_the_same(server: ChatServer) -> None:
    server.answer = completion({"content": "Hello [EMAIL_1], meet x@b.org"})
    server.chunks = [chunk({"content": piece}) for piece in (CLEAN * 5, "[EMA", "IL_1] x@b.org ", CLEAN * 5)]
    server.chunks.append(chunk({}, finish="stop"))

    async def talk() -> list[Any]:
        bare = openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)
        async with guarded_openai(bare, _guard(), vault=Vault()) as client:
            whole = await _ask(client, "I am jo@a.org")
            stream = await _ask(client, "I am jo@a.org", stream=True)
            texts = [c.choices[0].delta.content or "" async for c in stream]
            refused = await _ask(client, "zonk")
            refused_stream = [c async for c in await _ask(client, "zonk", stream=True)]
            async with await _ask(client, "Hi", stream=True) as left:
                await anext(left)
            return [whole.choices[0].message.content, "".join(texts), refused, refused_stream]

    whole, text, refused, (only,) = asyncio.run(talk())
    assert whole == "Hello jo@a.org, meet [EMAIL_2]"
    assert text == CLEAN * 5 + "jo@a.org [EMAIL_2] " + CLEAN * 5
    assert refused.choices[0].message.content == "Not here."
    assert only.choices[0].finish_reason == "content_filter"


def test_async_client_does_not_block_the_loop(server: ChatServer) -> None:
    def slow(_text: str) -> float:
        time.sleep(1.0)
        return 0.0

    server.chunks = [chunk({"content": CLEAN}), chunk({}, finish="stop")]

    async def talk() -> list[float]:
        ticks = [time.monotonic()]

        async def tick() -> None:
            while True:
                await asyncio.sleep(0.01)
                ticks.append(time.monotonic())

        ticking = asyncio.create_task(tick())
        bare = openai.AsyncOpenAI(base_url=server.url, api_key="none", max_retries=0)
        async with guarded_openai(bare, _guard(CallableFilter(slow, categories=["slow"]))) as client:
            async for _ in await _ask(client, "Hi", stream=True):
                pass
        ticking.cancel()
        return ticks

    ticks = asyncio.run(talk())
    assert (
        max(after - before for before, after in itertools.pairwise(ticks)) < 0.7
    )  # blocked, it would be a whole second


def test_many_threads_share_one_client(server: ChatServer) -> None:
    async def talk() -> list[Any]:
        client = _client(server)
        texts = ["zonk" if place % 3 == 0 else f"Hi {place}" for place in range(30)]
        return await asyncio.gather(*[asyncio.to_thread(_ask, client, text) for text in texts])

    reasons = [found.choices[0].finish_reason for found in asyncio.run(talk())]
    assert reasons == ["content_filter" if place % 3 == 0 else "stop" for place in range(30)]
