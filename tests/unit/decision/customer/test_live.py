"""The live profile: order, repeats and refunds."""

from hypothesis import given
from hypothesis import strategies as st

from app.decision.customer.live import RETURNED, VISIT_S, LiveProfile, LivePurchase, live_profile
from app.domain import LiveEvent

EVENTS = st.lists(
    st.builds(
        LiveEvent,
        event_id=st.integers(0, 30).map(str),
        type=st.sampled_from(["view_item", "purchase", "refund", "add_to_cart", "search"]),
        time_s=st.floats(0, 100),
        product_id=st.sampled_from(["a", "b", "c"]),
    ),
    max_size=20,
    unique_by=lambda event: event.event_id,
)


@given(EVENTS, st.randoms(use_true_random=False))
def test_order_of_arrival_and_replays_change_nothing(events: list[LiveEvent], random: st.DataObject) -> None:
    shuffled = events + events[:5]
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert live_profile(shuffled, since_s=0, now_s=1e9) == live_profile(events, since_s=0, now_s=1e9)


def test_latest_product_comes_first_with_its_strongest_interest() -> None:
    events = [
        LiveEvent("1", "add_to_cart", 1.0, "a"),
        LiveEvent("2", "view_item", 2.0, "b"),
        LiveEvent("3", "view_item", 3.0, "a"),
    ]
    assert list(live_profile(events, since_s=0, now_s=9).recent.items()) == [("a", 0.7), ("b", 0.5)]


def test_purchases_that_the_features_know_are_not_counted_again() -> None:
    events = [LiveEvent("1", "purchase", 5.0, "a"), LiveEvent("2", "purchase", 10.0, "a")]
    profile = live_profile(events, since_s=10, now_s=20)
    assert (profile.bought["a"].count, profile.bought["a"].last_at) == (1.0, 10.0)
    assert profile.event_count == 2


def test_events_after_now_are_not_known_yet() -> None:
    profile = live_profile([LiveEvent("1", "purchase", 5.0, "a")], since_s=0, now_s=4.9)
    assert (profile.event_count, dict(profile.bought), dict(profile.recent)) == (0, {}, {})


def profile_of(*events: LiveEvent) -> LiveProfile:
    return live_profile(events, since_s=0, now_s=9)


def test_refunded_product_is_neither_bought_nor_of_interest() -> None:
    profile = profile_of(LiveEvent("1", "purchase", 1.0, "a", 2.0), LiveEvent("2", "refund", 2.0, "a", 2.0))
    assert (profile.bought, profile.recent) == ({}, {})


def test_refund_of_a_part_leaves_the_purchase() -> None:
    profile = profile_of(LiveEvent("1", "purchase", 1.0, "a", 2.0), LiveEvent("2", "refund", 2.0, "a", 1.0))
    assert profile.bought == {"a": LivePurchase(1.0, 1.0, 1.0)}


def test_refund_of_what_was_bought_before_takes_one_purchase_off() -> None:
    assert profile_of(LiveEvent("2", "refund", 2.0, "a")).bought == {"a": RETURNED}


def test_voided_line_says_nothing() -> None:
    profile = profile_of(LiveEvent("1", "purchase", 1.0, "a", 0.0))
    assert (profile.bought, profile.recent) == ({}, {})


def test_basket_that_two_senders_report_counts_once() -> None:
    named = [LiveEvent(str(at), "purchase", 1.0, "a", sender=f"s{at}", basket_id="b") for at in (1, 2)]
    unnamed = [LiveEvent(str(at), "purchase", float(at), "a") for at in (1, 2)]
    for events in (named, unnamed):
        assert profile_of(*events).bought["a"].count == 1.0
    assert profile_of(*named, LiveEvent("3", "purchase", 3.0, "a", basket_id="c")).bought["a"].count == 2.0


def test_what_was_bought_is_of_interest_for_the_visit_and_then_not_until_it_is_looked_at_again() -> None:
    looked, bought = LiveEvent("1", "add_to_cart", 1.0, "a"), LiveEvent("2", "purchase", 2.0, "a")
    assert profile_of(looked, bought).recent == {"a": 1.0}
    later = 2.0 + VISIT_S
    again = LiveEvent("3", "view_item", later - 1, "a")
    assert live_profile([looked, bought], since_s=0, now_s=later).recent == {}
    assert live_profile([looked, bought, again], since_s=0, now_s=later).recent == {"a": 0.5}


def test_what_came_back_is_still_of_the_interest_that_led_to_it() -> None:
    events = (
        LiveEvent("1", "view_item", 1.0, "a"),
        LiveEvent("2", "purchase", 2.0, "a"),
        LiveEvent("3", "refund", 3.0, "a"),
    )
    assert profile_of(*events).recent == {"a": 0.5}


def test_views_of_a_product_are_counted_and_purchases_of_it_are_none() -> None:
    views = [LiveEvent(str(place), "view_item", float(place), "a") for place in (1, 2)]
    bought = LiveEvent("3", "purchase", 3.0, "a")
    assert profile_of(*views, views[0], LiveEvent("4", "view_item", 4.0, "b")).views == {"a": 2, "b": 1}
    assert profile_of(*views, bought).views == {"a": 2}
