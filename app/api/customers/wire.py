"""What identities, consents and preferences look like outside."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.documents import RequestModel
from app.api.money import Money
from app.bounds import NAME_LENGTH, Id, Instant
from app.customers.consents import ALL_CHANNELS, MARKETING, PURPOSE, statuses_of
from app.customers.identities import identity_behind
from app.domain import Channel, JsonObject
from app.stores.sql.customers.benefits import Benefits
from app.stores.sql.customers.consents import statement_of
from app.stores.sql.customers.links import Linked

Purpose = Annotated[str, StringConstraints(pattern=f"^{PURPOSE}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LENGTH)]
SOURCE = "Where it was said: an app, a form, a store"
TEXT_VERSION = "Which text they were shown, by the retailer's own name for it"
Source = Annotated[Name, Field(description=SOURCE)]
TextVersion = Annotated[Name | None, Field(description=TEXT_VERSION)]


class IdentityBody(BaseModel):
    """One name of a customer."""

    type: str = Field(description="What kind of name it is: customer_id, loyalty_card, device, cookie, email_hash, …")
    value: str = Field(description="The name itself")


class LinkAnswer(BaseModel):
    """Whose the identity is now."""

    type: str = Field(description="What kind of name it is")
    value: str = Field(description="The name itself")
    customer_id: str | None = Field(description="The customer that it is linked to; null: none")
    moved_from: str | None = Field(description="Whose it was before this request; null where that did not change")
    identities: list[IdentityBody] = Field(description="Every name of the same person now, this one among them")


class IdentitiesAnswer(BaseModel):
    """Every name of one person."""

    customer_id: str = Field(description="As the request named the customer")
    identities: list[IdentityBody] = Field(description="Every name, the customer's own among them")


class ConsentRequest(RequestModel):
    """What the customer said."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"status": "granted", "source": "app", "text_version": "2026-10"}]}
    )

    status: Literal["granted", "withdrawn"] = Field(description="What they said; it counts until they say otherwise")
    channel: Channel | None = Field(default=None, description="For this channel alone. Default: for all of them")
    source: Source
    text_version: TextVersion = None
    time: Instant | None = Field(default=None, description="When they said it, ISO 8601 with an offset. Default: now")


class ObjectionRequest(RequestModel):
    """What the customer objects to."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"source": "letter"}]})

    purpose: Purpose = Field(
        default=MARKETING,
        description="What they object to. Default: marketing, with every purpose that begins so, and personalization",
    )
    source: Source
    text_version: TextVersion = None


class ChannelStatus(BaseModel):
    """The status of one purpose on one channel."""

    channel: str | None = Field(description="The channel; null: all that are not named")
    status: Literal["granted", "unknown", "withdrawn", "objected"] = Field(
        description="What counts now; `unknown` counts as none where consent is required"
    )


class PurposeStatus(BaseModel):
    """What counts now for one purpose."""

    purpose: str = Field(description="What for")
    channels: list[ChannelStatus] = Field(description="All channels, then those that were named")


class StatementAnswer(BaseModel):
    """One thing that was said."""

    purpose: str = Field(description="What for")
    channel: str | None = Field(description="On which channel; null: on all")
    status: Literal["granted", "withdrawn", "objected", "lifted"] = Field(
        description="What was said; `lifted` took an objection back"
    )
    time: datetime = Field(description="When it was said")
    source: str = Field(description=SOURCE)
    text_version: str | None = Field(description=TEXT_VERSION)
    identity: IdentityBody = Field(description="The name under which it stands")


class ConsentsAnswer(BaseModel):
    """What a customer allows, and everything that led there."""

    customer_id: str = Field(description="As the request named the customer")
    is_required: bool = Field(description="Whether unknown counts as none (ENDCAP_CONSENT)")
    consents: list[PurposeStatus] = Field(description="What counts now, over all names of the person")
    history: list[StatementAnswer] = Field(description="Everything that was said, oldest first")


class BenefitsAnswer(ConsentsAnswer):
    """What a customer got for their data, next to what they allow."""

    discounts: list[Money] = Field(description="What coupons took off and did not come back, by currency")
    points: int = Field(description="Points that coupons gave and that did not come back")
    redemption_count: int = Field(description="How often they redeemed a coupon")


class Preferences(RequestModel):
    """What a customer wants to see, where, and how often. It replaces what was set before as a whole."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"opted_out": {"category": ["TOBACCO"]}, "channels": {"email": False}}]}
    )

    opted_out: dict[Literal["department", "category", "brand"], Annotated[list[Id], Field(max_length=500)]] = Field(
        default_factory=dict,
        description="Departments, categories and brands, as the product table names them: never proposed",
    )
    channels: dict[Channel, bool] = Field(
        default_factory=dict, description="Whether the customer may be written to there; a channel not named: yes"
    )
    max_messages_per_week: int | None = Field(
        default=None, ge=0, le=100, description="The most messages a week over all channels. Default: the retailer's"
    )


class PreferencesAnswer(BaseModel):
    """What a customer wants, over all names of the person: the strictest of each."""

    customer_id: str = Field(description="As the request named the customer")
    opted_out: dict[str, list[str]] = Field(description="Departments, categories and brands that are never proposed")
    channels: dict[str, bool] = Field(description="Whether the customer may be written to there")
    max_messages_per_week: int | None = Field(description="The most messages a week; null: the retailer's own rule")


def identities_body(keys: Iterable[str]) -> list[JsonObject]:
    """Each key's identity."""
    return [{"type": one.type, "value": one.value} for one in map(identity_behind, keys)]


def link_body(linked: Linked) -> JsonObject:
    """LinkAnswer."""
    has_moved = linked.has_changed and linked.former_owner is not None
    return {
        "type": linked.identity.type,
        "value": linked.identity.value,
        "customer_id": None if linked.owner is None else identity_behind(linked.owner).value,
        "moved_from": identity_behind(linked.former_owner).value if has_moved and linked.former_owner else None,
        "identities": identities_body(linked.joined),
    }


def consents_body(
    customer_id: str, keys: Iterable[str], rows: Sequence[JsonObject], *, is_required: bool
) -> JsonObject:
    """ConsentsAnswer; `rows` are those of the table of consents."""
    said = [[statement_of(row) for row in rows if row["key"] == key] for key in keys]
    return {
        "customer_id": customer_id,
        "is_required": is_required,
        "consents": [
            {
                "purpose": purpose,
                "channels": [
                    {"channel": channel or None, "status": status}
                    for channel, status in statuses_of(said, purpose).items()
                ],
            }
            for purpose in sorted({row["purpose"] for row in rows})
        ],
        "history": [
            {
                "purpose": row["purpose"],
                "channel": None if row["channel"] == ALL_CHANNELS else row["channel"],
                "status": row["said"],
                "time": row["at"],
                "source": row["source"],
                "text_version": row["text_version"],
                "identity": identities_body([row["key"]])[0],
            }
            for row in rows
        ],
    }


def benefits_body(each: Sequence[Benefits]) -> JsonObject:
    """The part of BenefitsAnswer that is no consent."""
    return {
        "discounts": [{"amount_minor": one.discount_minor, "currency": one.currency} for one in each],
        "points": sum(one.points for one in each),
        "redemption_count": sum(one.redemption_count for one in each),
    }


def preferences_body(customer_id: str, documents: Iterable[JsonObject]) -> JsonObject:
    """PreferencesAnswer: what any of the documents opts out of, and the fewest messages."""
    opted_out: dict[str, set[str]] = {}
    channels: dict[str, bool] = {}
    most: list[int] = []
    for one in documents:
        for attribute, values in one.get("opted_out", {}).items():
            opted_out.setdefault(attribute, set()).update(values)
        for channel, is_welcome in one.get("channels", {}).items():
            channels[channel] = channels.get(channel, True) and is_welcome
        most += [] if one.get("max_messages_per_week") is None else [one["max_messages_per_week"]]
    return {
        "customer_id": customer_id,
        "opted_out": {attribute: sorted(values) for attribute, values in sorted(opted_out.items())},
        "channels": dict(sorted(channels.items())),
        "max_messages_per_week": min(most, default=None),
    }
