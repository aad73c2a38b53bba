"""Where one person's data lie in Redis: keys that their names give, and what must be looked for, some at a time."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import orjson

from app.customers.identities import customer_ids_of, names_in_columns
from app.domain import Event
from app.stores.feast.online_row import customer_key
from app.stores.redis.keys import RedisKeys, WorkerClient, unpack_event
from app.stores.redis.stream import Fields, stream_entries

T = TypeVar("T")
Read = Callable[[Any, Any], object]
"""Puts the command that reads a key into a pipeline."""
Answers = list[Any]

SCAN_COUNT = 1000
"""So many keys a step: others are answered in between."""
READ_COUNT = 100
"""So many values a step; a decision has some kilobytes."""
_GUESSES = re.compile(rb"\{p\d+\}:guesses:[^:]+:(.+)", re.DOTALL)
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a stream."""

    stream: str
    entry_id: bytes
    fields: Fields

    @property
    def event(self) -> Event | None:
        """None where it holds no event at all."""
        try:
            return unpack_event(self.fields.get(b"e", b""))
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Places:
    """The keys that a person's names give."""

    names: frozenset[str]
    keys: RedisKeys

    def by_kind(self) -> dict[str, list[str | bytes]]:
        """Every key that one of the names is part of, by what it holds."""
        names = sorted(self.names)
        return {
            "live": [self.keys.live(name) for name in names],
            "cart": [self.keys.cart(name) for name in names],
            "saved": [self.keys.saved(name) for name in names],
            "persons": [self.keys.person(name) for name in names],
            # A coupon may have been given to any form of a name.
            "wallets": [self.keys.wallet(name) for name in names_in_columns(names)],
            "features": [customer_key(customer_id) for customer_id in customer_ids_of(names)],
        }

    def streams(self) -> dict[str, list[str]]:
        """The streams of all partitions, by what they hold."""
        partitions = range(self.keys.partition_count)
        return {"events": [*map(self.keys.stream, partitions)], "dead_letters": [*map(self.keys.dead, partitions)]}


def entries_of(client: WorkerClient, streams: Sequence[str], names: Collection[str]) -> Iterator[Entry]:
    """The entries of these people, as far as they are there now; a page at a time."""
    for stream in streams:
        newest: Any = client.xrevrange(stream, count=1)
        if newest:
            for entry_id, fields in stream_entries(client, stream, last=newest[0][0]):
                entry = Entry(stream, entry_id, fields)
                if _is_of(entry, names):
                    yield entry


def _is_of(entry: Entry, names: Collection[str]) -> bool:
    event = entry.event
    if event is not None:
        return event.subject in names
    # What cannot be unpacked, as an event of another version, has its subject all the same.
    texts = _STRING.findall(b"".join(entry.fields.values()))
    return not {orjson.dumps(name)[1:-1] for name in names}.isdisjoint(texts)


def events_in(packed: Sequence[bytes]) -> Iterator[Event]:
    """The events of a list; what is none is left out."""
    for one in packed:
        try:
            yield unpack_event(one)
        except ValueError:
            continue


def guesses_of(client: WorkerClient, names: Collection[str]) -> list[bytes]:
    """Keys of guesses at codes by any client's customer with one of these names."""
    wanted = {name.encode() for name in (*names_in_columns(names), *names)}
    found = _scan(client, "*:guesses:*:*")
    return [key for key in found if (match := _GUESSES.fullmatch(key)) is not None and match[1] in wanted]


def decisions_with(client: WorkerClient, texts: Collection[str]) -> Iterator[tuple[bytes, bytes]]:
    """Kept decisions in which one of these texts stands as a whole value, each with its key."""
    wanted = {orjson.dumps(text)[1:-1] for text in texts}
    if not wanted:
        return
    for keys in _batches(list(_scan(client, "decision:*"))):
        for key, body in zip(keys, read_each(client, keys, lambda pipeline, one: pipeline.get(one)), strict=True):
            # Gone meanwhile: its time was over.
            if body is not None and not wanted.isdisjoint(_STRING.findall(body)):
                yield key, body


def read_each(client: WorkerClient, keys: Sequence[str | bytes], read: Read) -> Answers:
    """What `read` asks of each key, in one round trip; one command a key, as in a cluster they lie apart."""
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        read(pipeline, key)
    answers: Answers = pipeline.execute()
    return answers


def _scan(client: WorkerClient, pattern: str) -> Iterator[bytes]:
    yield from client.scan_iter(match=pattern, count=SCAN_COUNT)


def _batches(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), READ_COUNT):
        yield values[start : start + READ_COUNT]
