"""People who were erased and came back: out of a restored backup, or out of a file that was on its way."""

from collections.abc import Collection
from datetime import timedelta
from functools import partial

import polars as pl

from app.customers.tombstones import tombstone_of, tombstones_of
from app.domain import subject_of
from app.erasure.places import Places
from app.erasure.run import Erasing
from app.history.rows import ANONYMOUS_ID, CUSTOMER_ID
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.keys import WorkerClient
from app.stores.sql.customers.erasures import all_tombstones, request_erasure
from app.stores.sql.customers.known import known_names

OF_PEOPLE = (":live:", ":cart:", ":saved:", ":person:", ":wallet:")


def strays(places: Places) -> list[str]:
    """The keys of everybody who was erased and is found all the same: in SQL, in Redis or in the history."""
    return names_of(places, places.ledger.read(all_tombstones))


def names_of(places: Places, tombstones: Collection[str]) -> list[str]:
    """The keys that are found in SQL, in Redis or in the history, and are those of these tombstones."""
    if not tombstones:
        return []
    names = places.ledger.read(known_names) | _names_in_redis(places.client) | _names_in_history(places)
    return sorted(name for name, tombstone in tombstones_of(places.secret, names).items() if tombstone in tombstones)


def erase_strays(places: Places, documents: PersonDocuments) -> int:
    """Erases everybody who was erased before and is found all the same; returns how many names that were.

    Without waiting for what may be on its way: for data that nobody else works on.
    """
    names = strays(places)
    for name in names:
        work = partial(request_erasure, key=name, tombstone_of=partial(tombstone_of, places.secret))
        places.ledger.write(partial(work, now=places.ledger.now()))
    if names:
        Erasing(places, documents, parent_pid=None, late_after=timedelta(0)).turn()
    return len(names)


def _names_in_history(places: Places) -> set[str]:
    rows = places.history.scan()
    customers = rows.select(pl.col(CUSTOMER_ID).drop_nulls().unique()).collect(engine="streaming")[CUSTOMER_ID]
    visitors = rows.select(pl.col(ANONYMOUS_ID).drop_nulls().unique()).collect(engine="streaming")[ANONYMOUS_ID]
    return {subject_of(name) for name in customers} | {subject_of(None, name) for name in visitors}


def _names_in_redis(client: WorkerClient) -> set[str]:
    found = set()
    for key in client.scan_iter(match="{p*", count=1000):
        _, _, rest = key.decode(errors="replace").partition("}")
        for kind in OF_PEOPLE:
            if rest.startswith(kind):
                found.add(rest.removeprefix(kind))
    return found
