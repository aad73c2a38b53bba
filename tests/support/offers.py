"""Baskets, offers and coupons for tests of the rules: what a test does not name is plain."""

from collections.abc import Mapping
from datetime import UTC, datetime

from app.offers.rules.combination import Capacity, Combination, UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.documents import parse_document
from app.offers.terms.terms import OfferTerms

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANYBODY = Situation(NOON)

TEN_PERCENT = {"type": "percent", "percent": 10}
FIVE_EUROS = {"type": "amount", "amount_minor": 500}


def line(line_id: str, amount_minor: int, quantity: float = 1.0, **attributes: str) -> BasketLine:
    """A line of the product `p-<line_id>`."""
    return BasketLine(line_id, f"p-{line_id}", quantity, amount_minor, attributes)


def basket(*lines: BasketLine, currency: str = "EUR") -> Basket:
    """A basket in euros."""
    return Basket(lines, currency)


def terms(discount: Mapping[str, object], **others: object) -> OfferTerms:
    """The terms of an offer with this discount."""
    return parse_document(OfferTerms, {"name": "an offer", "discount": discount, **others})


def coupon(
    coupon_id: str, discount: Mapping[str, object], *, uses: tuple[str, ...] = (), **others: object
) -> UsableCoupon:
    """A coupon of an offer of its own, `o-<coupon_id>`, all of one campaign; combinable unless given otherwise."""
    return UsableCoupon(coupon_id, f"o-{coupon_id}", "k", terms(discount, **{"combinable": True} | others), uses)


def combine(
    lines: Basket, *coupons: UsableCoupon, capacities: Mapping[str, Capacity] | None = None, who: Situation = ANYBODY
) -> Combination:
    """The best combination of the coupons."""
    return best_combination(coupons, lines, who, capacities or {})


def given(combination: Combination) -> dict[str, int]:
    """What each coupon that is used takes off, in the order they are used."""
    return {one.coupon_id: one.discount_minor for one in combination.applied}


def off(combination: Combination, coupon_id: str) -> dict[str, int]:
    """What a coupon takes off each line that it takes something off."""
    (one,) = (one for one in combination.applied if one.coupon_id == coupon_id)
    return {share.line_id: share.discount_minor for share in one.lines}
