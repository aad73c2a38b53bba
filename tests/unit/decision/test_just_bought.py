"""What a customer has just bought is not proposed, unless they buy it that often."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.decision.eligibility import products
from app.decision.pipeline import Options, rank
from app.domain import LiveEvent, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.slates import Slate
from benchmarks.ranking.just_bought import regulars, shown_again
from tests.support.rows import history_of
from tests.support.world import World, product
from training.features.tables import customer_tables
from training.queries.states import states_from_tables

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
TEA = product("tea", 5)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


def slate_after(bundle: Bundle, *hours_ago: float, exclude_purchased: bool | None = None) -> Slate:
    """The answer to a customer who bought tea so many hours ago, each time in a basket of its own."""
    events = [
        LiveEvent(str(ago), "purchase", (NOW - timedelta(hours=ago)).timestamp(), TEA, basket_id=str(ago))
        for ago in hours_ago
    ]
    query = Query("app_home", size=60, now_at=NOW, customer_id="x", exclude_purchased=exclude_purchased)
    return rank(query, bundle, CustomerState(events=events), Options(stale_after_s=1e9))


def slate_of_features(bundle: Bundle, *hours_ago: float, events: Sequence[LiveEvent] = ()) -> Slate:
    """The same where features as of this instant hold the purchases, and nothing else is known but `events`."""
    rows = [
        {"row_id": str(ago), "type": "purchase", "time": NOW - timedelta(hours=ago), "customer_id": "x",
         "product_id": TEA, "basket_id": str(ago)}
        for ago in hours_ago
    ]  # fmt: skip
    as_of = NOW - timedelta(hours=min(hours_ago)) + timedelta(microseconds=1)
    state = states_from_tables(customer_tables(history_of(rows), as_of=as_of))["x"]
    query = Query("app_home", size=60, now_at=NOW, customer_id="x", channel="web")
    return rank(query, bundle, replace(state, events=events), Options(stale_after_s=1e9))


def is_proposed(slate: Slate) -> bool:
    return any(proposition.product_id == TEA for proposition in slate.propositions)


def test_product_bought_an_hour_ago_is_not_proposed_and_the_trace_says_why(bundle: Bundle) -> None:
    slate = slate_after(bundle, 1)
    assert not is_proposed(slate)
    assert list(slate.trace.dropped["just_bought"].ids) == [TEA]


@pytest.mark.parametrize(
    ("hours_ago", "is_shown"),
    [
        ((4,), True),
        ((2, 26, 50), False),
        ((2, 4, 6, 8), True),
        ((0.2, 2.2, 4.2), False),
        ((0.2, 0.4), False),
    ],
    ids=["long enough ago", "daily", "every two hours", "every two hours, minutes ago", "twice on one visit"],
)
def test_customers_own_interval_says_when_it_may_come_again(
    bundle: Bundle, hours_ago: tuple[float, ...], is_shown: bool
) -> None:
    assert is_proposed(slate_after(bundle, *hours_ago)) is is_shown


@pytest.mark.parametrize(("hours_ago", "is_shown"), [((1,), False), ((1 / 60, 80, 160), False), ((11,), True)])
def test_purchase_that_the_features_hold_rests_as_one_that_events_tell_of(
    bundle: Bundle, hours_ago: tuple[float, ...], is_shown: bool
) -> None:
    assert is_proposed(slate_of_features(bundle, *hours_ago)) is is_shown
    assert is_proposed(slate_after(bundle, *hours_ago)) is is_shown


def test_what_came_back_may_be_proposed_again(bundle: Bundle) -> None:
    at_s = (NOW - timedelta(minutes=1)).timestamp()
    bought = LiveEvent("bought", "purchase", at_s, TEA, basket_id="b")
    back = LiveEvent("back", "refund", at_s + 30, TEA, basket_id="b")
    assert not is_proposed(slate_of_features(bundle, 90, events=[bought]))
    assert is_proposed(slate_of_features(bundle, 90, events=[bought, back]))


def test_customers_of_whom_all_bought_a_minute_ago_are_not_shown_it_and_without_the_rule_they_are(
    bundle: Bundle, trained_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = regulars(trained_world.settings, bundle, count=30)
    with_rule = shown_again(bundle, chosen)
    assert all(found["shown, interval above two hours"] == 0 for found in with_rule.values())
    monkeypatch.setattr(products, "JUST_BOUGHT_DAYS", 0.0)
    without = shown_again(bundle, chosen)
    assert all(found["shown"] > found["customers"] / 2 for found in without.values())


def test_who_wants_no_purchases_at_all_hears_that_reason(bundle: Bundle) -> None:
    assert "just_bought" not in slate_after(bundle, 1, exclude_purchased=True).trace.dropped
