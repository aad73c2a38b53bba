"""API keys in the ledger: who holds one and what it lets them do; of the key itself only its SHA-256."""

import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Row, select, update
from sqlalchemy.exc import SQLAlchemyError

from app.domain import LOCAL, Scope
from app.errors import BadInput, Conflict, Missing, StoreUnavailable
from app.offers.terms.codes import new_id
from app.stores.sql.access import publishable as publishable_keys
from app.stores.sql.access.publishable import Publishable
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import api_keys

BOOTSTRAP = "bootstrap"
"""The client of ENDCAP_API_KEY."""
PREFIX = "endcap_"
"""So that a key in a place where it does not belong is found."""
KEY_BYTES = 32
SLOTS = (1, 2)
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class TooManyKeys(Conflict):
    """The client has two live keys already."""

    code = "too_many_keys"


class KeyNotFound(Missing):
    """No key has this id."""

    code = "key_not_found"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as it is listed; `per_second` None means the default of the settings, 0 without limit.

    A publishable key has no scopes, and a rate for each person; `origins` None: the key is a secret one.
    """

    key_id: str
    client: str
    scopes: tuple[Scope, ...]
    per_second: int | None
    created_at: datetime
    revoked_at: datetime | None
    origins: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """What a live key lets its client do: `scopes` are all that it holds, those that ADMIN implies among them.

    A publishable key holds none: what it lets persons do needs a token of theirs, too.
    """

    key_id: str
    client: str
    scopes: frozenset[Scope]
    per_second: int | None = None
    publishable: Publishable | None = None


@dataclass(frozen=True, slots=True)
class KeyBook:
    """Every live key by its hash; `is_empty` when none was ever made, live or revoked."""

    grants: Mapping[str, Grant]
    is_empty: bool


def hash_of(key: bytes) -> str:
    """What is stored of a key: nobody can guess 256 random bits, so SHA-256 needs no salt and no stretching."""
    return sha256(key).hexdigest()


def implied(scopes: Collection[Scope]) -> frozenset[Scope]:
    """Everything that these scopes let one do: ADMIN all, the others themselves."""
    return frozenset(Scope) if Scope.ADMIN in scopes else frozenset(scopes)


def create_key(
    ledger: Ledger, client: str, scopes: Collection[Scope], *, per_second: int | None, now: datetime
) -> tuple[str, str]:
    """A new key's id and the key, which is shown here and never again; raises BadInput, TooManyKeys."""
    if not scopes:
        raise BadInput(f"client {client!r} needs a scope: {', '.join(Scope)}")
    return _create(ledger, client, {"scopes": sorted(set(scopes)), "per_second": per_second}, prefix=PREFIX, now=now)


def create_publishable_key(
    ledger: Ledger, client: str, publishable: Publishable, *, per_second: int | None, now: datetime
) -> tuple[str, str]:
    """The same for a publishable key; `per_second` is what one person may ask, PER_SECOND where it is None."""
    facts = {
        "scopes": [],
        "per_second": publishable_keys.PER_SECOND if per_second is None else per_second,
        "token_key": publishable.token_key,
        "origins": list(publishable.origins),
    }
    return _create(ledger, client, facts, prefix=publishable_keys.PREFIX, now=now)


def _create(ledger: Ledger, client: str, facts: Mapping[str, object], *, prefix: str, now: datetime) -> tuple[str, str]:
    if not _CLIENT.fullmatch(client) or client in {BOOTSTRAP, LOCAL}:
        raise BadInput(
            f"client {client!r} cannot be used: 1 to 100 letters, digits, dots, dashes and underscores,"
            f" beginning with a letter or digit, and neither {BOOTSTRAP!r} nor {LOCAL!r}"
        )
    per_second = facts["per_second"]
    if isinstance(per_second, int) and per_second < 0:
        raise BadInput(f"{per_second} requests per second cannot be: give 1 or more, or 0 for no limit")
    key_id, key = new_id("key"), prefix + secrets.token_urlsafe(KEY_BYTES)
    row = {"key_id": key_id, "client": client, "key_hash": hash_of(key.encode()), "created_at": now, **facts}
    if not ledger.write(lambda connection: _take_slot(connection, row)):
        raise TooManyKeys(
            f"client {client!r} has {len(SLOTS)} live keys, which is enough for rotation: list them with"
            " `endcap keys list`, end one with `endcap keys revoke KEY_ID`, then create again"
        )
    return key_id, key


def _take_slot(connection: Connection, row: Mapping[str, object]) -> bool:
    """True once the row is in; a slot is taken or not whatever others do meanwhile, for the index is unique."""
    for slot in SLOTS:
        statement = insert(connection, api_keys).values(**row, slot=slot).on_conflict_do_nothing()
        if connection.execute(statement).rowcount:
            return True
    # The transaction may run a second time after its first commit: then its own row was in the way.
    mine = select(api_keys.c.key_id).where(api_keys.c.key_id == row["key_id"])
    return connection.execute(mine).one_or_none() is not None


def list_keys(ledger: Ledger) -> Sequence[ApiKey]:
    """Every key, live and revoked, by client and age."""
    statement = select(api_keys).order_by(api_keys.c.client, api_keys.c.created_at, api_keys.c.key_id)
    return [
        ApiKey(
            row.key_id,
            row.client,
            _known(row.scopes),
            row.per_second,
            row.created_at,
            row.revoked_at,
            None if row.token_key is None else tuple(row.origins or ()),
        )
        for row in ledger.read(lambda connection: connection.execute(statement).all())
    ]


def revoke_key(ledger: Ledger, key_id: str, *, now: datetime) -> None:
    """Ends a key for good; one that was revoked before stays as it is. Raises KeyNotFound."""

    def revoke(connection: Connection) -> bool:
        mine = api_keys.c.key_id == key_id
        live = update(api_keys).where(mine, api_keys.c.revoked_at.is_(None))
        # The slot is free for the next key; NULLs do not collide in the unique index.
        if connection.execute(live.values(revoked_at=now, slot=None)).rowcount:
            return True
        return connection.execute(select(api_keys.c.key_id).where(mine)).one_or_none() is not None

    if not ledger.write(revoke):
        raise KeyNotFound(f"there is no key {key_id!r}: `endcap keys list` shows those there are")


def read_keys(ledger: Ledger) -> KeyBook:
    """All keys as a server uses them."""
    keys = api_keys.c
    columns = (keys.key_hash, keys.key_id, keys.client, keys.scopes, keys.per_second, keys.revoked_at)
    statement = select(*columns, keys.token_key, keys.origins)
    rows = ledger.read(lambda connection: connection.execute(statement).all())
    grants = {row.key_hash: _grant(row) for row in rows if row.revoked_at is None}
    # Revoked keys count, or revoking the last one would open the service to everybody.
    return KeyBook(grants, is_empty=not rows)


def _grant(row: Row[*tuple[Any, ...]]) -> Grant:
    if row.token_key is None:
        return Grant(row.key_id, row.client, implied(_known(row.scopes)), row.per_second)
    publishable = Publishable(row.token_key, tuple(row.origins or ()))
    return Grant(row.key_id, row.client, frozenset(), row.per_second, publishable)


def may_have_live_key(ledger: Ledger) -> bool:
    """True when some key lives, or the ledger cannot tell: a server lets nobody in then whom it does not know."""
    try:
        return bool(read_keys(ledger).grants)
    except (StoreUnavailable, SQLAlchemyError):
        return True


def _known(scopes: Sequence[str]) -> tuple[Scope, ...]:
    """The scopes that this Endcap knows: what a newer one has granted beyond them does not count here."""
    return tuple(scope for scope in Scope if scope in scopes)
