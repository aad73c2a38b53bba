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
from zoneinfo import ZoneInfo

from app.offers.terms.basket import BasketLine
from app.offers.terms.terms import Amount, CampaignTerms, FixedPrice, OfferTerms, Percent, Points
from tests.invariants.rounding import half_up

Key = tuple[str, str, str, str]
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
class ModelCampaign:
    """One campaign, its money and what counts towards its limits."""

    campaign_id: str
    terms: CampaignTerms
    status: str = "draft"
    spent: int = 0
    held: int = 0
    counts: Counter[Key] = field(default_factory=Counter)

    def is_running(self, at: datetime) -> bool:
        """True when its coupons may be used."""
        is_over = self.terms.ends_at is not None and at >= self.terms.ends_at
        return self.status in ("scheduled", "running") and not is_over

    def limits(self, coupon_id: str, customer: str | None, at: datetime) -> dict[Key, int]:
        """What a use counts in, and how far each may go."""
        day = at.astimezone(ZoneInfo(self.terms.time_zone)).date().isoformat()
        subjects = {"code": coupon_id, "customer": customer or "", "campaign": ""}
        return {
            (self.campaign_id, one.scope, subjects[one.scope], day if one.period == "day" else "total"): one.count
            for one in self.terms.limits
        }


@dataclass(slots=True)
class ModelOffer:
    """One offer in all its revisions."""

    offer_id: str
    campaign: ModelCampaign
    revisions: list[OfferTerms]


@dataclass(slots=True, eq=False)
class ModelCoupon:
    """One coupon; `ended` is how it came to an end other than by use."""

    coupon_id: str
    code: str
    offer: ModelOffer
    customer: str | None
    max_uses: int | None
    valid_until: datetime | None
    uses: int = 0
    holds: int = 0
    ended: str | None = None

    @property
    def status(self) -> str:
        """The status that it must have."""
        if self.ended is not None:
            return self.ended
        if self.max_uses is None or self.uses + self.holds < self.max_uses:
            return "issued"
        return "reserved" if self.uses < self.max_uses else "redeemed"


@dataclass(frozen=True, slots=True)
class Benefit:
    """What one coupon gives."""

    coupon: ModelCoupon
    discount: int
    points: int
    cost: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one line gets of a coupon."""

    quantity: Fraction
    discount: int
    cost: int
    points: int


@dataclass(slots=True, eq=False)
class Use:
    """A coupon in a reservation or redemption."""

    given: Benefit
    keys: tuple[Key, ...]
    shares: dict[str, Share]
    revision: int
    is_open: bool = True


@dataclass(slots=True, eq=False)
class Reservation:
    """What is held for an order."""

    reservation_id: str
    made_at: datetime
    expires_at: datetime
    uses: list[Use]
    customer: str | None
    status: str = "held"


@dataclass(slots=True, eq=False)
class Redemption:
    """What was paid with; `back` is how much of each line came back."""

    redemption_id: str
    uses: list[Use]
    back: dict[str, Fraction] = field(default_factory=dict)
    returned: int = 0

    @property
    def status(self) -> str:
        """The status that it must have."""
        if not any(use.is_open for use in self.uses):
            return "rolled_back"
        return "partly_returned" if any(self.back.values()) else "redeemed"


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """Which coupons, for whom, on which basket, when; `revisions` of offers are guaranteed since `decided_at`.

    What is guaranteed holds first, then what the reservation holds, then what is said today.
    """

    coupons: tuple[ModelCoupon, ...]
    customer: str | None
    lines: tuple[BasketLine, ...]
    now: datetime
    reservation: Reservation | None = None
    decided_at: datetime | None = None
    revisions: Mapping[str, int] = field(default_factory=dict)
    is_to_reserve: bool = False

    def terms(self, coupon: ModelCoupon) -> OfferTerms:
        """The terms that hold for this coupon."""
        return coupon.offer.revisions[self.revision(coupon) - 1]

    def revision(self, coupon: ModelCoupon) -> int:
        """Their number, from 1."""
        guaranteed = self.revisions.get(coupon.offer.offer_id)
        if guaranteed is not None:
            return guaranteed
        reserved = [use.revision for use in self._reserved(coupon)]
        return reserved[0] if reserved else len(coupon.offer.revisions)

    def _reserved(self, coupon: ModelCoupon) -> list[Use]:
        return [] if self.reservation is None else [use for use in self.reservation.uses if use.given.coupon is coupon]

    def as_of(self, coupon: ModelCoupon) -> datetime:
        """The instant at which it must be valid."""
        if self.decided_at is not None and coupon.offer.offer_id in self.revisions:
            return self.decided_at
        return self.reservation.made_at if self.reservation is not None and self._reserved(coupon) else self.now


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

    def return_lines(self, redemption: Redemption, lines: Mapping[str, Fraction]) -> int:
        """So much of these lines comes back; returns the discount that comes back with them."""
        discount = 0
        for use in redemption.uses:
            for line_id in lines.keys() & use.shares.keys():
                share, before = use.shares[line_id], redemption.back.get(line_id, Fraction(0))
                after = before + lines[line_id]
                discount += _part(share.discount, after, share) - _part(share.discount, before, share)
                cost = _part(share.cost, after, share) - _part(share.cost, before, share)
                use.given.coupon.offer.campaign.spent -= cost
        for line_id, quantity in lines.items():
            redemption.back[line_id] = redemption.back.get(line_id, Fraction(0)) + quantity
        for use in redemption.uses:
            is_back = all(redemption.back.get(line_id, 0) == share.quantity for line_id, share in use.shares.items())
            if use.is_open and is_back:
                use.is_open = False
                use.given.coupon.uses -= 1
                use.given.coupon.offer.campaign.counts.subtract(use.keys)
        redemption.returned += discount
        return discount


_LIMIT_CODES = {"code_limit_reached", "customer_limit_reached", "campaign_limit_reached"}


def _part(whole: int, back: Fraction, share: Share) -> int:
    return int(whole * back / share.quantity)


def _refusal_code(coupon: ModelCoupon, query: ModelQuestion, free: _Free) -> str | None:
    terms, campaign = query.terms(coupon), coupon.offer.campaign
    holds = coupon.holds - free.holds[coupon.coupon_id]
    if coupon.customer is not None and coupon.customer != query.customer:
        return "coupon_not_found"
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
    if terms.reservation_required and not query.is_to_reserve and coupon.coupon_id not in free.own:
        return "reservation_required"
    if terms.applies_to and not any(line.product_id == "p1" for line in query.lines):
        return "products_not_in_basket"
    total = sum(line.amount_minor for line in query.lines)
    return "minimum_basket_not_met" if total < (terms.minimum_basket_minor or 0) else None


def _limits(coupon: ModelCoupon, query: ModelQuestion) -> dict[Key, int]:
    return coupon.offer.campaign.limits(coupon.coupon_id, query.customer, query.now)


def _beyond_limits(coupon: ModelCoupon, query: ModelQuestion, free: _Free) -> str | None:
    counts = coupon.offer.campaign.counts
    full = (key for key, limit in _limits(coupon, query).items() if counts[key] - free.counts[key] >= limit)
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
        taken.update(_limits(one.coupon, query).keys())
        money[one.coupon.offer.campaign.campaign_id] += one.cost
    for one in given:
        campaign = one.coupon.offer.campaign
        for key, limit in _limits(one.coupon, query).items():
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
