"""The wire's schemas of campaigns, offers and issuing: what the retailer's own people send and are told."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.api.documents import ParsedLater, RequestModel
from app.ingest.schema import Id
from app.offers.terms.documents import parse_document
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import CampaignTerms, OfferTerms

ChosenId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$", max_length=64),
    Field(description="An id of your own choice; default: a random one"),
]
Revision = Annotated[int, Field(ge=1, le=2**31 - 1, description="Change only this revision; null: whichever it is")]
Tier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
UnparsedCampaignTerms = Annotated[object, ParsedLater(CampaignTerms)]
UnparsedOfferTerms = Annotated[object, ParsedLater(OfferTerms)]


class CampaignRequest(RequestModel):
    """A new campaign."""

    campaign_id: ChosenId | None = None
    # Not parsed with the body: `parsed` points more exactly to what is wrong.
    terms: UnparsedCampaignTerms

    def parsed(self) -> CampaignTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(CampaignTerms, self.terms, "/terms")


class CampaignChange(RequestModel):
    """Other terms for a campaign, all of them."""

    revision: Revision | None = None
    terms: UnparsedCampaignTerms

    def parsed(self) -> CampaignTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(CampaignTerms, self.terms, "/terms")


class OfferRequest(RequestModel):
    """A new offer of a campaign."""

    offer_id: ChosenId | None = None
    terms: UnparsedOfferTerms

    def parsed(self) -> OfferTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(OfferTerms, self.terms, "/terms")


class OfferChange(RequestModel):
    """Other terms for an offer, all of them; they hold for coupons that are out as well."""

    revision: Revision | None = None
    terms: UnparsedOfferTerms

    def parsed(self) -> OfferTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(OfferTerms, self.terms, "/terms")


class AudienceRequest(RequestModel):
    """Whom a campaign is for: these customers, or all who are of this loyalty tier now."""

    customer_ids: list[Id] | None = Field(default=None, min_length=1, max_length=10_000)
    tier: Tier | None = None

    @model_validator(mode="after")
    def _says_whom_one_way(self) -> Self:
        if (self.customer_ids is None) == (self.tier is None):
            raise ValueError("give customer_ids or tier")
        return self


class IssueRequest(RequestModel):
    """Coupons of one offer: for these customers, for the campaign's audience, or one with a code that anybody may use.

    A `code` counts as often as the offer's `uses_per_code` says.
    """

    offer_id: Id
    customer_ids: list[Id] | None = Field(default=None, min_length=1, max_length=1000)
    code: Annotated[str, StringConstraints(min_length=4, max_length=80)] | None = None
    audience: bool = False

    @model_validator(mode="after")
    def _says_whom_one_way(self) -> Self:
        if (self.customer_ids is not None) + (self.code is not None) + self.audience != 1:
            raise ValueError("give customer_ids, code or audience")
        if self.customer_ids is not None and len(set(self.customer_ids)) < len(self.customer_ids):
            raise ValueError("customer_ids names a customer twice")
        return self


class ActivationRequest(RequestModel):
    """A customer takes an offer that a decision showed."""

    customer_id: Id
    offer_id: Id
    decision_id: Id | None = None


class MembershipRequest(RequestModel):
    """A customer's loyalty tier from now on."""

    tier: Tier


class CampaignAnswer(BaseModel):
    """A campaign; `status` is what it is at this moment, dates counted in."""

    campaign_id: str
    status: CampaignStatus
    revision: int
    terms: CampaignTerms
    spent_minor: int
    held_minor: int
    remaining_minor: int | None
    created_at: datetime
    updated_at: datetime


class CampaignList(BaseModel):
    """Campaigns by id; `next` goes into `after` for those that follow, null at the end."""

    campaigns: list[CampaignAnswer]
    next: str | None


class OfferAnswer(BaseModel):
    """An offer in the revision that holds now; `is_active` False once it is withdrawn."""

    offer_id: str
    campaign_id: str
    revision: int
    is_active: bool
    terms: OfferTerms
    created_at: datetime
    updated_at: datetime


class OfferList(BaseModel):
    """All offers of one campaign by id."""

    offers: list[OfferAnswer]


class ChannelSpendAnswer(BaseModel):
    """What one channel (null: not told) spent; a return counts where the money was spent."""

    channel: str | None
    spent_minor: int
    returned_minor: int
    net_minor: int


class LedgerEntryAnswer(BaseModel):
    """One entry of the append-only ledger; the amount is positive, `kind` tells its direction."""

    entry_id: int
    kind: Literal["budget", "hold", "release", "spend", "return"]
    amount_minor: int
    channel: str | None
    use_id: str | None
    rollback_id: str | None
    entered_at: datetime


class BudgetAnswer(BaseModel):
    """One budget across all channels, and its last entries, newest first; null: the campaign has none."""

    campaign_id: str
    funder: str
    currency: str
    budget_minor: int | None
    spent_minor: int
    held_minor: int
    remaining_minor: int | None
    channels: list[ChannelSpendAnswer]
    entries: list[LedgerEntryAnswer]


class CampaignTotalAnswer(BaseModel):
    """What one campaign cost its funder."""

    campaign_id: str
    spent_minor: int
    returned_minor: int
    net_minor: int
    spent_count: int
    returned_count: int


class FunderTotalAnswer(BaseModel):
    """What one funder owes in one currency."""

    funder: str
    currency: str
    spent_minor: int
    returned_minor: int
    net_minor: int
    spent_count: int
    returned_count: int
    campaigns: list[CampaignTotalAnswer]


class SettlementAnswer(BaseModel):
    """Each funder's bill for what was redeemed and rolled back from `from` until before `to`."""

    model_config = ConfigDict(populate_by_name=True)

    from_at: datetime = Field(alias="from")
    to_at: datetime = Field(alias="to")
    funders: list[FunderTotalAnswer]


class AudienceAnswer(BaseModel):
    """How many customers are new to the campaign's audience."""

    campaign_id: str
    added_count: int


class MembershipAnswer(BaseModel):
    """A customer's loyalty tier."""

    customer_id: str
    tier: str


def campaign_document(campaign: Campaign, *, now: datetime) -> dict[str, Any]:
    """A campaign in the shape of CampaignAnswer."""
    return {
        "campaign_id": campaign.campaign_id,
        "status": campaign.status_at(now),
        "revision": campaign.revision,
        "terms": campaign.terms.model_dump(mode="json"),
        "spent_minor": campaign.spent_minor,
        "held_minor": campaign.held_minor,
        "remaining_minor": campaign.remaining_minor,
        "created_at": campaign.created_at,
        "updated_at": campaign.updated_at,
    }


def offer_document(offer: Offer) -> dict[str, Any]:
    """An offer in the shape of OfferAnswer."""
    return {
        "offer_id": offer.offer_id,
        "campaign_id": offer.campaign_id,
        "revision": offer.revision,
        "is_active": offer.is_active,
        "terms": offer.terms.model_dump(mode="json"),
        "created_at": offer.created_at,
        "updated_at": offer.updated_at,
    }


def campaign_body(campaign: Campaign, *, now: datetime) -> bytes:
    """The JSON body of CampaignAnswer."""
    return orjson.dumps(campaign_document(campaign, now=now))


def offer_body(offer: Offer) -> bytes:
    """The JSON body of OfferAnswer."""
    return orjson.dumps(offer_document(offer))
