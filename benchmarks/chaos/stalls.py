"""When the machine itself stood still: a thread that sleeps 5 ms again and again, and notes when it slept longer."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

SLEEP_S = 0.005
NOTED_S = 0.005
"""Waking up later than this is a stall; below it is how sleeping works."""

Stall = tuple[float, float]


class Stalls:
    """Intervals of the monotonic clock in which this process was not let run, in order."""

    def __init__(self) -> None:
        self._intervals: list[Stall] = []

    def note(self, start_at: float, end_at: float) -> None:
        """Adds one that is later than all before."""
        self._intervals.append((start_at, end_at))

    def within(self, start_at: float, end_at: float) -> float:
        """Seconds of this interval that were stalls."""
        intervals: Sequence[Stall] = self._intervals
        first = bisect_left(intervals, start_at, key=lambda one: one[1])
        total_s = 0.0
        for stall_start, stall_end in intervals[first:]:
            if stall_start >= end_at:
                break
            total_s += min(end_at, stall_end) - max(start_at, stall_start)
        return total_s

    def facts(self) -> dict[str, object]:
        """How many there were, how long all and the longest."""
        lengths_s = [end_at - start_at for start_at, end_at in self._intervals]
        longest_ms = round(max(lengths_s, default=0.0) * 1000, 1)
        return {"count": len(lengths_s), "total_s": round(sum(lengths_s), 2), "longest_ms": longest_ms}


@contextmanager
def watched_machine() -> Iterator[Stalls]:
    """The machine's stalls while the block runs."""
    stalls, is_over = Stalls(), Event()

    def watch() -> None:
        while True:
            due_at = monotonic() + SLEEP_S
            if is_over.wait(SLEEP_S):
                return
            woken_at = monotonic()
            if woken_at - due_at > NOTED_S:
                stalls.note(due_at, woken_at)

    watcher = Thread(target=watch, name="stalls")
    watcher.start()
    try:
        yield stalls
    finally:
        is_over.set()
        watcher.join()
