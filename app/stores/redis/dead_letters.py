"""The dead letters: events that were accepted and could not be stored, until somebody replays or deletes them."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis.exceptions import RedisError

from app.domain import Event
from app.errors import StoreUnavailable
from app.stores.redis.keys import RedisKeys, WorkerClient, unpack_event
from app.stores.redis.stream import accepted_at, stream_entries


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One entry with the reason; `event` is None where it holds no event at all."""

    letter_id: str
    accepted_at: datetime
    reason: str
    event: Event | None


class DeadLetters:
    """All partitions' dead letters; every call raises StoreUnavailable when Redis does not answer."""

    def __init__(self, client: WorkerClient, keys: RedisKeys) -> None:
        self._client = client
        self._keys = keys

    def each(self) -> Iterator[DeadLetter]:
        """Every letter, the oldest of each partition first; its id names the partition as well."""
        for partition in range(self._keys.partition_count):
            for entry_id, fields in self._entries(partition):
                yield _letter(partition, entry_id, fields)

    def replay(self, letter_ids: Collection[str] | None = None) -> int:
        """Gives these letters (None: all) back to the worker, as accepted when they first were; returns how many."""
        return self._take(letter_ids, replays=True)

    def delete(self, letter_ids: Collection[str] | None = None) -> int:
        """Deletes these letters (None: all) for good; returns how many."""
        return self._take(letter_ids, replays=False)

    def _take(self, letter_ids: Collection[str] | None, *, replays: bool) -> int:
        count = 0
        for partition in range(self._keys.partition_count):
            for entry_id, fields in self._entries(partition):
                if letter_ids is not None and _name(partition, entry_id) not in letter_ids:
                    continue
                # In one step, so that an event is in exactly one of the two whatever ends this process.
                pipeline = self._client.pipeline(transaction=True)
                if replays:
                    entry: dict[Any, Any] = {"e": fields.get(b"e", b""), "id": fields.get(b"id", entry_id)}
                    pipeline.xadd(self._keys.stream(partition), entry)
                pipeline.xdel(self._keys.dead(partition), entry_id)
                with _answering():
                    pipeline.execute()
                count += 1
        return count

    def _entries(self, partition: int) -> Iterator[tuple[bytes, dict[bytes, bytes]]]:
        """The entries there are now: what is added meanwhile, as by a replay that fails again, is left out."""
        dead = self._keys.dead(partition)
        with _answering():
            newest: Any = self._client.xrevrange(dead, count=1)
            if newest:
                yield from stream_entries(self._client, dead, last=newest[0][0])


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not answer: {error}; start it and try again") from error


def _name(partition: int, entry_id: bytes) -> str:
    return f"{partition}-{entry_id.decode()}"


def _letter(partition: int, entry_id: bytes, fields: dict[bytes, bytes]) -> DeadLetter:
    try:
        event = unpack_event(fields.get(b"e", b""))
    except ValueError:
        event = None
    reason = fields.get(b"reason", b"").decode(errors="replace")
    return DeadLetter(_name(partition, entry_id), accepted_at(fields.get(b"id", entry_id)), reason, event)
