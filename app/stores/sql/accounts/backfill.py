"""Backfill: campaigns that ran elsewhere are added to the ledger, and nothing that is there already is changed."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, insert, select, update

from app.errors import Conflict
from app.offers.terms.codes import new_code, new_id
from app.offers.terms.records import CouponStatus
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.settings import ProductSelector
from app.stores.sql.accounts.reports import SPEND
from app.stores.sql.campaigns.campaigns import act_on_campaign, change_offer, create_campaign, create_offer, find_offer
from app.stores.sql.coupons.audience_issuing import audience_key
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.projection_queue import enqueue
from app.stores.sql.database.projection_queue import insert as insert_or
from app.stores.sql.database.tables import (
    audience,
    budget_ledger,
    campaigns,
    coupons,
    offers,
    redemption_lines,
    redemptions,
    uses,
)
from app.stores.sql.redemption.claims import has_budget_for

CLIENT = "import"
LINE_ID, ANY_PRODUCT = "1", "*"
"""The one line of an imported redemption: the order and its products are not known."""


class BudgetTooSmall(Conflict):
    """What was redeemed elsewhere does not fit into the campaign's budget."""

    code = "budget_too_small"


@dataclass(frozen=True, slots=True)
class PastRedemption:
    """A customer's coupon of an offer was redeemed; once per customer, offer and instant. 0 minor: nobody knows."""

    offer_id: str
    customer_id: str
    redeemed_at: datetime
    discount_minor: int
    channel: str | None

    @property
    def key(self) -> tuple[str, str, datetime]:
        """What identifies it among all redemptions."""
        return self.offer_id, self.customer_id, self.redeemed_at


@dataclass(frozen=True, slots=True)
class KnownCampaign:
    """What an import needs to know of a campaign to read rows about it."""

    currency: str
    starts_at: datetime | None


def known_campaigns(connection: Connection) -> dict[str, KnownCampaign]:
    """Every campaign by its id."""
    query = select(campaigns.c.campaign_id, campaigns.c.currency, campaigns.c.starts_at)
    return {row.campaign_id: KnownCampaign(row.currency, row.starts_at) for row in connection.execute(query)}


def campaigns_of_offers(connection: Connection) -> dict[str, str]:
    """The campaign of every offer, by the offer's id."""
    query = select(offers.c.offer_id, offers.c.campaign_id)
    return {row.offer_id: row.campaign_id for row in connection.execute(query)}


def add_campaigns(connection: Connection, wanted: Mapping[str, CampaignTerms], *, now: datetime) -> int:
    """How many campaigns are new; they are scheduled at once, so each runs from its start until its end."""
    known = known_campaigns(connection)
    new = {campaign_id: terms for campaign_id, terms in wanted.items() if campaign_id not in known}
    for campaign_id, terms in new.items():
        create_campaign(connection, campaign_id, terms, now=now)
        act_on_campaign(connection, campaign_id, "schedule", now=now)
    return len(new)


def add_offers(connection: Connection, wanted: Mapping[str, tuple[str, OfferTerms]], *, now: datetime) -> int:
    """How many products of offers are new, an offer of all products counting as one.

    `wanted` gives campaign and terms by offer id. An offer that is there gets the products that it lacks, in a new
    revision, and keeps all else.
    """
    known = campaigns_of_offers(connection)
    added = 0
    for offer_id, (campaign_id, terms) in wanted.items():
        if offer_id in known:
            added += _widen(connection, offer_id, terms, now=now)
        else:
            create_offer(connection, campaign_id, offer_id, terms, now=now)
            added += len(named_products(terms)) or 1
    return added


def _widen(connection: Connection, offer_id: str, terms: OfferTerms, *, now: datetime) -> int:
    before = find_offer(connection, offer_id).terms
    named = named_products(before)
    lacking = named_products(terms) - named
    # An offer without named products is good for the whole basket, so for all products already.
    if not named or not lacking:
        return 0
    others = tuple(one for one in before.applies_to if one.attribute is not None)
    applies_to = (*others, ProductSelector(product_ids=tuple(sorted(named | lacking))))
    change_offer(connection, offer_id, before.model_copy(update={"applies_to": applies_to}), revision=None, now=now)
    return len(lacking)


def named_products(terms: OfferTerms) -> set[str]:
    """The products that an offer names one by one."""
    return {product_id for one in terms.applies_to for product_id in one.product_ids}


def add_assigned(connection: Connection, assigned: Iterable[tuple[str, str, datetime]], *, now: datetime) -> int:
    """How many of (campaign_id, customer_id, assigned_at) are new to the campaigns' audiences."""
    rows = [dict(zip(("campaign_id", "customer_id", "assigned_at"), one, strict=True)) for one in assigned]
    statement = insert_or(connection, audience).on_conflict_do_nothing().returning(audience.c.customer_id)
    added = sum(len(connection.execute(statement, chunk).all()) for chunk in chunks(rows))
    if added:
        enqueue(connection, {f"campaign:{row['campaign_id']}" for row in rows}, now=now)
    return added


def add_redemptions(connection: Connection, wanted: Sequence[PastRedemption], *, now: datetime) -> int:
    """How many of the redemptions are new; each redeems the customer's open coupon, or one that is issued for it.

    The offers are there. Discounts are spent of the campaigns' budgets, as of the day; raises BudgetTooSmall.
    """
    found = _offers_of(connection, {one.offer_id for one in wanted})
    known = _known_redemptions(connection, found)
    # reversed(), so that of equal rows the first is kept.
    new = list({one.key: one for one in reversed(wanted) if one.key not in known}.values())
    if not new:
        return 0
    coupon_ids = _redeemed_coupons(connection, new, found)
    made = [_NewRedemption(one, coupon_id, found[one.offer_id]) for one, coupon_id in zip(new, coupon_ids, strict=True)]
    connection.execute(insert(redemptions), [one.redemption() for one in made])
    connection.execute(insert(uses), [one.use() for one in made])
    connection.execute(insert(redemption_lines), [one.line() for one in made])
    connection.execute(insert(budget_ledger), [one.entry() for one in made])
    _spend(connection, made)
    stale = {f"campaign:{one.offer.campaign_id}" for one in made} | {f"customer:{one.customer_id}" for one in new}
    enqueue(connection, stale, now=now)
    return len(new)


class _OfferRow(NamedTuple):
    offer_id: str
    revision: int
    campaign_id: str
    funder: str
    currency: str


@dataclass(frozen=True, slots=True)
class _NewRedemption:
    """One redemption on its way into the tables, with the coupon that it redeems."""

    past: PastRedemption
    coupon_id: str
    offer: _OfferRow
    redemption_id: str = field(default_factory=lambda: new_id("rdm"))
    use_id: str = field(default_factory=lambda: new_id("use"))

    def redemption(self) -> dict[str, Any]:
        return {
            "redemption_id": self.redemption_id,
            "status": "redeemed",
            "order_id": CLIENT,
            "customer_id": self.past.customer_id,
            "client": CLIENT,
            "channel": self.past.channel,
            "currency": self.offer.currency,
            "basket_minor": self.past.discount_minor,
            "discount_minor": self.past.discount_minor,
            "redeemed_at": self.past.redeemed_at,
        }

    def use(self) -> dict[str, Any]:
        return {
            "use_id": self.use_id,
            "coupon_id": self.coupon_id,
            "campaign_id": self.offer.campaign_id,
            "offer_id": self.offer.offer_id,
            "offer_revision": self.offer.revision,
            "redemption_id": self.redemption_id,
            "discount_minor": self.past.discount_minor,
            "cost_minor": self.past.discount_minor,
            "counters": [],  # Imported redemptions count in no limit.
        }

    def line(self) -> dict[str, Any]:
        return {
            "redemption_id": self.redemption_id,
            "use_id": self.use_id,
            "line_id": LINE_ID,
            "product_id": ANY_PRODUCT,
            "quantity": 1.0,
            "discount_minor": self.past.discount_minor,
            "cost_minor": self.past.discount_minor,
            "points": 0,
        }

    def entry(self) -> dict[str, Any]:
        """Entered as of the redemption, so that it is billed to the period that it belongs to."""
        return {
            "campaign_id": self.offer.campaign_id,
            "kind": SPEND,
            "amount_minor": self.past.discount_minor,
            "use_id": self.use_id,
            "funder": self.offer.funder,
            "channel": self.past.channel,
            "entered_at": self.past.redeemed_at,
        }


def _offers_of(connection: Connection, offer_ids: set[str]) -> dict[str, _OfferRow]:
    """Campaign, funder, currency and revision of offers, by id; their terms, which may be long, are not read."""
    columns = (offers.c.offer_id, offers.c.revision, campaigns.c.campaign_id, campaigns.c.funder, campaigns.c.currency)
    query = select(*columns).join(campaigns, offers.c.campaign_id == campaigns.c.campaign_id)
    return {
        row.offer_id: _OfferRow(*row)
        for chunk in chunks(sorted(offer_ids))
        for row in connection.execute(query.where(offers.c.offer_id.in_(chunk)))
    }


def _known_redemptions(connection: Connection, offer_ids: Iterable[str]) -> set[tuple[str, str, datetime]]:
    query = select(uses.c.offer_id, redemptions.c.customer_id, redemptions.c.redeemed_at)
    query = query.join(redemptions, uses.c.redemption_id == redemptions.c.redemption_id)
    return {
        (row.offer_id, row.customer_id, row.redeemed_at)
        for chunk in chunks(list(offer_ids))
        for row in connection.execute(query.where(uses.c.offer_id.in_(chunk)))
    }


def _redeemed_coupons(
    connection: Connection, wanted: Sequence[PastRedemption], found: Mapping[str, _OfferRow]
) -> list[str]:
    """A coupon for each, redeemed now: the customer's open one of the offer where there is one, else a new one."""
    table = coupons.c
    is_unused = (table.status == CouponStatus.ISSUED) & (table.uses == 0) & (table.holds == 0) & (table.max_uses == 1)
    open_ids, used_keys = _coupons_of(connection, found, is_unused)
    chosen: list[str] = []
    redeemed_ids: list[str] = []
    rows: list[dict[str, Any]] = []
    for one in wanted:
        mine = open_ids[one.offer_id, one.customer_id]
        if mine:
            redeemed_ids.append(mine.pop())
            chosen.append(redeemed_ids[-1])
            continue
        key = audience_key(one.offer_id, one.customer_id)
        rows.append(_coupon(one, found[one.offer_id], None if key in used_keys else key))
        used_keys.add(key)
        chosen.append(rows[-1]["coupon_id"])
    if rows:
        connection.execute(insert(coupons), rows)
    redeemed = {"uses": 1, "status": CouponStatus.REDEEMED}
    for chunk in chunks(redeemed_ids):
        # `is_unused` once more: a till may have redeemed or reserved one since they were read.
        statement = update(coupons).where(table.coupon_id.in_(chunk), is_unused).values(redeemed)
        if connection.execute(statement).rowcount != len(chunk):
            raise Conflict("a coupon of the file was redeemed or reserved at the same moment; import the file again")
    return chosen


def _coupons_of(
    connection: Connection, offer_ids: Iterable[str], is_unused: ColumnElement[bool]
) -> tuple[dict[tuple[str, str | None], list[str]], set[str]]:
    """The unused coupons of these offers by offer and customer, and the issue keys of all."""
    table = coupons.c
    open_ids: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    used_keys: set[str] = set()
    for chunk in chunks(list(offer_ids)):
        query = select(table.offer_id, table.customer_id, table.coupon_id).where(table.offer_id.in_(chunk), is_unused)
        for row in connection.execute(query):
            open_ids[row.offer_id, row.customer_id].append(row.coupon_id)
        keys = select(table.issue_key).where(table.offer_id.in_(chunk), table.issue_key.is_not(None))
        used_keys.update(connection.execute(keys).scalars())
    return open_ids, used_keys


def _coupon(past: PastRedemption, offer: _OfferRow, issue_key: str | None) -> dict[str, Any]:
    return {
        "coupon_id": new_id("cpn"),
        "code": new_code(),
        "offer_id": past.offer_id,
        "campaign_id": offer.campaign_id,
        "customer_id": past.customer_id,
        "status": CouponStatus.REDEEMED,
        "max_uses": 1,
        "uses": 1,
        "issued_at": past.redeemed_at,
        "issued_by": CLIENT,
        "issue_key": issue_key,
    }


def _spend(connection: Connection, made: Iterable[_NewRedemption]) -> None:
    spent: dict[str, int] = defaultdict(int)
    for one in made:
        spent[one.offer.campaign_id] += one.past.discount_minor
    # Campaigns last and by id, in the order in which every claim takes them.
    for campaign_id, minor in sorted(spent.items()):
        guard = (campaigns.c.campaign_id == campaign_id) & has_budget_for(minor)
        values = {"spent_minor": campaigns.c.spent_minor + minor}
        if not connection.execute(update(campaigns).where(guard).values(values)).rowcount:
            raise BudgetTooSmall(
                f"campaign {campaign_id!r}: {minor} more were redeemed than its budget covers; raise budget_minor first"
            )
