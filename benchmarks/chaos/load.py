"""An open-loop load: each request is sent when it is due, however slow the answers before it are."""

import asyncio
import random
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic

from benchmarks.chaos.answers import Answers
from benchmarks.chaos.connections import Connections
from benchmarks.chaos.senders import Senders
from benchmarks.chaos.shop import Shop

TIMEOUT_S = 10.0
IDLE_TICK_S = 0.05


class Load:
    """Sends at `rate_per_s`, which may be changed, and 0, until `is_over`; what clients keep is sent all the while."""

    def __init__(self, port: int, shop: Shop, *, rate_per_s: float) -> None:
        self.rate_per_s = rate_per_s
        self.is_over = False
        self._connections = Connections("127.0.0.1", port, TIMEOUT_S)
        self._senders = Senders(shop, self._connections)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def answers(self) -> Answers:
        """What came back since the load, or `forget`, began."""
        return self._senders.answers

    @property
    def shop(self) -> Shop:
        """Whose customers these are."""
        return self._senders.shop

    def forget(self) -> None:
        """Begins new notes."""
        self._senders.answers = Answers()

    async def run(self) -> None:
        """Returns once it is over, and everything that was sent has an answer or is kept."""
        forwarders = [
            asyncio.create_task(forward) for forward in (self._senders.forward_orders(), self._senders.forward_events())
        ]
        chance, due_at = random.Random(0), monotonic()
        while not self.is_over:
            if self.rate_per_s:
                self._begin(self._senders.one(chance, due_at))
            due_at += 1 / self.rate_per_s if self.rate_per_s else IDLE_TICK_S
            await asyncio.sleep(max(0.0, due_at - monotonic()))
        await asyncio.gather(*self._tasks)
        for forwarder in forwarders:
            forwarder.cancel()
        self._connections.close()

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextmanager
def running(load: Load) -> Iterator[Load]:
    """Sends while the block runs; what is under way when it ends is answered first."""
    thread = Thread(target=lambda: asyncio.run(load.run()), name="load")
    thread.start()
    try:
        yield load
    finally:
        load.is_over = True
        thread.join()
