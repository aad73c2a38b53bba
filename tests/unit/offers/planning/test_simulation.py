"""A simulated campaign gives past baskets what the till would have given them, and says how sure its totals are."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from app.api.campaigns.past_baskets import draw_baskets
from app.offers.planning.simulation import Estimate, PastBasket, Sample, Simulation, SimulationInput, simulate
from app.offers.rules.combination import UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.conditions import BasketTotal
from app.offers.terms.terms import Amount, CampaignTerms, Discount, Limit, OfferTerms, Percent, Points
from app.settings import ProductSelector
from tests.support.rows import history_of

START = datetime(2026, 11, 2, 12, tzinfo=UTC)
ONE_OFF = Amount(type="amount", amount_minor=100)


def bought(customer_id: str, day: int, *lines: tuple[str, int], currency: str = "EUR") -> PastBasket:
    """A basket of products and what they cost, of category `c` and the product's first letter."""
    basket = tuple(
        BasketLine(str(number), product_id, 1.0, minor, {"category": f"c{product_id[0]}"})
        for number, (product_id, minor) in enumerate(lines)
    )
    situation = Situation(START + timedelta(days=day), customer_id, channel="store", store_id="s1")
    return PastBasket(Basket(basket, currency), situation)


def offer(discount: Discount = ONE_OFF, *products: str, **more: object) -> OfferTerms:
    applies_to = (ProductSelector(product_ids=products),) if products else ()
    return OfferTerms(name="an offer", discount=discount, **{"applies_to": applies_to, "combinable": True} | more)


def tried(
    baskets: list[PastBasket], offers: dict[str, OfferTerms], *, customer_count: int | None = None, **terms: object
) -> Simulation:
    campaign = CampaignTerms(**{"name": "try", "currency": "EUR"} | terms)
    everybody = customer_count or len({one.customer_id for one in baskets})
    return simulate(SimulationInput(campaign, offers), Sample(baskets, everybody, len(baskets)), pause=lambda: None)


def values(found: Simulation) -> tuple[float, float, float, float]:
    """Baskets that qualify, customers reached, discount, revenue."""
    totals = (found.baskets_qualifying, found.customers_reached, found.discount_minor, found.revenue_minor)
    baskets, customers, discount, revenue = (round(total.value, 9) for total in totals)
    return baskets, customers, discount, revenue


def test_baskets_with_the_product_qualify_and_others_do_not() -> None:
    baskets = [bought("anna", 0, ("tea", 300), ("cake", 500)), bought("ben", 0, ("cake", 500))]
    found = tried(baskets, {"o": offer(ONE_OFF, "tea")})
    assert values(found) == (1, 1, 100, 800)
    assert found.mean_discount_minor == 100
    assert [(one.offer_id, one.redemptions, one.discount_minor) for one in found.offers] == [("o", 1, 100)]
    assert found.discount_minor.standard_error == 0


def test_a_coupon_is_good_as_often_as_its_code() -> None:
    baskets = [bought("anna", day, ("tea", 300)) for day in range(5)]
    assert values(tried(baskets, {"o": offer(ONE_OFF, "tea")}))[:3] == (1, 1, 100)
    assert values(tried(baskets, {"o": offer(ONE_OFF, "tea", uses_per_code=3)}))[:3] == (3, 1, 300)
    assert values(tried(baskets, {"o": offer(ONE_OFF, "tea", uses_per_code=None)}))[:3] == (5, 1, 500)


def test_limits_hold_in_their_periods() -> None:
    baskets = [bought("anna", day, ("tea", 300)) for day in (0, 0, 1, 7, 8)]
    every_time = {"o": offer(ONE_OFF, "tea", uses_per_code=None)}
    weekly = Limit(scope="customer", count=1, period="week")
    assert values(tried(baskets, every_time, limits=(weekly,)))[0] == 2
    daily = Limit(scope="customer", count=1, period="day")
    assert values(tried(baskets, every_time, limits=(daily,)))[0] == 4
    in_all = Limit(scope="campaign", count=3)
    assert values(tried(baskets, every_time, limits=(in_all,)))[0] == 3


def test_conditions_channels_and_other_currencies_count_as_at_the_till() -> None:
    baskets = [bought("anna", 0, ("tea", 300)), bought("ben", 0, ("tea", 301)), bought("eve", 0, ("tea", 900),
                                                                                     currency="USD")]  # fmt: skip
    above = offer(ONE_OFF, "tea", condition=BasketTotal(type="basket_total", above_minor=300))
    assert values(tried(baskets, {"o": above})) == (1, 1, 100, 301)
    assert values(tried(baskets, {"o": offer(ONE_OFF, "tea", channels=("web",))})) == (0, 0, 0, 0)


def test_price_floors_tell_what_they_kept_back() -> None:
    baskets = [bought("anna", 0, ("tea", 130)), bought("ben", 0, ("tea", 300))]
    found = tried(baskets, {"o": offer(ONE_OFF, "tea", price_floor_minor=110)})
    assert values(found)[2] == 120
    assert found.price_floor_share == pytest.approx(80 / 200)
    assert tried(baskets, {"o": offer(ONE_OFF, "tea")}).price_floor_share == 0


def test_the_budget_is_gone_on_the_day_that_spends_the_last_of_it() -> None:
    baskets = [bought(f"customer {day}", day, ("tea", 300)) for day in range(5)]
    offers = {"o": offer(ONE_OFF, "tea")}
    assert tried(baskets, offers, budget_minor=300).budget_used_up_on == date(2026, 11, 4)
    assert tried(baskets, offers, budget_minor=301).budget_used_up_on == date(2026, 11, 5)
    assert tried(baskets, offers, budget_minor=501).budget_used_up_on is None
    assert tried(baskets, offers).budget_used_up_on is None


def test_points_cost_the_budget_and_take_nothing_off() -> None:
    found = tried([bought("anna", 0, ("tea", 300))], {"o": offer(Points(type="points", points=50, point_cost_minor=2))})
    assert (found.points.value, found.cost_minor.value, found.discount_minor.value) == (50, 100, 0)


def test_without_baskets_there_is_nothing_to_tell() -> None:
    found = tried([], {"o": offer()}, budget_minor=10)
    assert values(found) == (0, 0, 0, 0)
    assert found.mean_discount_minor is None
    assert found.budget_used_up_on is None


def random_baskets(random: np.random.Generator, customers: int) -> list[PastBasket]:
    products = [f"{letter}{number}" for letter in "abc" for number in range(6)]
    return [
        bought(f"n{person}", int(random.integers(20)), *((str(product), int(random.integers(50, 900)))
               for product in random.choice(products, int(random.integers(1, 6)), replace=False)))
        for person in range(customers)
        for _ in range(int(random.integers(0, 5)))
    ]  # fmt: skip


def random_offers(random: np.random.Generator) -> dict[str, OfferTerms]:
    """Offers of every kind of selection, some combinable, some with floors and minimum baskets."""
    offers = {}
    for number in range(7):
        discount = (ONE_OFF, Percent(type="percent", percent=25), Amount(type="amount", amount_minor=250))[number % 3]
        selections = (
            (),
            (ProductSelector(product_ids=("a1", "b2", "unsold")),),
            (ProductSelector(attribute="category", values=("ca", "cb")),),
            (ProductSelector(product_ids=("c0", "c1")), ProductSelector(attribute="category", values=("ca",))),
        )
        offers[f"o{number}"] = OfferTerms(
            name="one",
            discount=discount,
            applies_to=selections[int(random.integers(4))],
            excludes=(ProductSelector(product_ids=("a1", "c1")),) if random.random() < 0.4 else (),
            combinable=bool(random.random() < 0.7),
            group="g" if random.random() < 0.3 else None,
            price_floor_minor=int(random.integers(20, 200)) if random.random() < 0.3 else None,
            minimum_basket_minor=int(random.integers(100, 1500)) if random.random() < 0.3 else None,
        )
    return offers


def given_at_the_till(baskets: Iterable[PastBasket], offers: dict[str, OfferTerms]) -> tuple[int, int]:
    """Baskets and discount when each is put to all offers that its customer has left, one by one."""
    used: dict[str, set[str]] = defaultdict(set)
    count = discount_minor = 0
    for past in sorted(baskets, key=lambda past: past.situation.now_at):
        candidates = [
            UsableCoupon(offer_id, offer_id, "", terms)
            for offer_id, terms in offers.items()
            if offer_id not in used[past.customer_id]
        ]
        applied = best_combination(candidates, past.basket, past.situation, {}).applied
        used[past.customer_id] |= {one.coupon_id for one in applied}
        count += bool(applied)
        discount_minor += sum(one.discount_minor for one in applied)
    return count, discount_minor


@pytest.mark.parametrize("seed", range(25))
def test_a_whole_sample_gives_just_what_the_till_gives(seed: int) -> None:
    random = np.random.default_rng(seed)
    baskets, offers = random_baskets(random, 12), random_offers(random)
    found = tried(baskets, offers)
    assert values(found)[0::2][:2] == given_at_the_till(baskets, offers)


def test_samples_err_as_much_as_they_say() -> None:
    random = np.random.default_rng(5)
    baskets, offers = random_baskets(random, 400), {"o": offer(Percent(type="percent", percent=10))}
    people = sorted({one.customer_id for one in baskets})
    truth = tried(baskets, offers).discount_minor.value
    errors = []
    for _ in range(120):
        drawn = set(random.choice(people, 80, replace=False))
        part = [one for one in baskets if one.customer_id in drawn]
        estimate = tried(part, offers, customer_count=len(people)).discount_minor
        errors.append((estimate.value - truth) / estimate.standard_error)
    assert abs(np.mean(errors)) < 0.3
    assert 0.8 < np.std(errors) < 1.25


def test_an_estimate_of_one_customer_has_no_spread() -> None:
    found = tried([bought("anna", 0, ("tea", 300))], {"o": offer()}, customer_count=10)
    assert found.discount_minor == Estimate(1000.0, 0.0)


def history(**alike: object) -> pl.LazyFrame:
    """Ten customers, each with two baskets of two lines on each of thirty days."""
    rows = (
        {"customer_id": f"n{person}", "product_id": f"p{line}", "time": START - timedelta(days=day), "quantity": 1.0,
         "basket_id": f"{person}.{day}.{basket}", "amount_minor": 250, "currency": "EUR"}
        for person in range(10) for day in range(30) for basket in range(2) for line in range(2)
    )  # fmt: skip
    return history_of(rows, **{"type": "purchase"} | alike)


def drawn(rows: pl.LazyFrame, **how: object) -> Sample:
    arguments: dict[str, object] = {
        "days": 90, "basket_count": 20_000, "seed": 0, "only": None, "tiers": {}, "described": lambda _: {},
        "now": START + timedelta(days=5),
    }  # fmt: skip
    return draw_baskets(rows, **arguments | how)  # type: ignore[arg-type]  # the tests name few of them


def test_baskets_are_those_of_the_last_days() -> None:
    assert len(drawn(history()).baskets) == 600
    assert len(drawn(history(), days=7).baskets) == 140
    assert len(drawn(history(), days=7, now=START - timedelta(days=10)).baskets) == 140


def test_samples_hold_whole_customers_and_fit() -> None:
    sample = drawn(history(), basket_count=200)
    assert len(sample.baskets) == 180
    assert (sample.customer_count, sample.basket_count, sample.share) == (10, 600, 0.3)
    assert drawn(history(), basket_count=200) == sample
    assert drawn(history(), basket_count=200, seed=1) != sample
    assert len(drawn(history(), basket_count=1).baskets) == 60


def test_a_basket_is_described_as_it_was_bought() -> None:
    rows = history(store_id="s1", channel="app")
    [first, *_] = drawn(rows, only={"n3"}, tiers={"n3": "gold"}, described=lambda name: {"brand": name}).baskets
    assert first.situation == Situation(START - timedelta(days=29), "n3", "gold", "app", "s1")
    assert first.basket == Basket(
        (BasketLine("0", "p0", 1.0, 250, {"brand": "p0"}), BasketLine("1", "p1", 1.0, 250, {"brand": "p1"})), "EUR"
    )


@pytest.mark.parametrize("missing", ["amount_minor", "currency", "customer_id", "product_id"])
def test_lines_without_a_price_a_name_or_a_product_are_left_out(missing: str) -> None:
    assert drawn(history().with_columns(pl.lit(None).alias(missing))) == Sample([], 0, 0)


def test_without_receipts_a_day_is_a_basket() -> None:
    sample = drawn(history().with_columns(pl.lit(None, pl.String).alias("basket_id")))
    assert len(sample.baskets) == 300
    assert {len(one.basket.lines) for one in sample.baskets} == {4}


def test_only_purchases_count() -> None:
    assert drawn(history(type="refund")) == Sample([], 0, 0)
