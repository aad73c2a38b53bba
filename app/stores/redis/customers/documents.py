"""A person as it lies in Redis: one JSON document under each of their identities, made from SQL, read by decisions.

Each holds all keys of the person, what they allow and what they never want to see. It carries the number of the change
that it shows, and an older one never replaces a newer. Whoever changes a customer writes the documents before the
answer; the queue that the transaction left makes them once more. Without the mark of its partition an absent document
means nothing: Redis may have lost it.
"""

import logging
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import orjson
from redis.exceptions import RedisError
from sqlalchemy import Connection, select

from app.customers.consents import PERSONALIZATION, Statement, Status, statuses_of
from app.customers.person import OPT_OUTS, Person
from app.domain import Selection
from app.errors import StoreUnavailable
from app.stores.redis.keys import RedisKeys, WorkerClient
from app.stores.sql.customers.changes import last_number
from app.stores.sql.customers.consents import statements_of
from app.stores.sql.customers.erasures import all_tombstones
from app.stores.sql.customers.groups import keys_of_each
from app.stores.sql.customers.preferences import preferences_of
from app.stores.sql.database.customer_tables import consents, persons, preferences
from app.stores.sql.database.engine import Ledger

BATCH = 500
ANYBODY = "anybody"
"""Stands where a tombstone stands, once anybody was erased."""
WRITE = """
local found = redis.call('GET', KEYS[1])
if found and tonumber(string.match(found, '^%[(%d+)')) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
return 1
"""
"""A document, unless one of a later change is there."""

_log = logging.getLogger(__name__)


class PersonDocuments:
    """Writes the documents of one database to one Redis."""

    def __init__(self, ledger: Ledger, client: WorkerClient, keys: RedisKeys) -> None:
        self._ledger = ledger
        self._client = client
        self._keys = keys

    def write(self, keys: Collection[str]) -> None:
        """Makes the documents of these identities as they are now; raises StoreUnavailable."""
        try:
            self._write(sorted(keys))
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the customer's document cannot be written to Redis: {error!r}") from error

    def ensure(self) -> int:
        """Makes every document where Redis has lost them, then its marks; returns how many. Raises StoreUnavailable."""
        try:
            # One by one: in a cluster the marks lie on several servers.
            if all(self._client.exists(mark) for mark in self._marks()):
                return 0
            count = self._rebuild()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the customers' documents cannot be made in Redis: {error!r}") from error
        if count:
            _log.info("documents of customers made in Redis", extra={"detail": f"{count}"})
        return count

    def rebuild(self) -> int:
        """Makes every document, and the marks; returns how many. Raises StoreUnavailable."""
        try:
            return self._rebuild()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"the customers' documents cannot be made in Redis: {error!r}") from error

    def _rebuild(self) -> int:
        keys = self._ledger.read(_everybody)
        self.mark_erased(self._ledger.read(all_tombstones))
        self._write(keys)
        # At the very end: until then an absent document means nothing.
        for mark in self._marks():
            self._client.set(mark, b"1")
        return len(keys)

    def mark_erased(self, tombstones: Collection[str]) -> None:
        """From now on no event of these people is taken; raises StoreUnavailable."""
        if not tombstones:
            return
        pipeline = self._client.pipeline(transaction=False)
        for tombstone in (*tombstones, ANYBODY):
            pipeline.set(self._keys.erased(tombstone), b"1")
        try:
            pipeline.execute()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"nobody can be marked as erased in Redis: {error!r}") from error

    def erased_among(self, tombstones: Collection[str]) -> set[str]:
        """Those of them that are marked; raises StoreUnavailable."""
        each = sorted(tombstones)
        try:
            if not self._client.exists(self._keys.erased(ANYBODY)):
                return set()
            pipeline = self._client.pipeline(transaction=False)
            for tombstone in each:
                pipeline.exists(self._keys.erased(tombstone))
            return {tombstone for tombstone, is_there in zip(each, pipeline.execute(), strict=True) if is_there}
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"nobody knows who was erased: {error!r}") from error

    def _marks(self) -> list[str]:
        return [self._keys.persons_mark(partition) for partition in range(self._keys.partition_count)]

    def _write(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            pipeline = self._client.pipeline(transaction=False)
            for key, (number, document) in self._ledger.read(partial(documents_of, keys=batch)).items():
                pipeline.eval(WRITE, 1, self._keys.person(key), str(number), document)
            pipeline.execute()


def documents_of(connection: Connection, keys: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    """By key the number of the last change, and the packed document."""
    number = last_number(connection)
    return {key: (number, pack_person(number, person)) for key, person in people_of(connection, keys).items()}


def people_of(connection: Connection, keys: Sequence[str]) -> dict[str, Person]:
    """By key the person, as decisions know them."""
    joined = keys_of_each(connection, keys)
    everyone = {name for names in joined.values() for name in names}
    said = statements_of(connection, everyone)
    wanted = preferences_of(connection, everyone)
    return {key: person_of(names, said, wanted) for key, names in joined.items()}


def person_of(keys: Sequence[str], said: "dict[str, list[Statement]]", wanted: "dict[str, dict[str, Any]]") -> Person:
    """What is known of whoever has these keys, as far as decisions look at it."""
    out: dict[str, set[str]] = {}
    for key in keys:
        for attribute, values in wanted.get(key, {}).get("opted_out", {}).items():
            out.setdefault(attribute, set()).update(values)
    return Person(
        tuple(keys),
        statuses_of([said.get(key, []) for key in keys], PERSONALIZATION),
        tuple(Selection(attribute=name, values=tuple(sorted(out[name]))) for name in OPT_OUTS if out.get(name)),
    )


def pack_person(number: int, person: Person) -> bytes:
    """A document; the number of the change that it shows comes first."""
    statuses = {channel: status.value for channel, status in person.personalization.items()}
    return orjson.dumps([number, person.keys, statuses, [[one.attribute, one.values] for one in person.opted_out]])


def unpack_person(packed: bytes) -> Person:
    """The person whom `pack_person` packed."""
    _, keys, statuses, opted_out = orjson.loads(packed)
    return Person(
        tuple(keys),
        {channel: Status(status) for channel, status in statuses.items()},
        tuple(Selection(attribute=name, values=tuple(values)) for name, values in opted_out),
    )


def _everybody(connection: Connection) -> list[str]:
    """Every identity that is linked with another, or said something."""
    each = select(persons.c.key).union(select(consents.c.key), select(preferences.c.key))
    return sorted(connection.execute(each).scalars())
