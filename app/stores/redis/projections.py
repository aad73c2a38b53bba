"""Wallets, customers' documents and remaining budgets in Redis: made from SQL after each commit, again by a sweep.

They say what may be shown; what may be redeemed only the ledger says. Whoever commits makes the projections at once,
and the queue that the transaction left makes them once more, so that neither a crash nor a race leaves an old one.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any

from redis.exceptions import RedisError
from sqlalchemy import CompoundSelect, Connection, Select, delete, func, select, tuple_

from app.domain import Wallet, WalletCoupon
from app.errors import StoreUnavailable
from app.offers.terms.status import CampaignStatus
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.keys import REMAINING, RedisKeys, WorkerClient
from app.stores.redis.wallets import MADE, pack_wallet
from app.stores.sql.campaigns.memberships import tiers_of
from app.stores.sql.coupons.audience_issuing import BY_DECISION
from app.stores.sql.customers.changes import PERSON
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import (
    audience,
    campaigns,
    coupons,
    memberships,
    projection_queue,
    redemptions,
    uses,
)
from app.stores.sql.redemption.claims import has_use_left

SETTLE = timedelta(seconds=1)
"""A queued subject is projected again so long after its commit: whoever raced with that is done by then."""
ATTEMPTS = 3
AT_ONCE = 50
"""So few subjects are read and written in a few hundredths of a second."""
BATCH = 500
BATCHES = 20
"""So many at most in one sweep, which the events of the same worker wait for."""

Progress = Callable[[int, int], None]

_log = logging.getLogger(__name__)


class Projections:
    """Writes projections of one ledger to one Redis."""

    def __init__(self, ledger: Ledger, client: WorkerClient, keys: RedisKeys) -> None:
        self._ledger = ledger
        self._client = client
        self._keys = keys
        self.documents = PersonDocuments(ledger, client, keys)

    def refresh(self, subjects: Iterable[str]) -> bool:
        """Rebuilds `customer:<id>`, `campaign:<id>`, `person:<key>`; False where a store failed: the sweep will."""
        try:
            self._project(sorted(subjects))
        except (RedisError, OSError, StoreUnavailable) as error:
            _log.warning("projections not made, the sweep will", extra={"detail": repr(error)})
            return False
        return True

    def close(self) -> None:
        """Closes the connection to Redis."""
        self._client.close()

    def sweep(self, *, now: datetime) -> int:
        """Makes what is queued and settled; all of it where Redis has lost the projections. Returns how many.

        Raises StoreUnavailable.
        """
        try:
            if not self._client.hexists(REMAINING, MADE.decode()):
                return self._rebuild(_unseen)
            self.documents.ensure()
            count = 0
            for _ in range(BATCHES):
                done = self._sweep(now)
                count += done
                if done < BATCH:
                    break
            return count
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"projections cannot be made: {error!r}") from error

    def rebuild(self, *, progress: Progress | None = None) -> int:
        """Rebuilds every projection and returns how many wallets; raises StoreUnavailable.

        Decisions go on meanwhile, with the old ones as far as there are any. `progress` hears of wallets done and all.
        """
        try:
            return self._rebuild(progress or _unseen)
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"projections cannot be made: {error!r}") from error

    def _rebuild(self, progress: Progress) -> int:
        self.documents.rebuild()
        total = self._ledger.read(lambda connection: connection.execute(_how_many(_everybody())).scalar_one())
        count = 0
        for customer_ids in self._in_batches():
            self._project([f"customer:{customer_id}" for customer_id in customer_ids])
            count += len(customer_ids)
            progress(count, total)
        left = self._ledger.read(remaining_minor)
        # Old budgets and new ones at no moment together, and the mark that all is there at the very end.
        pipeline = self._client.pipeline(transaction=True)
        pipeline.delete(REMAINING)
        pipeline.hset(REMAINING, mapping={**left, MADE.decode(): 1})
        pipeline.execute()
        return count

    def _sweep(self, now: datetime) -> int:
        is_settled = projection_queue.c.queued_at <= now - SETTLE
        query = select(projection_queue).where(is_settled).order_by(projection_queue.c.queued_at).limit(BATCH)
        rows = self._ledger.read(lambda connection: connection.execute(query).all())
        if not rows:
            return 0
        self._project([row.subject for row in rows])
        done = [(row.subject, row.queued_at) for row in rows]
        # What was queued again meanwhile stays.
        is_done = tuple_(projection_queue.c.subject, projection_queue.c.queued_at).in_(done)
        self._ledger.write(lambda connection: connection.execute(delete(projection_queue).where(is_done)))
        return len(rows)

    def _in_batches(self) -> Iterator[Sequence[str]]:
        """Everybody by id."""
        known = _everybody().subquery()
        last = ""
        while True:
            # By id and not by OFFSET: a customer who joins meanwhile shifts nobody to another batch.
            query = select(known.c.customer_id).where(known.c.customer_id > last).order_by(known.c.customer_id)
            batch = self._ledger.read(partial(_scalars, query=query.limit(BATCH)))
            if not batch:
                return
            yield batch
            last = batch[-1]

    def _project(self, subjects: Sequence[str]) -> None:
        """Reads and writes these some at a time, again where that took so long that a sweep may have come between."""
        for start in range(0, len(subjects), AT_ONCE):
            for _ in range(ATTEMPTS):
                started = monotonic()
                self._copy(subjects[start : start + AT_ONCE])
                if monotonic() - started < SETTLE.total_seconds() / 2:
                    break

    def _copy(self, subjects: Sequence[str]) -> None:
        customer_ids = [subject.partition(":")[2] for subject in subjects if subject.startswith("customer:")]
        campaign_ids = [subject.partition(":")[2] for subject in subjects if subject.startswith("campaign:")]
        people = [subject.removeprefix(PERSON) for subject in subjects if subject.startswith(PERSON)]
        if people:
            self.documents.write(people)
        pipeline = self._client.pipeline(transaction=False)
        if customer_ids:
            for customer_id, wallet in self._ledger.read(lambda c: wallets(c, customer_ids)).items():
                pipeline.set(self._keys.wallet(customer_id), pack_wallet(wallet))
        if campaign_ids:
            left = self._ledger.read(lambda connection: remaining_minor(connection, campaign_ids))
            for campaign_id in campaign_ids:
                if campaign_id in left:
                    pipeline.hset(REMAINING, campaign_id, str(left[campaign_id]))
                else:
                    pipeline.hdel(REMAINING, campaign_id)
        if len(pipeline):
            pipeline.execute()


def _scalars(connection: Connection, *, query: Select[str]) -> Sequence[str]:
    return connection.execute(query).scalars().all()


def _unseen(_done: int, _total: int) -> None:
    """Nobody watches."""


def _everybody() -> CompoundSelect[Any]:
    """Customers who have a coupon, a tier or a campaign."""
    return select(coupons.c.customer_id.label("customer_id")).where(coupons.c.customer_id.is_not(None)).union(
        select(audience.c.customer_id), select(memberships.c.customer_id)
    )  # fmt: skip


def _how_many(people: CompoundSelect[Any]) -> Select[Any]:
    return select(func.count()).select_from(people.subquery())


def remaining_minor(connection: Connection, campaign_ids: Sequence[str] | None = None) -> Mapping[str, int]:
    """What is left of the budgets of those of the campaigns (None: of all) that have one and have not ended."""
    table = campaigns.c
    query = select(table.campaign_id, (table.budget_minor - table.spent_minor - table.held_minor).label("left")).where(
        table.budget_minor.is_not(None), table.status != CampaignStatus.ENDED
    )
    if campaign_ids is not None:
        query = query.where(table.campaign_id.in_(campaign_ids))
    return {row.campaign_id: row.left for row in connection.execute(query)}


def wallets(connection: Connection, customer_ids: Sequence[str]) -> dict[str, Wallet]:
    """Each customer's wallet, empty for those who have nothing."""
    is_theirs = coupons.c.customer_id.in_(customer_ids)
    held: dict[str, list[WalletCoupon]] = {customer_id: [] for customer_id in customer_ids}
    for row in connection.execute(select(coupons).where(is_theirs, has_use_left()).order_by(coupons.c.coupon_id)):
        bounds = [None if at is None else at.timestamp() for at in (row.valid_from, row.valid_until)]
        held[row.customer_id].append(WalletCoupon(row.coupon_id, row.code, row.offer_id, *bounds))
    tier_of = tiers_of(connection, customer_ids)
    taken: dict[str, set[str]] = {}
    for row in connection.execute(select(coupons.c.customer_id, coupons.c.offer_id).where(
        is_theirs, coupons.c.issued_by == BY_DECISION
    )):  # fmt: skip
        taken.setdefault(row.customer_id, set()).add(row.offer_id)
    redeemed = (
        select(redemptions.c.customer_id, func.count().label("number"))
        .join(uses, uses.c.redemption_id == redemptions.c.redemption_id)
        .where(redemptions.c.customer_id.in_(customer_ids), uses.c.is_open)
        .group_by(redemptions.c.customer_id)
    )
    redeemed_count = {row.customer_id: row.number for row in connection.execute(redeemed)}
    meant = (
        select(audience.c.customer_id, func.count().label("number"))
        .where(audience.c.customer_id.in_(customer_ids))
        .group_by(audience.c.customer_id)
    )
    campaign_count = {row.customer_id: row.number for row in connection.execute(meant)}
    return {
        customer_id: Wallet(
            held[customer_id],
            tier_of.get(customer_id),
            frozenset(taken.get(customer_id, ())),
            redeemed_count.get(customer_id, 0),
            campaign_count.get(customer_id, 0),
        )
        for customer_id in customer_ids
    }
