"""The wire's schemas of campaigns, offers and issuing: what the retailer's own people send and get."""

from datetime import datetime
from typing import Annotated, Literal, Self

import orjson
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from app.api.documents import ParsedLater, RequestModel
from app.api.fields import CUSTOMER_ID, CurrencyAnswer, CustomerId, DecisionId
from app.bounds import Id
from app.offers.terms.documents import parse_document
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.stored import document_of
from app.offers.terms.terms import CampaignTerms, OfferTerms

ChosenId = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$", max_length=64)] | None,
    Field(description="An id of your own choice. Default: a random one"),
]
Revision = Annotated[
    Annotated[int, Field(ge=1, le=2**31 - 1)] | None,
    Field(description="Change only this revision, else answer 409. Default: whichever it is"),
]
Tier = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
UnparsedCampaignTerms = Annotated[object, ParsedLater(CampaignTerms)]
UnparsedOfferTerms = Annotated[object, ParsedLater(OfferTerms)]

_SPRING: JsonDict = {"name": "Spring", "funder": "retailer", "currency": "EUR", "budget_minor": 500_000}
_TWO_OFF: JsonDict = {
    "name": "2 € off",
    "discount": {"type": "amount", "amount_minor": 200},
    "minimum_basket_minor": 1000,
    "channels": ["store", "app"],
    "valid_days": 14,
}
"""The campaign and the offer of the examples."""


class CampaignRequest(RequestModel):
    """A new campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"campaign_id": "spring", "terms": _SPRING}]})

    campaign_id: ChosenId = None
    # Not parsed with the body: `parsed` points more exactly to what is wrong.
    terms: UnparsedCampaignTerms = Field(description="What it sets for all its offers")

    def parsed(self) -> CampaignTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(CampaignTerms, self.terms, "/terms")


class CampaignChange(RequestModel):
    """Other terms for a campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"terms": _SPRING | {"budget_minor": 750_000}}]})

    revision: Revision = None
    terms: UnparsedCampaignTerms = Field(description="All its terms from now on")

    def parsed(self) -> CampaignTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(CampaignTerms, self.terms, "/terms")


class OfferRequest(RequestModel):
    """A new offer of a campaign."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"offer_id": "two-off", "terms": _TWO_OFF}]})

    offer_id: ChosenId = None
    terms: UnparsedOfferTerms = Field(description="What it promises")

    def parsed(self) -> OfferTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(OfferTerms, self.terms, "/terms")


class OfferChange(RequestModel):
    """Other terms for an offer; they also hold for coupons that are out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"terms": _TWO_OFF | {"valid_days": 30}}]})

    revision: Revision = None
    terms: UnparsedOfferTerms = Field(description="All its terms from now on")

    def parsed(self) -> OfferTerms:
        """The checked terms; raises InvalidTerms."""
        return parse_document(OfferTerms, self.terms, "/terms")


class AudienceRequest(RequestModel):
    """Whom a campaign is for: these customers, or all who are of this loyalty tier now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_ids": ["900"]}, {"tier": "gold"}]})

    customer_ids: list[Id] | None = Field(
        default=None, min_length=1, max_length=10_000, description="These customers; else `tier`"
    )
    tier: Tier | None = Field(default=None, description="All customers of this loyalty tier; else `customer_ids`")

    @model_validator(mode="after")
    def _says_whom_one_way(self) -> Self:
        if (self.customer_ids is None) == (self.tier is None):
            raise ValueError("give customer_ids or tier")
        return self


class IssueRequest(RequestModel):
    """Coupons of one offer: for some customers, for the campaign's audience, or one with a code for everybody."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"offer_id": "two-off", "customer_ids": ["900"]},
                {"offer_id": "two-off", "audience": True},
                {"offer_id": "two-off", "code": "SPRING-2"},
            ]
        }
    )

    offer_id: Id = Field(description="The offer")
    customer_ids: list[Id] | None = Field(
        default=None, min_length=1, max_length=1000, description="One coupon for each of these customers"
    )
    code: Annotated[str, StringConstraints(min_length=4, max_length=80)] | None = Field(
        default=None, description="One coupon with this code, which can be used as often as `uses_per_code` says"
    )
    audience: bool = Field(default=False, description="One coupon for each customer of the campaign's audience")

    @model_validator(mode="after")
    def _says_whom_one_way(self) -> Self:
        if (self.customer_ids is not None) + (self.code is not None) + self.audience != 1:
            raise ValueError("give customer_ids, code or audience")
        if self.customer_ids is not None and len(set(self.customer_ids)) < len(self.customer_ids):
            raise ValueError("customer_ids names a customer twice")
        return self


class ActivationRequest(RequestModel):
    """A customer takes an offer that a decision showed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "900", "offer_id": "app-only"}]})

    customer_id: CustomerId
    offer_id: Id = Field(description="The offer, one that is issued by decision")
    decision_id: DecisionId = None


class MembershipRequest(RequestModel):
    """A customer's loyalty tier from now on."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"tier": "gold"}]})

    tier: Tier = Field(description="The tier's name, spelt as offers spell it")


class CampaignAnswer(BaseModel):
    """A campaign."""

    campaign_id: str = Field(description="The campaign")
    status: CampaignStatus = Field(description="What it is at this moment, start and end taken into account")
    revision: int = Field(description="Counts its changes, from 1")
    terms: CampaignTerms = Field(description="What it sets for all its offers")
    spent_minor: int = Field(description="What its redemptions cost, less returns, in minor units")
    held_minor: int = Field(description="What reservations hold, in minor units")
    remaining_minor: int | None = Field(description="What is left of the budget, in minor units; null: no budget")
    created_at: datetime = Field(description="When it was made")
    updated_at: datetime = Field(description="When it was last changed")


class CampaignList(BaseModel):
    """A page of campaigns."""

    campaigns: list[CampaignAnswer] = Field(description="By id")
    next: str | None = Field(description="Send it as `after` for those that follow; null at the end")


class OfferAnswer(BaseModel):
    """An offer in the revision that holds now."""

    offer_id: str = Field(description="The offer")
    campaign_id: str = Field(description="Its campaign")
    revision: int = Field(description="Counts its changes, from 1")
    is_active: bool = Field(description="False once it is withdrawn")
    terms: OfferTerms = Field(description="What it promises")
    fault: str | None = Field(
        description="Why it gives nothing: what these stored terms break; null where they are sound"
    )
    created_at: datetime = Field(description="When it was made")
    updated_at: datetime = Field(description="When it was last changed")


class OfferList(BaseModel):
    """All offers of one campaign."""

    offers: list[OfferAnswer] = Field(description="By id, withdrawn ones among them")


class ChannelSpendAnswer(BaseModel):
    """What one channel spent; a return counts where the money was spent."""

    channel: str | None = Field(description="The channel; null where not known")
    spent_minor: int = Field(description="What redemptions cost, in minor units")
    returned_minor: int = Field(description="What came back, in minor units")
    net_minor: int = Field(description="Spent less returned, in minor units")


class LedgerEntryAnswer(BaseModel):
    """One entry of the append-only ledger."""

    entry_id: int = Field(description="Counts up over all entries")
    kind: Literal["budget", "hold", "release", "spend", "return"] = Field(description="What the money did")
    amount_minor: int = Field(description="In minor units, never below 0; of a budget all of it")
    channel: str | None = Field(description="The channel; null where not known")
    use_id: str | None = Field(description="The reservation or redemption that it belongs to")
    rollback_id: str | None = Field(description="The rollback, if it was one")
    entered_at: datetime = Field(description="When it was entered")


class BudgetAnswer(BaseModel):
    """One budget across all channels, and where it went."""

    campaign_id: str = Field(description="The campaign")
    funder: str = Field(description="Whose money it is: `retailer`, or a supplier's name")
    currency: CurrencyAnswer
    budget_minor: int | None = Field(description="In minor units; null: no budget")
    spent_minor: int = Field(description="What redemptions cost, less returns, in minor units")
    held_minor: int = Field(description="What reservations hold, in minor units")
    remaining_minor: int | None = Field(description="What is left, in minor units; null: no budget")
    channels: list[ChannelSpendAnswer] = Field(description="Per channel; the net amounts add up to `spent_minor`")
    entries: list[LedgerEntryAnswer] = Field(description="The last entries, newest first")


class CampaignTotalAnswer(BaseModel):
    """What one campaign cost its funder."""

    campaign_id: str = Field(description="The campaign")
    spent_minor: int = Field(description="What redemptions cost, in minor units")
    returned_minor: int = Field(description="What came back, in minor units")
    net_minor: int = Field(description="Spent less returned, in minor units; below 0 where old money came back")
    spent_count: int = Field(description="Coupons redeemed")
    returned_count: int = Field(description="Coupons that came back, whole or in part")


class FunderTotalAnswer(BaseModel):
    """What one funder owes in one currency."""

    funder: str = Field(description="`retailer`, or a supplier's name")
    currency: CurrencyAnswer
    spent_minor: int = Field(description="What redemptions cost, in minor units")
    returned_minor: int = Field(description="What came back, in minor units")
    net_minor: int = Field(description="Spent less returned, in minor units; below 0 where old money came back")
    spent_count: int = Field(description="Coupons redeemed")
    returned_count: int = Field(description="Coupons that came back, whole or in part")
    campaigns: list[CampaignTotalAnswer] = Field(description="The same per campaign")


class SettlementAnswer(BaseModel):
    """Each funder's bill for what was redeemed and rolled back in a period."""

    model_config = ConfigDict(populate_by_name=True)

    from_at: datetime = Field(alias="from", description="First instant of the period")
    to_at: datetime = Field(alias="to", description="First instant after the period")
    funders: list[FunderTotalAnswer] = Field(description="One bill per funder and currency")


class AudienceAnswer(BaseModel):
    """What became of the campaign's audience."""

    campaign_id: str = Field(description="The campaign")
    added_count: int = Field(description="How many customers are new to its audience")


class MembershipAnswer(BaseModel):
    """A customer's loyalty tier."""

    customer_id: str = Field(description=CUSTOMER_ID)
    tier: str = Field(description="The tier's name")


def campaign_document(campaign: Campaign, *, now: datetime) -> dict[str, object]:
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


def offer_document(offer: Offer) -> dict[str, object]:
    """An offer in the shape of OfferAnswer."""
    return {
        "offer_id": offer.offer_id,
        "campaign_id": offer.campaign_id,
        "revision": offer.revision,
        "is_active": offer.is_active,
        "terms": document_of(offer.terms),
        "fault": offer.fault,
        "created_at": offer.created_at,
        "updated_at": offer.updated_at,
    }


def campaign_body(campaign: Campaign, *, now: datetime) -> bytes:
    """The JSON body of CampaignAnswer."""
    return orjson.dumps(campaign_document(campaign, now=now))


def offer_body(offer: Offer) -> bytes:
    """The JSON body of OfferAnswer."""
    return orjson.dumps(offer_document(offer))
