"""One key, one effect, one response: the record is part of the transaction whose response it keeps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from app.errors import BadInput
from app.stores.sql.customers.erasures import refuse_erased_customers
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import idempotency

KEEP = timedelta(hours=24)


class IdempotencyMismatch(BadInput):
    """The same key was used for another request."""

    code = "idempotency_mismatch"


@dataclass(frozen=True, slots=True)
class IdempotentRequest:
    """A request that must have its effect once: who sends it under which key, and the SHA-256 of the request.

    `tombstones` computes those that the customers whom it names would have, in its order, and raises BadInput for a
    name that is none; where one was erased, the request is refused.
    """

    client: str
    key: str
    fingerprint: str
    now: datetime
    tombstones: Callable[[], Sequence[str]] = tuple


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response as the edge rendered it, kept with its key to be sent again; `is_replay` when it was stored before.

    The store never reads it. `stale_subjects` (`customer:<id>`, `campaign:<id>`): whose projections are stale now.
    """

    status: int
    body: bytes
    stale_subjects: tuple[str, ...] = ()
    is_replay: bool = False


def find_response(connection: Connection, request: IdempotentRequest) -> StoredResponse | None:
    """What was stored under this key; raises IdempotencyMismatch when that answered another request.

    The same request is answered for as long as its record is there, whatever the clock says.
    """
    mine = (idempotency.c.client == request.client) & (idempotency.c.key == request.key)
    row = connection.execute(select(idempotency).where(mine)).one_or_none()
    if row is None:
        return None
    if row.fingerprint != request.fingerprint:
        # An outdated record may still be there: the sweep deletes it later.
        if row.created_at < request.now - KEEP:
            return None
        raise IdempotencyMismatch(
            f"Idempotency-Key {request.key!r} was used for another request within 24 hours; use a new key"
        )
    return StoredResponse(row.status, row.body, is_replay=True)


def _claim_key(connection: Connection, request: IdempotentRequest) -> StoredResponse | None:
    """First step of a transaction: None when the key was free and is claimed now; else the stored response.

    PostgreSQL waits here for a transaction in flight with the same key, SQLite before it.
    """
    mine = (idempotency.c.client == request.client) & (idempotency.c.key == request.key)
    row = {"client": request.client, "key": request.key, "fingerprint": request.fingerprint, "created_at": request.now}
    # Nobody sees status 0: the row becomes visible with the commit, and then it has its response.
    statement = insert(connection, idempotency).values(**row, status=0, body=b"").on_conflict_do_nothing()
    while True:
        is_of_other = idempotency.c.fingerprint != request.fingerprint
        outdated = is_of_other & (idempotency.c.created_at < request.now - KEEP)
        connection.execute(delete(idempotency).where(mine, outdated))
        if connection.execute(statement).rowcount:
            return None
        earlier = find_response(connection, request)
        # None: the record that was in the way is outdated or forgotten by now, so the key is still to be taken.
        if earlier is not None:
            return earlier


def _store_response(connection: Connection, request: IdempotentRequest, response: StoredResponse) -> StoredResponse:
    """Last step of the same transaction."""
    mine = (idempotency.c.client == request.client) & (idempotency.c.key == request.key)
    connection.execute(update(idempotency).where(mine).values(status=response.status, body=response.body))
    return response


def run_idempotent(
    ledger: Ledger, request: IdempotentRequest, work: Callable[[Connection], StoredResponse]
) -> StoredResponse:
    """`work` in one transaction with its idempotency record; an error leaves neither. Raises Erased."""
    named = request.tombstones()

    def transaction(connection: Connection) -> StoredResponse:
        earlier = _claim_key(connection, request)
        if earlier is not None:
            return earlier
        refuse_erased_customers(connection, named)
        return _store_response(connection, request, work(connection))

    return ledger.write(transaction)


def delete_expired(ledger: Ledger, *, now: datetime) -> int:
    """Deletes records older than 24 hours; returns how many."""
    return ledger.write(
        lambda connection: connection.execute(delete(idempotency).where(idempotency.c.created_at < now - KEEP)).rowcount
    )
