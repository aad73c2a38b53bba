"""The ledger's tables as values that can be compared: all of them, or the state that they tell."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import campaigns, counters, coupons, metadata, redemptions, reservations

_TABLES = tuple(metadata.tables)


@dataclass(frozen=True, slots=True)
class State:
    """Where everything stands, by its id: campaigns with (status, budget, spent, held), coupons with (status, uses,
    holds), counters above 0, reservations' status, redemptions with (status, returned)."""

    campaigns: dict[str, tuple[str, int | None, int, int]]
    coupons: dict[str, tuple[str, int, int]]
    counts: dict[tuple[str, str, str, str], int]
    reservations: dict[str, str]
    redemptions: dict[str, tuple[str, int]]


def dump(ledger: Ledger, *, but: str | None = None) -> dict[str, list[str]]:
    """Every row of every table but one."""
    return ledger.read(
        lambda connection: {
            name: sorted(map(repr, connection.exec_driver_sql(f"SELECT * FROM {name}")))
            for name in _TABLES
            if name != but
        }
    )


def money_and_uses(ledger: Ledger) -> tuple[object, ...]:
    """Campaigns, coupons and limits: what a rollback must restore."""
    state = ledger.read(state_of)
    return state.campaigns, state.coupons, state.counts


def state_of(connection: Connection) -> State:
    """What the tables tell."""
    money = select(
        campaigns.c.campaign_id, campaigns.c.status, campaigns.c.budget_minor, campaigns.c.spent_minor,
        campaigns.c.held_minor,
    )  # fmt: skip
    issued = select(coupons.c.coupon_id, coupons.c.status, coupons.c.uses, coupons.c.holds)
    held = select(reservations.c.reservation_id, reservations.c.status)
    paid = select(redemptions.c.redemption_id, redemptions.c.status, redemptions.c.returned_minor)
    return State(
        campaigns={row[0]: (row[1], row[2], row[3], row[4]) for row in connection.execute(money)},
        coupons={row[0]: (row[1], row[2], row[3]) for row in connection.execute(issued)},
        counts={(row[0], row[1], row[2], row[3]): row[4] for row in connection.execute(select(counters)) if row[4]},
        reservations={row[0]: row[1] for row in connection.execute(held)},
        redemptions={row[0]: (row[1], row[2]) for row in connection.execute(paid)},
    )
