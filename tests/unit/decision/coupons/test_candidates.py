"""Every gate that a coupon passes on its way into an answer, and the reason that each gives."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.decision.coupons.candidates import VIEW_CAP
from app.domain import Degraded, Line, ProductId, Selection, SlatePolicy, Wallet
from app.model.bundle import Bundle, NewProducts
from app.offers.terms.records import Campaign, Offer
from tests.support.offer_indexes import (
    DAY_S,
    HALF,
    NOW,
    NOW_S,
    ONE,
    both,
    campaign,
    coupon,
    decided,
    dropped,
    offer,
    offer_index_of,
    promotion,
    shown,
    small_bundle,
    until,
    wallet,
)

POINTS = {"type": "points", "points": 50}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return small_bundle(tmp_path_factory.mktemp("bundle"))


def basket(*product_ids: str) -> tuple[Line, ...]:
    return tuple(Line(ProductId(product_id)) for product_id in product_ids)


def test_coupon_that_passes_is_shown_with_what_it_is_and_applies_to(bundle: Bundle) -> None:
    held = Wallet([coupon("o", ends_s=NOW_S + 5 * DAY_S)])
    found = decided(bundle, offer_index_of(bundle, offer("o", "p3", "p5")), held)
    (one,) = found.propositions
    assert one.coupon is not None
    assert (one.kind, one.rank, one.name, one.currency) == ("coupon", 1, "offer o", "EUR")
    assert (one.coupon.coupon_id, one.coupon.offer_id, one.coupon.campaign_id) == ("c-o", "o", "k")
    assert set(one.coupon.applies_to) <= {"p3", "p5"}
    assert one.coupon.applies_to[0] == one.product_id
    assert one.coupon.ends_s == NOW_S + 5 * DAY_S
    price = 100 * (int(one.product_id[1:]) + 1)
    assert (one.price_minor, one.coupon.saving_minor) == (price, price // 2)
    assert not dropped(found)


def test_offer_nobody_lays_out_and_campaign_that_does_not_run_now(bundle: Bundle) -> None:
    soon, over = campaign("soon", starts_at=until(1)), campaign("over", ends_at=until(0.5))
    offers = [offer("kept", "p1"), offer("soon", "p1", of="soon"), offer("over", "p1", of="over")]
    offer_index = offer_index_of(bundle, *offers, campaigns=[campaign(), soon, over])
    held = wallet("kept", "soon", "over", "gone")
    found = decided(bundle, offer_index, held)
    assert dropped(found) == {"campaign_not_running": ["gone", "soon"]}
    assert sorted(shown(found)) == ["kept", "over"]
    later = decided(bundle, offer_index, held, now_at=until(2))
    assert dropped(later) == {"campaign_not_running": ["gone", "over"]}
    assert sorted(shown(later)) == ["kept", "soon"]


@pytest.mark.parametrize("status", ["draft", "paused", "ended"])
def test_campaign_of_another_state_lays_nothing_out(bundle: Bundle, status: str) -> None:
    assert offer_index_of(bundle, offer("o", "p1"), campaigns=[campaign(status=status)]) is None


def test_withdrawn_offer_is_not_shown(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1", is_active=False), offer("other", "p1"))
    assert shown(decided(bundle, offer_index, wallet("o", "other"))) == ["other"]


def test_coupons_own_days_count_to_the_second(bundle: Bundle) -> None:
    offer_index = offer_index_of(
        bundle, offer("early", "p1"), offer("late", "p1"), offer("first", "p1"), offer("last", "p1")
    )
    coupons = [
        coupon("early", starts_s=NOW_S + 1),
        coupon("first", starts_s=NOW_S),
        coupon("late", ends_s=NOW_S),
        coupon("last", ends_s=NOW_S + 1),
    ]
    found = decided(bundle, offer_index, Wallet(coupons))
    assert dropped(found) == {"coupon_not_yet_valid": ["early"], "coupon_expired": ["late"]}
    assert sorted(shown(found)) == ["first", "last"]


def test_of_two_coupons_of_an_offer_the_one_that_ends_first_is_shown(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1"))
    three = [coupon("o", ends_s=ends_s)._replace(coupon_id=str(ends_s)) for ends_s in (None, NOW_S + 9, NOW_S + 99)]
    (one,) = decided(bundle, offer_index, Wallet(three)).propositions
    assert one.coupon is not None
    assert one.coupon.coupon_id == str(NOW_S + 9)


def test_campaign_without_money_left_shows_nothing(bundle: Bundle) -> None:
    rich, poor, unknown = (campaign(name, budget_minor=1000) for name in ("rich", "poor", "unknown"))
    offers = [offer(one.campaign_id, "p1", of=one.campaign_id) for one in (rich, poor, unknown)]
    offer_index = offer_index_of(bundle, *offers, campaigns=[rich, poor, unknown])
    found = decided(bundle, offer_index, wallet("rich", "poor", "unknown", remaining_minor={"rich": 1, "poor": 0}))
    assert dropped(found) == {"budget_exhausted": ["poor", "unknown"]}
    assert shown(found) == ["rich"]


@pytest.mark.parametrize(
    ("terms", "query", "reason"),
    [
        ({"channels": ["store"]}, {"channel": "app"}, "channel_not_allowed"),
        ({"channels": ["store"]}, {"channel": None}, None),
        ({"store_ids": ["s1"]}, {"store_id": "s2"}, "store_not_allowed"),
        ({"store_ids": ["s1"]}, {"store_id": "s1"}, None),
        ({"tiers": ["gold"]}, {}, "tier_not_allowed"),
        ({"condition": {"type": "channel", "any_of": ["web"]}}, {"channel": "app"}, "channel_not_allowed"),
        ({"condition": {"type": "basket_total", "at_least_minor": 5000}}, {}, None),
    ],
)
def test_what_person_place_and_time_decide(
    bundle: Bundle, terms: dict[str, Any], query: dict[str, Any], reason: str | None
) -> None:
    found = decided(bundle, offer_index_of(bundle, offer("o", "p1", **terms)), wallet("o", tier="silver"), **query)
    assert dropped(found) == ({} if reason is None else {reason: ["o"]})


def test_tier_of_the_wallet_opens_the_offers_of_that_tier(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1", tiers=["gold"]))
    assert shown(decided(bundle, offer_index, wallet("o", tier="gold"))) == ["o"]


def test_coupon_without_a_product_on_offer_is_out_of_stock(bundle: Bundle) -> None:
    on_offer = np.ones(bundle.item_count, np.bool_)
    on_offer[bundle.catalogue.known(["p1"])] = False
    withdrawn = replace(bundle, new_products=NewProducts(np.zeros(0, np.int32), on_offer))
    offer_index = offer_index_of(withdrawn, offer("gone", "p1"), offer("half", "p1", "p2"), offer("unknown", "p99"))
    found = decided(withdrawn, offer_index, wallet("gone", "half", "unknown"))
    assert dropped(found) == {"out_of_stock": ["gone", "unknown"]}
    assert [one.product_id for one in found.propositions] == ["p2"]


def test_filters_and_exclusions_of_the_placement_hold_for_what_a_coupon_is_shown_for(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("even", "p2", "p4"), offer("odd", "p3"), offer("all"))
    found = decided(
        bundle, offer_index, wallet("even", "odd", "all"), filters={"department": ["d0"]}, basket=basket("p3")
    )
    assert dropped(found) == {"out_of_stock": ["odd"]}
    policy = SlatePolicy(excluded=(Selection(product_ids=("p2", "p4")),))
    found = decided(bundle, offer_index, wallet("even", "odd"), policy=policy)
    assert dropped(found) == {"out_of_stock": ["even"]}


def test_coupon_of_nothing_but_age_restricted_products_needs_the_placement_s_allowance(bundle: Bundle) -> None:
    unrestricted = np.ones(bundle.item_count, np.bool_)
    unrestricted[bundle.catalogue.known(["p1", "p2"])] = False
    limited = replace(bundle, catalogue=replace(bundle.catalogue, unrestricted=unrestricted))
    offer_index = offer_index_of(limited, offer("wine", "p1", "p2"), offer("half", "p2", "p3"), offer("none", "p99"))
    held, mixed = wallet("wine", "half", "none"), both(size=12, basket=basket("p2"))
    for query in ({}, mixed):
        found = decided(limited, offer_index, held, **query)
        assert dropped(found) == {"age_restricted": ["wine"], "out_of_stock": ["none"]}
        [of_half] = [one for one in found.propositions if one.coupon is not None]
        assert of_half.coupon is not None
        assert (of_half.product_id, of_half.coupon.applies_to) == ("p3", ["p3"])
    allowed = decided(limited, offer_index, held, allows_age_restricted=True)
    assert dropped(allowed) == {"out_of_stock": ["none"]}
    assert sorted(shown(allowed)) == ["half", "wine"]


def test_coupon_for_what_is_in_the_basket_or_bought_before_is_welcome(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p2", "p4"))
    found = decided(bundle, offer_index, wallet("o"), basket=basket("p4"), exclude_purchased=True)
    (one,) = found.propositions
    assert one.product_id == "p4"
    assert one.reasons[0].code == "coupon_for_basket"


def test_discount_of_nothing_has_no_effect_and_points_have(bundle: Bundle) -> None:
    dear = {"type": "fixed_price", "price_minor": 9900}
    offer_index = offer_index_of(bundle, offer("dear", "p1", discount=dear), offer("points", "p1", discount=POINTS))
    found = decided(bundle, offer_index, wallet("dear", "points"))
    assert dropped(found) == {"no_effect": ["dear"]}
    assert shown(found) == ["points"]


def test_retailers_discount_below_unit_cost_is_refused_and_a_suppliers_is_not(bundle: Bundle) -> None:
    most = {"type": "percent", "percent": 60}
    paid = campaign("paid", funder="a brewery")
    offers = [offer("own", "p1", discount=most), offer("paid", "p1", discount=most, of="paid"), offer("half", "p1")]
    found = decided(
        bundle, offer_index_of(bundle, *offers, campaigns=[campaign(), paid]), wallet("own", "paid", "half")
    )
    assert dropped(found) == {"price_floor": ["own"]}
    assert sorted(shown(found)) == ["half", "paid"]


def test_other_currency_than_the_prices_is_refused(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1"), campaigns=[campaign(currency="USD")])
    assert dropped(decided(bundle, offer_index, wallet("o"))) == {"currency_mismatch": ["o"]}


@pytest.mark.parametrize(("days", "is_capped"), [(29.9, True), (30.1, False), (-1, False)])
def test_waved_away_coupon_rests_thirty_days(bundle: Bundle, days: float, is_capped: bool) -> None:
    events = [promotion("dismiss_promotion", "o", days_ago=days)]
    found = decided(bundle, offer_index_of(bundle, offer("o", "p1")), wallet("o"), events=events)
    assert dropped(found) == ({"capped": ["o"]} if is_capped else {})


@pytest.mark.parametrize(("count", "days", "is_capped"), [(10, 6.9, True), (9, 6.9, False), (10, 7.1, False)])
def test_coupon_shown_ten_times_in_seven_days_rests(bundle: Bundle, count: int, days: float, is_capped: bool) -> None:
    assert VIEW_CAP == 10
    events = [promotion("view_promotion", "o", days_ago=days, event_id=str(number)) for number in range(count)]
    found = decided(bundle, offer_index_of(bundle, offer("o", "p1"), offer("p", "p1")), wallet("o", "p"), events=events)
    assert dropped(found) == ({"capped": ["o"]} if is_capped else {})


def test_first_gate_that_refuses_gives_the_reason(bundle: Bundle) -> None:
    offer_index = offer_index_of(
        bundle, offer("o", "p99", channels=["store"]), campaigns=[campaign(starts_at=until(1))]
    )
    events = [promotion("dismiss_promotion", "o", days_ago=1)]
    assert dropped(decided(bundle, offer_index, wallet("o"), channel="app", events=events)) == {
        "campaign_not_running": ["o"]
    }


def test_offer_by_decision_needs_no_coupon_and_is_shown_until_taken(bundle: Bundle) -> None:
    free = offer("free", "p1", issue={"by": "decision"})
    offer_index = offer_index_of(bundle, free, offer("held", "p2"))
    found = decided(bundle, offer_index, wallet())
    (one,) = found.propositions
    assert one.coupon is not None
    assert (one.coupon.offer_id, one.coupon.coupon_id, one.coupon.code) == ("free", None, None)
    assert shown(decided(bundle, offer_index, wallet(activated=frozenset({"free"})))) == []
    (own,) = decided(bundle, offer_index, wallet("free")).propositions
    assert own.coupon is not None
    assert own.coupon.coupon_id == "c-free"


def test_nobody_without_a_name_or_a_wallet_gets_a_coupon(bundle: Bundle) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1", issue={"by": "decision"}))
    for held, who in ((None, "u0"), (wallet("o"), None)):
        found = decided(bundle, offer_index, held, customer_id=who, anonymous_id="a")
        assert not found.propositions


def test_coupons_that_break_leave_the_products_and_say_so(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    offer_index = offer_index_of(bundle, offer("o", "p1"))
    assert offer_index is not None
    broken = replace(offer_index, first=np.zeros(0, np.int32))
    found = decided(bundle, broken, wallet("o"), **both(size=3))
    assert [one.kind for one in found.propositions] == ["product"] * 3
    assert Degraded.COUPONS_UNKNOWN in found.degraded
    assert "coupons failed" in caplog.text


OFFERS = st.lists(
    st.fixed_dictionaries(
        {
            "products": st.lists(st.sampled_from([f"p{number}" for number in range(14)]), max_size=4, unique=True),
            "discount": st.sampled_from([HALF, ONE, POINTS, {"type": "percent", "percent": 70}]),
            "channels": st.sampled_from([[], ["app"], ["store"]]),
            "by": st.sampled_from(["audience", "decision"]),
            "of": st.sampled_from(["k", "poor", "paid", "soon"]),
            "is_held": st.booleans(),
            "ends_s": st.sampled_from([None, NOW_S - 1, NOW_S + 1]),
            "views": st.sampled_from([0, 9, 10]),
        }
    ),
    min_size=1,
    max_size=12,
)
CAMPAIGNS = [
    campaign(),
    campaign("poor", budget_minor=10),
    campaign("paid", funder="a brewery", budget_minor=10),
    campaign("soon", starts_at=NOW + timedelta(hours=1)),
]
REMAINING = {"poor": 0, "paid": 3}


@pytest.fixture(scope="module")
def one_bundle() -> Bundle:
    with TemporaryDirectory() as folder:
        return small_bundle(Path(folder))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=OFFERS, size=st.integers(1, 12), department=st.sampled_from([None, "d0"]), in_basket=st.booleans())
def test_slow_check_agrees_that_every_coupon_shown_may_be_used(
    one_bundle: Bundle, rows: list[dict[str, Any]], size: int, department: str | None, in_basket: bool
) -> None:
    offers = {f"o{number}": _drawn(number, row) for number, row in enumerate(rows)}
    offer_index = offer_index_of(one_bundle, *offers.values(), campaigns=CAMPAIGNS)
    coupons = [coupon(name, ends_s=row["ends_s"]) for name, row in zip(offers, rows, strict=True) if row["is_held"]]
    events = [
        promotion("view_promotion", name, days_ago=1, event_id=f"{name}-{number}")
        for name, row in zip(offers, rows, strict=True)
        for number in range(row["views"])
    ]
    filters = {} if department is None else {"department": [department]}
    question = both(size=size, channel="app", filters=filters, basket=basket("p2") if in_basket else ())
    held = Wallet(coupons, remaining_minor=REMAINING)
    found = decided(one_bundle, offer_index, held, events=events, **question)
    assert found.propositions == decided(one_bundle, offer_index, held, events=events, **question).propositions
    seen = [one.coupon.offer_id for one in found.propositions if one.coupon is not None]
    assert len(set(seen)) == len(seen) <= 3
    for one in found.propositions:
        if one.coupon is not None:
            number = int(one.coupon.offer_id[1:])
            assert _may_be_shown(offers[one.coupon.offer_id], rows[number], one.coupon.applies_to, department)
            assert (one.coupon.coupon_id is not None) == bool(rows[number]["is_held"])


def _drawn(number: int, row: dict[str, Any]) -> Offer:
    ids, issue = row["products"], {"by": row["by"]}
    return offer(f"o{number}", *ids, of=row["of"], discount=row["discount"], channels=row["channels"], issue=issue)


def _may_be_shown(one: Offer, row: dict[str, Any], applies_to: Sequence[str], department: str | None) -> bool:
    """The gates once more, in plain words and without an array."""
    theirs: Campaign = next(found for found in CAMPAIGNS if found.campaign_id == one.campaign_id)
    held = bool(row["is_held"])
    products = {product_id for selected in one.terms.applies_to for product_id in selected.product_ids}
    first = int(applies_to[0][1:])
    price = 100 * (first + 1)
    discount = row["discount"]
    saving = {"amount": min(100, price), "points": 0}.get(discount["type"], price * discount.get("percent", 0) / 100)
    return (
        theirs.campaign_id != "soon"
        and REMAINING.get(theirs.campaign_id, 1) > 0
        and not (held and row["ends_s"] == NOW_S - 1)
        and (held or row["by"] == "decision")
        and row["channels"] in ([], ["app"])
        and row["views"] != VIEW_CAP
        and all(int(product_id[1:]) < 12 for product_id in applies_to)
        and (not products or set(applies_to) <= products)
        and (department is None or all(int(product_id[1:]) % 2 == 0 for product_id in applies_to))
        and (saving > 0 or discount["type"] == "points")
        and (theirs.terms.funder != "retailer" or price - saving >= price // 2)
    )
