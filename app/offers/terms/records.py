"""Campaigns, offers and coupons as the ledger keeps them: one frozen row each."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.offers.terms.codes import shown_code
from app.offers.terms.status import CampaignStatus, effective_status
from app.offers.terms.stored import UnusableTerms
from app.offers.terms.terms import CampaignTerms, OfferTerms


class CouponStatus(StrEnum):
    """Issued and reserved coupons are open; the others have come to their end."""

    ISSUED = "issued"
    RESERVED = "reserved"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Campaign:
    """One campaign; `status` is as stored, `status_at` what it is at an instant."""

    campaign_id: str
    status: str
    terms: CampaignTerms
    spent_minor: int
    held_minor: int
    revision: int
    created_at: datetime
    updated_at: datetime

    @property
    def remaining_minor(self) -> int | None:
        """What is left of the budget; None when there is none."""
        budget_minor = self.terms.budget_minor
        return None if budget_minor is None else budget_minor - self.spent_minor - self.held_minor

    def status_at(self, at: datetime) -> CampaignStatus:
        """What it is, or will be if nobody changes it, at this instant."""
        terms = self.terms
        return effective_status(CampaignStatus(self.status), starts_at=terms.starts_at, ends_at=terms.ends_at, now=at)


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer in the revision that holds now."""

    offer_id: str
    campaign_id: str
    revision: int
    terms: OfferTerms
    is_active: bool
    created_at: datetime
    updated_at: datetime

    @property
    def fault(self) -> str | None:
        """Why nobody can compute with its terms, which give nothing then; None where they are sound."""
        return self.terms.fault if isinstance(self.terms, UnusableTerms) else None


@dataclass(frozen=True, slots=True)
class Coupon:
    """One issued coupon. `customer_id` None: whoever has the code; `max_uses` None: as often as limits allow.

    `gcn` and `serial` name it in GS1's world, where its offer had such a number at the issue. `written_code`: a code
    that somebody chose, as they wrote it.
    """

    coupon_id: str
    code: str
    offer_id: str
    campaign_id: str
    customer_id: str | None
    status: CouponStatus
    max_uses: int | None
    uses: int
    holds: int
    valid_from: datetime | None
    valid_until: datetime | None
    issued_at: datetime
    issued_by: str
    gcn: str | None = None
    serial: str | None = None
    written_code: str | None = None

    @property
    def shown_code(self) -> str:
        """The code as people read it: as its maker wrote it, a random one in groups of four."""
        return self.written_code or shown_code(self.code)
