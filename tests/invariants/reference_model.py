"""A reference model in plain Python: what must become of every coupon, limit and budget, step by step.

It shares nothing with the ledger but the documents that went in. Offers are such that totals alone say what
they give: fixed prices on the product `p1` first, everything else on the whole basket.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from itertools import combinations

from app.offers.terms.terms import Amount, FixedPrice, Percent, Points
from tests.invariants.reference_records import (
    Benefit,
    Key,
    ModelCampaign,
    ModelCoupon,
    ModelOffer,
    ModelQuestion,
    Redemption,
    Reservation,
    Share,
)
from tests.invariants.rounding import half_up

LEADS_TO = {
    ("draft", "schedule"): "scheduled",
    ("scheduled", "pause"): "paused",
    ("running", "pause"): "paused",
    ("paused", "resume"): "running",
    ("scheduled", "end"): "ended",
    ("running", "end"): "ended",
    ("paused", "end"): "ended",
    ("ended", "reopen"): "paused",
}
ORDER = ("fixed_price", "n_for_m", "percent", "amount", "points")


@dataclass(slots=True)
class _Free:
    """What counts as free: the reservation that is redeemed, and those whose time is over."""

    holds: Counter[str] = field(default_factory=Counter)
    money: Counter[str] = field(default_factory=Counter)
    counts: Counter[Key] = field(default_factory=Counter)
    own: set[str] = field(default_factory=set)


class ReferenceModel:
    """All campaigns, offers, coupons, reservations and redemptions."""

    def __init__(self) -> None:
        self.campaigns: list[ModelCampaign] = []
        self.offers: list[ModelOffer] = []
        self.coupons: list[ModelCoupon] = []
        self.reservations: list[Reservation] = []
        self.redemptions: list[Redemption] = []

    def overdue(self, now: datetime) -> list[Reservation]:
        """Reservations that are held although their time is over."""
        return [one for one in self.reservations if one.status == "held" and one.expires_at <= now]

    def expected(self, query: ModelQuestion) -> tuple[list[Benefit], dict[str, set[str]]]:
        """What the best combination gives, and the codes that may be the reason why each other coupon gives nothing."""
        free = self._free(query)
        refused: dict[str, set[str]] = {}
        candidates: list[ModelCoupon] = []
        for coupon in query.coupons:
            code = _refusal_code(coupon, query, free) or _beyond_limits(coupon, query, free)
            if code is None and _benefits([coupon], query) is None:
                code = "no_effect"
            if code is None:
                candidates.append(coupon)
            else:
                refused[coupon.coupon_id] = {code}
        best = _best(candidates, query, free)
        chosen = {given.coupon.coupon_id for given in best}
        left_out = {"not_combinable", "lower_discount", "budget_exhausted", "no_effect"} | _LIMIT_CODES
        refused |= {one.coupon_id: left_out for one in candidates if one.coupon_id not in chosen}
        return best, refused

    def _free(self, query: ModelQuestion) -> _Free:
        free = _Free()
        for one in self.reservations:
            if one.status != "held" or (one.expires_at > query.now and one is not query.reservation):
                continue
            for use in one.uses:
                free.holds[use.given.coupon.coupon_id] += 1
                free.money[use.given.coupon.offer.campaign.campaign_id] += use.given.cost
                free.counts.update(use.keys)
                if one is query.reservation:
                    free.own.add(use.given.coupon.coupon_id)
        return free

    def hold(self, reservation: Reservation) -> None:
        """The reservation is made."""
        self.reservations.append(reservation)
        for use in reservation.uses:
            use.given.coupon.holds += 1
            use.given.coupon.offer.campaign.held += use.given.cost
            use.given.coupon.offer.campaign.counts.update(use.keys)

    def end(self, reservation: Reservation, status: str) -> None:
        """The reservation is over."""
        reservation.status = status
        for use in reservation.uses:
            use.is_open = False
            use.given.coupon.holds -= 1
            use.given.coupon.offer.campaign.held -= use.given.cost
            use.given.coupon.offer.campaign.counts.subtract(use.keys)

    def redeem(self, redemption: Redemption) -> None:
        """The redemption is made."""
        self.redemptions.append(redemption)
        for use in redemption.uses:
            use.given.coupon.uses += 1
            use.given.coupon.offer.campaign.spent += use.given.cost
            use.given.coupon.offer.campaign.counts.update(use.keys)

    def return_lines(
        self, redemption: Redemption, lines: Mapping[str, Fraction], left: Mapping[str, tuple[int, int, int]]
    ) -> int:
        """So much of these lines comes back, and this is `left` of each coupon; returns the discount that goes.

        A coupon keeps no more than the part of the pieces that stay, unless a return would cost the customer something.
        """
        worth = redemption.worth()
        for line_id, quantity in lines.items():
            redemption.back[line_id] = redemption.back.get(line_id, Fraction(0)) + quantity
        is_all_back = not any(redemption.left.values())
        discount = sum(
            use.given.discount - use.returned - left[use.given.coupon.coupon_id][0] for use in redemption.uses
        )
        refund = worth - redemption.worth() - discount
        assert refund >= 0
        for use in redemption.uses:
            left_discount, left_cost, left_points = left[use.given.coupon.coupon_id]
            assert use.returned <= use.given.discount - left_discount
            assert use.returned_cost <= use.given.cost - left_cost
            assert not refund or left_discount <= sum(
                share.discount - _part(share.discount, redemption.back.get(line_id, Fraction(0)), share)
                for line_id, share in use.shares.items()
            )
            assert not (is_all_back and (left_discount or left_cost))
            use.given.coupon.offer.campaign.spent -= use.given.cost - use.returned_cost - left_cost
            use.returned, use.returned_cost = use.given.discount - left_discount, use.given.cost - left_cost
            if use.is_open and not left_discount and not left_points:
                use.is_open = False
                use.given.coupon.uses -= 1
                use.given.coupon.offer.campaign.counts.subtract(use.keys)
        redemption.returned += discount
        return discount


_LIMIT_CODES = {"code_limit_reached", "customer_limit_reached", "campaign_limit_reached"}


def _part(whole: int, back: Fraction, share: Share) -> int:
    return int(whole * back / share.quantity)


def _refusal_code(coupon: ModelCoupon, query: ModelQuestion, free: _Free) -> str | None:
    terms = query.terms(coupon)
    holds = coupon.holds - free.holds[coupon.coupon_id]
    if coupon.customer is not None and coupon.customer != query.customer:
        return "coupon_not_found"
    if coupon.coupon_id not in free.own and (code := _closed_code(coupon, query, holds)):
        return code
    if terms.applies_to and not any(line.product_id == "p1" for line in query.lines):
        return "products_not_in_basket"
    total = sum(line.amount_minor for line in query.lines)
    return "minimum_basket_not_met" if total < (terms.minimum_basket_minor or 0) else None


def _closed_code(coupon: ModelCoupon, query: ModelQuestion, holds: int) -> str | None:
    """Why the coupon is not open to whoever has not reserved it."""
    campaign = coupon.offer.campaign
    if coupon.ended is not None:
        return f"coupon_{coupon.ended}"
    if coupon.max_uses is not None and coupon.uses + holds >= coupon.max_uses:
        if coupon.uses < coupon.max_uses:
            return "reservation_held_by_other"
        return "already_redeemed" if coupon.max_uses == 1 else "code_limit_reached"
    if coupon.valid_until is not None and query.as_of(coupon) >= coupon.valid_until:
        return "coupon_expired"
    if not campaign.is_running(query.as_of(coupon)):
        return "campaign_not_running"
    if query.customer is None and any(one.scope == "customer" for one in campaign.terms.limits):
        return "customer_limit_reached"
    needs_it = query.terms(coupon).reservation_required and not query.is_to_reserve
    return "reservation_required" if needs_it else None


def _limits(coupon: ModelCoupon, query: ModelQuestion, free: _Free) -> dict[Key, int]:
    """What it counts in, and how far: no less than what the reservation counts there."""
    campaign, keys = coupon.offer.campaign, query.keys(coupon)
    held = Counter(key for use in (query.reservation.uses if query.reservation else ()) for key in use.keys)
    limits = campaign.limits(coupon.coupon_id, query.customer, query.now)
    least = {key: campaign.counts[key] - free.counts[key] + held[key] for key in keys if key in held}
    return {key: max(limits.get(key, 0), least.get(key, 0)) for key in keys}


def _beyond_limits(coupon: ModelCoupon, query: ModelQuestion, free: _Free) -> str | None:
    counts = coupon.offer.campaign.counts
    full = (key for key, limit in _limits(coupon, query, free).items() if counts[key] - free.counts[key] >= limit)
    return next((f"{key[1]}_limit_reached" for key in full), None)


def _best(candidates: Sequence[ModelCoupon], query: ModelQuestion, free: _Free) -> list[Benefit]:
    """Every subset looked at: most discount, then most points, then fewest coupons, then the ids."""
    found: list[tuple[tuple[int, int, int, list[str]], list[Benefit]]] = []
    for count in range(1, len(candidates) + 1):
        for subset in combinations(candidates, count):
            given = _benefits(subset, query) if _may_stand_together(subset, query) else None
            if given is not None and _fits(given, query, free):
                ids = sorted(coupon.coupon_id for coupon in subset)
                discount, points = sum(one.discount for one in given), sum(one.points for one in given)
                found.append(((-discount, -points, count, ids), given))
    return min(found, key=lambda one: one[0])[1] if found else []


def _may_stand_together(subset: Sequence[ModelCoupon], query: ModelQuestion) -> bool:
    terms = [query.terms(coupon) for coupon in subset]
    groups = [one.group for one in terms if one.group is not None]
    return len(subset) == 1 or (all(one.combinable for one in terms) and len(set(groups)) == len(groups))


def _fits(given: Sequence[Benefit], query: ModelQuestion, free: _Free) -> bool:
    taken: Counter[Key] = Counter()
    money: Counter[str] = Counter()
    for one in given:
        taken.update(_limits(one.coupon, query, free).keys())
        money[one.coupon.offer.campaign.campaign_id] += one.cost
    for one in given:
        campaign = one.coupon.offer.campaign
        for key, limit in _limits(one.coupon, query, free).items():
            if campaign.counts[key] - free.counts[key] + taken[key] > limit:
                return False
        budget, cost = campaign.terms.budget_minor, money[campaign.campaign_id]
        if budget is not None and campaign.spent + campaign.held - free.money[campaign.campaign_id] + cost > budget:
            return False
    return True


def _benefits(subset: Iterable[ModelCoupon], query: ModelQuestion) -> list[Benefit] | None:
    """What each gives together with the others, in the order of the rules; None when one of them gives nothing."""
    total = sum(line.amount_minor for line in query.lines)
    piece = next((line for line in query.lines if line.product_id == "p1"), None)
    piece_left = 0 if piece is None else piece.amount_minor
    given: list[Benefit] = []
    for coupon in sorted(subset, key=lambda one: _rank(one, query)):
        discount = points = cost = 0
        match query.terms(coupon).discount:
            case FixedPrice(price_minor=price) if piece is not None:
                discount = max(0, piece_left - half_up(price * Fraction(str(piece.quantity))))
                piece_left -= discount
            case Percent(percent=percent, max_discount_minor=most):
                discount = min(half_up(total * Fraction(str(percent)) / 100), total if most is None else most)
            case Amount(amount_minor=amount):
                discount = min(amount, total)
            case Points() as one:
                points = one.points + total // 100 * one.points_per_major
                cost = points * one.point_cost_minor
        if not discount and not points:
            return None
        total -= discount
        given.append(Benefit(coupon, discount, points, discount + cost))
    return given


def _rank(coupon: ModelCoupon, query: ModelQuestion) -> tuple[int, bool, str, str]:
    terms = query.terms(coupon)
    return ORDER.index(terms.discount.type), not terms.applies_to, coupon.offer.offer_id, coupon.coupon_id
