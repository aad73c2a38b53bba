"""Bounds what a transaction may take: a PostgreSQL that is frozen keeps its connection open and never answers."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Condition, Lock, Thread
from time import monotonic

CHECK_S = 0.1


class Watchdog:
    """Shuts the socket of each transaction down that is not over in time, so that its thread gets an error."""

    def __init__(self, *, limit_s: float) -> None:
        self._limit_s = limit_s
        self._changed = Condition(Lock())
        self._running: dict[object, tuple[float, int]] = {}
        self._thread: Thread | None = None

    @contextmanager
    def watching(self, descriptor: int) -> Iterator[None]:
        """Watches what goes on over this socket until the block ends."""
        mine = object()
        with self._changed:
            self._running[mine] = (monotonic() + self._limit_s, descriptor)
            if self._thread is None:
                self._thread = Thread(target=self._watch, name="ledger-deadlines", daemon=True)
                self._thread.start()
            self._changed.notify()
        try:
            yield
        finally:
            # Under the lock: a descriptor that is given back may soon be another connection's.
            with self._changed:
                self._running.pop(mine, None)

    def _watch(self) -> None:
        while True:
            with self._changed:
                # Nothing runs most of the time, and then nothing needs to be looked at.
                self._changed.wait(CHECK_S if self._running else None)
                now = monotonic()
                for mine, (deadline, descriptor) in list(self._running.items()):
                    if now >= deadline:
                        _shut_down(descriptor)
                        del self._running[mine]


def _shut_down(descriptor: int) -> None:
    """Ends both directions; whoever waits for an answer reads the end of it, and closes the descriptor as ever."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)
