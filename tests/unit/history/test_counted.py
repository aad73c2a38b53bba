"""The history as it counts: the columns follow the rule of `app/baskets/reports.py` row by row."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from app.baskets.reports import ReportedLine, counted_lines
from app.domain import PURCHASE, REFUND, TRADES, Event, ProductId
from app.history.counted import counted_once
from app.history.rows import FROM_IMPORT, ROW_ID, event_rows
from tests.support.rows import history_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SALE = st.builds(
    Event,
    event_id=st.sampled_from(["1", "a b", "7:1", "7:2", "8:1", "x:y"]),
    type=st.sampled_from([PURCHASE, PURCHASE, PURCHASE, REFUND, "view_item"]),
    time=st.sampled_from([NOON, NOON + timedelta(seconds=9)]),
    customer_id=st.sampled_from(["ann", "ann", "bob", None]),
    anonymous_id=st.sampled_from(["visitor", None]),
    product_id=st.sampled_from([ProductId("tea"), ProductId("jam")]),
    basket_id=st.sampled_from(["b", "b", "b", "c", None]),
    quantity=st.sampled_from([1.0, 1.0, 2.0, 0.0, 0.1, 0.3]),
    amount_minor=st.sampled_from([None, 100, 100, 250]),
    store_id=st.sampled_from([None, None, "s1", "s2"]),
    sender=st.sampled_from(["till", "app", "web/tab"]),
    item=st.sampled_from([0, 0, 0, 1]),
)


def reported(event: Event) -> ReportedLine:
    return ReportedLine(
        event.type, str(event.product_id), event.quantity, event.amount_minor, event.time, event.sender,
        event.event_id, event.item, event.store_id,
    )  # fmt: skip


def counted(events: Sequence[Event]) -> set[str]:
    """The keys of the events that count, row by row."""
    keys = {event.key for event in events}
    baskets: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in events:
        who = event.customer_id or event.anonymous_id
        if event.type in TRADES and event.quantity and event.basket_id and who:
            baskets[who, event.basket_id].append(event)
    for basket in baskets.values():
        keys -= {event.key for event in basket} - {event.key for event in counted_lines(basket, reported)}
    return keys


@given(st.lists(SALE, max_size=14, unique_by=lambda event: event.key), st.randoms(use_true_random=False))
def test_columns_and_rows_follow_one_rule_in_any_order(events: list[Event], random: Random) -> None:
    found = counted_once(event_rows(events).lazy()).collect()[ROW_ID].to_list()
    assert set(found) == counted(events)
    assert found == [event.key for event in events if event.key in set(found)]
    random.shuffle(events)
    assert set(counted_once(event_rows(events).lazy()).collect()[ROW_ID]) == set(found)


def imported(import_id: str | None, *products: str, **fields: object) -> list[dict[str, object]]:
    row: dict[str, object] = {"type": PURCHASE, "customer_id": "ann", "basket_id": "b", "quantity": 1.0}
    row |= {"source": FROM_IMPORT, "import_id": import_id} | fields
    return [row | {"row_id": f"{import_id} {place}", "product_id": name} for place, name in enumerate(products)]


def test_equal_lines_of_one_import_count_each() -> None:
    for rows in (imported("i", "tea", "tea"), imported(None, "tea", "tea")):
        assert counted_once(history_of(rows)).collect().height == 2


def test_basket_of_two_imports_or_of_an_import_and_the_till_counts_once() -> None:
    other = imported("j", "tea", "tea", "tea", "jam")
    assert counted_once(history_of([*imported("i", "tea", "tea"), *other])).collect()[ROW_ID].to_list() == [
        "j 0", "j 1", "j 2", "j 3",
    ]  # fmt: skip
    event = Event("e", PURCHASE, NOON, customer_id="ann", product_id=ProductId("tea"), basket_id="b", sender="till")
    rows = pl.concat([history_of(imported("i", "tea", "tea")), event_rows([event]).lazy()])
    assert counted_once(rows).collect()[ROW_ID].to_list() == ["i 0", "i 1"]


def test_history_without_double_reports_is_read_as_it_is() -> None:
    once = history_of([*imported("i", "tea"), *imported("j", "tea", basket_id="c"), *imported("k", "jam")])
    assert counted_once(once) is once
    assert counted_once(history_of(imported("i", "tea", "tea"))).collect().height == 2
