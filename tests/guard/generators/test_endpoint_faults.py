"""Every way in which an endpoint can fail: the row is mended or named, and no other row notices."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from guard.errors import ConfigError, GeneratorError
from guard.generators.endpoint import Endpoint, EndpointGenerator, Limits
from guard.generators.failures import GenerationFailure, OutputMissingError
from tests.guard.generators.endpoint_server import EndpointServer, Reply, answer, refusal, serve

KEY = "sk-very-secret-0123456789"
LIMITS = Limits(tries=3, timeout_s=0.4, deadline_s=5, backoff_s=0.01, concurrency=4)

FAULTS = {
    "429": refusal(429),
    "429 with Retry-After": refusal(429, Retry_After="0.05"),
    "500": refusal(500),
    "502 in HTML": Reply(b"<html>Bad gateway</html>", status=502, headers={"Content-Type": "text/html"}),
    "503": refusal(503, Retry_After="0"),
    "408": refusal(408),
    "hang": Reply(fault="hang"),
    "connection reset": Reply(fault="reset"),
    "cut body": Reply(answer("half"), fault="cut"),
    "cut chunks": Reply(answer("half"), fault="cut_chunks"),
    "slow drip": Reply(answer("slow"), fault="drip"),
    "empty body": Reply(b""),
    "garbage": Reply(b"\xff\x00 no json"),
    "cut JSON": Reply(b'{"choices": [{"message": {"content": "ha'),
    "broken gzip": Reply(gzip.compress(b"{}" * 99)[:-9], headers={"Content-Encoding": "gzip"}),
    "a list": Reply(["a"]),
    "no choices": Reply({"choices": []}),
    "choices of a wrong type": Reply({"choices": "many"}),
    "a choice of a wrong type": Reply({"choices": [None]}),
    "content of a wrong type": Reply(answer({"a": 1})),
    "no content": Reply(answer(None)),
    "an error with status 200": Reply({"error": {"message": "overloaded"}}),
}


@pytest.fixture(scope="module", autouse=True)
def _no_proxy() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture
def server() -> Iterator[EndpointServer]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[EndpointServer, EndpointGenerator]]:
    """One for the tables of faults: a client is slow to make."""
    with serve() as running, _generator(running) as generator:
        yield running, generator


def _generator(server: EndpointServer, limits: Limits = LIMITS, *, key: str | None = KEY) -> EndpointGenerator:
    return EndpointGenerator(Endpoint(server.url, "tiny"), key=key, limits=limits)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_mended_by_the_next_try(shared: tuple[EndpointServer, EndpointGenerator], fault: str) -> None:
    server, generator = shared
    before = replace(generator.spent, faults=generator.spent.faults.copy())
    server.scripts["bad"] = [FAULTS[fault]]
    assert generator.generate(["bad", "good"], seed=[1, 2]) == ["bad / 1", "good / 2"]
    assert generator.spent.requests - before.requests == 3
    assert generator.spent.retries - before.retries == 1
    assert (generator.spent.faults - before.faults).total() == 1


@pytest.mark.parametrize("fault", [name for name in FAULTS if not name.startswith("429")])
def test_a_fault_that_stays_is_one_named_row(shared: tuple[EndpointServer, EndpointGenerator], fault: str) -> None:
    server, generator = shared
    server.scripts["bad"] = [FAULTS[fault]] * 3
    good, bad, also_good = generator.generate_rows(["good", "bad", "fine"], seed=7)
    assert (good, also_good) == ("good / 7", "fine / 7")
    assert isinstance(bad, GenerationFailure)
    assert bad.attempts == 3
    assert "3 tries" in bad.reason
    assert bad.reason.isprintable()


def test_generate_raises_where_a_row_has_no_output(server: EndpointServer) -> None:
    server.scripts["bad"] = [refusal(500, "out of order")] * 3
    with _generator(server) as generator, pytest.raises(OutputMissingError, match=r"1 of 2 prompts.*out of order"):
        generator.generate(["good", "bad"], seed=0)


def test_hundreds_of_rows_keep_their_own_answers_through_mixed_faults(server: EndpointServer) -> None:
    faults = [fault for fault in FAULTS.values() if fault.fault not in ("hang", "drip")]
    prompts = [f"prompt {place}" for place in range(200)]
    for place, prompt in enumerate(prompts):
        server.scripts[prompt] = [faults[(place + k) % len(faults)] for k in range(place % 3)]
    limits = Limits(tries=3, timeout_s=5, deadline_s=30, backoff_s=0.002, concurrency=16)
    with _generator(server, limits) as generator:
        rows = generator.generate_rows(prompts, seed=list(range(200)))
    assert rows == [f"{prompt} / {place}" for place, prompt in enumerate(prompts)]
    assert generator.spent.requests == len(server.asked) == 200 + sum(place % 3 for place in range(200))
    assert server.most_at_once <= 16


def test_hanging_requests_leave_their_connections_to_others(server: EndpointServer) -> None:
    for k in range(8):
        server.scripts[f"bad {k}"] = [Reply(fault="hang")]
    limits = Limits(concurrency=2, timeout_s=0.2, backoff_s=0.01, tries=2)
    with _generator(server, limits) as generator:
        prompts = [f"bad {k}" for k in range(8)]
        assert generator.generate(prompts, seed=0) == [f"bad {k} / 0" for k in range(8)]


def test_refusals_for_the_rate_do_not_use_up_the_tries(server: EndpointServer) -> None:
    server.scripts["bad"] = [refusal(429)] * 5
    with _generator(server) as generator:
        assert generator.generate(["bad"], seed=0) == ["bad / 0"]


def test_refusals_for_the_rate_end_with_the_deadline(server: EndpointServer) -> None:
    server.always = refusal(429, "slow down")
    limits = Limits(deadline_s=1, backoff_s=0.05, concurrency=1)
    with _generator(server, limits) as generator:
        (row,) = generator.generate_rows(["bad"], seed=0)
    assert isinstance(row, GenerationFailure)
    assert row.kind == "rate_limit"


def test_a_wait_beyond_the_deadline_is_not_begun(server: EndpointServer) -> None:
    server.scripts["bad"] = [refusal(429, Retry_After="3600")]
    started = time.monotonic()
    with _generator(server) as generator:
        (row,) = generator.generate_rows(["bad"], seed=0)
    assert isinstance(row, GenerationFailure)
    assert time.monotonic() - started < 2


def test_retry_after_holds_back_every_request(server: EndpointServer) -> None:
    server.scripts["bad"] = [refusal(429, Retry_After="0.5")]
    server.scripts["slow"] = [Reply(answer("slow"), delay_s=0.2)]
    with _generator(server, Limits(concurrency=2, backoff_s=0.01)) as generator:
        generator.generate(["bad", "slow", "good", "fine"], seed=0)
    first, _slow, *others = server.times
    assert len(others) == 3
    assert min(others) - first >= 0.5


def test_content_filter_is_named_and_not_asked_again(server: EndpointServer) -> None:
    server.scripts["cut"] = [Reply(answer("half a", finish="content_filter"))]
    server.scripts["stopped"] = [refusal(400, "filtered", code="content_filter")]
    with _generator(server) as generator:
        rows = generator.generate_rows(["cut", "stopped", "good"], seed=0)
    assert [row.kind if isinstance(row, GenerationFailure) else row for row in rows] == [
        "content_filter",
        "content_filter",
        "good / 0",
    ]
    assert len(server.asked) == 3


def test_a_bad_request_costs_one_row_and_no_retry(server: EndpointServer) -> None:
    server.scripts["long"] = [refusal(400, "maximum context length is 8", code="context_length_exceeded")]
    with _generator(server) as generator:
        long, good = generator.generate_rows(["long", "good"], seed=0)
    assert isinstance(long, GenerationFailure)
    assert (long.kind, long.attempts, good) == ("too_long", 1, "good / 0")
    assert "maximum context length" in long.reason


def test_many_prompts_that_are_too_long_do_not_stop_the_run(server: EndpointServer) -> None:
    prompts = [f"long {k}" for k in range(15)]
    server.scripts = {prompt: [refusal(400, "too long", code="context_length_exceeded")] for prompt in prompts}
    with _generator(server, Limits(concurrency=1, give_up_after=3)) as generator:
        rows = generator.generate_rows([*prompts, "good"], seed=0)
    assert rows[-1] == "good / 0"


def test_a_field_that_the_endpoint_does_not_know_stops_the_run(server: EndpointServer) -> None:
    server.always = refusal(400, "Unsupported parameter: 'max_tokens'")
    with _generator(server, Limits(give_up_after=3)) as generator, pytest.raises(GeneratorError, match="Unsupported"):
        generator.generate_rows(["a"] * 20, seed=0)


def test_thinking_that_uses_all_tokens_is_named(server: EndpointServer) -> None:
    server.scripts["hard"] = [Reply(answer(None, finish="length", reasoning_content="hm"))]
    with _generator(server) as generator:
        (row,) = generator.generate_rows(["hard"], seed=0)
    assert isinstance(row, GenerationFailure)
    assert row.kind == "no_text"
    assert "raise the number of new tokens" in row.reason


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (refusal(401, "bad key"), ConfigError, "refused the key"),
        (refusal(403, "not yours"), ConfigError, "refused the key"),
        (refusal(404, "no model tiny"), ConfigError, "no such model"),
        (refusal(429, "pay", code="insufficient_quota"), GeneratorError, "quota is used up"),
    ],
)
def test_what_no_request_can_mend_stops_at_once(
    server: EndpointServer, reply: Reply, error: type[Exception], said: str
) -> None:
    server.always = reply
    with _generator(server, Limits(concurrency=1)) as generator, pytest.raises(error, match=said) as caught:
        generator.generate_rows([f"p{k}" for k in range(50)], seed=0)
    assert len(server.asked) <= 2  # one, and one that may have begun before the stop
    assert "\n" not in str(caught.value)
    assert server.url in str(caught.value)


def test_a_dead_endpoint_stops_the_run_early(server: EndpointServer) -> None:
    server.always = refusal(500, "boom")
    limits = Limits(tries=2, backoff_s=0.01, give_up_after=5, concurrency=2)
    with (
        _generator(server, limits) as generator,
        pytest.raises(GeneratorError, match=r"5 times in a row.*boom.*--resume"),
    ):
        generator.generate_rows([f"p{k}" for k in range(100)], seed=0)
    assert len(server.asked) <= 14


def test_nobody_listening_stops_the_run_early() -> None:
    limits = Limits(tries=2, backoff_s=0.01, give_up_after=3)
    endpoint = Endpoint("http://127.0.0.1:9/v1", "tiny")
    with (
        EndpointGenerator(endpoint, limits=limits) as generator,
        pytest.raises(GeneratorError, match="3 times in a row"),
    ):
        generator.generate_rows(["a"] * 20, seed=0)


def test_failures_between_successes_do_not_stop_the_run(server: EndpointServer) -> None:
    prompts = [f"{'bad' if place % 3 else 'good'} {place}" for place in range(30)]
    server.scripts.update({prompt: [refusal(500)] for prompt in prompts if prompt.startswith("bad")})
    limits = Limits(tries=1, give_up_after=5, concurrency=1)
    with _generator(server, limits) as generator:
        rows = generator.generate_rows(prompts, seed=0)
    assert sum(isinstance(row, GenerationFailure) for row in rows) == 20


@pytest.mark.parametrize(
    "reply",
    [
        refusal(401, f"Incorrect API key provided: {KEY}"),
        refusal(400, f"Bearer {KEY} sent\nwhat"),
        refusal(500, KEY),
        Reply(b"garbage " + KEY.encode()),
        Reply(fault="reset"),
    ],
)
def test_the_key_stands_nowhere(server: EndpointServer, reply: Reply) -> None:
    server.always = reply
    with _generator(server, Limits(tries=1, give_up_after=3)) as generator:
        said = [repr(generator), generator.name, repr(generator.endpoint)]
        try:
            said += [repr(row) for row in generator.generate_rows(["a"], seed=0)]
        except (ConfigError, GeneratorError) as error:
            said += [str(error), repr(error), repr(error.__cause__), repr(error.__context__)]
    assert server.keys[0] == f"Bearer {KEY}"
    assert KEY not in " ".join(said)
    assert all(line.isprintable() for line in said)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "", "ключ", "\x00"])
def test_a_key_that_cannot_be_one_is_refused_without_being_said(key: str) -> None:
    with pytest.raises(ConfigError, match="holds blanks or other characters") as caught:
        EndpointGenerator(Endpoint("http://127.0.0.1:9/v1", "tiny"), key=key)
    assert not key or key not in str(caught.value)
