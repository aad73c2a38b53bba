"""Identities: all the names that one customer has in the retailer's systems, and which of them belong together.

An identity is a type and a value. Everywhere else it is one of two: a customer's name or a visitor's. What a browser
or an app calls itself (`device`, `cookie`) is the `anonymous_id` of its events. Every other identity is a customer of
its own as long as it is linked to nobody, and where a `customer_id` is expected it is written `~type:value`.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from app.bounds import ID_LENGTH
from app.domain import subject_of
from app.errors import BadInput

CUSTOMER_ID = "customer_id"
ANONYMOUS = frozenset({"device", "cookie"})
"""The types whose value is an `anonymous_id`."""
COMMON = (CUSTOMER_ID, "loyalty_card", "device", "cookie", "email_hash", "till_account")
MARK = "~"
TYPE = r"[a-z][a-z0-9_]{0,31}"
_NAMED = re.compile(rf"{MARK}({TYPE}):(.+)", re.DOTALL)
_OF_CUSTOMER = "c:"


@dataclass(frozen=True, slots=True)
class Identity:
    """One name of a customer; `key` is the subject of its events (`app.domain.subject_of`)."""

    type: str
    value: str

    @property
    def key(self) -> str:
        """Unique among all identities."""
        if self.type in ANONYMOUS:
            return subject_of(None, self.value)
        return subject_of(self.value if self.type == CUSTOMER_ID else f"{MARK}{self.type}:{self.value}")


def identity_of(kind: str, value: str) -> Identity:
    """The identity of this type and value; raises BadInput for a type that cannot be, or a value that is too long."""
    if re.fullmatch(TYPE, kind) is None:
        raise BadInput(
            f"identity type {kind!r} cannot be used: a lower-case letter, then up to 31 letters, digits or _, such as "
            + ", ".join(COMMON)
        )
    room = ID_LENGTH if kind == CUSTOMER_ID or kind in ANONYMOUS else ID_LENGTH - len(kind) - 2
    if len(value) > room:
        raise BadInput(f"a {kind} may have {room} characters, and this one has {len(value)}")
    return Identity(kind, value)


def named_customer(customer_id: str) -> Identity:
    """What stands where a customer's id is expected: a `customer_id`, or another identity as `~type:value`.

    Raises BadInput as `identity_of` does.
    """
    named = _NAMED.fullmatch(customer_id)
    return Identity(CUSTOMER_ID, customer_id) if named is None else identity_of(named[1], named[2])


def named_ids(customer_id: str | None, anonymous_id: str | None) -> tuple[str | None, str | None]:
    """Both ids of a question or event, where that of the customer may be any identity, a device among them.

    Raises BadInput for two devices, and as `identity_of` does.
    """
    if customer_id is None or not customer_id.startswith(MARK):
        return customer_id, anonymous_id
    identity = named_customer(customer_id)
    if identity.type not in ANONYMOUS:
        return customer_id_of(identity.key), anonymous_id
    if anonymous_id not in (None, identity.value):
        raise BadInput(f"give {identity.type} {identity.value!r} or anonymous_id, not both", pointer="/customer_id")
    return None, identity.value


def customer_id_of(key: str) -> str | None:
    """The customer's id, as other tables write it, behind a key; None for that of a visitor."""
    return key.removeprefix(_OF_CUSTOMER) if key.startswith(_OF_CUSTOMER) else None


def customer_ids_of(keys: Iterable[str]) -> tuple[str, ...]:
    """The customers' ids among the keys, in order; the first stands for all of one person."""
    return tuple(sorted(name for key in keys if (name := customer_id_of(key)) is not None))


def anonymous_ids_of(keys: Iterable[str]) -> tuple[str, ...]:
    """The visitors' ids among the keys, in order."""
    return tuple(sorted(key[2:] for key in keys if not key.startswith(_OF_CUSTOMER)))


def names_in_columns(keys: Iterable[str]) -> tuple[str, ...]:
    """Every form in which something may name one of these identities as its customer, `~device:x` of a visitor too."""
    known = tuple(keys)
    customer_ids = customer_ids_of(known)
    named = [f"{MARK}{CUSTOMER_ID}:{name}" for name in customer_ids if not name.startswith(MARK)]
    visitors = [f"{MARK}{kind}:{name}" for name in anonymous_ids_of(known) for kind in ANONYMOUS]
    return tuple(sorted({*customer_ids, *named, *visitors}))


def identity_behind(key: str) -> Identity:
    """The identity that has this key; of a visitor the type is not kept, so it is a device."""
    customer_id = customer_id_of(key)
    return Identity("device", key[2:]) if customer_id is None else named_customer(customer_id)


@dataclass(frozen=True, slots=True)
class Link:
    """Whose an identity is since `at`: the key of that customer, or None once it was separated."""

    owner: str | None
    at: datetime

    def is_before(self, other: "Link") -> bool:
        """True where `other` is the one that counts: the later, and of one instant that which separates."""
        return (self.at, self.owner is None, self.owner or "") < (other.at, other.owner is None, other.owner or "")


def joined_with(start: Iterable[str], neighbours: Callable[[set[str]], Mapping[str, Iterable[str]]]) -> set[str]:
    """All keys that links join with those of `start`, directly or through others.

    `neighbours` gives, for some keys, those that a link joins with each of them, in whichever direction.
    """
    found, added = set(start), set(start)
    while added:
        near = neighbours(added)
        added = {key for keys in near.values() for key in keys} - found
        found |= added
    return found


def person_key(keys: Iterable[str]) -> str:
    """The key that stands for a person: the least of their customer keys, or of all where there is none."""
    ordered = sorted(keys)
    return next((key for key in ordered if key.startswith(_OF_CUSTOMER)), ordered[0])
