"""Keeps what a server process remembers of customers true: whoever changed is forgotten, several times a second."""

import asyncio
import logging
from contextlib import suppress
from functools import partial

from app.api.state import Service
from app.customers.person import Person
from app.errors import StoreUnavailable
from app.stores.redis.customers.documents import PersonDocuments, people_of
from app.stores.redis.customers.reading import FOLLOWED_FOR_S, RedisCustomers
from app.stores.sql.customers.changes import changed_since
from app.stores.sql.customers.consents import who_ever_said_no
from app.stores.sql.database.engine import Ledger, Transaction

_log = logging.getLogger(__name__)


def customers_follower_of(service: Service) -> "CustomersFollower":
    """What keeps this service's memory of customers true to its database."""
    return CustomersFollower(service.ledger, service.people, service.projections.documents)


class CustomersFollower:
    """One process's follower; runs in its event loop."""

    def __init__(self, ledger: Ledger, people: RedisCustomers, documents: PersonDocuments) -> None:
        self._ledger = ledger
        self._people = people
        self._documents = documents
        self._seen: int | None = None

    async def ensure_documents(self) -> None:
        """Makes the documents in Redis where it has lost them; until it could, nobody gets anything personal."""
        try:
            await asyncio.to_thread(self._documents.ensure)
        except StoreUnavailable as error:
            _log.warning("documents of customers not made", extra={"detail": error.message})

    async def follow_where_due(self) -> None:
        """A turn where the last one was a while ago."""
        if self._people.clock() - self._people.followed_s > FOLLOWED_FOR_S / 2:
            await self.follow()

    async def follow(self) -> None:
        """One turn: forgets whoever changed since the last one. Never raises for the database's sake."""
        begun_s = self._people.clock()
        with suppress(StoreUnavailable):
            seen = self._seen
            last, changed, denied = await asyncio.to_thread(self._ledger.read, partial(_changes, seen=seen))
            if seen is None or last < seen:
                # Another database, or one from before: nobody knows who changed.
                self._people.forget_all()
                self._people.denied = denied
            elif changed:
                self._people.forget(changed)
                kept = {key: person for key, person in self._people.denied.items() if key not in changed}
                self._people.denied = kept | denied
            self._seen = last
            self._people.followed_s = begun_s


def _changes(connection: Transaction, *, seen: int | None) -> tuple[int, set[str], dict[str, Person]]:
    """The number of the last change, who changed since `seen`, and who of them said no; of everybody where that is
    None or of another database."""
    last, changed = changed_since(connection, seen or 0)
    is_new = seen is None or last < seen
    names = sorted(who_ever_said_no(connection) if is_new else changed)
    people = people_of(connection, names)
    return last, changed, {key: person for key, person in people.items() if person.says_no}
