"""All identities of one person, as everything that counts by customer asks for them."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from app.customers.identities import customer_id_of, customer_ids_of, named_customer, named_ids
from app.domain import subject_of
from app.errors import BadInput
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.customer_tables import identities, persons


def keys_of_each(connection: Connection, keys: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By each of these keys all keys of the same person, in order: itself alone, where nothing is linked with it."""
    mine, others = persons.alias(), persons.alias()
    found: dict[str, list[str]] = {}
    for chunk in chunks(sorted(keys)):
        query = (
            select(mine.c.key, others.c.key.label("other"))
            .join(others, others.c.person == mine.c.person)
            .where(mine.c.key.in_(chunk))
        )
        for row in connection.execute(query):
            found.setdefault(row.key, []).append(row.other)
    return {key: tuple(sorted(found.get(key, [key]))) for key in keys}


def keys_of(connection: Connection, key: str) -> tuple[str, ...]:
    """All keys of one person, in order."""
    return keys_of_each(connection, [key])[key]


def keys_of_customer(connection: Connection, customer_id: str) -> tuple[str, ...]:
    """All keys of the person whom this names, as a customer id or as `~type:value`."""
    return keys_of(connection, named_customer(customer_id).key)


def customer_ids_joined(connection: Connection, customer_id: str) -> tuple[str, ...]:
    """Every customer id of this person, named in any way; the first is the one that limits count under.

    Raises BadInput for a device that is linked to nobody: a person without a customer id holds no coupons.
    """
    identity = named_customer(customer_id)
    joined = customer_ids_of(keys_of(connection, identity.key))
    if not joined:
        raise BadInput(
            f"{identity.type} {identity.value!r} is linked to no customer; link it first, or name the customer",
            pointer="/customer_id",
        )
    return joined


def customer_named(connection: Connection, customer_id: str) -> str:
    """The customer's id as tables hold it; of a device or cookie that of the customer it is linked to.

    Raises BadInput as `customer_ids_joined` does.
    """
    named, device = named_ids(customer_id, None)
    if named is not None:
        return named
    joined = customer_ids_joined(connection, customer_id)
    query = select(identities.c.owner).where(identities.c.key == subject_of(None, device))
    owner = customer_id_of(connection.execute(query).scalar() or "")
    return joined[0] if owner is None else owner


def joined_customers(connection: Connection, customer_ids: Collection[str]) -> dict[str, tuple[str, ...]]:
    """By those of the customer ids that are one of several of a person, all of these."""
    keys = {subject_of(customer_id): customer_id for customer_id in customer_ids}
    joined = {keys[key]: customer_ids_of(of) for key, of in keys_of_each(connection, keys).items()}
    return {customer_id: names for customer_id, names in joined.items() if len(names) > 1}
