"""Coupons, limits and budgets are claimed by conditional UPDATEs: where a guard does not hold, no row changes.

Every transaction claims in the same order: coupons, counters, campaigns, each by its key. A failed claim ends the
transaction, so nothing is ever half claimed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Update, and_, case, or_, update

from app.offers.terms.records import Campaign, CouponStatus
from app.offers.terms.status import CampaignStatus
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import campaigns, counters, coupons


class ClaimFailed(Exception):
    """A guard did not hold: the world is not as quoted any more; quote again."""


@dataclass(frozen=True, slots=True, order=True)
class CounterKey:
    """What a limit counts: `subject` is a coupon, a customer, or empty for the whole campaign."""

    campaign_id: str
    scope: str
    subject: str
    period: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One use of one coupon: `limits` holds for each counter the most that it may reach.

    `is_reserved`: it takes the place of a reservation's hold, which was promised when coupon and campaign were open.
    """

    coupon_id: str
    campaign: Campaign
    cost_minor: int
    limits: Sequence[tuple[CounterKey, int]]
    is_reserved: bool = False


def has_use_left() -> ColumnElement[bool]:
    """The coupon is open and has a use that is neither redeemed nor held."""
    return and_(coupons.c.status == CouponStatus.ISSUED, _has_room())


def _has_room() -> ColumnElement[bool]:
    table = coupons.c
    return or_(table.max_uses.is_(None), table.uses + table.holds < table.max_uses)


def is_below(limit: int) -> ColumnElement[bool]:
    """The counter may go one up."""
    return counters.c.used < limit


def has_budget_for(cost_minor: int) -> ColumnElement[bool]:
    """What is spent and held leaves this much of the campaign's budget."""
    table = campaigns.c
    return or_(table.budget_minor.is_(None), table.spent_minor + table.held_minor + cost_minor <= table.budget_minor)


class _Step(NamedTuple):
    """One row that a transaction changes.

    `phase` is 0 for releasing and 1 for claiming: of a full coupon or counter the old use must go before the new comes.
    """

    table: int
    key: tuple[str, ...]
    phase: int
    change: Callable[[Connection], None]


def make_claims(connection: Connection, claims: Sequence[Claim], *, as_hold: bool) -> None:
    """All claims together, as redemptions or as a reservation's holds; raises ClaimFailed when one guard fails."""
    _change(connection, _claim_steps(claims, as_hold=as_hold))


def exchange_claims(
    connection: Connection, claims: Sequence[Claim], claimed: Sequence["ClaimedUse"], costs: Sequence[tuple[str, int]]
) -> None:
    """All claims together as redemptions, in exchange for what a reservation held; raises ClaimFailed."""
    _change(connection, [*_release_steps(claimed, costs, was_hold=True), *_claim_steps(claims, as_hold=False)])


def _change(connection: Connection, steps: Iterable[_Step]) -> None:
    """Every step, in the order that all transactions keep, so that no two deadlock."""
    # Not by `change` as well: functions have no order.
    for step in sorted(steps, key=lambda step: step[:3]):
        step.change(connection)


def _claim_steps(claims: Sequence[Claim], *, as_hold: bool) -> Iterator[_Step]:
    for claim in claims:
        change = partial(_claim_coupon, claim=claim, as_hold=as_hold)
        yield _Step(0, (claim.coupon_id,), phase=1, change=change)
        for key, limit in claim.limits:
            yield _Step(1, _counter_id(key), phase=1, change=partial(_claim_counter, key=key, limit=limit))
    for campaign_id in sorted({claim.campaign.campaign_id for claim in claims}):
        theirs = [claim for claim in claims if claim.campaign.campaign_id == campaign_id]
        change = partial(_claim_budget, claims=theirs, as_hold=as_hold)
        yield _Step(2, (campaign_id,), phase=1, change=change)


def _counter_id(key: CounterKey) -> tuple[str, ...]:
    return (key.campaign_id, key.scope, key.subject, key.period)


def _claim_coupon(connection: Connection, claim: Claim, *, as_hold: bool) -> None:
    table = coupons.c
    # Added up in SQL, from the row as it is under its lock and not as the quote saw it.
    uses, holds = table.uses + int(not as_hold), table.holds + int(as_hold)
    values = {"uses": uses, "holds": holds, "status": _status(uses, holds)}
    guard = _has_room() if claim.is_reserved else has_use_left()
    _must_change(connection, update(coupons).where(table.coupon_id == claim.coupon_id, guard).values(values))


def _claim_counter(connection: Connection, key: CounterKey, limit: int) -> None:
    # Without a row there is nothing to lock, and both databases would let two first uses pass.
    row = {"campaign_id": key.campaign_id, "scope": key.scope, "subject": key.subject, "period": key.period}
    connection.execute(insert(connection, counters).values(row | {"used": 0}).on_conflict_do_nothing())
    statement = update(counters).where(_is_counter(key), is_below(limit))
    _must_change(connection, statement.values(used=counters.c.used + 1))


def _claim_budget(connection: Connection, claims: Sequence[Claim], *, as_hold: bool) -> None:
    """What all these claims, which are of one campaign, take of its budget."""
    table, campaign = campaigns.c, claims[0].campaign
    amount = table.held_minor if as_hold else table.spent_minor
    cost_minor = sum(claim.cost_minor for claim in claims)
    guard = and_(
        table.campaign_id == campaign.campaign_id,
        # A new revision may mean other terms, limits or a pause: the quote no longer holds.
        table.revision == campaign.revision,
        has_budget_for(cost_minor),
    )
    if not all(claim.is_reserved for claim in claims):
        # A scheduled campaign begins by its date, and nothing rewrites its row then.
        guard &= table.status.in_((CampaignStatus.SCHEDULED, CampaignStatus.RUNNING))
    _must_change(connection, update(campaigns).where(guard).values({amount: amount + cost_minor}))


@dataclass(frozen=True, slots=True)
class ClaimedUse:
    """A use that was claimed, as far as its release needs it."""

    coupon_id: str
    counters: Sequence[CounterKey]


def release_claims(
    connection: Connection, claimed: Sequence[ClaimedUse], costs: Sequence[tuple[str, int]], *, was_hold: bool
) -> None:
    """Releases uses, and `costs` (minor units by campaign id), which may be a part of what a use cost.

    The caller made sure, by a conditional change of its own, that it is the first to do so.
    """
    _change(connection, _release_steps(claimed, costs, was_hold=was_hold))


def _release_steps(
    claimed: Sequence[ClaimedUse], costs: Sequence[tuple[str, int]], *, was_hold: bool
) -> Iterator[_Step]:
    for one in claimed:
        yield _Step(
            0, (one.coupon_id,), phase=0, change=partial(_release_coupon, coupon_id=one.coupon_id, was_hold=was_hold)
        )
        for key in one.counters:
            yield _Step(1, _counter_id(key), phase=0, change=partial(_release_counter, key=key))
    for campaign_id in {campaign_id for campaign_id, _ in costs}:
        total = sum(minor for of, minor in costs if of == campaign_id)
        change = partial(_release_budget, campaign_id=campaign_id, cost_minor=total, was_hold=was_hold)
        yield _Step(2, (campaign_id,), phase=0, change=change)


def _release_coupon(connection: Connection, coupon_id: str, *, was_hold: bool) -> None:
    table = coupons.c
    uses, holds = table.uses - int(not was_hold), table.holds - int(was_hold)
    values = {"uses": uses, "holds": holds, "status": _status(uses, holds)}
    _must_change(connection, update(coupons).where(table.coupon_id == coupon_id).values(values))


def _release_counter(connection: Connection, key: CounterKey) -> None:
    _must_change(connection, update(counters).where(_is_counter(key)).values(used=counters.c.used - 1))


def _release_budget(connection: Connection, campaign_id: str, *, cost_minor: int, was_hold: bool) -> None:
    amount = campaigns.c.held_minor if was_hold else campaigns.c.spent_minor
    statement = update(campaigns).where(campaigns.c.campaign_id == campaign_id)
    _must_change(connection, statement.values({amount: amount - cost_minor}))


def _status(uses: ColumnElement[int], holds: ColumnElement[int]) -> ColumnElement[str]:
    """The status that follows from the counts; what was revoked or has expired stays that."""
    table = coupons.c
    return case(
        # Without `max_uses` both comparisons below are NULL, so a code without limit stays issued.
        (table.status.in_((CouponStatus.REVOKED, CouponStatus.EXPIRED)), table.status),
        (uses >= table.max_uses, CouponStatus.REDEEMED),
        (uses + holds >= table.max_uses, CouponStatus.RESERVED),
        else_=CouponStatus.ISSUED,
    )


def _is_counter(key: CounterKey) -> ColumnElement[bool]:
    table = counters.c
    return and_(
        table.campaign_id == key.campaign_id,
        table.scope == key.scope,
        table.subject == key.subject,
        table.period == key.period,
    )


def _must_change(connection: Connection, statement: Update) -> None:
    if connection.execute(statement).rowcount != 1:
        raise ClaimFailed
