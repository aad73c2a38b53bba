"""The worker: accepted events leave the stream, enter the history exactly once and refresh the pushed features."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event as Flag
from time import monotonic

from app.domain import Event
from app.errors import StoreUnavailable
from app.history import History, event_rows
from app.stores.redis import unpack_event
from app.stores.stream import Entry, EventStream

CLAIM_IDLE_MS = 10_000
"""A worker that holds an entry this long is taken for dead; if it is not, the history still keeps one row."""
CLAIM_EVERY_S = 5.0
COMPACT_EVERY_S = 600.0
RETRY_S = 1.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries with their events, and those entries that hold no event, each with the reason."""

    entries: Sequence[Entry]
    events: Sequence[Event]
    poison: Sequence[tuple[Entry, str]]


def unpack(entries: Sequence[Entry]) -> Batch:
    """Sorts entries into those that hold an event and those that never will."""
    good, events, poison = [], [], []
    for entry in entries:
        try:
            events.append(unpack_event(entry.packed))
            good.append(entry)
        except ValueError as error:
            poison.append((entry, str(error)))
    return Batch(good, events, poison)


class Worker:
    """One consumer. `push` refreshes the pushed features; it may fail without holding up the history."""

    def __init__(
        self,
        stream: EventStream,
        history: History,
        push: Callable[[Sequence[Event]], None],
        *,
        batch_count: int,
        interval_s: float,
    ) -> None:
        self._stream = stream
        self._history = history
        self._push = push
        self._batch_count = batch_count
        self._interval_s = interval_s
        self._claim_at = 0.0
        self._compact_at = monotonic() + COMPACT_EVERY_S

    def run(self, stop: Flag) -> None:
        """Works until `stop` is set; while Redis or the disk fails it waits and tries again."""
        while not stop.is_set():
            try:
                self._stream.join()
                while not stop.is_set():
                    handled = self.step()
                    stop.wait(0 if handled >= self._batch_count else self._interval_s)
            except StoreUnavailable as error:
                _log.warning("waiting for Redis", extra={"detail": error.message})
            except Exception:  # noqa: BLE001 - the task border: nothing was acknowledged, so nothing is lost
                _log.exception("batch failed; it will be tried again")
            stop.wait(RETRY_S)

    def step(self) -> int:
        """One batch: first what a dead worker left, now and then, else what is new; returns how many entries."""
        now = monotonic()
        entries: list[Entry] = []
        if now >= self._claim_at:
            entries = self._stream.claim(self._batch_count, idle_ms=CLAIM_IDLE_MS)
            if len(entries) < self._batch_count:
                self._claim_at = now + CLAIM_EVERY_S
        if not entries:
            entries = self._stream.read(self._batch_count)
        if entries:
            self.handle(entries)
        elif now >= self._compact_at:
            self._compact_at = now + COMPACT_EVERY_S
            self._history.compact()
        return len(entries)

    def handle(self, entries: Sequence[Entry]) -> None:
        """History first, then acknowledge: a crash between them repeats the batch, and the history is idempotent."""
        batch = unpack(entries)
        for entry, reason in batch.poison:
            self._stream.bury(entry, reason)
            _log.error("event entry is no event", extra={"entry_id": entry.entry_id.decode(), "detail": reason})
        if not batch.events:
            return
        self._history.append_events(event_rows(batch.events))
        self._stream.done(batch.entries)
        try:
            self._push(batch.events)
        except StoreUnavailable as error:
            _log.warning("features not pushed", extra={"detail": error.message})
