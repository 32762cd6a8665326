from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.engines import LocalEngine
from evals.journal import Journal
from evals.runner import run_task
from evals.schema import Sample
from guard.errors import ConfigError, GeneratorError
from guard.filters.lexical import LexicalFilter, Term
from guard.generators.endpoint import Endpoint, EndpointGenerator, Limits, Price, Spent
from guard.generators.endpoint_requests import read_answer, request_of
from guard.generators.endpoint_retries import Fault, Pace, Trial, fault_of_status, retry_after, wait_before
from guard.generators.failures import GenerationFailure, Streak, one_line
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Decoding, Generator
from tests.guard.generators.endpoint_server import EndpointServer, Reply, answer, refusal, serve

POLICY = Policy("p", {("output", "rude"): (0.5, Action.BLOCK)}, message="No.")
RUDE = LexicalFilter([Term("darn", "rude", 0.8)])


_FIELDS = st.sampled_from(
    ["choices", "message", "content", "text", "usage", "prompt_tokens", "finish_reason", "refusal", "error"]
)
_BODIES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_FIELDS, inner, max_size=4),
).map(lambda value: json.dumps(value).encode())
"""Answers that are JSON, with the right names in the wrong places."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[EndpointServer]:
    with serve() as running:
        yield running


def _generator(server: EndpointServer, limits: Limits | None = None, **settings: Any) -> EndpointGenerator:
    return EndpointGenerator(Endpoint(server.url, "tiny", **settings), limits=limits or Limits(backoff_s=0.01))


def test_it_is_a_generator_that_an_audit_can_run(server: EndpointServer) -> None:
    with _generator(server) as generator:
        assert isinstance(generator, Generator)
        assert generator.batch_size == 32
        assert generator.generate([], seed=0) == []
        assert generator.generate(["a", "b"], seed=3) == ["a / 3", "b / 3"]


def test_seeds_must_match_prompts(server: EndpointServer) -> None:
    with _generator(server) as generator, pytest.raises(GeneratorError, match="2 prompts came with 1 seeds"):
        generator.generate(["a", "b"], seed=[1])


def test_a_chat_request_carries_the_decoding(server: EndpointServer) -> None:
    with _generator(server, system="Be kind.", extra={"top_k": 5}) as generator:
        generator.with_decoding(Decoding(20, temperature=0.5, top_p=0.9)).generate(["hi"], seed=11)
    assert server.paths == ["/v1/chat/completions"]
    assert server.asked == [
        {
            "model": "tiny",
            "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 11,
            "max_tokens": 20,
            "top_k": 5,
        }
    ]


def test_a_completions_request_continues_the_prompt(server: EndpointServer) -> None:
    with _generator(server, api="auto", omit=("seed", "top_p"), length_field="max_completion_tokens") as generator:
        raw = generator.with_decoding(Decoding(5, chat=False))
        assert raw.generate(["Once"], seed=1) == ["Once / None"]
        assert generator.generate(["Once"], seed=1) == ["Once / None"]
    assert server.paths == ["/v1/completions", "/v1/chat/completions"]
    assert server.asked[0] == {"model": "tiny", "prompt": "Once", "temperature": 1.0, "max_completion_tokens": 5}


def test_chat_only_sends_raw_prompts_as_messages(server: EndpointServer) -> None:
    with _generator(server) as generator:
        generator.with_decoding(Decoding(5, chat=False)).generate(["Once"], seed=1)
    assert server.paths == ["/v1/chat/completions"]


def test_lone_surrogates_do_not_stop_a_request(server: EndpointServer) -> None:
    with _generator(server) as generator:
        assert generator.generate(["a\ud800b"], seed=0) == ["a?b / 0"]


def test_what_openai_knows_the_user_by_goes_to_nobody_else(
    server: EndpointServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "x-mine: private-1")
    with _generator(server) as generator:
        generator.generate(["a"], seed=0)
    assert "private-1" not in str(server.headers)


def test_usage_is_counted_over_all_decodings(server: EndpointServer) -> None:
    server.scripts["silent"] = [Reply(answer("x", usage="none"))]
    generator = EndpointGenerator(Endpoint(server.url, "tiny"), price=Price(2.0, 10.0))
    with generator:
        generator.generate(["a", "b"], seed=0)
        other = generator.with_decoding(Decoding(5))
        other.generate(["c", "silent"], seed=0)
    assert (generator.n_tokens_in, generator.n_tokens, other.n_tokens) == (15, 9, 9)
    assert generator.spent.without_usage == 1
    assert generator.cost == pytest.approx((15 * 2 + 9 * 10) / 1e6)
    assert "this is the least" in generator.spent.line(generator.price)


def test_without_a_price_there_is_no_cost(server: EndpointServer) -> None:
    assert _generator(server).cost is None


def test_answers_of_a_retry_are_counted_as_requests(server: EndpointServer) -> None:
    server.scripts["bad"] = [Reply({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 0}})]
    with _generator(server) as generator:
        generator.generate(["bad"], seed=0)
    assert (generator.spent.requests, generator.spent.retries) == (2, 1)
    assert generator.n_tokens_in == 7 + 5


def test_requests_run_at_once_up_to_the_limit(server: EndpointServer) -> None:
    server.delay_s = 0.1
    with _generator(server, Limits(concurrency=6)) as generator:
        generator.generate(["warm"], seed=0)
        started = time.monotonic()
        generator.generate([f"p{k}" for k in range(24)], seed=0)
        took_s = time.monotonic() - started
    assert server.most_at_once == 6
    assert took_s < 24 * 0.1 / 2


def test_threads_share_the_limit(server: EndpointServer) -> None:
    server.delay_s = 0.05
    found: dict[int, list[str]] = {}
    with _generator(server, Limits(concurrency=3)) as generator:

        def ask(number: int) -> None:
            found[number] = generator.generate([f"{number}-{k}" for k in range(4)], seed=number)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == {n: [f"{n}-{k} / {n}" for k in range(4)] for n in range(4)}
    assert server.most_at_once <= 3


def test_the_pace_spreads_requests(server: EndpointServer) -> None:
    with _generator(server, Limits(requests_per_minute=600)) as generator:
        started = time.monotonic()
        generator.generate([f"p{k}" for k in range(6)], seed=0)
        assert time.monotonic() - started >= 0.5


def test_the_pace_counts_tokens(server: EndpointServer) -> None:
    limits = Limits(tokens_per_minute=60_000, concurrency=1)
    with EndpointGenerator(Endpoint(server.url, "tiny"), limits=limits, decoding=Decoding(292)) as generator:
        # Reserved are 300 tokens each, 0.3 s; the answers state 8, so that what was too much is given back.
        generator.generate(["p"] * 4, seed=0)
    assert server.times[-1] - server.times[0] < 0.3


def test_a_long_pause_is_said_once(server: EndpointServer, caplog: pytest.LogCaptureFixture) -> None:
    with _generator(server) as generator:
        for seconds in (1.0, 7.0, 7.0, 6.0):
            generator._link.here.pause(seconds)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("guard")] == [
        f"{server.url} asks to be left alone for 7 s"
    ]


def test_works_inside_a_running_loop_and_after_closing(server: EndpointServer) -> None:
    generator = _generator(server)

    async def ask() -> list[str]:
        return generator.generate(["a"], seed=0)

    assert asyncio.run(ask()) == ["a / 0"]
    generator.close()
    assert generator.generate(["b"], seed=0) == ["b / 0"]
    generator.close()


def test_a_generator_that_is_dropped_ends_its_thread(server: EndpointServer) -> None:
    generator = _generator(server)
    generator.generate(["a"], seed=0)
    (thread,) = [one for one in threading.enumerate() if one.name == "guard-endpoint"]
    del generator
    gc.collect()
    thread.join(5)
    assert not thread.is_alive()


def test_an_interrupt_ends_the_requests_under_way(server: EndpointServer, request: pytest.FixtureRequest) -> None:
    server.scripts["slow"] = [Reply(fault="hang")]
    # A shell starts what runs in the background with interrupts ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    with _generator(server, Limits(concurrency=1)) as generator:
        generator.generate(["warm"], seed=0)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            generator.generate(["slow", "next"], seed=0)
        timer.join()
        assert generator.generate(["after"], seed=0) == ["after / 0"]
    assert "next" not in [body["messages"][0]["content"] for body in server.asked]


def test_a_guard_works_over_it(server: EndpointServer) -> None:
    server.scripts["rude"] = [Reply(answer("darn you"))]
    with _generator(server) as generator:
        guard = Guard(generator, POLICY, inputs=[], outputs=[RUDE])
        assert [one.text for one in guard.generate(["rude", "kind"], seed=0)] == ["No.", "kind / 0"]


@dataclass
class _Task:
    """Asks every prompt once."""

    prompts: Sequence[str]
    name = "t"
    generates = True
    mode = "generate"
    decoding = Decoding(8)

    def samples(self, seed: int) -> list[Sample]:
        return [Sample(f"t/{p}#00", "t", p, p, "all", seed + place) for place, p in enumerate(self.prompts)]


def _audit(generator: EndpointGenerator, task: _Task, folder: Path) -> list[tuple[str, str | None, str | None]]:
    folder.mkdir(exist_ok=True)
    with Journal(folder / "journal.jsonl", {"models": generator.name}) as journal:
        records = run_task(
            task,  # type: ignore[arg-type]
            LocalEngine(lambda: generator, POLICY, inputs=[], outputs=[RUDE]),
            model=generator.name,
            seed=5,
            journal=journal,
            progress=lambda *_: None,
        )
    return [(r.sample.prompt_id, r.output, r.arms["guarded"].text) for r in records]


def test_an_audit_through_faults_has_the_records_of_one_without(server: EndpointServer, tmp_path: Path) -> None:
    task = _Task([f"darn {k}" if k % 5 == 0 else f"fine {k}" for k in range(40)])
    with _generator(server, Limits(concurrency=4, backoff_s=0.005)) as generator:
        smooth = _audit(generator, task, tmp_path / "smooth")
        faults = [refusal(429), refusal(500), Reply(b"garbage"), Reply(fault="reset"), Reply(answer("h"), fault="cut")]
        server.scripts = {p: [faults[(k + n) % 5] for n in range(k % 4)] for k, p in enumerate(task.prompts)}
        rough = _audit(generator, task, tmp_path / "rough")
    assert rough == smooth
    assert smooth[0] == ("darn 0", "darn 0 / 5", "No.")
    assert generator.spent.retries == sum(k % 4 for k in range(40))


def test_an_audit_of_a_dead_endpoint_keeps_its_journal_and_goes_on(server: EndpointServer, tmp_path: Path) -> None:
    task = _Task([f"fine {k:02d}" for k in range(40)])
    limits = Limits(concurrency=2, tries=1, give_up_after=3, backoff_s=0.005)
    late = {p: [refusal(500, "gone")] for p in sorted(task.prompts)[8:]}
    with _generator(server, limits) as generator:
        server.scripts = {p: list(replies) for p, replies in late.items()}
        with pytest.raises(GeneratorError, match="gone"):
            _audit(generator, task, tmp_path)
        n_asked = len(server.asked)
    with _generator(server, limits) as generator:
        server.scripts = {}
        records = _audit(generator, task, tmp_path)
    assert [output for _, output, _ in records] == [f"{p} / {5 + k}" for k, p in enumerate(task.prompts)]
    # As a set: a request that was given up on while it was on its way may reach the server after the count.
    assert {body["messages"][-1]["content"] for body in server.asked[n_asked:]} == set(late)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8000",
        "ftp://a/v1",
        "http://",
        "http:///v1",
        "http://a:port/v1",
        "http://a:99999/v1",
        "http://a\n/",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="URL of"):
        Endpoint(url, "m")


@pytest.mark.parametrize("url", ["http://me:hunter2@a/v1", "http://a/v1?key=hunter2", "http://a/v1#hunter2"])
def test_a_url_with_a_secret_is_refused_without_being_said(url: str) -> None:
    with pytest.raises(ConfigError, match="bare URL") as caught:
        Endpoint(url, "m")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "settings", [{"model": " "}, {"omit": ("messages",)}, {"api": "completions", "system": "x"}, {"extra": {"a": {1}}}]
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Endpoint(**{"base_url": "http://a/v1", "model": "m", **settings})


def test_the_name_follows_what_is_asked_and_nothing_else() -> None:
    plain = Endpoint("http://a/v1/", "m")
    assert plain.digest == Endpoint("http://a/v1", "m").digest
    others = [
        Endpoint("http://b/v1", "m"),
        Endpoint("http://a/v1", "n"),
        Endpoint("http://a/v1", "m", api="auto"),
        Endpoint("http://a/v1", "m", system="s"),
        Endpoint("http://a/v1", "m", length_field="max_completion_tokens"),
        Endpoint("http://a/v1", "m", omit=("seed",)),
        Endpoint("http://a/v1", "m", extra={"top_k": 1}),
    ]
    assert len({one.digest for one in [plain, *others]}) == 8
    named = {EndpointGenerator(plain, key=key, limits=limits).name for key, limits in ((None, None), ("k", Limits(2)))}
    assert named == {f"endpoint@{plain.digest[:12]}"}


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "?", "retry-after": "9"}, 9.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 90.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:01 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read_in_every_form(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after(headers, now=10.0) == expected


@given(st.integers(1, 2000), st.floats(0.001, 5), st.one_of(st.none(), st.floats(0, 1000)))
def test_waits_are_bounded_and_never_shorter_than_asked(attempt: int, backoff_s: float, after_s: float | None) -> None:
    wait_s = wait_before(attempt, backoff_s=backoff_s, after_s=after_s)
    assert (after_s or 0.0) <= wait_s <= (after_s or 0.0) + 30.0
    if after_s is None:
        assert wait_s >= 0.5 * min(30.0, backoff_s * 2.0 ** min(attempt - 1, 30))


def test_a_trial_counts_tries_but_not_refusals_for_the_rate() -> None:
    trial = Trial(Limits(tries=2, deadline_s=100, timeout_s=10, backoff_s=1))
    now = 50.0
    for fault in (
        fault_of_status(429, code="", said="", after_s=3),
        fault_of_status(500, code="", said="", after_s=None),
    ):
        assert trial.begin(now) == 10
        wait_s = trial.wait_after(fault, now + 1)
        assert wait_s is not None
        assert wait_s >= (fault.after_s or 0.5)
        now += 1 + wait_s
    trial.begin(now)
    assert trial.wait_after(fault_of_status(503, code="", said="busy", after_s=None), now) is None
    assert trial.failure(50 + 12) == GenerationFailure("server", "it answered 503 (busy) (3 tries in 12 s)", 3)


def test_a_try_that_the_deadline_cuts_keeps_the_reason_before_it() -> None:
    trial = Trial(Limits(deadline_s=20, timeout_s=10, backoff_s=1))
    trial.begin(0)
    assert trial.wait_after(fault_of_status(500, code="", said="busy", after_s=None), 12) is not None
    assert trial.begin(14) == 6
    assert trial.wait_after(Fault("timeout", "late"), 20) is None
    assert trial.failure(20) == GenerationFailure("server", "it answered 500 (busy) (2 tries in 20 s)", 2)
    assert trial.begin(21) == 0


def test_a_wait_beyond_the_deadline_ends_a_trial() -> None:
    trial = Trial(Limits(deadline_s=20, timeout_s=10))
    trial.begin(0)
    assert trial.wait_after(fault_of_status(429, code="", said="", after_s=30), 1) is None
    assert trial.failure(1).attempts == 1


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 3)), min_size=1, max_size=60), st.floats(1, 600))
def test_no_window_of_a_minute_holds_more_than_the_pace(steps: list[tuple[float, float]], per_minute: float) -> None:
    pace, now, started = Pace(per_minute), 0.0, []
    for passed_s, amount in steps:
        now += passed_s
        started.append((now + pace.reserve(amount, now=now), amount))
    for start, _ in started:
        window = [amount for at, amount in started if start <= at < start + 60]
        assert sum(window) <= per_minute * (1 + 1e-6) + window[-1]


def test_a_pace_that_is_idle_saves_nothing_up() -> None:
    pace = Pace(60)
    assert [pace.reserve(1, now=100.0) for _ in range(3)] == [0.0, 1.0, 2.0]
    assert [pace.reserve(1, now=200.0) for _ in range(2)] == [0.0, 1.0]


@pytest.mark.parametrize(
    ("status", "code", "kind", "again", "fatal"),
    [
        (429, "", "rate_limit", True, False),
        (429, "insufficient_quota", "rate_limit", False, True),
        (500, "", "server", True, False),
        (529, "", "server", True, False),
        (408, "", "server", True, False),
        (400, "", "rejected", False, False),
        (400, "content_filter", "content_filter", False, False),
        (413, "", "too_long", False, False),
        (400, "context_length_exceeded", "too_long", False, False),
        (422, "", "rejected", False, False),
        (401, "", "rejected", False, True),
        (402, "", "rejected", False, True),
        (403, "", "rejected", False, True),
        (404, "", "rejected", False, True),
    ],
)
def test_each_status_has_its_meaning(status: int, code: str, kind: str, again: bool, fatal: bool) -> None:
    fault = fault_of_status(status, code=code, said="", after_s=None)
    assert (fault.kind, fault.again, fault.fatal) == (kind, again, fatal)


@given(st.one_of(st.binary(), _BODIES))
def test_any_body_gives_a_text_or_a_fault(body: bytes) -> None:
    read = read_answer(body)
    assert (read.text is None) == (read.fault is not None)
    assert read.text is None or isinstance(read.text, str)


def test_a_refusal_in_its_own_field_is_the_text() -> None:
    body = b'{"choices": [{"message": {"content": null, "refusal": "I will not."}, "finish_reason": "stop"}]}'
    assert read_answer(body).text == "I will not."


def test_an_empty_text_is_a_text() -> None:
    assert read_answer(b'{"choices": [{"text": "", "finish_reason": "stop"}]}').text == ""


def test_tokens_are_estimated_from_the_length() -> None:
    _, n_tokens = request_of(Endpoint("http://a/v1", "m"), "x" * 40, 0, Decoding(64))
    assert n_tokens == 10 + 8 + 64


@pytest.mark.parametrize("limits", [{"concurrency": 0}, {"tries": 0}, {"timeout_s": 0}, {"requests_per_minute": -1}])
def test_impossible_limits_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Limits(**limits)


def test_a_price_below_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="0 or more"):
        Price(-1, 0)


def test_the_totals_say_what_they_lack() -> None:
    spent = Spent(requests=3, retries=1)
    spent.add(10, 20)
    assert spent.line(None) == "3 requests (1 retries), 10 tokens in, 20 out"


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "prompt is too long: 9000 tokens > 8192 maximum",
        "the request exceeds the available context window",
    ],
)
def test_a_prompt_that_is_too_long_is_told_from_a_bad_request(said: str) -> None:
    assert fault_of_status(400, code="", said=said, after_s=None).kind == "too_long"
    assert fault_of_status(400, code="", said="unknown field seed", after_s=None).kind == "rejected"


def test_a_streak_ends_with_a_success() -> None:
    streak, failed = Streak(3, "it"), GenerationFailure("server", "boom")
    for row in (
        failed,
        failed,
        "text",
        failed,
        failed,
        GenerationFailure("content_filter", "f"),
        failed,
        GenerationFailure("too_long", "l"),
        failed,
        failed,
    ):
        streak.note(row)
    with pytest.raises(GeneratorError, match=r"it failed 3 times in a row.*boom"):
        streak.note(failed)


def test_foreign_text_becomes_one_short_line_without_the_secret() -> None:
    assert one_line("a\x1b[31m\n b  sk-1 c", secret="sk-1") == "a [31m b [key] c"
    assert len(one_line("x" * 999)) == 160
