"""The append-only budget ledger: what was held, released, spent and returned, entry by entry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from app.stores.sql.database.tables import budget_ledger, campaigns, coupons


@dataclass(frozen=True, slots=True)
class Entry:
    """One movement of money; `amount_minor` is positive, `kind` tells its direction."""

    kind: str
    campaign_id: str
    amount_minor: int
    use_id: str | None = None
    rollback_id: str | None = None


def enter(connection: Connection, entries: Sequence[Entry], *, channel: str | None, now: datetime) -> None:
    """Adds entries, each with the funder that its campaign has now."""
    if not entries:
        return
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


def touched_by(connection: Connection, rows: Sequence[Any]) -> tuple[str, ...]:
    """The customers and campaigns whose projections these rows of `uses` make stale."""
    query = select(coupons.c.customer_id).where(coupons.c.coupon_id.in_({row["coupon_id"] for row in rows}))
    customers = {f"customer:{customer_id}" for customer_id in connection.execute(query).scalars() if customer_id}
    return tuple(sorted(customers | {f"campaign:{row['campaign_id']}" for row in rows}))
