"""The ledger's documents and tables, compared with the reference model."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select

from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import redemption_lines, uses
from app.stores.sql.redemption.reservations import ReservationOfOther, ReservationOver
from tests.invariants.ledger_state import State
from tests.invariants.reference_model import ReferenceModel
from tests.invariants.reference_records import Benefit, ModelQuestion, Reservation, Share, Use, exact
from tests.invariants.rounding import share_out


def check_document(document: dict[str, Any], given: Sequence[Benefit], refused: Mapping[str, set[str]]) -> None:
    """The document of a quote gives just that, and refuses the others for one of those reasons."""
    assert {one["coupon_id"]: (one["discount_minor"], one["points"]) for one in document["applied"]} == {
        one.coupon.coupon_id: (one.discount, one.points) for one in given
    }
    codes = {one["coupon_id"]: one["reason"]["code"] for one in document["refused"] if one["coupon_id"]}
    unknown = [one["reason"]["code"] for one in document["refused"] if not one["coupon_id"]]
    assert unknown == ["coupon_not_found"] * sum(one == {"coupon_not_found"} for one in refused.values())
    named = {coupon_id: one for coupon_id, one in refused.items() if one != {"coupon_not_found"}}
    assert codes.keys() == named.keys()
    assert all(code in named[coupon_id] for coupon_id, code in codes.items()), (codes, named)
    assert all(line["payable_minor"] >= 0 for line in document["lines"])


def why_not_theirs(reservation: Reservation, query: ModelQuestion) -> type[Exception] | None:
    """The error of whoever may not redeem the reservation; None when they may."""
    if reservation.customer not in (None, query.customer):
        return ReservationOfOther
    is_over = reservation.status != "held" or reservation.expires_at <= query.now
    return ReservationOver if is_over else None


def left_of_uses(ledger: Ledger, redemption_id: str) -> dict[str, tuple[int, int, int]]:
    """Discount, cost and points that the ledger says are left of each coupon."""
    line = redemption_lines.c
    left = (
        line.discount_minor - line.returned_minor,
        line.cost_minor - line.returned_cost_minor,
        line.points - line.returned_points,
    )
    query = select(uses.c.coupon_id, *(func.sum(one) for one in left)).join(uses, uses.c.use_id == line.use_id)
    query = query.where(line.redemption_id == redemption_id).group_by(uses.c.coupon_id)
    return {
        row[0]: (int(row[1]), int(row[2]), int(row[3]))
        for row in ledger.read(lambda connection: connection.execute(query).all())
    }


def uses_of(query: ModelQuestion, given: Sequence[Benefit], document: dict[str, Any]) -> list[Use]:
    """What was given, line by line: discounts as documented, costs and points shared out by what the lines cost."""
    by_coupon = {one["coupon_id"]: one["lines"] for one in document["applied"]}
    amount = {line.line_id: line.amount_minor for line in query.lines}
    quantity = {line.line_id: exact(line.quantity) for line in query.lines}
    uses = []
    for one in given:
        lines = by_coupon[one.coupon.coupon_id]
        ids, discounts = [line["line_id"] for line in lines], [line["discount_minor"] for line in lines]
        assert sum(discounts) == one.discount
        weights = [amount[line_id] for line_id in ids]
        points, point_cost = share_out(one.points, weights), (one.cost - one.discount) // max(one.points, 1)
        shares = {
            line_id: Share(quantity[line_id], discount, discount + points[position] * point_cost, points[position])
            for position, (line_id, discount) in enumerate(zip(ids, discounts, strict=True))
        }
        uses.append(Use(one, query.keys(one.coupon), shares, query.revision(one.coupon)))
    return uses


def state_of_model(model: ReferenceModel) -> State:
    """Where everything must stand."""
    return State(
        campaigns={
            one.campaign_id: (one.status, one.terms.budget_minor, one.spent, one.held) for one in model.campaigns
        },
        coupons={one.coupon_id: (one.status, one.uses, one.holds) for one in model.coupons},
        counts={key: used for campaign in model.campaigns for key, used in campaign.counts.items() if used},
        reservations={one.reservation_id: one.status for one in model.reservations},
        redemptions={one.redemption_id: (one.status, one.returned) for one in model.redemptions},
    )


def check_limits(model: ReferenceModel) -> None:
    """No budget or limit is exceeded, and nothing is used less than never."""
    for campaign in model.campaigns:
        budget = campaign.terms.budget_minor
        assert budget is None or campaign.spent + campaign.held <= budget
        limits = {one.scope + one.period: one.count for one in campaign.terms.limits}
        assert all(
            used <= limits[scope + ("total" if period == "total" else "day")]
            for (_, scope, _, period), used in campaign.counts.items()
        )
        assert all(used >= 0 for used in campaign.counts.values())
