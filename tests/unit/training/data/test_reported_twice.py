"""A purchase that till and app report counts once: in the live profile, features, training rows and receipts alike."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from app.decision.customer.live import LiveProfile, live_profile
from app.domain import PURCHASE, REFUND, Event, LiveEvent, ProductId
from app.history.rows import event_rows
from app.offers.rules.receipts import ReceiptCheck, check_receipt, receipt_line, receipt_of
from app.offers.terms.terms import ByReceipt
from training.data.dataset import Dataset, load_interactions
from training.features.tables import customer_tables, product_statistics

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
AS_OF = START + timedelta(days=40)
LINES = st.lists(
    st.tuples(
        st.sampled_from(["tea", "jam", "oil"]), st.sampled_from([1.0, 2.0, 0.5]), st.sampled_from([None, 120, 300])
    ),
    min_size=1,
    max_size=5,
)
BASKETS = st.lists(LINES, min_size=1, max_size=4)
Baskets = list[list[tuple[str, float, int | None]]]


def sent(baskets: Baskets, sender: str, name: str, *, items: bool, kind: str = PURCHASE) -> list[Event]:
    """One basket a day as this sender reports it: a basket an event, or a line an event."""
    return [
        Event(
            f"{name}{day}" if items else f"{name}{day}:{place}",
            kind,
            START + timedelta(days=day),
            channel="store",
            customer_id="ann",
            product_id=ProductId(product),
            basket_id=f"b{day}",
            quantity=quantity,
            amount_minor=amount_minor,
            sender=sender,
            item=place if items else 0,
        )
        for day, lines in enumerate(baskets)
        for place, (product, quantity, amount_minor) in enumerate(lines)
    ]


def live(events: Sequence[Event]) -> LiveProfile:
    return live_profile(
        [
            LiveEvent(e.event_id, e.type, e.time.timestamp(), e.product_id, e.quantity, None, e.sender, e.item,
                      e.basket_id, e.amount_minor, e.store_id)
            for e in events
        ],
        since_s=0,
        now_s=AS_OF.timestamp(),
    )  # fmt: skip


def frames(events: Sequence[Event]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    rows = event_rows(events).lazy()
    tables = customer_tables(rows, as_of=AS_OF)
    return tables.profile, tables.purchases, product_statistics(rows, as_of=AS_OF).sort("product_id")


def rows_of(dataset: Dataset) -> list[tuple[object, ...]]:
    names = [dataset.product_ids[item] for item in dataset.item]
    return list(zip(names, dataset.day.tolist(), dataset.quantity.tolist(), dataset.basket.tolist(), strict=True))


def receipt_check(events: Sequence[Event], *, day: int, above_minor: int) -> ReceiptCheck | None:
    arrived = [replace(event, amount_minor=event.amount_minor or 0) for event in events if event.basket_id == f"b{day}"]
    lines = [receipt_line(event, accepted_at=event.time, default_currency="EUR") for event in arrived]
    receipt = receipt_of([line for line in lines if line is not None], {})
    terms = ByReceipt.model_validate(
        {"by": "receipt", "condition": {"type": "basket_total", "above_minor": above_minor}, "same_day": False}
    )
    return None if receipt is None else check_receipt(receipt, terms, tier=None, time_zone="UTC")


@settings(max_examples=15, deadline=None)
@given(BASKETS, st.booleans(), st.booleans(), st.randoms(use_true_random=False))
def test_any_order_and_duplication_over_two_senders_gives_what_one_report_gives(
    baskets: Baskets, as_items: bool, again_as_items: bool, random: Random
) -> None:
    once = sent(baskets, "till", "t", items=as_items)
    again = [*sent(baskets, "app", "a", items=again_as_items), *sent(baskets, "app", "x", items=again_as_items)]
    every = [*once, *again, *sent(baskets, "till", "u", items=as_items)]
    random.shuffle(every)
    said, one = live(every), live(once)
    assert (said.bought, said.recent, said.event_count) == (one.bought, one.recent, len(every))
    for found, expected in zip(frames(every), frames(once), strict=True):
        assert_frame_equal(found, expected)
    learned, from_one = load_interactions(event_rows(every), None), load_interactions(event_rows(once), None)
    assert rows_of(learned) == rows_of(from_one)
    assert np.array_equal(learned.catalogue.price_minor, from_one.catalogue.price_minor)
    for day, lines in enumerate(baskets):
        total_minor = sum(amount or 0 for _, _, amount in lines)
        for above_minor in (max(total_minor - 1, 0), total_minor):
            expected_check = receipt_check(once, day=day, above_minor=above_minor)
            assert receipt_check(every, day=day, above_minor=above_minor) == expected_check


@settings(max_examples=15, deadline=None)
@given(BASKETS, BASKETS, st.randoms(use_true_random=False))
def test_the_live_profile_counts_baskets_as_the_features_do(till: Baskets, app: Baskets, random: Random) -> None:
    events = [*sent(till, "till", "t", items=True), *sent(app, "app", "a", items=False)]
    random.shuffle(events)
    row = customer_tables(event_rows(events).lazy(), as_of=AS_OF).purchases.row(0, named=True)
    counted = dict(zip(row["bought_product_ids"], row["bought_count"], strict=True))
    assert {name: one.count for name, one in live(events).bought.items()} == counted


@pytest.mark.parametrize(("again", "left"), [("back", 1.0), ("other", 1.0)])
def test_refund_that_is_reported_twice_takes_one_piece_back(again: str, left: float) -> None:
    bought = sent([[("tea", 2.0, 400)]], "till", "t", items=True)
    back = [
        Event(name, REFUND, START + timedelta(days=1), customer_id="ann", product_id=ProductId("tea"), basket_id="b0",
              amount_minor=200, sender=sender)
        for name, sender in (("back", "till"), (again, "app"))
    ]  # fmt: skip
    events = [*bought, *back]
    assert live(events).bought["tea"].count == 1
    assert load_interactions(event_rows(events), None).quantity.tolist() == [left]
    assert customer_tables(event_rows(events).lazy(), as_of=AS_OF).profile["spend_minor"].to_list() == [200]
    assert receipt_check(events, day=0, above_minor=199) == ReceiptCheck(True, True)
    assert receipt_check(events, day=0, above_minor=200) == ReceiptCheck(True, False)


def test_second_report_of_what_the_features_hold_already_is_no_new_purchase() -> None:
    till, app = (LiveEvent(s, PURCHASE, at, "tea", sender=s, basket_id="b") for s, at in (("till", 5.0), ("app", 12.0)))
    assert live_profile([till, app], since_s=10, now_s=20).bought == {}
    assert live_profile([app._replace(quantity=2.0), till], since_s=10, now_s=20).bought == {}
    assert live_profile([app._replace(basket_id="c"), till], since_s=10, now_s=20).bought["tea"].count == 1


def test_till_that_uploads_a_line_an_event_numbers_those_that_look_alike() -> None:
    tea = Event("a", PURCHASE, START, customer_id="ann", product_id=ProductId("tea"), basket_id="b0", amount_minor=200)
    alike = [tea, replace(tea, event_id="b")]
    numbered = [replace(tea, event_id="r:1"), replace(tea, event_id="r:2")]
    summed = [replace(tea, quantity=2.0, amount_minor=400)]
    for events, pieces, spend_minor in ((alike, 1.0, 200), (numbered, 2.0, 400), (summed, 2.0, 400)):
        assert load_interactions(event_rows(events), None).quantity.tolist() == [pieces]
        assert frames(events)[0]["spend_minor"].to_list() == [spend_minor]
        assert receipt_check(events, day=0, above_minor=spend_minor) == ReceiptCheck(False, False)
        assert receipt_check(events, day=0, above_minor=spend_minor - 1) == ReceiptCheck(True, True)
        assert live(events).bought["tea"].count == 1
