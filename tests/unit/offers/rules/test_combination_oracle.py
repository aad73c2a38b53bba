"""The best combination against a plain trial of every subset, and what holds for each combination whatever it is."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from math import ceil, floor
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from app.offers.rules.combination import Capacity, Combination, UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.terms import Amount, Discount, FixedPrice, NForM, OfferTerms, Percent, Points
from app.settings import ProductSelector
from tests.support.offers import ANYBODY

MOST_COUPONS = 6
MINOR = st.integers(1, 60) | st.integers(1, 3000)
CAMPAIGNS = ("k1", "k2")
ORDER = (FixedPrice, NForM, Percent, Amount, Points)

DISCOUNTS: st.SearchStrategy[Discount] = st.one_of(
    st.builds(
        Percent,
        type=st.just("percent"),
        percent=st.integers(1, 10_000).map(lambda points: points / 100),
        max_discount_minor=st.none() | MINOR,
    ),
    st.builds(Amount, type=st.just("amount"), amount_minor=MINOR),
    st.builds(
        FixedPrice,
        type=st.just("fixed_price"),
        price_minor=st.integers(0, 500),
        max_quantity=st.none() | st.integers(1, 6),
    ),
    st.integers(2, 4).flatmap(
        lambda take: st.builds(
            NForM,
            type=st.just("n_for_m"),
            take=st.just(take),
            pay=st.integers(1, take - 1),
            max_groups=st.none() | st.integers(1, 2),
        )
    ),
    st.builds(
        Points,
        type=st.just("points"),
        points=st.integers(1, 20),
        points_per_major=st.integers(0, 3),
        point_cost_minor=st.integers(0, 5),
    ),
)
SOME_PRODUCTS = st.sampled_from([(), ("A",), ("B",), ("A", "B")]).map(
    lambda kinds: (ProductSelector(attribute="kind", values=kinds),) if kinds else ()
)
TERMS = st.builds(
    OfferTerms,
    name=st.just("an offer"),
    discount=DISCOUNTS,
    applies_to=SOME_PRODUCTS,
    excludes=st.just(()) | SOME_PRODUCTS,
    minimum_basket_minor=st.none() | MINOR,
    price_floor_minor=st.none() | st.integers(1, 400),
    combinable=st.sampled_from([True, True, True, False]),
    group=st.sampled_from([None, None, "g", "h"]),
)
LINES = st.builds(
    BasketLine,
    line_id=st.sampled_from("abcde"),
    product_id=st.sampled_from("pq"),
    quantity=st.sampled_from([1.0, 1.0, 1.0, 2.0, 3.0, 7.0, 0.255, 2.5]),
    amount_minor=st.integers(0, 40) | st.integers(0, 4000),
    attributes=st.sampled_from([{"kind": "A"}, {"kind": "B"}, {"kind": "C"}]),
)
BASKETS = st.lists(LINES, min_size=1, max_size=5, unique_by=lambda line: line.line_id).map(
    lambda lines: Basket(tuple(lines), "EUR")
)
USES = st.sampled_from([(), (), ("limit1",), ("limit1", "limit2")])
NO_MORE = Refusal(ReasonCode.CUSTOMER_LIMIT_REACHED, "no more")
CAPACITIES = st.fixed_dictionaries(
    {},
    optional={
        "limit1": st.integers(0, 3),
        "limit2": st.integers(0, 3),
        "budget:k1": st.integers(-10, 2000),
        "budget:k2": st.integers(0, 200),
    },
).map(lambda lefts: {key: Capacity(left, NO_MORE) for key, left in lefts.items()})


@st.composite
def candidate_lists(draw: st.DrawFn) -> list[UsableCoupon]:
    """Coupons of a few offers and two campaigns."""
    kinds = draw(st.lists(TERMS, min_size=1, max_size=MOST_COUPONS))
    more = draw(st.lists(st.sampled_from(range(len(kinds))), max_size=MOST_COUPONS - len(kinds)))
    return [
        UsableCoupon(f"c{position}", f"o{kind}", draw(st.sampled_from(CAMPAIGNS)), kinds[kind], draw(USES))
        for position, kind in enumerate([*range(len(kinds)), *more])
    ]


class Played:
    """What candidates take off together, worked out step by step as docs/coupon-rules.md says it."""

    def __init__(self, together: Sequence[UsableCoupon], basket: Basket) -> None:
        self.left = {line.line_id: line.amount_minor for line in basket.lines}
        self.least = dict.fromkeys(self.left, 0)
        self.off: dict[str, dict[str, int]] = {}
        self.points: dict[str, int] = {}
        self.cost: dict[str, int] = {}
        for one in together:
            for line in lines_of(one, basket):
                floor_minor = ceil((one.terms.price_floor_minor or 0) * written(line.quantity))
                self.least[line.line_id] = max(self.least[line.line_id], floor_minor)
        for one in sorted(together, key=turn):
            lines = sorted(lines_of(one, basket), key=lambda line: line.line_id)
            self.off[one.coupon_id] = off = self.take(one.terms.discount, lines)
            self.points[one.coupon_id] = points = self.points_of(one.terms.discount, lines)
            point_cost = one.terms.discount.point_cost_minor if isinstance(one.terms.discount, Points) else 0
            self.cost[one.coupon_id] = sum(off.values()) + points * point_cost
            for line_id, minor in off.items():
                self.left[line_id] -= minor

    @property
    def discount_minor(self) -> int:
        return sum(sum(off.values()) for off in self.off.values())

    @property
    def each_has_an_effect(self) -> bool:
        return all(sum(self.off[coupon_id].values()) or self.points[coupon_id] for coupon_id in self.off)

    def take(self, discount: Discount, lines: Sequence[BasketLine]) -> dict[str, int]:
        room = {line.line_id: max(0, self.left[line.line_id] - self.least[line.line_id]) for line in lines}
        left = {line.line_id: self.left[line.line_id] for line in lines}
        if isinstance(discount, Percent):
            share = Fraction(round(discount.percent * 100), 10_000)
            wanted = spread(rounded(sum(left.values()) * share), left)
            off = {line_id: min(wanted[line_id], room[line_id]) for line_id in left}
            most = discount.max_discount_minor
            return off if most is None or sum(off.values()) <= most else spread(most, off)
        if isinstance(discount, Amount):
            return spread(min(discount.amount_minor, sum(room.values())), room)
        wanted = dict.fromkeys(left, 0)
        if isinstance(discount, FixedPrice):
            wanted = self.fixed(discount, lines)
        if isinstance(discount, NForM):
            wanted = self.free(discount, lines)
        return {line_id: min(wanted[line_id], room[line_id]) for line_id in left}

    def price(self, line: BasketLine) -> Fraction:
        return self.left[line.line_id] / written(line.quantity)

    def fixed(self, discount: FixedPrice, lines: Sequence[BasketLine]) -> dict[str, int]:
        off = {line.line_id: 0 for line in lines}
        count = Fraction(10**9 if discount.max_quantity is None else discount.max_quantity)
        for line in sorted(lines, key=lambda line: (-self.price(line), line.line_id)):
            price, quantity = self.price(line), written(line.quantity)
            if price > discount.price_minor:
                cheaper = min(count, quantity)
                count -= cheaper
                costs = rounded(cheaper * discount.price_minor + (quantity - cheaper) * price)
                off[line.line_id] = self.left[line.line_id] - costs
        return off

    def free(self, discount: NForM, lines: Sequence[BasketLine]) -> dict[str, int]:
        pieces = [line for line in lines for _ in range(floor(line.quantity))]
        pieces.sort(key=lambda line: (-self.price(line), line.line_id))
        groups = [pieces[start : start + discount.take] for start in range(0, len(pieces), discount.take)]
        whole = [group for group in groups if len(group) == discount.take][: discount.max_groups]
        free = [line.line_id for group in whole for line in group[discount.pay :]]
        total = sum(rounded(self.price(line) * free.count(line.line_id)) for line in lines)
        grouped = [line.line_id for group in whole for line in group]
        return spread(total, {line.line_id: self.price(line) * grouped.count(line.line_id) for line in lines})

    def points_of(self, discount: Discount, lines: Sequence[BasketLine]) -> int:
        if not isinstance(discount, Points):
            return 0
        euros = sum(self.left[line.line_id] for line in lines) // 100
        return discount.points + discount.points_per_major * euros


def written(quantity: float) -> Fraction:
    return Fraction(str(quantity))


def rounded(value: Fraction) -> int:
    return floor(value + Fraction(1, 2))


def spread(total: int, weights: Mapping[str, int] | Mapping[str, Fraction]) -> dict[str, int]:
    """By largest remainder: first what is whole, then the rest one by one."""
    if not total:
        return dict.fromkeys(weights, 0)
    exact = {line_id: total * Fraction(weight) / sum(weights.values()) for line_id, weight in weights.items()}
    shared = {line_id: floor(value) for line_id, value in exact.items()}
    for line_id in sorted(exact, key=lambda line_id: (shared[line_id] - exact[line_id], line_id)):
        if sum(shared.values()) < total:
            shared[line_id] += 1
    return shared


def turn(one: UsableCoupon) -> tuple[int, bool, str, str]:
    return ORDER.index(type(one.terms.discount)), not one.terms.applies_to, one.offer_id, one.coupon_id


def lines_of(one: UsableCoupon, basket: Basket) -> list[BasketLine]:
    named = [kind for selected in one.terms.applies_to for kind in selected.values]
    excluded = [kind for selected in one.terms.excludes for kind in selected.values]
    return [
        line
        for line in basket.lines
        if (not named or line.attributes["kind"] in named) and line.attributes["kind"] not in excluded
    ]


def is_usable(one: UsableCoupon, basket: Basket) -> bool:
    """May be used here, and would give something if it were the only one."""
    total_minor = sum(line.amount_minor for line in basket.lines)
    fits = bool(lines_of(one, basket)) and total_minor >= (one.terms.minimum_basket_minor or 0)
    return fits and Played([one], basket).each_has_an_effect


def may_stand_together(together: Sequence[UsableCoupon]) -> bool:
    groups = [one.terms.group for one in together if one.terms.group is not None]
    return len(together) == 1 or (all(one.terms.combinable for one in together) and len(groups) == len(set(groups)))


def suffices(together: Sequence[UsableCoupon], played: Played, capacities: Mapping[str, Capacity]) -> bool:
    needed: dict[str, int] = {}
    for one in together:
        for key in one.uses:
            needed[key] = needed.get(key, 0) + 1
        budget = f"budget:{one.campaign_id}"
        needed[budget] = needed.get(budget, 0) + played.cost[one.coupon_id]
    return all(count == 0 or key not in capacities or count <= capacities[key].left for key, count in needed.items())


def admissible(
    candidates: Sequence[UsableCoupon], basket: Basket, capacities: Mapping[str, Capacity]
) -> dict[tuple[str, ...], Played]:
    """Every subset that the rules allow, by its coupon ids."""
    usable = sorted((one for one in candidates if is_usable(one, basket)), key=lambda one: one.coupon_id)
    found: dict[tuple[str, ...], Played] = {(): Played([], basket)}
    for count in range(1, len(usable) + 1):
        for together in filter(may_stand_together, combinations(usable, count)):
            played = Played(together, basket)
            if played.each_has_an_effect and suffices(together, played, capacities):
                found[tuple(one.coupon_id for one in together)] = played
    return found


def choose(candidates: Sequence[UsableCoupon], basket: Basket, capacities: Mapping[str, Capacity]) -> Combination:
    return best_combination(candidates, basket, ANYBODY, capacities)


@settings(max_examples=600, deadline=None)
@given(candidate_lists(), BASKETS, CAPACITIES)
def test_combination_is_the_best_of_all_subsets(
    candidates: list[UsableCoupon], basket: Basket, capacities: dict[str, Capacity]
) -> None:
    combination = choose(candidates, basket, capacities)
    every = admissible(candidates, basket, capacities)
    best = min(every, key=lambda ids: (-every[ids].discount_minor, -sum(every[ids].points.values()), len(ids), ids))
    played = every[best]
    assert {
        one.coupon_id: (
            one.discount_minor,
            one.points,
            one.cost_minor,
            {share.line_id: share.discount_minor for share in one.lines if share.discount_minor},
        )
        for one in combination.applied
    } == {
        coupon_id: (
            sum(played.off[coupon_id].values()),
            played.points[coupon_id],
            played.cost[coupon_id],
            {line_id: minor for line_id, minor in played.off[coupon_id].items() if minor},
        )
        for coupon_id in best
    }
    assert all(
        sum(one.discount_minor for one in combination.applied) >= every[ids].discount_minor
        for ids in every
        if len(ids) == 1
    )


@settings(max_examples=200, deadline=None)
@given(candidate_lists(), BASKETS, CAPACITIES, st.randoms(use_true_random=False))
def test_order_of_coupons_and_lines_changes_nothing(
    candidates: list[UsableCoupon], basket: Basket, capacities: dict[str, Capacity], random: Random
) -> None:
    expected = choose(candidates, basket, capacities)
    shuffled, lines = list(candidates), list(basket.lines)
    random.shuffle(shuffled)
    random.shuffle(lines)
    assert choose(shuffled, Basket(tuple(lines), "EUR"), capacities) == expected


@settings(max_examples=300, deadline=None)
@given(candidate_lists(), BASKETS, CAPACITIES)
def test_money_adds_up_and_never_falls_below_floors_or_zero(
    candidates: list[UsableCoupon], basket: Basket, capacities: dict[str, Capacity]
) -> None:
    combination = choose(candidates, basket, capacities)
    terms_of = {one.coupon_id: one for one in candidates}
    left = {line.line_id: line.amount_minor for line in basket.lines}
    for one in combination.applied:
        assert sum(share.discount_minor for share in one.lines) == one.discount_minor
        assert one.discount_minor > 0 or one.points > 0
        for share in one.lines:
            left[share.line_id] -= share.discount_minor
            assert share.discount_minor >= 0
    for line in basket.lines:
        assert left[line.line_id] >= 0
        for one in combination.applied:
            price_floor = terms_of[one.coupon_id].terms.price_floor_minor or 0
            if line in lines_of(terms_of[one.coupon_id], basket) and left[line.line_id] < line.amount_minor:
                assert left[line.line_id] >= price_floor * written(line.quantity)


@settings(max_examples=200, deadline=None)
@given(candidate_lists(), BASKETS, CAPACITIES)
def test_every_coupon_is_either_used_or_refused_with_a_reason_that_is_true(
    candidates: list[UsableCoupon], basket: Basket, capacities: dict[str, Capacity]
) -> None:
    combination = choose(candidates, basket, capacities)
    used = [one for one in candidates if one.coupon_id in {applied.coupon_id for applied in combination.applied}]
    assert sorted([one.coupon_id for one in used] + list(combination.refused)) == sorted(
        one.coupon_id for one in candidates
    )
    for one in candidates:
        refusal = combination.refused.get(one.coupon_id)
        if refusal is not None and refusal.code is ReasonCode.NOT_COMBINABLE:
            assert not all(may_stand_together([one, other]) for other in used)
        if refusal is not None and refusal.code in (ReasonCode.NO_EFFECT, ReasonCode.PRICE_FLOOR):
            played = Played([*used, one] if is_usable(one, basket) else [one], basket)
            assert (sum(played.off[one.coupon_id].values()), played.points[one.coupon_id]) == (0, 0)
        if refusal is not None and refusal.code is ReasonCode.LOWER_DISCOUNT:
            assert refusal.required == sum(applied.discount_minor for applied in combination.applied)
