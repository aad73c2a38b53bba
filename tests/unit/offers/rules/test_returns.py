"""What stays of a discount when goods come back, worked by hand, and that every cent is paid back in the end."""

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from hypothesis import given as for_any
from hypothesis import strategies as st

from app.offers.rules.combination import UsableCoupon
from app.offers.rules.returns import Given, SoldLine, left_of, offered_on
from app.offers.terms.basket import Basket
from app.offers.terms.money import exact
from tests.support.offers import ANYBODY, FIVE_EUROS, TEN_PERCENT, basket, combine, coupon, line

THREE_FOR_TWO = {"type": "n_for_m", "take": 3, "pay": 2}


class Purchase:
    """A basket that was paid for with these coupons, and what came back of it so far."""

    def __init__(self, bought: Basket, *coupons: UsableCoupon) -> None:
        applied = combine(bought, *coupons).applied
        used = {one.coupon_id for one in applied}
        self.bought, self.coupons = bought, [one for one in coupons if one.coupon_id in used]
        self.given = [
            Given(one.coupon_id, share.line_id, share.discount_minor, 0, share.discount_minor, 0)
            for one in applied
            for share in one.lines
        ]
        zero = Fraction(0)
        self.sold = {one.line_id: SoldLine(one.quantity, zero, zero, one.amount_minor) for one in bought.lines}
        self.paid_minor = bought.total_minor - self.discount_minor

    @property
    def discount_minor(self) -> int:
        return sum(one.left_minor for one in self.given)

    def refund(self, **quantities: Any) -> int:
        """What is refunded when so much of these lines comes back."""
        for line_id, sold in self.sold.items():
            self.sold[line_id] = replace(sold, before=sold.after, after=sold.after + exact(quantities.get(line_id, 0)))
        before_minor = self.discount_minor
        remaining = tuple(
            replace(one, quantity=float(stays), amount_minor=self.sold[one.line_id].left_minor)
            for one in self.bought.lines
            if (stays := exact(one.quantity) - self.sold[one.line_id].after)
        )
        offered = offered_on(self.coupons, self.bought, Basket(remaining, "EUR"), ANYBODY)
        left = left_of(self.given, self.sold, offered)
        self.given = [replace(one, left_minor=minor) for one, (minor, _) in zip(self.given, left, strict=True)]
        assert all(self.payable().values()), "no line is paid with less than nothing"
        return sum(one.returned_minor for one in self.sold.values()) - (before_minor - self.discount_minor)

    def payable(self) -> Mapping[str, bool]:
        off = {line_id: sum(one.left_minor for one in self.given if one.line_id == line_id) for line_id in self.sold}
        return {line_id: off[line_id] <= sold.left_minor for line_id, sold in self.sold.items()}


def test_piece_takes_its_part_of_the_discount_with_it() -> None:
    purchase = Purchase(basket(line("a", 2000, 2), line("b", 1000)), coupon("c", FIVE_EUROS))
    assert (purchase.refund(a=1), purchase.refund(a=1), purchase.refund(b=1)) == (834, 833, 833)


def test_below_the_minimum_basket_the_rest_costs_its_full_price() -> None:
    ten_euros_at_least = coupon("c", FIVE_EUROS, minimum_basket_minor=2000)
    purchase = Purchase(basket(line("a", 1500), line("b", 1200)), ten_euros_at_least)
    # Paid were 22.00; what stays costs 15.00 without the offer.
    assert (purchase.paid_minor, purchase.refund(b=1), purchase.refund(a=1)) == (2200, 700, 1500)


def test_return_never_costs_the_customer_anything() -> None:
    purchase = Purchase(basket(line("a", 900), line("b", 200)), coupon("c", FIVE_EUROS, minimum_basket_minor=1000))
    # Paid were 6.00; what stays would cost 9.00, so nothing is refunded, and with the rest all that was paid.
    assert (purchase.refund(b=1), purchase.discount_minor, purchase.refund(a=1)) == (0, 300, 600)


def test_free_piece_of_three_does_not_stay_when_the_others_come_back() -> None:
    for lines in ([line("a", 300), line("b", 300), line("c", 300)], [line("a", 600, 2), line("b", 300)]):
        purchase = Purchase(basket(*lines), coupon("x", THREE_FOR_TWO))
        back = [(one.line_id, 1) for one in lines for _ in range(int(one.quantity))]
        assert [purchase.refund(**{line_id: count}) for line_id, count in back] == [0, 300, 300]


def test_fewer_whole_groups_give_less() -> None:
    purchase = Purchase(basket(line("a", 1800, 6)), coupon("x", THREE_FOR_TWO))
    # Five pieces with one free cost 12.00, as much as was paid for six.
    assert [purchase.refund(a=1) for _ in range(6)] == [0, 300, 300, 0, 300, 300]


def test_line_without_a_discount_counts_as_well() -> None:
    tea = [{"product_ids": ["p-tea"]}]
    ten_off = coupon("c", TEN_PERCENT, applies_to=tea, minimum_basket_minor=1000)
    purchase = Purchase(basket(line("tea", 800), line("mug", 400)), ten_off)
    assert purchase.paid_minor == 1120
    assert (purchase.refund(mug=1), purchase.refund(tea=1)) == (320, 800)


def test_coupon_whose_terms_cannot_be_looked_at_again_keeps_its_part() -> None:
    in_store = coupon("c", FIVE_EUROS, minimum_basket_minor=2000)
    purchase = Purchase(basket(line("a", 1500), line("b", 1500)), in_store)
    purchase.coupons = [replace(in_store, terms=in_store.terms.model_copy(update={"tiers": ("gold",)}))]
    assert purchase.refund(b=1) == 1250


DISCOUNTS = st.sampled_from(
    [
        FIVE_EUROS,
        TEN_PERCENT,
        THREE_FOR_TWO,
        {"type": "percent", "percent": 33.33, "max_discount_minor": 100},
        {"type": "fixed_price", "price_minor": 99, "max_quantity": 2},
    ]
)
LINES = st.lists(st.tuples(st.integers(0, 900), st.sampled_from([0.3, 1, 2, 3])), min_size=1, max_size=4)


@for_any(
    LINES,
    st.lists(st.tuples(DISCOUNTS, st.sampled_from([None, 500, 1200])), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.5, 1, 3])), max_size=6),
)
def test_all_returns_add_up_to_what_was_paid(
    lines: list[tuple[int, float]], offers: list[tuple[dict[str, Any], int | None]], returns: list[tuple[int, float]]
) -> None:
    bought = basket(*(line(f"l{position}", amount, quantity) for position, (amount, quantity) in enumerate(lines)))
    coupons = [coupon(f"c{n}", discount, minimum_basket_minor=least) for n, (discount, least) in enumerate(offers)]
    purchase = Purchase(bought, *coupons)
    refunds = []
    for position, quantity in returns:
        line_id = f"l{position % len(lines)}"
        left = exact(purchase.sold[line_id].quantity) - purchase.sold[line_id].after
        refunds.append(purchase.refund(**{line_id: float(min(left, exact(quantity)))}))
    rest = {line_id: float(exact(sold.quantity) - sold.after) for line_id, sold in purchase.sold.items()}
    refunds.append(purchase.refund(**rest))
    assert min(refunds) >= 0
    assert (sum(refunds), purchase.discount_minor) == (purchase.paid_minor, 0)
