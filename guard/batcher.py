"""Many callers, one function over batches: what waits while a call runs goes into the next call together."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, TypeVar

from guard.errors import ConfigError

__all__ = ["Batcher"]

T = TypeVar("T")
R = TypeVar("R")

_IDLE_S = 2.0  # after so long without work the thread ends; the next request starts another


@dataclass
class _Job(Generic[T, R]):
    """What one caller asked for, and where the answer goes."""

    items: list[T]
    future: Future[list[R]] = field(default_factory=Future)


class Batcher(Generic[T, R]):
    """Lets many threads and asyncio tasks share the calls of a function that takes a batch.

    Parameters
    ----------
    function : callable
        From a sequence of items to a sequence of as many results, in their order. It is called in one thread, one call
        at a time, with 1 item or more.
    max_items : int
        A batch takes no further caller once it holds so many items. What one caller asked for is never parted: more
        than that from one caller is a batch of its own.
    max_wait_s : float
        How long a batch waits, in seconds, for those to come back whom the batch before it has just answered. It goes
        as soon as they are there, and does not wait at all where that was a single caller and nobody else is waiting.

    Raises
    ------
    ConfigError
        `max_items` below 1, or a wait that is negative or not a number.

    Notes
    -----
    There is no collecting window. While the function runs, requests gather; when it returns, all of them are the next
    batch. So the batch grows with the load by itself, and a request on an idle machine starts at once, where a
    window would make every request wait for company that may not come. The short wait joins again what would else
    stay two groups that take turns.

    The thread is a daemon that starts with the first request and ends after two idle seconds, so that a batcher which
    is dropped leaves nothing behind. A forked child gets a thread of its own; what its parent was waiting for stays
    with the parent.

    Examples
    --------
    >>> with Batcher(lambda texts: [len(text) for text in texts]) as lengths:
    ...     lengths.submit("four")
    4
    """

    def __init__(
        self, function: Callable[[Sequence[T]], Sequence[R]], *, max_items: int = 64, max_wait_s: float = 0.002
    ) -> None:
        if max_items < 1 or not 0 <= max_wait_s <= threading.TIMEOUT_MAX:
            raise ConfigError(
                f"max_items={max_items}, max_wait_s={max_wait_s}: at least 1 item, and a wait of 0 or more"
            )
        self._function = function
        self._max_items, self._max_wait_s = max_items, max_wait_s
        self._closed = False
        self._queue = _Queue[T, R]()

    def submit(self, item: T) -> R:
        """Return the result for one item; waits for it.

        Raises
        ------
        Exception
            Whatever the function raised for the batch in which the item was: every caller of that batch gets the same.
        RuntimeError
            When the batcher is closed, is called by its own function, or the function gave another number of results.
        """
        return self.submit_all([item])[0]

    def submit_all(self, items: Sequence[T]) -> list[R]:
        """Return the results for several items, which go into one batch; raises as :meth:`submit`."""
        future = self._put(items)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # interrupted while waiting: nobody needs it any more
            raise

    async def asubmit(self, item: T) -> R:
        """Do as :meth:`submit` without blocking the event loop; cancelling one task leaves the others alone."""
        return (await self.asubmit_all([item]))[0]

    async def asubmit_all(self, items: Sequence[T]) -> list[R]:
        """Do as :meth:`submit_all` without blocking the event loop."""
        return await asyncio.wrap_future(self._put(items))

    def close(self, *, timeout_s: float = 5.0) -> None:
        """Take no more requests. What was asked before is still answered.

        Parameters
        ----------
        timeout_s : float
            How long to wait for that, in seconds. A function that hangs does not hold up its caller for longer.
        """
        self._closed = True
        thread = self._queue.thread if self._queue.pid == os.getpid() else None
        with self._queue.changed:
            self._queue.changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def __enter__(self) -> Batcher[T, R]:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def _put(self, items: Sequence[T]) -> Future[list[R]]:
        job = _Job[T, R](list(items))
        if not job.items:
            job.future.set_result([])
            return job.future
        queue = self._queue
        if queue.pid != os.getpid():  # forked: the parent's lock may be held by a thread that is not here
            queue = self._queue = _Queue[T, R]()
        if queue.thread is threading.current_thread():
            raise RuntimeError("the function of a batcher asked its own batcher, which would wait for itself")
        with queue.changed:
            if self._closed:
                raise RuntimeError("this batcher is closed")
            if queue.thread is None:
                thread = threading.Thread(target=self._work, args=(queue,), name="guard-batcher", daemon=True)
                thread.start()
                queue.thread = thread
            queue.jobs.append(job)
            queue.changed.notify_all()
        return job.future

    def _work(self, queue: _Queue[T, R]) -> None:
        n_answered, until = 0, 0.0
        while (jobs := self._gathered(queue, n_answered, until)) is not None:
            n_answered = len(jobs)
            wanted = [job for job in jobs if job.future.set_running_or_notify_cancel()]
            if wanted:
                self._serve(wanted)
            until = time.monotonic() + self._max_wait_s
            del jobs, wanted  # or the last batch would be kept alive while the thread waits

    def _gathered(self, queue: _Queue[T, R], n_answered: int, until: float) -> list[_Job[T, R]] | None:
        """Wait for work and take as much as fits; None when the thread is to end."""
        with queue.changed:
            n_expected = n_answered + len(queue.jobs)
            if not queue.changed.wait_for(lambda: queue.jobs or self._closed, _IDLE_S) or not queue.jobs:
                queue.thread = None  # still under the lock: who comes now starts another
                return None
            left_s = until - time.monotonic()  # none where the thread has idled: nobody is about to come back
            if n_expected > 1 and left_s > 0:
                queue.changed.wait_for(lambda: self._is_enough(queue, n_expected), left_s)
            jobs = [queue.jobs.popleft()]
            n_items = len(jobs[0].items)
            while queue.jobs and n_items + len(queue.jobs[0].items) <= self._max_items:
                jobs.append(queue.jobs.popleft())
                n_items += len(jobs[-1].items)
            return jobs

    def _is_enough(self, queue: _Queue[T, R], n_expected: int) -> bool:
        return self._closed or len(queue.jobs) >= n_expected or queue.n_items() >= self._max_items

    def _serve(self, jobs: list[_Job[T, R]]) -> None:
        items = [item for job in jobs for item in job.items]
        try:
            results = list(self._function(items))
            if len(results) != len(items):
                raise RuntimeError(f"the function gave {len(results)} results for {len(items)} items")
        except BaseException as error:  # it belongs to the callers, and the thread must go on
            for job in jobs:
                job.future.set_exception(error)
            return
        place = 0
        for job in jobs:
            job.future.set_result(results[place : place + len(job.items)])
            place += len(job.items)


class _Queue(Generic[T, R]):
    """What waits in one process, and the thread that serves it."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.changed = threading.Condition()
        self.jobs: deque[_Job[T, R]] = deque()
        self.thread: threading.Thread | None = None

    def n_items(self) -> int:
        return sum(len(job.items) for job in self.jobs)
