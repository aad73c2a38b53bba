"""Reports of prices through SQL, on both engines: price, history, reference, and numbers for what changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import func, select

from app.places.prices import Price, PricePoint, PriceReport, ProductFacts, ReferenceRules, changes_of
from app.places.reports import HORIZON, Outcome
from app.places.stores import EVERYWHERE
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import price_history, prices
from app.stores.sql.places.changes import last_change
from app.stores.sql.places.prices import PriceChange, apply_prices, changed_prices, price_history_of
from tests.unit.places.test_prices import START, day, points, reports_of

Line = tuple[str, str, PriceReport]


def report(number: float, minor: int | None, *, currency: str = "EUR") -> PriceReport:
    """A price from this day on."""
    return PriceReport("erp", f"{number}", day(number), None, minor, currency)


def apply(
    ledger: Ledger,
    *lines: Line,
    now: datetime | None = None,
    rules: ReferenceRules | None = None,
    facts: Mapping[str, ProductFacts] | None = None,
) -> list[Outcome]:
    """One batch, at the time of its last report unless another is given."""
    latest = now or max(one.at for _, _, one in lines)
    return ledger.write(
        lambda connection: apply_prices(
            connection,
            lines,
            rules=rules or ReferenceRules(),
            now=latest,
            facts=facts,
        )
    )


def changes(ledger: Ledger, *, after: int = 0, limit: int = 100) -> Sequence[PriceChange]:
    """What a follower reads."""
    return ledger.read(lambda connection: changed_prices(connection, after, limit=limit))


def references(ledger: Ledger) -> dict[tuple[str, str], int | None]:
    """The reference of every price."""
    return {(one.store_id, one.product_id): one.reference_minor for one in changes(ledger)}


def history(ledger: Ledger, store_id: str, product_id: str) -> Sequence[PricePoint]:
    """What the table keeps of one price."""
    return ledger.read(lambda connection: price_history_of(connection, store_id, product_id))


def test_batches_in_any_order_end_in_the_last_price_and_the_same_history(ledger: Ledger) -> None:
    random = Random(11)
    cells = {("s1", str(seed)): reports_of(seed) for seed in range(40)}
    lines = [(*cell, one) for cell, reports in cells.items() for one in [*reports, *reports[::2]]]
    random.shuffle(lines)
    while lines:
        size = random.randint(1, 60)
        apply(ledger, *lines[:size], now=START + HORIZON)
        lines = lines[size:]
    rows = {row.product_id: row for row in ledger.read(lambda c: c.execute(select(prices)).all())}
    for (store_id, product_id), reports in cells.items():
        expected = changes_of(PricePoint(one.at, one.price) for one in sorted(reports, key=lambda one: one.at))
        assert history(ledger, store_id, product_id) == expected
        row = rows[product_id]
        assert PricePoint(row.since, Price.of(row.price_minor, row.currency)) == expected[-1]


def test_price_that_is_raised_and_then_cut_names_no_reference(ledger: Ledger) -> None:
    for number, minor in ((0, 129), (40, 169), (50, 129)):
        apply(ledger, ("s1", "pineapple", report(number, minor)))
    assert changes(ledger) == [PriceChange("s1", "pineapple", 129, "EUR", None, 3)]
    apply(ledger, ("s1", "pineapple", report(60, 119)))
    assert changes(ledger) == [PriceChange("s1", "pineapple", 119, "EUR", 129, 4)]


def test_lower_price_that_is_reported_late_lowers_the_reference(ledger: Ledger) -> None:
    for number, minor in ((0, 999), (40, 899), (41, 799)):
        apply(ledger, ("s1", "p1", report(number, minor)))
    assert references(ledger) == {("s1", "p1"): 899}
    late = PriceReport("pos", "1", day(40.5), None, 849, "EUR")
    assert apply(ledger, ("s1", "p1", late), now=day(41)) == [Outcome.SUPERSEDED]
    assert references(ledger) == {("s1", "p1"): 849}


def test_store_is_compared_with_the_price_of_everywhere_where_it_had_none(ledger: Ledger) -> None:
    apply(ledger, (EVERYWHERE, "p1", report(0, 999)))
    apply(ledger, ("s1", "p1", report(40, 1299)))
    apply(ledger, ("s1", "p1", report(45, 899)))
    assert changes(ledger) == [
        PriceChange(EVERYWHERE, "p1", 999, "EUR", None, 1),
        PriceChange("s1", "p1", 899, "EUR", 999, 3),
    ]
    apply(ledger, ("s1", "p1", report(46, None)))
    assert changes(ledger, after=3) == [PriceChange("s1", "p1", None, "EUR", None, 4)]


def test_exceptions_for_new_and_for_perishable_products_are_applied_by_product(ledger: Ledger) -> None:
    rules = ReferenceRules(perishable_shelf_life_days=7, counts_from_listing=True)
    for number, minor in ((0, 500), (2, 600), (4, 450)):
        apply(
            ledger,
            *(("s1", product_id, report(number, minor)) for product_id in ("milk", "new", "other")),
            rules=rules,
            facts={"milk": ProductFacts(5), "new": ProductFacts(90, day(0))},
        )
    assert references(ledger) == {("s1", "milk"): 600, ("s1", "new"): 500, ("s1", "other"): None}


def test_only_another_price_or_reference_has_a_number(ledger: Ledger) -> None:
    assert apply(ledger, ("s1", "p1", report(0, 999)), ("s1", "p1", report(0, 999))) == ["counted", "duplicate"]
    apply(ledger, ("s1", "p1", report(1, 999)))
    assert apply(ledger, ("s1", "p1", report(0.5, 999)), now=day(1)) == ["superseded"]
    assert ledger.read(lambda c: last_change(c, "prices")) == 1
    assert ledger.read(lambda c: c.execute(select(prices.c.since)).scalar_one()) == day(0)


def test_follower_reads_page_by_page(ledger: Ledger) -> None:
    apply(ledger, *(("s1", f"p{number}", report(0, 100)) for number in range(5)))
    pages = [changes(ledger, after=after, limit=2) for after in (0, 2, 4, 5)]
    assert [[change.number for change in page] for page in pages] == [[1, 2], [3, 4], [5], []]


def test_report_older_than_the_horizon_is_too_late(ledger: Ledger) -> None:
    assert apply(ledger, ("s1", "p1", report(0, 999)), now=day(2.1)) == [Outcome.TOO_LATE]
    assert changes(ledger) == []
    assert history(ledger, "s1", "p1") == []


def test_price_that_is_reported_daily_is_kept_once(ledger: Ledger) -> None:
    for number in range(30):
        apply(ledger, ("s1", "p1", report(number, 999 if number < 10 else 899)))
    assert history(ledger, "s1", "p1") == points((0, 999), (10, 899))
    count = ledger.read(lambda c: c.execute(select(func.count()).select_from(price_history)).scalar_one())
    assert count <= 2 + HORIZON / timedelta(days=1) + 1
