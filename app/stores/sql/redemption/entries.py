"""The append-only budget ledger: what was held, released, spent and returned, entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select

from app.stores.sql.database.tables import budget_ledger, campaigns, coupons

UseRow = RowMapping | dict[str, Any]
"""A row of the table `uses`, read or about to be written."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement of money; `amount_minor` is positive, `kind` is its direction."""

    kind: str
    campaign_id: str
    amount_minor: int
    use_id: str | None = None
    rollback_id: str | None = None


def append_entries(
    connection: Connection, entries: Sequence[LedgerEntry], *, channel: str | None, now: datetime
) -> None:
    """Adds entries, each with the funder that its campaign has now."""
    if not entries:
        return
    # The funder is kept with the entry: a campaign that changes hands later leaves earlier bills alone.
    query = select(campaigns.c.campaign_id, campaigns.c.funder)
    query = query.where(campaigns.c.campaign_id.in_({entry.campaign_id for entry in entries}))
    funder_of = {row.campaign_id: row.funder for row in connection.execute(query)}
    rows = [
        {
            "campaign_id": entry.campaign_id,
            "kind": entry.kind,
            "amount_minor": entry.amount_minor,
            "use_id": entry.use_id,
            "rollback_id": entry.rollback_id,
            "funder": funder_of[entry.campaign_id],
            "channel": channel,
            "entered_at": now,
        }
        for entry in entries
    ]
    connection.execute(insert(budget_ledger), rows)


def stale_subjects_of(connection: Connection, rows: Sequence[UseRow]) -> tuple[str, ...]:
    """The customers and campaigns whose projections these rows of `uses` make stale."""
    query = select(coupons.c.customer_id).where(coupons.c.coupon_id.in_({row["coupon_id"] for row in rows}))
    customers = {f"customer:{customer_id}" for customer_id in connection.execute(query).scalars() if customer_id}
    return tuple(sorted(customers | {f"campaign:{row['campaign_id']}" for row in rows}))
