"""Requests to be forgotten: noted with tombstones in one transaction, done step by step, closed with a receipt."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from app.customers.consents import ALL_CHANNELS, MARKETING, OBJECTED
from app.domain import JsonObject
from app.errors import Conflict, Missing
from app.offers.terms.codes import new_id
from app.stores.sql.customers.consents import Evidence, Said, say
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import erasures, tombstones
from app.stores.sql.database.projection_queue import insert

TombstoneOf = Callable[[str], str]
BY_ERASURE = Evidence("erasure")


class ErasureNotFound(Missing):
    """No erasure has this id."""

    code = "erasure_not_found"


class Erased(Conflict):
    """Somebody of this name was erased on request."""

    code = "erased"


@dataclass(frozen=True, slots=True)
class Erasure:
    """One request. `names`: the keys of the person while it runs, none afterwards; `tombstones`: those of all.

    `steps`: of each step that is done when that was, and how much it erased by place. `receipt` None: it runs.
    """

    erasure_id: str
    names: tuple[str, ...]
    tombstones: tuple[str, ...]
    requested_at: datetime
    steps: Mapping[str, JsonObject]
    receipt: JsonObject | None

    @property
    def keys(self) -> tuple[str, ...]:
        """Whose documents are others from the request on."""
        return self.names


def request_erasure(connection: Connection, key: str, tombstone_of: TombstoneOf, *, now: datetime) -> Erasure:
    """Notes that the person with this identity is to be forgotten under every name; from now on nothing more is taken.

    The same erasure where one of them runs already.
    """
    # Takes the turn of all changes to customers: nobody is linked with them meanwhile.
    noted = say(connection, key, Said(MARKETING, ALL_CHANNELS, OBJECTED), BY_ERASURE, now=now)
    digests = {name: tombstone_of(name) for name in noted.keys}
    for running in running_erasures(connection):
        if set(digests.values()) <= set(running.tombstones):
            return running
    erasure_id = new_id("ers")
    rows = [{"digest": digest, "erasure_id": erasure_id, "erased_at": now} for digest in sorted(digests.values())]
    connection.execute(insert(connection, tombstones).on_conflict_do_nothing(), rows)
    row: JsonObject = {"names": sorted(noted.keys), "tombstones": sorted(digests.values()), "steps": {}}
    connection.execute(insert(connection, erasures).values(erasure_id=erasure_id, requested_at=now, **row))
    return find_erasure(connection, erasure_id)


def find_erasure(connection: Connection, erasure_id: str) -> Erasure:
    """The erasure as it stands; raises ErasureNotFound."""
    row = connection.execute(select(erasures).where(erasures.c.erasure_id == erasure_id)).one_or_none()
    if row is None:
        raise ErasureNotFound(f"no erasure {erasure_id!r}")
    return _erasure_of(row)


def running_erasures(connection: Connection) -> list[Erasure]:
    """Those that are not done, oldest first."""
    query = select(erasures).where(erasures.c.finished_at.is_(None)).order_by(erasures.c.requested_at)
    return [_erasure_of(row) for row in connection.execute(query)]


def note_step(connection: Connection, erasure_id: str, step: str, erased: Mapping[str, int], *, now: datetime) -> None:
    """Notes that a step is done, and how much it erased in each place."""
    done = {"at": now.isoformat(), "erased": dict(erased)}
    steps = dict(find_erasure(connection, erasure_id).steps) | {step: done}
    connection.execute(update(erasures).where(erasures.c.erasure_id == erasure_id).values(steps=steps))


def forget_names(connection: Connection, erasure_id: str) -> None:
    """From now on the erasure itself names nobody: all that is left to do needs no name."""
    connection.execute(update(erasures).where(erasures.c.erasure_id == erasure_id).values(names=[]))


def finish_erasure(connection: Connection, erasure_id: str, receipt: JsonObject, *, now: datetime) -> None:
    """Closes it."""
    closed = update(erasures).where(erasures.c.erasure_id == erasure_id)
    connection.execute(closed.values(names=[], receipt=receipt, finished_at=now))


def tombstones_among(connection: Connection, digests: Collection[str]) -> set[str]:
    """Those of the digests that are of somebody who was erased."""
    found: set[str] = set()
    for chunk in chunks(sorted(digests)):
        found |= set(connection.execute(select(tombstones.c.digest).where(tombstones.c.digest.in_(chunk))).scalars())
    return found


def refuse_erased(connection: Connection, digests: Collection[str]) -> None:
    """Raises Erased where one of them is of somebody who was erased."""
    if tombstones_among(connection, digests):
        raise Erased("somebody of this name was erased on request; whoever comes back needs another name")


def refuse_erased_customers(connection: Connection, digests: Sequence[str]) -> None:
    """The same of the customers whom a request names, in its order: it says which of them."""
    erased = tombstones_among(connection, digests)
    for number, digest in enumerate(digests, 1):
        if digest in erased:
            who = "the customer" if len(digests) == 1 else f"customer {number} of the {len(digests)} named here"
            raise Erased(f"{who} was erased on request; leave them out, or give whoever comes back another name")


def all_tombstones(connection: Connection) -> frozenset[str]:
    """Every tombstone."""
    return frozenset(connection.execute(select(tombstones.c.digest)).scalars())


def add_tombstones(connection: Connection, digests: Mapping[str, datetime]) -> int:
    """Adds those that are missing, as after a restore of a backup from before them; returns how many."""
    rows = [{"digest": digest, "erasure_id": "", "erased_at": at} for digest, at in sorted(digests.items())]
    if not rows:
        return 0
    statement = insert(connection, tombstones).on_conflict_do_nothing().returning(tombstones.c.digest)
    return sum(len(connection.execute(statement, chunk).all()) for chunk in chunks(rows))


def _erasure_of(row: Any) -> Erasure:
    return Erasure(
        row.erasure_id, tuple(row.names), tuple(row.tombstones), row.requested_at, dict(row.steps), row.receipt
    )
