"""Keeps a slow or dead store from slowing requests: soft deadlines, bounded calls in flight, a breaker."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

from app.errors import StoreUnavailable

Answer = TypeVar("Answer")


class Breaker:
    """Lets calls through while they come back in time.

    A call that misses its deadline is left to end by itself: cancelling it could tear down the connection that others
    use, or hand its answer to somebody else. After `trip_count` failures in a row all calls are refused
    for `open_s`; then one probe decides.
    """

    def __init__(self, *, in_flight_count: int, trip_count: int = 3, open_s: float = 0.5) -> None:
        self._limit = in_flight_count
        self._trip_count = trip_count
        self._open_s = open_s
        self._in_flight: set[asyncio.Future[Any]] = set()
        self._failures = 0
        self._closed_again_at = 0.0

    @property
    def is_open(self) -> bool:
        """True while calls are refused without being tried."""
        return self._failures >= self._trip_count and monotonic() < self._closed_again_at

    async def call(self, start: Callable[[], Awaitable[Answer]], *, timeout_s: float) -> Answer:
        """The answer of `start()`; raises StoreUnavailable when refused, late or failed."""
        if self.is_open or len(self._in_flight) >= self._limit:
            raise StoreUnavailable("the store was not called: it failed a moment ago or is busy")
        if self._failures >= self._trip_count:
            self._closed_again_at = monotonic() + self._open_s  # this call is the probe; others wait for it
        task: asyncio.Future[Answer] = asyncio.ensure_future(start())
        self._in_flight.add(task)
        task.add_done_callback(self._ended)
        await _done_or_late(task, timeout_s)
        if not task.done():
            self._failed()
            raise StoreUnavailable(f"the store did not answer within {timeout_s * 1000:.0f} ms")
        error = task.exception()
        if error is not None:
            raise StoreUnavailable(f"the store failed: {error!r}") from error
        return task.result()

    def _ended(self, task: "asyncio.Future[Any]") -> None:
        self._in_flight.discard(task)
        if task.cancelled() or task.exception() is not None:
            self._failed()
        else:
            # A late success counts too: a store that answers is alive.
            self._failures = 0

    def _failed(self) -> None:
        self._failures += 1
        if self._failures >= self._trip_count:
            self._closed_again_at = monotonic() + self._open_s


async def _done_or_late(task: "asyncio.Future[Any]", timeout_s: float) -> None:
    """Waits as asyncio.wait does for one task, at half its cost."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(*_: object) -> None:
        # The timer and the task may both fire in one turn of the loop.
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(timeout_s, wake)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
