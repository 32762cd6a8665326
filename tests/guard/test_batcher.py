from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.batcher import Batcher
from guard.errors import ConfigError


class Doubling:
    """Doubles after a while, and keeps the sizes of its batches."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.sizes: list[int] = []
        self.running = 0

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.running += 1
        assert self.running == 1  # one call at a time
        self.sizes.append(len(items))
        time.sleep(self.seconds)
        self.running -= 1
        return [2 * item for item in items]


def test_a_thousand_threads_worth_of_requests_share_few_calls() -> None:
    double, wrong = Doubling(0.005), []
    until = time.monotonic() + 2

    def ask(number: int) -> None:
        turn = 0
        while time.monotonic() < until:
            item = number * 1_000_000 + turn
            if batcher.submit(item) != 2 * item:
                wrong.append(item)
            turn += 1

    with Batcher(double) as batcher:
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
    assert sum(double.sizes) > 200
    assert len(double.sizes) * 10 < sum(double.sizes)
    assert max(double.sizes) <= 64


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(), max_size=7), max_size=12), st.integers(1, 9))
def test_every_caller_gets_its_own_answers_in_order(requests: list[list[int]], max_items: int) -> None:
    async def ask() -> list[list[int]]:
        return list(await asyncio.gather(*[batcher.asubmit_all(request) for request in requests]))

    double = Doubling()
    with Batcher(double, max_items=max_items) as batcher:
        assert asyncio.run(ask()) == [[2 * item for item in request] for request in requests]
    assert sum(double.sizes) == sum(map(len, requests))
    largest = max(map(len, requests), default=0)
    assert all(size <= max(max_items, largest) for size in double.sizes)


def test_what_one_caller_asks_is_never_parted() -> None:
    double = Doubling()
    with Batcher(double, max_items=4) as batcher:
        assert batcher.submit_all(range(10)) == [2 * item for item in range(10)]
    assert double.sizes == [10]


def test_alone_there_is_no_wait() -> None:
    with Batcher(Doubling(), max_wait_s=5.0) as batcher:
        began = time.monotonic()
        for item in range(50):
            batcher.submit(item)
        assert time.monotonic() - began < 2


def test_an_error_reaches_the_callers_of_that_batch_and_no_others() -> None:
    gate, begun = threading.Event(), threading.Event()

    def function(items: Sequence[int]) -> Sequence[int]:
        begun.set()
        gate.wait(10)
        if 13 in items:
            raise ValueError("thirteen")
        return items

    async def ask() -> list[object]:
        first = asyncio.create_task(batcher.asubmit(1))
        await asyncio.to_thread(begun.wait, 10)
        later = [asyncio.create_task(batcher.asubmit(item)) for item in (2, 13, 3, 4)]
        await asyncio.sleep(0)
        gate.set()
        return list(await asyncio.gather(first, *later, return_exceptions=True))

    with Batcher(function, max_items=3) as batcher:
        found = asyncio.run(ask())
        assert batcher.submit(5) == 5  # and it goes on
    assert found[0] == 1
    assert [type(one) for one in found[1:4]] == [ValueError] * 3
    assert found[4] == 4


@pytest.mark.parametrize("given", [[], [1, 2]])
def test_another_number_of_results_is_an_error(given: list[int]) -> None:
    with (
        Batcher(lambda _items: given) as batcher,
        pytest.raises(RuntimeError, match=f"{len(given)} results for 1 items"),
    ):
        batcher.submit(0)


def test_the_loop_goes_on_while_a_slow_function_runs() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def ask() -> list[int]:
        ticking = asyncio.create_task(tick())
        found = await asyncio.gather(*[batcher.asubmit(item) for item in range(100)])
        ticking.cancel()
        return found

    with Batcher(Doubling(1.0)) as batcher:
        assert asyncio.run(ask()) == [2 * item for item in range(100)]
    gaps = [after - before for before, after in itertools.pairwise(ticks)]
    assert len(ticks) > 20
    assert max(gaps) < 0.7  # blocked, it would be the whole second


def test_a_cancelled_task_does_not_disturb_the_others() -> None:
    double = Doubling(0.1)

    async def ask() -> list[object]:
        tasks = [asyncio.create_task(batcher.asubmit(item)) for item in range(6)]
        await asyncio.sleep(0.02)  # the first is running, the others wait
        tasks[0].cancel()
        tasks[3].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    with Batcher(double) as batcher:
        found = asyncio.run(ask())
    assert [found[place] for place in (1, 2, 4, 5)] == [2, 4, 8, 10]
    assert [type(found[place]) for place in (0, 3)] == [asyncio.CancelledError] * 2
    assert sum(double.sizes) <= 6


def test_closing_answers_what_was_asked_and_takes_no_more() -> None:
    results: list[int] = []
    batcher = Batcher(Doubling(0.05), max_items=1)
    threads = [threading.Thread(target=lambda n=n: results.append(batcher.submit(n))) for n in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    batcher.close()
    for thread in threads:
        thread.join(5)
    assert sorted(results) == [0, 2, 4, 6, 8]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(1)
    batcher.close()


def test_closing_does_not_wait_for_a_function_that_hangs() -> None:
    gate = threading.Event()
    batcher = Batcher(lambda items: [gate.wait(30) for _ in items])
    thread = threading.Thread(target=batcher.submit, args=(1,))
    thread.start()
    began = time.monotonic()
    batcher.close(timeout_s=0.1)
    assert time.monotonic() - began < 5
    gate.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_function_that_asks_its_own_batcher_is_told() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: batcher.submit_all(items))
    with batcher, pytest.raises(RuntimeError, match="wait for itself"):
        batcher.submit(1)


def test_the_thread_ends_when_idle_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guard.batcher._IDLE_S", 0.05)

    def workers() -> int:
        return sum(thread.name == "guard-batcher-of-this-test" for thread in threading.enumerate())

    def named(items: Sequence[int]) -> Sequence[int]:
        threading.current_thread().name = "guard-batcher-of-this-test"
        return items

    batcher = Batcher(named)
    for item in range(3):
        assert batcher.submit(item) == item
        assert workers() == 1
        until = time.monotonic() + 5
        while workers() and time.monotonic() < until:
            time.sleep(0.01)
        assert workers() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    batcher = Batcher(Doubling())
    assert batcher.submit(1) == 2
    with batcher._queue.changed:  # as if another thread held the lock at the moment of the fork
        child = os.fork()
        if child == 0:
            os._exit(0 if batcher.submit(21) == 42 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert batcher.submit(3) == 6


@pytest.mark.parametrize(("items", "wait"), [(0, 0.0), (-1, 0.0), (1, -0.1), (1, float("nan")), (1, float("inf"))])
def test_impossible_bounds_are_refused(items: int, wait: float) -> None:
    with pytest.raises(ConfigError, match="max_items"):
        Batcher(lambda given: given, max_items=items, max_wait_s=wait)
