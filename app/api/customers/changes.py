"""Changes to customers: committed in SQL, shown in Redis, forgotten by every server, and only then answered."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from app.customers.identities import customer_ids_of, identity_of, named_customer
from app.customers.tombstones import tombstones_of
from app.errors import StoreUnavailable
from app.ingest.sessions import SessionOutcome, SessionReport
from app.stores.redis.customers.reading import FOLLOWED_FOR_S, RedisCustomers
from app.stores.redis.projections import Projections
from app.stores.redis.server.disk import Disk
from app.stores.sql.customers.changes import WALLET
from app.stores.sql.customers.erasures import Erased, refuse_erased
from app.stores.sql.customers.links import Linked, TooManyIdentities, link, separate
from app.stores.sql.database.engine import Ledger, Transaction

ACCEPTED, DUPLICATE = SessionOutcome("accepted"), SessionOutcome("duplicate")


class Changed(Protocol):
    """What a change to a customer returns."""

    @property
    def keys(self) -> Collection[str]:
        """Whose documents are others from now on."""


C = TypeVar("C", bound=Changed)


@dataclass(frozen=True, slots=True)
class CustomerChanges:
    """Commits changes of one server process; `disk` syncs an embedded Valkey, None on any other."""

    ledger: Ledger
    projections: Projections
    people: RedisCustomers
    disk: Disk | None
    secret: bytes

    async def commit(
        self, work: Callable[[Transaction], C], *, about: Collection[str] = (), takes_away: bool = False
    ) -> C:
        """What `work` returns, once the change counts in every decision of every process.

        `about`: keys of whom it is; `takes_away`: of a withdrawal no server may still answer from memory, so it waits
        until none can. Raises Erased where one of `about` was erased, and StoreUnavailable where nothing is known of
        it: the change may be stored, and counts at the latest when it is sent again.
        """
        digests = set(tombstones_of(self.secret, about).values())

        def checked(connection: Transaction) -> C:
            refuse_erased(connection, digests)
            return work(connection)

        changed = await asyncio.to_thread(self.ledger.write, checked)
        await self._show(changed.keys)
        if takes_away:
            await asyncio.sleep(FOLLOWED_FOR_S)
        return changed

    async def report(self, reports: Sequence[SessionReport], *, now: datetime) -> list[SessionOutcome]:
        """Links and separates what logins and logouts say, each as of its own time; what was said before changes
        nothing. Raises StoreUnavailable."""
        work = partial(_report, reports=reports, secret=self.secret, now=now)
        outcomes, keys = await asyncio.to_thread(self.ledger.write, work)
        if keys:
            await self._show(keys)
        return outcomes

    async def _show(self, keys: Collection[str]) -> None:
        await asyncio.to_thread(self.projections.documents.write, keys)
        # What fails here the sweep does: a wallet proposes, and never approves.
        wallets = [f"{WALLET}{customer_id}" for customer_id in customer_ids_of(keys)]
        await asyncio.to_thread(self.projections.refresh, wallets)
        self.people.forget(keys)
        if self.disk is not None:
            try:
                await self.disk.sync()
            except OSError as error:
                raise StoreUnavailable(f"the change is not known to be on disk: {error}") from error


def _report(
    connection: Transaction, reports: Sequence[SessionReport], secret: bytes, now: datetime
) -> tuple[list[SessionOutcome], set[str]]:
    outcomes, keys = [], set[str]()
    for one in reports:
        try:
            linked = _linked(connection, one, secret, now)
        except (TooManyIdentities, Erased) as error:
            outcomes.append(SessionOutcome("rejected", error.code, error.message))
            continue
        outcomes.append(ACCEPTED if linked.has_changed else DUPLICATE)
        keys |= linked.keys
    return outcomes, keys


def _linked(connection: Transaction, one: SessionReport, secret: bytes, now: datetime) -> Linked:
    owner, device = named_customer(one.customer_id).key, identity_of("device", one.anonymous_id)
    refuse_erased(connection, set(tombstones_of(secret, (owner, device.key)).values()))
    change = link if one.is_login else separate
    return change(connection, owner, device, at=one.at, now=now)
