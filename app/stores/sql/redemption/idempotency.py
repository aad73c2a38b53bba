"""One key, one effect, one answer: the record is part of the transaction whose answer it keeps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update

from app.errors import BadInput
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import idempotency

KEEP = timedelta(hours=24)


class IdempotencyMismatch(BadInput):
    """The same key came before with another request."""

    code = "idempotency_mismatch"


@dataclass(frozen=True, slots=True)
class Once:
    """A request that must have its effect once: who sends it under which key, and the SHA-256 of what it asks."""

    client: str
    key: str
    fingerprint: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller is told: an HTTP status and a body; `is_replay` when it was told before.

    `touched` are the subjects whose projections are stale now.
    """

    status: int
    body: bytes
    touched: tuple[str, ...] = ()
    is_replay: bool = False


def earlier_answer(connection: Connection, once: Once) -> Answer | None:
    """What this key was answered before; raises IdempotencyMismatch when it asked something else then."""
    mine = (idempotency.c.client == once.client) & (idempotency.c.key == once.key)
    row = connection.execute(select(idempotency).where(mine)).one_or_none()
    if row is None or row.created_at < once.now - KEEP:
        return None
    if row.fingerprint != once.fingerprint:
        raise IdempotencyMismatch(
            f"Idempotency-Key {once.key!r} was used for another request within 24 hours; use a new key"
        )
    return Answer(row.status, row.body, is_replay=True)


def claim_key(connection: Connection, once: Once) -> Answer | None:
    """First step of a transaction: None when the key is free, from now on taken; else the earlier answer.

    PostgreSQL waits here for a transaction in flight with the same key, SQLite before it.
    """
    mine = (idempotency.c.client == once.client) & (idempotency.c.key == once.key)
    row = {"client": once.client, "key": once.key, "fingerprint": once.fingerprint, "created_at": once.now}
    statement = insert(connection, idempotency).values(**row, status=0, body=b"").on_conflict_do_nothing()
    while True:
        connection.execute(delete(idempotency).where(mine, idempotency.c.created_at < once.now - KEEP))
        if connection.execute(statement).rowcount:
            return None
        earlier = earlier_answer(connection, once)
        # None: the record that was in the way is outdated or forgotten by now, so the key is still to be taken.
        if earlier is not None:
            return earlier


def keep_answer(connection: Connection, once: Once, answer: Answer) -> Answer:
    """Last step of the same transaction."""
    mine = (idempotency.c.client == once.client) & (idempotency.c.key == once.key)
    connection.execute(update(idempotency).where(mine).values(status=answer.status, body=answer.body))
    return answer


def do_once(ledger: Ledger, once: Once, work: Callable[[Connection], Answer]) -> Answer:
    """`work` in one transaction with its idempotency record; an error leaves neither."""

    def transaction(connection: Connection) -> Answer:
        earlier = claim_key(connection, once)
        return earlier if earlier is not None else keep_answer(connection, once, work(connection))

    return ledger.write(transaction)


def forget_old(ledger: Ledger, *, now: datetime) -> int:
    """Deletes records older than 24 hours; returns how many."""
    return ledger.write(
        lambda connection: connection.execute(delete(idempotency).where(idempotency.c.created_at < now - KEEP)).rowcount
    )
