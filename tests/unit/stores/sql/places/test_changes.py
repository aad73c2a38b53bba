"""Change numbers become visible in their order, whoever writes at the same time."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from app.errors import StoreUnavailable
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.places.changes import last_change, lock_changes, next_change

OTHERS_WAIT_S = 0.3


def test_numbers_follow_each_other_by_name(ledger: Ledger) -> None:
    assert [ledger.write(lambda c: next_change(c, "stock")) for _ in range(3)] == [1, 2, 3]
    assert ledger.write(lambda c: next_change(c, "stock", count=10)) == 4
    assert ledger.read(lambda c: [last_change(c, "stock"), last_change(c, "prices")]) == [13, 0]


def test_numbers_of_a_transaction_that_failed_are_taken_by_the_next(ledger: Ledger) -> None:
    def fail(connection: Connection) -> None:
        next_change(connection, "stock", count=5)
        raise KeyError

    with pytest.raises(KeyError):
        ledger.write(fail)
    assert ledger.write(lambda c: next_change(c, "stock")) == 1


@pytest.mark.parametrize("take", [lambda c: next_change(c, "stock"), lambda c: lock_changes(c, "stock")])
def test_second_writer_waits_until_the_first_commits(
    ledger: Ledger, ledger_url: str, take: Callable[[Connection], object]
) -> None:
    other = open_ledger(ledger_url, limit_s=OTHERS_WAIT_S)

    def first(connection: Connection) -> int:
        number = next_change(connection, "stock")
        with pytest.raises(StoreUnavailable):
            other.write(take)
        return number

    assert ledger.write(first) == 1
    other.close()
    assert ledger.write(lambda c: next_change(c, "stock")) == 2


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_writers_of_other_names_do_not_wait(ledger: Ledger) -> None:
    def first(connection: Connection) -> int:
        next_change(connection, "stock")
        return ledger.write(lambda c: next_change(c, "prices"))

    assert ledger.write(first) == 1


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_numbers_of_a_sequence_would_become_visible_out_of_order(ledger: Ledger) -> None:
    """The control: PostgreSQL's own numbers, which nobody waits for."""
    ledger.write(lambda c: c.execute(text("CREATE SEQUENCE numbers")))
    ledger.write(lambda c: c.execute(text("CREATE TABLE changed (number bigint)")))

    def change(connection: Connection) -> int:
        statement = text("INSERT INTO changed SELECT nextval('numbers') RETURNING number")
        return int(connection.execute(statement).scalar_one())

    def visible(connection: Connection) -> list[int]:
        return list(connection.execute(text("SELECT number FROM changed ORDER BY number")).scalars())

    def first(connection: Connection) -> list[int]:
        assert [change(connection), ledger.write(change)] == [1, 2]
        return ledger.read(visible)

    assert ledger.write(first) == [2]
    assert ledger.read(visible) == [1, 2]
