"""What the reference model keeps: campaigns, offers, coupons, reservations and redemptions, in plain Python."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

from app.offers.terms.basket import BasketLine
from app.offers.terms.terms import CampaignTerms, OfferTerms

Key = tuple[str, str, str, str]


def exact(quantity: float) -> Fraction:
    """The number that was written down."""
    return Fraction(str(quantity))


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
    returned: int = 0
    returned_cost: int = 0


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
    lines: tuple[BasketLine, ...]
    back: dict[str, Fraction] = field(default_factory=dict)
    returned: int = 0

    @property
    def status(self) -> str:
        """The status that it must have."""
        if not any(use.is_open for use in self.uses):
            return "rolled_back"
        return "partly_returned" if any(self.back.values()) else "redeemed"

    @property
    def left(self) -> dict[str, Fraction]:
        """How much of each line is not back."""
        return {line.line_id: exact(line.quantity) - self.back.get(line.line_id, 0) for line in self.lines}

    def worth(self) -> int:
        """What the part of the lines that is not back costs before coupons."""
        return sum(
            line.amount_minor - int(line.amount_minor * self.back.get(line.line_id, 0) / exact(line.quantity))
            for line in self.lines
        )


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

    def keys(self, coupon: ModelCoupon) -> tuple[Key, ...]:
        """What a use of it counts in: a reserved one in what it counts in already."""
        limits = coupon.offer.campaign.limits(coupon.coupon_id, self.customer, self.now)
        return next((use.keys for use in self._reserved(coupon)), tuple(limits))

    def as_of(self, coupon: ModelCoupon) -> datetime:
        """The instant at which it must be valid."""
        if self.decided_at is not None and coupon.offer.offer_id in self.revisions:
            return self.decided_at
        return self.reservation.made_at if self.reservation is not None and self._reserved(coupon) else self.now
