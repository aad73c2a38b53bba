"""Cart, saved products, views and journey, folded from events of all channels."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

from app.customers.state import CART_FOR, JOURNEY_GAP, person_state
from app.domain import Event, ProductId

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def event(kind: str, minutes_ago: float, product: str | None = "tea", **fields: Any) -> Event:
    at = NOW - timedelta(minutes=minutes_ago)
    product_id = None if product is None else ProductId(product)
    return Event(f"{kind}-{minutes_ago}-{product}", kind, at, product_id=product_id, customer_id="ada", **fields)


def cart(*events: Event) -> dict[str, float]:
    return {line.product_id: line.quantity for line in person_state(events, now=NOW).cart}


def test_cart_is_what_was_put_in_and_neither_removed_nor_bought_in_any_order() -> None:
    events = [
        event("add_to_cart", 50, quantity=2.0, channel="web"),
        event("add_to_cart", 40, quantity=1.0, channel="app"),
        event("remove_from_cart", 30, quantity=1.0, channel="kiosk"),
        event("add_to_cart", 20, "coffee"),
        event("purchase", 10, "coffee", channel="store"),
    ]
    for order in permutations(events):
        assert cart(*order, *order) == {"tea": 2.0}
    (line,) = person_state(events, now=NOW).cart
    assert (line.channel, line.added_at) == ("kiosk", NOW - timedelta(minutes=40))


def test_what_is_put_in_again_after_it_was_bought_is_in_the_cart() -> None:
    assert cart(event("add_to_cart", 50), event("purchase", 40), event("add_to_cart", 30)) == {"tea": 1.0}


def test_removing_more_than_there_is_leaves_nothing() -> None:
    assert cart(event("add_to_cart", 50), event("remove_from_cart", 40, quantity=5.0)) == {}
    assert cart(event("remove_from_cart", 40)) == {}


def test_cart_that_nobody_touched_for_a_month_was_left_behind() -> None:
    assert cart(event("add_to_cart", CART_FOR.total_seconds() / 60 - 1)) == {"tea": 1.0}
    assert cart(event("add_to_cart", CART_FOR.total_seconds() / 60 + 1)) == {}


def test_saved_products_stay_until_they_are_removed() -> None:
    events = [event("add_to_wishlist", 90), event("add_to_wishlist", 80, "coffee"), event("remove_from_wishlist", 70)]
    events += [event("purchase", 60, "coffee")]
    assert [one.product_id for one in person_state(events, now=NOW).saved] == ["coffee"]


def test_views_are_listed_once_each_latest_first() -> None:
    events = [event("view_item", 30), event("scan_item", 20, "coffee", channel="store"), event("view_item", 10)]
    assert [(one.product_id, one.channel) for one in person_state(events, now=NOW).recently_viewed] == [
        ("tea", None),
        ("coffee", "store"),
    ]


def test_journey_goes_on_over_channels_until_a_purchase_ends_it() -> None:
    steps = [
        event("view_item", 50, channel="web", session_id="s1"),
        event("add_to_cart", 40, channel="app"),
        event("begin_checkout", 30, None, channel="kiosk", store_id="330"),
    ]
    stages = [person_state(steps[:count], now=NOW).journey for count in (1, 2, 3)]
    assert [one and one.stage for one in stages] == ["browsing", "cart", "checkout"]
    last = stages[-1]
    assert last is not None
    assert (last.channels, last.store_id, last.session_id) == (("web", "app", "kiosk"), "330", None)
    assert last.begun_at == NOW - timedelta(minutes=50)
    assert person_state([*steps, event("purchase", 10)], now=NOW).journey is None


def test_after_a_week_without_a_sign_a_new_journey_begins() -> None:
    long_ago = event("view_item", JOURNEY_GAP.total_seconds() / 60 + 60)
    assert person_state([long_ago], now=NOW).journey is None
    journey = person_state([long_ago, event("view_item", 10)], now=NOW).journey
    assert journey is not None
    assert journey.begun_at == NOW - timedelta(minutes=10)
