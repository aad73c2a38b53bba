"""What the ledger tells, against what the books say."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from tests.invariants.books import Asked, Books, Given, Share, Use
from tests.invariants.sums import spread
from tests.invariants.tables import State


def check_told(told: dict[str, Any], given: Sequence[Given], refused: Mapping[str, set[str]]) -> None:
    """The document of a quote gives just that, and refuses the others for one of those reasons."""
    assert {one["coupon_id"]: (one["discount_minor"], one["points"]) for one in told["applied"]} == {
        one.coupon.coupon_id: (one.discount, one.points) for one in given
    }
    codes = {one["coupon_id"]: one["reason"]["code"] for one in told["refused"] if one["coupon_id"]}
    strangers = [one["reason"]["code"] for one in told["refused"] if not one["coupon_id"]]
    assert strangers == ["coupon_not_found"] * sum(one == {"coupon_not_found"} for one in refused.values())
    named = {coupon_id: one for coupon_id, one in refused.items() if one != {"coupon_not_found"}}
    assert codes.keys() == named.keys()
    assert all(code in named[coupon_id] for coupon_id, code in codes.items()), (codes, named)
    assert all(line["payable_minor"] >= 0 for line in told["lines"])


def uses_told(asked: Asked, given: Sequence[Given], told: dict[str, Any]) -> list[Use]:
    """What was given, line by line: discounts as they were told, costs and points spread by what the lines cost."""
    by_coupon = {one["coupon_id"]: one["lines"] for one in told["applied"]}
    amount = {line.line_id: line.amount_minor for line in asked.lines}
    quantity = {line.line_id: exact(line.quantity) for line in asked.lines}
    uses = []
    for one in given:
        lines = by_coupon[one.coupon.coupon_id]
        ids, discounts = [line["line_id"] for line in lines], [line["discount_minor"] for line in lines]
        assert sum(discounts) == one.discount
        weights = [amount[line_id] for line_id in ids]
        extra, points = spread(one.cost - one.discount, weights), spread(one.points, weights)
        shares = {
            line_id: Share(quantity[line_id], discount, discount + extra[place], points[place])
            for place, (line_id, discount) in enumerate(zip(ids, discounts, strict=True))
        }
        keys = one.coupon.offer.campaign.limits(one.coupon.coupon_id, asked.customer, asked.now)
        uses.append(Use(one, tuple(keys), shares, asked.revision(one.coupon)))
    return uses


def state_told(books: Books) -> State:
    """Where everything must stand."""
    return State(
        campaigns={
            one.campaign_id: (one.status, one.terms.budget_minor, one.spent, one.held) for one in books.campaigns
        },
        coupons={one.coupon_id: (one.status, one.uses, one.holds) for one in books.coupons},
        counts={key: used for campaign in books.campaigns for key, used in campaign.counts.items() if used},
        reservations={one.reservation_id: one.status for one in books.reservations},
        redemptions={one.redemption_id: (one.status, one.returned) for one in books.redemptions},
    )


def exact(quantity: float) -> Fraction:
    """The decimal that was written down."""
    return Fraction(str(quantity))
