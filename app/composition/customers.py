"""Keeps what a server process remembers of customers true: whoever changed is forgotten, several times a second."""

import asyncio
import logging
from contextlib import suppress

from app.api.state import Service
from app.errors import StoreUnavailable
from app.stores.redis.customers import RedisCustomers
from app.stores.redis.persons import PersonDocuments
from app.stores.sql.customers.changes import changed_since, last_number
from app.stores.sql.database.engine import Ledger

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

    async def follow(self) -> None:
        """One turn: forgets whoever changed since the last one. Never raises for the database's sake."""
        begun_s = self._people.clock()
        with suppress(StoreUnavailable):
            if self._seen is None:
                # Nothing was remembered before this.
                self._seen = await asyncio.to_thread(self._ledger.read, last_number)
            else:
                seen = self._seen
                last, changed = await asyncio.to_thread(self._ledger.read, lambda c: changed_since(c, seen))
                # Another database, or one from before: nobody knows who changed.
                self._people.forget(changed) if last >= seen else self._people.forget_all()
                self._seen = last
            self._people.followed_s = begun_s
