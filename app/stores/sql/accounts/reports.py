"""Reports about money: each funder's bill for a period, and where a campaign's budget went."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, Row, case, cast, func, select

from app.offers.terms.records import CouponStatus
from app.stores.sql.campaigns.campaigns import find_campaign
from app.stores.sql.database.tables import budget_ledger, campaigns, coupons

SPEND, RETURN = "spend", "return"
ENTRY_COUNT = 20


@dataclass(frozen=True, slots=True)
class CampaignTotal:
    """What one campaign cost its funder in a period; net = spent − returned, below 0 where old money came back."""

    campaign_id: str
    spent_minor: int
    returned_minor: int
    net_minor: int
    spent_count: int
    returned_count: int


@dataclass(frozen=True, slots=True)
class FunderTotal:
    """What one funder owes in one currency for a period: the sum of its campaigns.

    `spent_count` counts coupons redeemed, `returned_count` coupons that came back, whole or in part.
    """

    funder: str
    currency: str
    spent_minor: int
    returned_minor: int
    net_minor: int
    spent_count: int
    returned_count: int
    campaigns: tuple[CampaignTotal, ...]

    def to_dict(self) -> dict[str, object]:
        """The total in plain JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ChannelSpend:
    """What a campaign spent in one channel (None: not given); a return counts where the money was spent."""

    channel: str | None
    spent_minor: int
    returned_minor: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class PostedEntry:
    """One entry of the append-only ledger."""

    entry_id: int
    kind: str
    amount_minor: int
    channel: str | None
    use_id: str | None
    rollback_id: str | None
    entered_at: datetime


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """One budget across all channels: the net of `channels` adds up to `spent_minor`; `entries` are the last ones.

    `budget_minor` and `remaining_minor` are None for a campaign without a budget.
    """

    campaign_id: str
    funder: str
    currency: str
    budget_minor: int | None
    spent_minor: int
    held_minor: int
    remaining_minor: int | None
    channels: tuple[ChannelSpend, ...]
    entries: tuple[PostedEntry, ...]

    def to_dict(self) -> dict[str, object]:
        """The report in plain Python types, instants as they are."""
        return asdict(self)


def settlement(connection: Connection, from_at: datetime, to_at: datetime) -> list[FunderTotal]:
    """Each funder's bill for what was redeemed and rolled back from `from_at` until before `to_at`, by name.

    Nobody's bill is left out: all nets add up to redemptions − rollbacks of the period, points at their cost. Money
    is billed to the funder whose campaign it was when it was spent.
    """
    table = budget_ledger.c
    columns = (table.funder, campaigns.c.currency, table.campaign_id)
    query = (
        select(*columns, *_sums())
        .join(campaigns, table.campaign_id == campaigns.c.campaign_id)
        .where(table.kind.in_((SPEND, RETURN)), table.entered_at >= from_at, table.entered_at < to_at)
        .group_by(*columns)
        .order_by(*columns)  # groupby() below needs this order.
    )
    rows = connection.execute(query).all()
    return [
        _funder_total(funder, currency, of_funder)
        for (funder, currency), of_funder in groupby(rows, key=lambda row: (row.funder, row.currency))
    ]


def campaign_budget(connection: Connection, campaign_id: str, *, entry_count: int = ENTRY_COUNT) -> BudgetReport:
    """A campaign's budget, its spend per channel and its last entries, newest first; raises CampaignNotFound.

    Consistent when the connection reads one snapshot.
    """
    campaign = find_campaign(connection, campaign_id)
    return BudgetReport(
        campaign_id,
        campaign.terms.funder,
        campaign.terms.currency,
        campaign.terms.budget_minor,
        campaign.spent_minor,
        campaign.held_minor,
        campaign.remaining_minor,
        _channels(connection, campaign_id),
        _last_entries(connection, campaign_id, entry_count),
    )


def coupon_holders(connection: Connection, *, now: datetime, limit: int) -> list[str]:
    """Customers who hold open coupons of campaigns that end after `now`, those with most first."""
    table = coupons.c
    is_usable = (table.status == CouponStatus.ISSUED) & ((campaigns.c.ends_at > now) | campaigns.c.ends_at.is_(None))
    query = (
        select(table.customer_id)
        .join(campaigns, table.campaign_id == campaigns.c.campaign_id)
        .where(is_usable, table.customer_id.is_not(None))
        .group_by(table.customer_id)
        .order_by(func.count().desc(), table.customer_id)
        .limit(limit)
    )
    return [str(customer_id) for customer_id in connection.execute(query).scalars()]


def _funder_total(funder: str, currency: str, rows: Iterable[Row[tuple[str, ...]]]) -> FunderTotal:
    totals = tuple(
        CampaignTotal(
            row.campaign_id, row.spent, row.returned, row.spent - row.returned, row.spent_count, row.returned_count
        )
        for row in rows
    )
    return FunderTotal(
        funder,
        currency,
        spent_minor=sum(total.spent_minor for total in totals),
        returned_minor=sum(total.returned_minor for total in totals),
        net_minor=sum(total.net_minor for total in totals),
        spent_count=sum(total.spent_count for total in totals),
        returned_count=sum(total.returned_count for total in totals),
        campaigns=totals,
    )


def _channels(connection: Connection, campaign_id: str) -> tuple[ChannelSpend, ...]:
    table = budget_ledger.c
    query = select(table.channel, *_sums()).where(table.campaign_id == campaign_id, table.kind.in_((SPEND, RETURN)))
    rows = connection.execute(query.group_by(table.channel)).all()
    found = (ChannelSpend(row.channel, row.spent, row.returned, row.spent - row.returned) for row in rows)
    return tuple(sorted(found, key=lambda one: (one.channel is None, one.channel or "")))


def _sums() -> Sequence[ColumnElement[int]]:
    table = budget_ledger.c
    is_spend, is_return = table.kind == SPEND, table.kind == RETURN
    return (
        _sum(case((is_spend, table.amount_minor), else_=0)).label("spent"),
        _sum(case((is_return, table.amount_minor), else_=0)).label("returned"),
        _sum(case((is_spend, 1), else_=0)).label("spent_count"),
        _sum(case((is_return, 1), else_=0)).label("returned_count"),
    )


def _sum(amounts: ColumnElement[int]) -> ColumnElement[int]:
    # PostgreSQL's sum of bigint is numeric; totals are whole minor units here.
    return cast(func.sum(amounts), budget_ledger.c.amount_minor.type)


def _last_entries(connection: Connection, campaign_id: str, count: int) -> tuple[PostedEntry, ...]:
    table = budget_ledger.c
    columns = (table.entry_id, table.kind, table.amount_minor, table.channel, table.use_id, table.rollback_id)
    query = select(*columns, table.entered_at).where(table.campaign_id == campaign_id)
    rows = connection.execute(query.order_by(table.entry_id.desc()).limit(count))
    return tuple(PostedEntry(*row) for row in rows)
