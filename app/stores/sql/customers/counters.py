"""What counts towards a limit per customer counts for the person: their uses move to one counter, and back again."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select, update

from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import counters, redemptions, reservations, uses

CUSTOMER = "customer"
Key = tuple[str, str, str, str]
"""Campaign, scope, subject and period, as `uses.counters` holds them."""


def recount(connection: Connection, counted_as: Mapping[str, str]) -> None:
    """Makes every open use of these customers count under the id that stands for them, in one locked move.

    `counted_as` holds, for each customer id that the change can touch, the id of its person. What was used before they
    became one person stays used, so a counter may be above its limit then: nothing more is given.
    """
    moved: Counter[Key] = Counter()
    for chunk in chunks(sorted(counted_as)):
        for row in _open_uses(connection, chunk):
            keys = [list(key) for key in row.counters]
            for key in keys:
                if key[1] == CUSTOMER and key[2] != counted_as[row.customer_id]:
                    moved[_key(key)] -= 1
                    key[2] = counted_as[row.customer_id]
                    moved[_key(key)] += 1
            if keys != row.counters:
                connection.execute(update(uses).where(uses.c.use_id == row.use_id).values(counters=keys))
    # In one order in every transaction, that of claims, so that no two deadlock.
    for counter, change in sorted(moved.items()):
        if change:
            _add(connection, counter, change)


def _open_uses(connection: Connection, customer_ids: Sequence[str]) -> Sequence[Any]:
    """The open uses of these customers, each with whom it is of: a redemption's or a reservation's customer."""
    whose = func.coalesce(redemptions.c.customer_id, reservations.c.customer_id)
    query = (
        select(uses.c.use_id, whose.label("customer_id"), uses.c.counters)
        .outerjoin(redemptions, redemptions.c.redemption_id == uses.c.redemption_id)
        .outerjoin(reservations, reservations.c.reservation_id == uses.c.reservation_id)
        .where(
            uses.c.is_open, redemptions.c.customer_id.in_(customer_ids) | reservations.c.customer_id.in_(customer_ids)
        )
        .order_by(uses.c.use_id)
    )
    return connection.execute(query.with_for_update(of=uses)).all()


def _key(parts: Sequence[str]) -> Key:
    campaign_id, scope, subject, period = parts
    return campaign_id, scope, subject, period


def _add(connection: Connection, key: Key, change: int) -> None:
    names = dict(zip(("campaign_id", "scope", "subject", "period"), key, strict=True))
    connection.execute(insert(connection, counters).values(names | {"used": 0}).on_conflict_do_nothing())
    is_it = [counters.c[name] == value for name, value in names.items()]
    connection.execute(update(counters).where(*is_it).values(used=counters.c.used + change))
