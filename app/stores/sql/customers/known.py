"""Every name that the database knows somebody by."""

from sqlalchemy import Connection, Table, select

from app.customers.tombstones import PSEUDONYM
from app.domain import subject_of
from app.stores.sql.database.customer_tables import consents, identities, persons, preferences
from app.stores.sql.database.place_tables import stock_reservations
from app.stores.sql.database.tables import audience, coupons, memberships, receipt_lines, redemptions, reservations

OF_CUSTOMERS: tuple[Table, ...] = (
    audience,
    memberships,
    coupons,
    redemptions,
    reservations,
    receipt_lines,
    stock_reservations,
)


def known_names(connection: Connection) -> set[str]:
    """The keys of everybody who is named anywhere; pseudonyms are no names."""
    found: set[str] = set()
    for table in OF_CUSTOMERS:
        column = table.c.customer_id
        query = select(column).where(column.is_not(None), ~column.startswith(PSEUDONYM)).distinct()
        found |= {subject_of(customer_id) for customer_id in connection.execute(query).scalars()}
    for column in (identities.c.key, identities.c.owner, persons.c.key, consents.c.key, preferences.c.key):
        found |= set(connection.execute(select(column).where(column.is_not(None)).distinct()).scalars())
    return found
