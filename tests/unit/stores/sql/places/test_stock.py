"""Reports of stock through SQL, on both engines: the same stock as the pure histories, and numbers for what changed."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import Connection, event, select, update

from app.errors import StoreUnavailable
from app.places.reports import HORIZON, Outcome
from app.places.stock import StockReport
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.changes import last_change
from app.stores.sql.places.stock import StockChange, apply_stock, changed_stock, read_rows, write_rows
from tests.unit.places.stock_histories import START, arrivals, expected_milli, history_of

NOW = START + timedelta(hours=30)
Line = tuple[str, str, StockReport]


def report(*, minute: float = 0, sender: str = "erp", **amount: int) -> StockReport:
    """A report without sequence; its event is named for its minute."""
    return StockReport(sender, f"{minute}", START + timedelta(minutes=minute), None, **amount)


def apply(ledger: Ledger, *lines: Line) -> list[Outcome]:
    """One batch in a transaction of its own."""
    return ledger.write(lambda connection: apply_stock(connection, lines, now=NOW))


def quantities(ledger: Ledger) -> dict[tuple[str, str], int | None]:
    """What the table says of every cell."""
    query = select(stock.c.store_id, stock.c.product_id, stock.c.quantity_milli)
    return {(store, product): milli for store, product, milli in ledger.read(lambda c: c.execute(query).all())}


def changes(ledger: Ledger, *, after: int = 0, limit: int = 1000) -> Sequence[StockChange]:
    """What a follower reads."""
    return ledger.read(lambda connection: changed_stock(connection, after, limit=limit))


def test_batches_in_any_order_end_in_the_stock_of_the_reference_model(ledger: Ledger) -> None:
    random = Random(7)
    cells = {("store", str(seed)): history_of(seed) for seed in range(80)}
    lines = [(*cell, one) for cell, reports in cells.items() for one in arrivals(reports, random)]
    random.shuffle(lines)
    followed: dict[str, int | None] = {}
    seen = 0
    while lines:
        size = random.randint(1, 90)
        batch, lines = lines[:size], lines[size:]
        apply(ledger, *batch)
        for change in changes(ledger, after=seen):
            assert change.number > seen
            followed[change.product_id], seen = change.available_milli, change.number
    expected = {cell: expected_milli(reports) for cell, reports in cells.items() if reports}
    assert quantities(ledger) == expected
    assert followed == {product: max(0, milli) for (_, product), milli in expected.items() if milli is not None}


def test_outcomes_come_in_the_order_of_the_reports(ledger: Ledger) -> None:
    lines = [
        ("s1", "p1", report(quantity_milli=5000)),
        ("s1", "p1", report(quantity_milli=5000)),
        ("s1", "p1", report(minute=-1, sender="till", change_milli=-1000)),
        ("s1", "p2", report(minute=-60 * 24 * 2, quantity_milli=1)),
        ("s2", "p1", report(minute=1, change_milli=-1000)),
    ]
    expected = [Outcome.COUNTED, Outcome.DUPLICATE, Outcome.SUPERSEDED, Outcome.TOO_LATE, Outcome.COUNTED]
    assert apply(ledger, *lines) == expected
    assert quantities(ledger) == {("s1", "p1"): 5000, ("s2", "p1"): None}


def test_only_a_change_of_what_is_available_has_a_number(ledger: Ledger) -> None:
    apply(ledger, ("s1", "p1", report(change_milli=-500)))
    assert changes(ledger) == []
    apply(ledger, ("s1", "p1", report(minute=1, quantity_milli=0)), ("s1", "p2", report(quantity_milli=9000)))
    assert changes(ledger) == [StockChange("s1", "p1", 0, 1), StockChange("s1", "p2", 9000, 2)]
    # Below zero as little is available as at zero, and a quantity that is stated again changes nothing.
    apply(ledger, ("s1", "p1", report(minute=2, change_milli=-500)))
    apply(ledger, ("s1", "p2", report(minute=3, quantity_milli=9000)))
    assert ledger.read(lambda c: last_change(c, "stock")) == 2
    assert quantities(ledger) == {("s1", "p1"): -500, ("s1", "p2"): 9000}


def test_reserved_goods_are_not_available_and_stay_reserved(ledger: Ledger) -> None:
    apply(ledger, ("s1", "p1", report(quantity_milli=9000)))
    ledger.write(lambda c: c.execute(update(stock).values(reserved_milli=2000)))
    apply(ledger, ("s1", "p1", report(minute=1, change_milli=-3000)))
    assert changes(ledger) == [StockChange("s1", "p1", 4000, 2)]


def test_follower_reads_page_by_page(ledger: Ledger) -> None:
    apply(ledger, *(("s1", f"p{number}", report(quantity_milli=1000)) for number in range(5)))
    pages = [changes(ledger, after=after, limit=2) for after in (0, 2, 4, 5)]
    assert [[change.number for change in page] for page in pages] == [[1, 2], [3, 4], [5], []]


@pytest.mark.parametrize("count", [2, 200])
def test_batch_of_any_size_costs_the_same_statements(ledger: Ledger, count: int) -> None:
    statements: list[str] = []
    event.listen(ledger.engine, "before_cursor_execute", lambda *call: statements.append(call[2].split()[0]))
    apply(ledger, *(("s1", f"p{number}", report(quantity_milli=1000)) for number in range(count)))
    assert statements[-4:] == ["SELECT", "SELECT", "UPDATE", "INSERT"]
    assert len(statements) <= 6


def test_second_writer_of_stock_waits_until_the_first_commits(ledger: Ledger, ledger_url: str) -> None:
    other = open_ledger(ledger_url, limit_s=0.3)
    sale = ("s1", "p1", report(minute=1, change_milli=-1000))

    def first(connection: Connection) -> None:
        apply_stock(connection, [("s1", "p1", report(quantity_milli=9000))], now=NOW)
        with pytest.raises(StoreUnavailable):
            apply(other, sale)

    ledger.write(first)
    other.close()
    apply(ledger, sale)
    assert quantities(ledger) == {("s1", "p1"): 8000}


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_writer_that_took_no_turn_would_lose_a_report(ledger: Ledger) -> None:
    """The control: what is read before the turn is taken may be old when it is written."""
    cell = "s1", "p1"
    apply(ledger, (*cell, report(quantity_milli=9000)))

    def without_turn(connection: Connection) -> None:
        rows = read_rows(connection, [cell])
        apply(ledger, (*cell, report(minute=1, change_milli=-1000)))
        history, _ = rows[cell].history.applied(report(minute=2, change_milli=-2000))
        write_rows(connection, rows, after={cell: history}, now=NOW)

    ledger.write(without_turn)
    assert quantities(ledger) == {cell: 7000}


def test_changes_that_are_settled_leave_their_sum(ledger: Ledger) -> None:
    sales = [("s1", "p1", report(minute=minute, sender="till", change_milli=-10)) for minute in range(1, 101)]
    apply(ledger, ("s1", "p1", report(quantity_milli=9000)), *sales)
    later = NOW + 2 * HORIZON
    sale = StockReport("till", "last", later, None, change_milli=-10)
    ledger.write(lambda connection: apply_stock(connection, [("s1", "p1", sale)], now=later))
    (reports,) = ledger.read(lambda c: c.execute(select(stock.c.reports)).scalars().all())
    assert len(reports["changes"]) == 1
    assert quantities(ledger) == {("s1", "p1"): 7990}
