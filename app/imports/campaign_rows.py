"""Rows of campaigns, offers, audiences and redemptions: each value checked, then made what the ledger takes."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from app.bounds import NAME_LENGTH
from app.imports import values
from app.imports.checked import columns_of
from app.imports.reading.block import Block
from app.imports.values import Fault, ParsedColumn
from app.offers.terms.money import MAX_MINOR, format_amount
from app.offers.terms.terms import RETAILER, Amount, CampaignTerms, Discount, OfferTerms, Percent
from app.settings import ProductSelector
from app.stores.sql.accounts.backfill import KnownCampaign, PastRedemption

EVERY_PRODUCT = "*"

Columns = Mapping[str, ParsedColumn]


def parse_campaigns(block: Block, *, default_currency: str) -> Columns:
    """campaign_id, name, funder, currency, budget, starts_at, ends_at."""
    column = columns_of(block)
    currency = values.currencies(column("currency"), default=default_currency)
    starts_at, ends_at = values.instants(column("starts_at")), values.instants(column("ends_at"))
    ends_first = ("not after starts_at", ends_at.values <= starts_at.values)
    parsed = {
        "campaign_id": _id(column("campaign_id")),
        "name": values.identifiers(column("name"), length_max=NAME_LENGTH),
        "funder": values.identifiers(column("funder"), length_max=NAME_LENGTH),
        "currency": currency,
        "budget": _money(column("budget"), currency.values, least=0),
        "starts_at": starts_at,
        "ends_at": ParsedColumn(ends_at.values, [*ends_at.faults, ends_first]),
    }
    return _alike(parsed, "campaign_id", [name for name in parsed if name != "campaign_id"])


def campaign_terms(frame: pl.DataFrame, *, time_zone: str, shift: timedelta) -> dict[str, CampaignTerms]:
    """Terms by campaign id, times moved by `shift`."""
    return {
        row["campaign_id"]: CampaignTerms(
            name=row["name"] or f"Campaign {row['campaign_id']}",
            funder=row["funder"] or RETAILER,
            currency=row["currency"],
            budget_minor=row["budget"],
            starts_at=row["starts_at"],
            ends_at=row["ends_at"],
            time_zone=time_zone,
        )
        # Any row will do: _alike() has refused those that say something else of the same campaign.
        for row in _in_utc(frame, "starts_at", "ends_at", shift=shift).unique("campaign_id").iter_rows(named=True)
    }


def parse_offers(block: Block, *, campaigns: Mapping[str, KnownCampaign], offers: Mapping[str, str]) -> Columns:
    """offer_id, campaign_id, product_id, name, amount, percent; `offers` gives the campaign of those there are."""
    column = columns_of(block)
    offer, campaign = _id(column("offer_id")), _known(column("campaign_id"), campaigns, "campaign")
    other = offer.values.replace_strict(offers, default=None, return_dtype=pl.String)
    elsewhere: Fault = ("the ledger has this offer in another campaign", other != campaign.values)
    amount = _money(column("amount"), _currencies(campaign.values, campaigns), least=1)
    percent = values.percents(column("percent"))
    # By the text and not by what was parsed, so that a faulty value counts as given.
    given = values.text(column("amount")).is_not_null(), values.text(column("percent")).is_not_null()
    parsed = {
        "offer_id": ParsedColumn(offer.values, [*offer.faults, elsewhere]),
        "campaign_id": campaign,
        "product_id": values.identifiers(column("product_id"), compulsory=True),
        "name": values.identifiers(column("name"), length_max=NAME_LENGTH),
        "amount": ParsedColumn(
            amount.values, [*amount.faults, ("give amount or percent, one of them", given[0] == given[1])]
        ),
        "percent": percent,
    }
    return _alike(parsed, "offer_id", ["campaign_id", "name", "amount", "percent"])


def offer_terms(frame: pl.DataFrame, *, campaigns: Mapping[str, KnownCampaign]) -> dict[str, tuple[str, OfferTerms]]:
    """Campaign and terms by offer id. Coupons can be used once, and together with others."""
    each = frame.group_by("offer_id").agg(
        pl.col("campaign_id", "name", "amount", "percent").first(), pl.col("product_id").unique().sort()
    )
    found = {}
    for row in each.sort("offer_id").iter_rows(named=True):
        discount = _discount(row)
        products: Sequence[str] = row["product_id"]
        applies_to = () if EVERY_PRODUCT in products else (ProductSelector(product_ids=tuple(products)),)
        name = row["name"] or _default_name(discount, campaigns[row["campaign_id"]].currency)
        terms = OfferTerms(name=name, discount=discount, applies_to=applies_to, combinable=True)
        found[row["offer_id"]] = (row["campaign_id"], terms)
    return found


def parse_audience(block: Block, *, campaigns: Mapping[str, KnownCampaign], shift: timedelta, now: datetime) -> Columns:
    """campaign_id, customer_id, timestamp, which has happened once it is moved by `shift`."""
    column = columns_of(block)
    return {
        "campaign_id": _known(column("campaign_id"), campaigns, "campaign"),
        "customer_id": _id(column("customer_id")),
        "timestamp": values.happened(column("timestamp"), now=now, shift=shift),
    }


def assignments(
    frame: pl.DataFrame, *, campaigns: Mapping[str, KnownCampaign], shift: timedelta, now: datetime
) -> list[tuple[str, str, datetime]]:
    """(campaign_id, customer_id, assigned_at): without a time as of the campaign's start, else of `now`.

    Of several lines about one customer the earliest with a time counts.
    """
    rows = _in_utc(frame, "timestamp", shift=shift).select("campaign_id", "customer_id", "timestamp")
    earliest = rows.group_by("campaign_id", "customer_id").agg(pl.col("timestamp").min())
    return [
        (campaign_id, customer_id, assigned_at or campaigns[campaign_id].starts_at or now)
        for campaign_id, customer_id, assigned_at in earliest.sort(pl.all()).rows()
    ]


def parse_redemptions(
    block: Block,
    *,
    campaigns: Mapping[str, KnownCampaign],
    offers: Mapping[str, str],
    shift: timedelta,
    now: datetime,
) -> Columns:
    """offer_id, customer_id, timestamp, which has happened once it is moved by `shift`, discount, channel."""
    column = columns_of(block)
    offer = _known(column("offer_id"), offers, "offer")
    campaign = offer.values.replace_strict(offers, default=None, return_dtype=pl.String)
    at = values.happened(column("timestamp"), now=now, shift=shift)
    return {
        "offer_id": offer,
        "customer_id": _id(column("customer_id")),
        "timestamp": ParsedColumn(at.values, [*at.faults, ("missing", values.text(column("timestamp")).is_null())]),
        "discount": _money(column("discount"), _currencies(campaign, campaigns), least=0),
        "channel": values.channels(column("channel")),
    }


def past_redemptions(frame: pl.DataFrame, *, shift: timedelta) -> list[PastRedemption]:
    """The same as the ledger takes them, in the file's order."""
    rows = _in_utc(frame, "timestamp", shift=shift)
    columns = rows.select("offer_id", "customer_id", "timestamp", pl.col("discount").fill_null(0), "channel")
    return [PastRedemption(*row) for row in columns.iter_rows()]


def _id(raw: pl.Series) -> ParsedColumn:
    return values.identifiers(raw, compulsory=True)


def _known(raw: pl.Series, known: Collection[str], what: str) -> ParsedColumn:
    found = _id(raw)
    unknown = found.values.is_not_null() & ~found.values.is_in(list(known))
    return ParsedColumn(found.values, [*found.faults, (f"the ledger has no such {what}: import it first", unknown)])


def _currencies(campaign: pl.Series, campaigns: Mapping[str, KnownCampaign]) -> pl.Series:
    of = {campaign_id: known.currency for campaign_id, known in campaigns.items()}
    # Rows of campaigns that are not known are refused anyway, so any currency will do for them.
    return campaign.replace_strict(of, default="EUR", return_dtype=pl.String)


def _money(raw: pl.Series, currency: pl.Series, *, least: int) -> ParsedColumn:
    found = values.money(raw, currency)
    bounds = [
        ("negative" if least == 0 else "not above 0", found.values < least),
        ("too large", found.values > MAX_MINOR),
    ]
    return ParsedColumn(found.values, [*found.faults, *bounds])


def _alike(parsed: dict[str, ParsedColumn], key: str, names: Sequence[str]) -> Columns:
    """The same, with a fault where a sound row says something else than the first sound one of its `key`."""
    faults = [mask.fill_null(False) for column in parsed.values() for _, mask in column.faults]
    frame = pl.DataFrame([column.values.alias(name) for name, column in parsed.items()])
    is_sound = ~pl.any_horizontal(faults) if faults else pl.lit(True)
    frame = frame.with_columns(is_sound.alias("is sound"))
    for name in names:
        first = pl.col(name).filter(pl.col("is sound")).first().over(key)
        # ne_missing(), because != gives null where one of the two is absent.
        differs = frame.select(pl.col("is sound") & pl.col(name).ne_missing(first)).to_series()
        fault = (f"not as in an earlier row of the same {key}", differs)
        parsed[name] = ParsedColumn(parsed[name].values, [*parsed[name].faults, fault])
    return parsed


def _in_utc(frame: pl.DataFrame, *names: str, shift: timedelta) -> pl.DataFrame:
    return frame.with_columns((pl.col(name).dt.replace_time_zone("UTC") + shift) for name in names)


def _discount(row: Mapping[str, Any]) -> Discount:
    if row["percent"] is not None:
        return Percent(type="percent", percent=row["percent"])
    return Amount(type="amount", amount_minor=row["amount"])


def _default_name(discount: Discount, currency: str) -> str:
    if isinstance(discount, Percent):
        return f"{discount.percent:g} % off"
    assert isinstance(discount, Amount)
    return f"{format_amount(discount.amount_minor, currency)} {currency} off"
