"""What a customer has just bought is not proposed, unless they buy it that often."""

from datetime import UTC, datetime, timedelta

import pytest

from app.decision.pipeline import Options, rank
from app.domain import LiveEvent, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.slates import Slate
from tests.support.world import World, product

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
        ((0.5, 2.5, 4.5), False),
    ],
    ids=["long enough ago", "daily", "every two hours", "every two hours, half an hour ago"],
)
def test_customers_own_interval_says_when_it_may_come_again(
    bundle: Bundle, hours_ago: tuple[float, ...], is_shown: bool
) -> None:
    assert is_proposed(slate_after(bundle, *hours_ago)) is is_shown


def test_who_wants_no_purchases_at_all_hears_that_reason(bundle: Bundle) -> None:
    assert "just_bought" not in slate_after(bundle, 1, exclude_purchased=True).trace.dropped
