"""What a till asks about coupons, and what it gets: a question, the quote that answers it, and a quote's coupons."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.offers.rules.combination import AppliedCoupon
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.reasons import Refusal
from app.offers.terms.records import Coupon, Offer
from app.stores.sql.redemption.claims import Claim


@dataclass(frozen=True, slots=True)
class PriceGuarantee:
    """What a decision guarantees while it lasts: these offers in these revisions, as they stood at `decided_at`.

    `prices_minor`: what a piece costs at most, by product id and currency.
    """

    decided_at: datetime
    revisions: Mapping[str, int]
    prices_minor: Mapping[tuple[str, str], int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Question:
    """Which coupons on which basket: typed `codes`, and with `wallet` every open coupon of the customer.

    `reveals_recipients`: the caller may learn that a code is somebody else's. `is_to_reserve`: the quote becomes a
    reservation, so that coupons which need one may be in it.
    """

    basket: Basket
    situation: Situation
    codes: tuple[str, ...] = ()
    wallet: bool = False
    reservation_id: str | None = None
    guarantee: PriceGuarantee | None = None
    reveals_recipients: bool = False
    is_to_reserve: bool = False


@dataclass(frozen=True, slots=True)
class QuotedCoupon:
    """One coupon or code: what it gives, or why it does not. `typed` is None for one out of the wallet.

    `revision` is that of the offer whose terms counted.
    """

    typed: str | None
    coupon: Coupon | None
    offer: Offer | None
    revision: int
    applied: AppliedCoupon | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The best combination and the claims that make it true; `overdue`: reservations must be expired first.

    `tier`: the customer's loyalty tier. `attributes`: those of products that the offers look at. `customer_ids`: all
    that the customer has; limits count under the first.
    """

    question: Question
    coupons: tuple[QuotedCoupon, ...]
    claims: tuple[Claim, ...]
    overdue: bool
    tier: str | None = None
    attributes: frozenset[str] = frozenset()
    customer_ids: tuple[str, ...] = ()

    @property
    def applied(self) -> list[AppliedCoupon]:
        """What each coupon in the best combination gives."""
        return [one.applied for one in self.coupons if one.applied is not None]

    @property
    def discount_minor(self) -> int:
        """What all coupons take off together."""
        return sum(applied.discount_minor for applied in self.applied)
