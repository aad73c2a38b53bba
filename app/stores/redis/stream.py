"""The events' streams as the worker sees them: read, claim what a dead worker left, acknowledge, dead-letter."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.errors import StoreUnavailable
from app.stores.redis.keys import (
    WORKER_GROUP,
    WORKER_SILENT_AFTER_S,
    WORKER_TASKS,
    RedisKeys,
    WorkerClient,
    why_refused,
)

_NEVER_DELIVERED = ">"
PAGE = 1000

Fields = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Entry:
    """One packed event on its way, and where it waits. `first_id`: its id before it was replayed, if it was."""

    partition: int
    entry_id: bytes
    packed: bytes
    first_id: bytes | None = None

    @property
    def accepted_at(self) -> datetime:
        """When Redis took it in, by its own clock."""
        return accepted_at(self.first_id or self.entry_id)


class EventStream:
    """One consumer's view of all partitions; raises StoreUnavailable when Redis does not answer."""

    def __init__(self, client: "Redis", keys: RedisKeys, consumer: str) -> None:
        self._client = client
        self._keys = keys
        self._consumer = consumer

    def join(self) -> None:
        """Makes sure that the consumer group exists on every partition."""
        for partition in range(self._keys.partition_count):
            try:
                # From "0", because events may be accepted before any worker came; mkstream, because Redis refuses a
                # missing stream.
                self._client.xgroup_create(self._keys.stream(partition), WORKER_GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise StoreUnavailable(why_refused(error)) from error
            except RedisError as error:
                raise StoreUnavailable(f"cannot join the event stream: {error!r}") from error

    def read(self, count: int) -> list[Entry]:
        """Up to `count` new entries per partition, oldest first."""
        entries: list[Entry] = []
        # One call per partition: in a cluster a command may only name streams of one slot.
        for partition in range(self._keys.partition_count):
            streams: dict[Any, Any] = {self._keys.stream(partition): _NEVER_DELIVERED}
            answer = self._call(partial(self._client.xreadgroup, WORKER_GROUP, self._consumer, streams, count=count))
            for _, rows in answer or []:
                entries += [_entry(partition, row) for row in rows]
        return entries

    def claim(self, count: int, *, idle_ms: int) -> list[Entry]:
        """Entries that some consumer took at least `idle_ms` ago and never acknowledged."""
        entries: list[Entry] = []
        for partition in range(self._keys.partition_count):
            stream = self._keys.stream(partition)
            _, rows, *_ = self._call(
                partial(self._client.xautoclaim, stream, WORKER_GROUP, self._consumer, idle_ms, count=count)
            )
            # What was deleted from the stream comes without fields.
            entries += [_entry(partition, row) for row in rows if row[1]]
        return entries

    def done(self, entries: Sequence[Entry]) -> None:
        """Acknowledges and removes entries whose events are in the history."""
        for partition in {entry.partition for entry in entries}:
            ids = [entry.entry_id for entry in entries if entry.partition == partition]
            stream = self._keys.stream(partition)
            # XACK alone leaves the entry in the stream, whose length is reported as the lag.
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xack(stream, WORKER_GROUP, *ids)
            pipeline.xdel(stream, *ids)
            self._call(pipeline.execute)

    def deliveries(self, entry: Entry) -> int:
        """How often consumers were given this entry, which is pending."""
        stream, at = self._keys.stream(entry.partition), entry.entry_id
        pending = self._call(partial(self._client.xpending_range, stream, WORKER_GROUP, at, at, 1))
        return int(pending[0]["times_delivered"]) if pending else 0

    def bury(self, entry: Entry, reason: str) -> None:
        """Moves an entry that can never be stored to the dead letters, in one step."""
        stream = self._keys.stream(entry.partition)
        pipeline = self._client.pipeline(transaction=True)
        letter: dict[Any, Any] = {"e": entry.packed, "reason": reason, "id": entry.first_id or entry.entry_id}
        pipeline.xadd(self._keys.dead(entry.partition), letter)
        pipeline.xack(stream, WORKER_GROUP, entry.entry_id)
        pipeline.xdel(stream, entry.entry_id)
        self._call(pipeline.execute)

    def report(self, problems: Mapping[str, str | None]) -> None:
        """Tells the servers, who have the metrics, how the worker's tasks are; silence says that there is none."""
        self._call(partial(self._client.set, WORKER_TASKS, orjson.dumps(problems), ex=WORKER_SILENT_AFTER_S))

    def leave(self) -> None:
        """Forgets this consumer where it has nothing pending; what is pending stays for others to claim."""
        for partition in range(self._keys.partition_count):
            stream = self._keys.stream(partition)
            pending = self._call(
                partial(self._client.xpending_range, stream, WORKER_GROUP, "-", "+", 1, consumername=self._consumer)
            )
            # Redis drops what is pending of a consumer that it deletes: nobody could claim that any more.
            if not pending:
                self._call(partial(self._client.xgroup_delconsumer, stream, WORKER_GROUP, self._consumer))

    def _call(self, command: Callable[[], Any]) -> Any:
        try:
            return command()
        except ResponseError as error:
            # The stream and its groups are gone when Redis was flushed or restored from before they were made.
            if "NOGROUP" not in str(error):
                raise StoreUnavailable(why_refused(error)) from error
            self.join()
            return command()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the event stream does not answer: {error!r}") from error


def _entry(partition: int, row: tuple[bytes, dict[bytes, bytes]]) -> Entry:
    entry_id, fields = row
    return Entry(partition, entry_id, fields.get(b"e", b""), fields.get(b"id"))


def stream_entries(client: WorkerClient, stream: str, *, last: bytes = b"+") -> Iterator[tuple[bytes, Fields]]:
    """Id and fields of every entry up to the id `last`, the oldest first, read some at a time."""
    first = b"-"
    while True:
        page: Any = client.xrange(stream, first, last, count=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        first = b"(" + page[-1][0]


def accepted_at(entry_id: bytes) -> datetime:
    """The instant at which Redis gave this id, by its own clock: it begins with the milliseconds."""
    return datetime.fromtimestamp(int(entry_id.split(b"-")[0]) / 1000, UTC)
