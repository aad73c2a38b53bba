"""The worker: accepted events leave the stream, enter the history exactly once, earn coupons and refresh features."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from threading import Event as Flag
from threading import Thread
from time import monotonic

from app.background import Background
from app.domain import Event
from app.errors import StoreUnavailable
from app.history import History
from app.history.rows import event_rows
from app.stores.redis.keys import unpack_event
from app.stores.redis.stream import Entry, EventStream
from app.worker.receipts import Arrival

CLAIM_IDLE_MS = 10_000
"""A worker that holds an entry this long is taken for dead; if it is not, the history still keeps one row."""
CLAIM_EVERY_S = 5.0
COMPACT_AFTER_COMMITS = 100
"""Every commit looks into each file for ids that are there already: more files make it slower."""
PUSH_EVERY_S = 0.5
SWEEP_EVERY_S = 15.0
ERASE_EVERY_S = 1.0
REPORT_EVERY_S = 5.0
RETRY_S = 1.0
POLL_S = 0.1
"""So often new events are looked for, and their receipts checked; the history takes them in larger portions, as each
commit costs some 30 ms and a file."""
MAX_DELIVERIES = 5
"""An entry that fails by itself so often, some 10 seconds apart, goes to the dead letters."""

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


@dataclass(frozen=True, slots=True)
class Duties:
    """What follows from events apart from the history; each may raise StoreUnavailable.

    `issue` gives the coupons that receipts earn: when it fails the batch comes again. `push` refreshes the pushed
    features, `sweep` tidies the ledger up now and then: they may fail without holding anything up. `are_erased` says
    of each event whether it is of somebody who was erased, `erasing` whether an erasure runs, and `erase` goes on with
    it in a thread of its own.
    """

    issue: Callable[[Sequence[Arrival]], None]
    push: Callable[[Sequence[Event]], None]
    sweep: Callable[[], None]
    are_erased: Callable[[Sequence[Event]], Sequence[bool]] = lambda events: [False] * len(events)
    is_erasing: Callable[[], bool] = lambda: False
    erase: Callable[[], object] = lambda: None


Pair = tuple[Entry, Event]


def _where(entry: Entry) -> dict[str, object]:
    return {"entry_id": entry.entry_id.decode(), "partition": entry.partition}


class Worker:
    """One consumer."""

    def __init__(
        self,
        stream: EventStream,
        history: History,
        duties: Duties,
        *,
        batch_count: int,
        interval_s: float,
    ) -> None:
        self._stream = stream
        self._history = history
        self._duties = duties
        self._batch_count = batch_count
        self._interval_s = interval_s
        self._waiting: list[Pair] = []
        self._unpushed: list[Event] = []
        self._store_at = 0.0
        self._push_at = 0.0
        self._claim_at = 0.0
        self._sweep_at = 0.0
        self._report_at = 0.0
        self._background = Background()
        self._commits = 0
        self._compaction: Thread | None = None
        self._erase_at = 0.0
        self._erasing: Thread | None = None

    def run(self, stop: Flag) -> None:
        """Works until `stop` is set; while Redis or the disk fails it waits and tries again."""
        has_joined = False
        while not stop.is_set():
            pause_s = RETRY_S
            # A failed batch was not acknowledged, so nothing is lost: it comes again.
            with self._background.turn("events"):
                if not has_joined:
                    self._stream.join()
                has_joined = False
                handled = self.step()
                has_joined = True
                # A full batch means that more is waiting.
                pause_s = 0 if handled >= self._batch_count else min(self._interval_s, POLL_S)
            self._report()
            stop.wait(pause_s)
        with self._background.turn("events"):
            self._store_waiting()
        if self._unpushed:
            self._push()
        for thread in (self._compaction, self._erasing):
            if thread is not None:
                thread.join()

    def step(self) -> int:
        """One batch: first what a dead worker left, now and then, else what is new; returns how many entries."""
        now = monotonic()
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP_EVERY_S
            with self._background.turn("ledger upkeep"):
                self._duties.sweep()
        if now >= self._erase_at:
            self._erase_at = now + ERASE_EVERY_S
            with self._background.turn("erasures"):
                self._go_on_erasing()
        entries: list[Entry] = []
        if now >= self._claim_at:
            entries = self._stream.claim(self._batch_count, idle_ms=CLAIM_IDLE_MS)
            # A full batch: a dead worker may have left more, which the next step claims.
            if len(entries) < self._batch_count:
                self._claim_at = now + CLAIM_EVERY_S
        if not entries:
            entries = self._stream.read(self._batch_count)
        try:
            if entries:
                self._try(entries)
        finally:
            # Also while the ledger is away, and each batch with it.
            if self._waiting and (now >= self._store_at or len(self._waiting) >= self._batch_count):
                self._store_waiting()
        if self._unpushed and now >= self._push_at:
            self._push()
        return len(entries)

    def _try(self, entries: Sequence[Entry]) -> None:
        try:
            self._check(entries)
        except StoreUnavailable:
            # What failed is claimed again later; meanwhile new events enter the history.
            self._claim_at = monotonic() + CLAIM_EVERY_S
            raise

    def handle(self, entries: Sequence[Entry]) -> None:
        """Coupons, then history, then acknowledge: a failure before that repeats the batch, which changes nothing."""
        self._check(entries)
        self._store_waiting()

    def _check(self, entries: Sequence[Entry]) -> None:
        """Issues what these entries' receipts earn, and has their events wait for the history."""
        batch = self._without_erased(unpack(entries))
        for entry, reason in batch.poison:
            self._bury(entry, reason)
        self._unpushed += batch.events
        pairs = list(zip(batch.entries, batch.events, strict=True))
        checked: Sequence[Pair] = []
        try:
            checked = self._take(pairs, self._issue)
        finally:
            # Coupons may have to wait, for the ledger or as dead letters; the history does not.
            known = {id(entry) for entry, _ in checked}
            self._take([pair for pair in pairs if id(pair[0]) not in known], self._store)
        self._waiting += checked

    def _without_erased(self, batch: Batch) -> Batch:
        """The batch without what is about people who were erased, which goes no further."""
        erased = self._duties.are_erased(batch.events)
        if not any(erased):
            return batch
        each = list(zip(batch.entries, batch.events, erased, strict=True))
        self._stream.done([entry for entry, _, is_erased in each if is_erased])
        kept = [(entry, event) for entry, event, is_erased in each if not is_erased]
        return Batch([entry for entry, _ in kept], [event for _, event in kept], batch.poison)

    def _go_on_erasing(self) -> None:
        """Starts what is to be erased, once all that was taken in before is where it is looked for."""
        if (self._erasing is not None and self._erasing.is_alive()) or not self._duties.is_erasing():
            return
        self._store_waiting()
        if self._unpushed:
            self._push()
        # In a thread: it may take longer than events can wait.
        self._erasing = Thread(target=self._erase, name="erasing")
        self._erasing.start()

    def _erase(self) -> None:
        with self._background.turn("erasures"):
            self._duties.erase()

    def _store_waiting(self) -> None:
        """Stores what waits and acknowledges it; what fails is claimed again."""
        waiting, self._waiting = self._waiting, []
        self._store_at = monotonic() + self._interval_s
        stored = self._take(waiting, self._store)
        if stored:
            self._stream.done([entry for entry, _ in stored])

    def _store(self, pairs: Sequence[Pair]) -> None:
        self._history.append_events(event_rows(event for _, event in pairs))
        self._commits += 1
        if self._commits >= COMPACT_AFTER_COMMITS and (self._compaction is None or not self._compaction.is_alive()):
            self._commits = 0
            # Meanwhile events go on into the history: who loses a race tries again.
            self._compaction = Thread(target=self._compact, name="compaction")
            self._compaction.start()

    def _compact(self) -> None:
        with self._background.turn("history compaction"):
            self._history.compact()

    def _push(self) -> None:
        """Refreshes features; what fails is left to the next events of the same customers."""
        unpushed, self._unpushed = self._unpushed, []
        self._push_at = monotonic() + PUSH_EVERY_S
        with self._background.turn("pushed features"):
            self._duties.push(unpushed)

    def _issue(self, pairs: Sequence[Pair]) -> None:
        self._duties.issue([Arrival(event, entry.accepted_at) for entry, event in pairs])

    def _take(self, pairs: Sequence[Pair], step: Callable[[Sequence[Pair]], None]) -> Sequence[Pair]:
        """Those that `step` takes: halved until each one that it fails on is alone; raises StoreUnavailable."""
        if not pairs:
            return []
        try:
            step(pairs)
        except StoreUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever one event does, it must not hold up the others
            if len(pairs) == 1:
                self._fail(pairs[0][0], error)
                return []
            middle = len(pairs) // 2
            return [*self._take(pairs[:middle], step), *self._take(pairs[middle:], step)]
        return pairs

    def _fail(self, entry: Entry, error: Exception) -> None:
        """Leaves the entry pending, to be claimed again; buries it after its last delivery."""
        if self._stream.deliveries(entry) >= MAX_DELIVERIES:
            self._bury(entry, repr(error))
        else:
            # Without the message, which may repeat whom and what the event is about.
            _log.warning("event failed; it will be tried again", extra=_where(entry) | {"detail": type(error).__name__})

    def _bury(self, entry: Entry, reason: str) -> None:
        self._stream.bury(entry, reason)
        _log.error("event became a dead letter; see `endcap dead-letters`", extra=_where(entry))

    def _report(self) -> None:
        if monotonic() >= self._report_at:
            self._report_at = monotonic() + REPORT_EVERY_S
            # While Redis does not answer the servers see that by themselves.
            with suppress(StoreUnavailable):
                self._stream.report(self._background.problems())
