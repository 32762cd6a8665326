"""Contract 4: any chunking of a text releases the same characters and gives the verdict of the whole text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.audit_log import AuditLog, verify
from guard.errors import GeneratorError, OutputError
from guard.filters.callable import CallableFilter, RegexFilter
from guard.filters.lexical import LexicalFilter, Term
from guard.guard import Guard
from guard.policy import Policy
from guard.schema import Action, Verdict
from guard.segments import segments
from tests.contracts.test_guard import FAULTS, guard_with

RUDE = LexicalFilter([Term("zonk", "rude", 1.0), Term("darn it all", "rude", 0.6)])
CARD = RegexFilter({"card": [r"\d{4} \d{4} \d{4} \d{4}"]})
# A filter with a memory of its own length: what it says of a text is neither monotone nor local.
ODD = CallableFilter(lambda text: (len(text) * 7919 % 101) / 100, categories=["odd"])

WORDS = [
    "alpha",
    "zonk",
    "4111 1111 1111 1111",
    "darn it",
    "all",
    "z\u200bonk",
    "Hello there.",
    "Why?",
    "\n",
    "。",
    "e\u0301",
    "x" * 300,
]


def _policy(rude: Action = Action.BLOCK, odd: float = 1.0) -> Policy:
    rules = {("output", "rude"): (0.5, rude), ("output", "card"): (0.5, Action.REDACT), ("output", "odd"): (odd, rude)}
    return Policy("stream", rules, message="No.")  # type: ignore[arg-type]


def _guard(policy: Policy | None = None, log: AuditLog | None = None, generator: object = str.upper) -> Guard:
    return Guard(generator, policy or _policy(), inputs=[], outputs=[RUDE, CARD, ODD], audit_log=log)  # type: ignore[arg-type]


def _chunks(text: str, sizes: Iterable[int]) -> list[str]:
    chunks, place = [], 0
    for size in sizes:
        chunks.append(text[place : place + size])
        place += size
    return [*chunks, text[place:]]


def _released(guard: Guard, chunks: Sequence[str]) -> tuple[str, Verdict, str]:
    stream = guard.screen(chunks)
    return "".join(stream), stream.verdict, stream.released


TEXTS = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)


@settings(max_examples=150, deadline=None)
@given(TEXTS, st.lists(st.integers(0, 40), max_size=80), st.sampled_from([0.9, 1.0]))
def test_any_chunking_is_the_whole_text(text: str, sizes: list[int], odd: float) -> None:
    guard = _guard(_policy(odd=odd))
    (whole,) = guard.apply([text], stage="output")
    pieces, verdict, released = _released(guard, _chunks(text, sizes))
    assert verdict == whole.verdict
    assert pieces == released == whole.text


@settings(max_examples=100, deadline=None)
@given(TEXTS)
def test_nothing_is_released_from_a_span_that_blocks(text: str) -> None:
    guard = _guard()
    pieces, verdict, _ = _released(guard, list(text))
    blocked = [span for span in verdict.spans if span.category == "rude"]
    if verdict.action == Action.BLOCK and blocked and "[card]" not in pieces:
        assert text.startswith(pieces)
        assert len(pieces) <= blocked[0].start
    assert "zonk" not in pieces
    assert "4111 1111 1111 1111" not in pieces


@given(st.text(max_size=1500))
def test_segments_cover_the_text_and_release_all_of_it(text: str) -> None:
    cuts = segments(text)
    assert cuts[-1].end == cuts[-1].release == len(text)
    before = 0
    for cut in cuts:
        assert 0 <= cut.start <= before <= cut.release <= cut.end
        before = cut.release


def test_text_is_released_before_the_text_ends() -> None:
    seen: list[str] = []

    def source() -> Iterator[str]:
        for sentence in ["This is a harmless sentence about the weather in the north. "] * 40:
            seen.append(sentence)
            yield sentence

    first = next(_guard().screen(source()))
    assert first
    assert len(seen) <= 4


def test_match_across_a_chunk_boundary_is_caught() -> None:
    pieces, verdict, _ = _released(_guard(), ["harmless text. " * 20 + "zo", "nk and more"])
    assert verdict.action == Action.BLOCK
    assert "zo" not in pieces


def test_redaction_across_chunks_has_one_placeholder() -> None:
    text = "Please write this down, it is the number of the card: 4111 1111 1111 1111, and it is valid until May. " * 3
    pieces, verdict, _ = _released(_guard(), _chunks(text, [7] * 60))
    assert verdict.action == Action.REDACT
    assert pieces == text.replace("4111 1111 1111 1111", "[card]")


def test_source_is_closed_and_read_no_further_after_a_block() -> None:
    read: list[int] = []

    def source() -> Iterator[str]:
        try:
            for number in range(1000):
                read.append(number)
                yield "zonk is what stands here, and it is followed by some more words to fill the line. "
        finally:
            read.append(-1)

    assert "".join(_guard().screen(source())) == ""
    assert read[-1] == -1
    assert len(read) < 10


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_stops_a_stream_and_is_recorded(tmp_path: Path, fault: str) -> None:
    with AuditLog(tmp_path / "audit.jsonl") as log:
        stream = guard_with(FAULTS[fault], stage="output", log=log).stream("fine. " * 100)
        assert list(stream) == []
    assert stream.blocked
    assert stream.verdict.action == Action.BLOCK
    assert "faulty@1" in str(stream.verdict.error)
    (line,) = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert "faulty@1" in str(json.loads(line)["record"]["verdicts"])


def test_stream_gives_what_generate_gives() -> None:
    guard = _guard(generator=lambda prompt: f"{prompt} and a card 4111 1111 1111 1111 to go with it. " * 5)
    (response,) = guard.generate(["Hello"])
    stream = guard.stream("Hello")
    assert "".join(stream) == response.text
    assert stream.verdict == response.output_verdict


def test_blocked_prompt_streams_nothing() -> None:
    asked: list[str] = []
    policy = Policy("test", {("input", "rude"): (0.5, Action.BLOCK)})
    guard = Guard(lambda prompt: asked.append(prompt) or "x", policy, inputs=[RUDE], outputs=[])
    stream = guard.stream("zonk")
    assert list(stream) == []
    assert (asked, stream.blocked, stream.verdict.stage) == ([], True, "input")


class Failing:
    name = "failing@1"

    def generate(self, prompts: Sequence[str], *, seed: int | Sequence[int]) -> list[str]:
        raise NotImplementedError

    def stream(self, prompt: str, *, seed: int) -> Iterator[str]:
        yield "One harmless sentence that is long enough to be judged. " * 6
        raise RuntimeError("lost")


@pytest.mark.parametrize("end", ["finished", "failed", "abandoned", "never begun"])
def test_one_record_a_stream_however_it_ends(tmp_path: Path, end: str) -> None:
    with AuditLog(tmp_path / "audit.jsonl", keep_text=True) as log:
        stream = _guard(log=log, generator=Failing() if end == "failed" else str.upper).stream("fine text. " * 50)
        if end == "finished":
            list(stream)
        elif end == "failed":
            with pytest.raises(GeneratorError, match="failing@1 raised RuntimeError: lost"):
                list(stream)
        elif end == "abandoned":
            next(stream)
            stream.close()
        del stream
    lines = (tmp_path / "audit.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == (end != "never begun")
    assert verify(tmp_path / "audit.jsonl").n_records == len(lines)
    if end in ("failed", "abandoned"):
        record = json.loads(lines[0])["record"]
        assert record["error"] is not None
        assert record["released"]


def test_last_piece_is_not_given_out_when_the_record_cannot_be_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "audit.jsonl")
    stream = _guard(log=log).stream("short")
    log.close()
    with pytest.raises(OutputError):
        next(stream)


def test_chunk_that_is_no_text_is_refused() -> None:
    with pytest.raises(GeneratorError, match="bytes as a chunk"):
        list(_guard().screen([b"raw"]))  # type: ignore[list-item]


async def _agen(chunks: Sequence[str]) -> AsyncIterator[str]:
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


@pytest.mark.parametrize("text", ["harmless words here. " * 40, "harmless words here. " * 20 + "zonk"])
def test_async_stream_gives_what_the_other_gives(text: str) -> None:
    guard = _guard(generator=lambda prompt: prompt)
    chunks = _chunks(text, [9] * 100)

    async def both() -> tuple[str, str]:
        screened = guard.ascreen(_agen(chunks))
        streamed = guard.astream(text)
        return "".join([p async for p in screened]), "".join([p async for p in streamed])

    expected = "".join(guard.screen(chunks))
    assert asyncio.run(both()) == (expected, expected)


def test_loop_goes_on_while_a_filter_works() -> None:
    import time

    slow = CallableFilter(lambda text: time.sleep(0.2) or 0.0, categories=["rude"])
    guard = Guard(str.upper, Policy("p", {("output", "rude"): (0.5, Action.BLOCK)}), inputs=[], outputs=[slow])

    async def ticks() -> int:
        task = asyncio.create_task(guard.acheck(["text"], stage="output"))
        n = 0
        while not task.done():
            await asyncio.sleep(0.01)
            n += 1
        return n

    assert asyncio.run(ticks()) >= 5


def test_cancelled_stream_leaves_one_record(tmp_path: Path) -> None:
    async def run(guard: Guard) -> None:
        async def endless() -> AsyncIterator[str]:
            while True:
                await asyncio.sleep(0.001)
                yield "A harmless sentence that goes on for a while, as they do. "

        async def read() -> None:
            async for _ in guard.ascreen(endless()):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with AuditLog(tmp_path / "audit.jsonl") as log:
        asyncio.run(run(_guard(log=log)))
    assert verify(tmp_path / "audit.jsonl").n_records == 1
