"""What an INSERT that meets a row says of itself, on both engines: whole guards stand on that."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, literal, select

from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.database.tables import memberships
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, run_idempotent

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MEMBER = {"customer_id": "900", "tier": "gold", "updated_at": NOW}


@pytest.mark.parametrize("from_select", [False, True])
def test_insert_counts_the_rows_that_went_in(ledger: Ledger, from_select: bool) -> None:
    def add() -> int:
        def work(connection: Connection) -> int:
            statement = insert(connection, memberships)
            rows = select(*(literal(value, memberships.c[name].type) for name, value in MEMBER.items()))
            statement = statement.from_select(list(MEMBER), rows) if from_select else statement.values(MEMBER)
            return connection.execute(statement.on_conflict_do_nothing()).rowcount

        return ledger.write(work)

    assert [add(), add()] == [1, 0]


def test_same_key_has_its_effect_once(ledger: Ledger) -> None:
    request = IdempotentRequest("till", "key", "fingerprint", NOW)
    effects: list[int] = []

    def work(_: object) -> StoredResponse:
        effects.append(1)
        return StoredResponse(201, b"done")

    first, second = (run_idempotent(ledger, request, work) for _ in range(2))
    assert effects == [1]
    assert (first.status, first.body, first.is_replay) == (201, b"done", False)
    assert (second.status, second.body, second.is_replay) == (201, b"done", True)
