"""What coupons would give on a basket, from one snapshot and without any lock: the answer of a dry run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from app.offers.rules.combination import Applied, Candidate, Capacity, Combination, best_combination
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.periods import period_key
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.records import Campaign, Coupon, CouponStatus, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import OfferTerms
from app.stores.sql.campaigns.campaigns import campaign_of, find_offers, terms_at
from app.stores.sql.campaigns.memberships import tier_of
from app.stores.sql.coupons.issuing import coupon_of, coupons_of, find_by_code
from app.stores.sql.database.tables import campaigns, counters, coupons, reservations, uses
from app.stores.sql.redemption.claims import Claim, CounterKey


@dataclass(frozen=True, slots=True)
class Promise:
    """A decision's promise that is still good: these offers in these revisions, as they stood at `decided_at`."""

    decided_at: datetime
    revisions: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Question:
    """Which coupons on which basket: typed `codes`, and with `wallet` every open coupon of the customer.

    `reveals_recipients`: the caller may learn that a code is somebody else's. `is_to_reserve`: the answer becomes a
    reservation, so that coupons which need one may be in it.
    """

    basket: Basket
    situation: Situation
    codes: tuple[str, ...] = ()
    wallet: bool = False
    reservation_id: str | None = None
    promise: Promise | None = None
    reveals_recipients: bool = False
    is_to_reserve: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """One coupon or code: what it gives, or why it does not. `typed` is None for one out of the wallet.

    `revision` is that of the offer which it was judged by.
    """

    typed: str | None
    coupon: Coupon | None
    offer: Offer | None
    revision: int
    applied: Applied | None
    refusal: Refusal | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The best combination and the claims that make it true; `overdue` tells that reservations are to expire first."""

    question: Question
    judged: tuple[Judged, ...]
    claims: tuple[Claim, ...]
    overdue: bool

    @property
    def applied(self) -> list[Applied]:
        """What each coupon in the best combination gives."""
        return [one.applied for one in self.judged if one.applied is not None]

    @property
    def discount_minor(self) -> int:
        """What all coupons take off together."""
        return sum(applied.discount_minor for applied in self.applied)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What a coupon is judged by: this revision of its offer, valid as of this instant."""

    as_of: datetime
    revision: int


@dataclass(slots=True)
class _Freed:
    """Uses that a quote may count as free: of reservations that are over, and of the caller's own reservation.

    `reserved` are the coupons of the latter, as they stood when it was made.
    """

    holds: dict[str, int] = field(default_factory=dict)
    money: dict[str, int] = field(default_factory=dict)
    counted: dict[CounterKey, int] = field(default_factory=dict)
    reserved: dict[str, _Kept] = field(default_factory=dict)
    has_overdue: bool = False


def quote(connection: Connection, question: Question) -> Quote:
    """The best combination for the customer out of what may be used; nothing is changed or locked."""
    found = _find_coupons(connection, question)
    offers = find_offers(connection, [coupon.offer_id for _, coupon in found if coupon is not None])
    of_campaigns = _campaigns(connection, {offer.campaign_id for offer in offers.values()})
    freed = _freed(connection, question, list(of_campaigns))
    situation = question.situation
    tier = situation.tier or tier_of(connection, situation.customer_id)
    situation = Situation(situation.now_at, situation.customer_id, tier, situation.channel, situation.store_id)
    refused: dict[str, Refusal] = {}
    candidates: list[Candidate] = []
    kept: dict[str, _Kept] = {}
    limits: dict[str, list[tuple[CounterKey, int]]] = {}
    for _, coupon in found:
        if coupon is None:
            continue
        offer = offers[coupon.offer_id]
        campaign = of_campaigns[offer.campaign_id]
        terms, kept[coupon.coupon_id] = _kept(connection, coupon, offer, question, freed)
        refusal = _standing(coupon, terms, campaign, question, freed, as_of=kept[coupon.coupon_id].as_of)
        if refusal is not None:
            refused[coupon.coupon_id] = refusal
            continue
        limits[coupon.coupon_id] = _limits(coupon, campaign, situation)
        keys = tuple(_capacity_key(key) for key, _ in limits[coupon.coupon_id])
        candidates.append(Candidate(coupon.coupon_id, offer.offer_id, offer.campaign_id, terms, keys))
    capacities = _capacities(connection, limits, of_campaigns, freed)
    combination = best_combination(candidates, question.basket, situation, capacities)
    judged = tuple(_judged(typed, coupon, offers, kept, combination, refused) for typed, coupon in found)
    claims = tuple(
        Claim(one.coupon_id, of_campaigns[one.campaign_id], one.cost_minor, tuple(limits[one.coupon_id]))
        for one in combination.applied
    )
    return Quote(question, judged, claims, freed.has_overdue)


NOT_FOUND = Refusal(ReasonCode.COUPON_NOT_FOUND, "no such coupon; check the code")


def _judged(
    typed: str | None,
    coupon: Coupon | None,
    offers: Mapping[str, Offer],
    kept: Mapping[str, _Kept],
    combination: Combination,
    refused: Mapping[str, Refusal],
) -> Judged:
    if coupon is None:
        return Judged(typed, None, None, 0, None, NOT_FOUND)
    refusal = refused.get(coupon.coupon_id) or combination.refused.get(coupon.coupon_id)
    if refusal is not None and refusal.code is ReasonCode.COUPON_NOT_FOUND:
        return Judged(typed, None, None, 0, None, NOT_FOUND)
    applied = next((one for one in combination.applied if one.coupon_id == coupon.coupon_id), None)
    return Judged(typed, coupon, offers[coupon.offer_id], kept[coupon.coupon_id].revision, applied, refusal)


def _find_coupons(connection: Connection, question: Question) -> list[tuple[str | None, Coupon | None]]:
    """Each code once with its coupon or None, then the wallet's coupons that no code named."""
    found: dict[str, tuple[str | None, Coupon | None]] = {}
    for typed in question.codes:
        coupon = find_by_code(connection, typed)
        found.setdefault(coupon.coupon_id if coupon else typed, (typed, coupon))
    if question.reservation_id is not None:
        held = select(uses.c.coupon_id).where(uses.c.reservation_id == question.reservation_id)
        query = select(coupons).where(coupons.c.coupon_id.in_(held)).order_by(coupons.c.coupon_id)
        for row in connection.execute(query).mappings():
            found.setdefault(row["coupon_id"], (None, coupon_of(row)))
    if question.wallet and question.situation.customer_id is not None:
        for coupon in coupons_of(connection, question.situation.customer_id, open_only=True):
            found.setdefault(coupon.coupon_id, (None, coupon))
    return list(found.values())


def _campaigns(connection: Connection, campaign_ids: set[str]) -> dict[str, Campaign]:
    rows = connection.execute(select(campaigns).where(campaigns.c.campaign_id.in_(campaign_ids))).mappings()
    return {row["campaign_id"]: campaign_of(row) for row in rows}


def _kept(
    connection: Connection, coupon: Coupon, offer: Offer, question: Question, freed: _Freed
) -> tuple[OfferTerms, _Kept]:
    """As a decision promised it, else as the caller's own reservation held it, else as it is now."""
    promise, kept = question.promise, freed.reserved.get(coupon.coupon_id)
    if promise is not None and offer.offer_id in promise.revisions:
        kept = _Kept(promise.decided_at, promise.revisions[offer.offer_id])
    if kept is not None and kept.revision == offer.revision:
        return offer.terms, kept
    terms = None if kept is None else terms_at(connection, offer.offer_id, kept.revision)
    if kept is None or terms is None:
        return offer.terms, _Kept(question.situation.now_at, offer.revision)
    return terms, kept


def _freed(connection: Connection, question: Question, campaign_ids: Sequence[str]) -> _Freed:
    now = question.situation.now_at
    is_over = reservations.c.expires_at <= now
    if question.reservation_id is not None:
        is_over |= reservations.c.reservation_id == question.reservation_id
    query = (
        select(uses, reservations.c.expires_at, reservations.c.created_at)
        .join(reservations, uses.c.reservation_id == reservations.c.reservation_id)
        .where(reservations.c.status == "held", is_over, uses.c.campaign_id.in_(campaign_ids))
    )
    freed = _Freed()
    for row in connection.execute(query).mappings():
        freed.has_overdue |= row["expires_at"] <= now
        if row["reservation_id"] == question.reservation_id:
            freed.reserved[row["coupon_id"]] = _Kept(row["created_at"], row["offer_revision"])
        freed.holds[row["coupon_id"]] = freed.holds.get(row["coupon_id"], 0) + 1
        freed.money[row["campaign_id"]] = freed.money.get(row["campaign_id"], 0) + row["cost_minor"]
        for parts in row["counters"]:
            key = CounterKey(*parts)
            freed.counted[key] = freed.counted.get(key, 0) + 1
    return freed


def _standing(
    coupon: Coupon, terms: OfferTerms, campaign: Campaign, question: Question, freed: _Freed, *, as_of: datetime
) -> Refusal | None:
    """Why this coupon cannot be used now whatever is in the basket; None when it can."""
    if coupon.customer_id is not None and coupon.customer_id != question.situation.customer_id:
        if not question.reveals_recipients:
            return NOT_FOUND
        return Refusal(ReasonCode.RECIPIENT_MISMATCH, "the coupon was issued to another customer")
    return (
        _used_up(coupon, freed)
        or _outside_validity(coupon, terms, as_of)
        or _not_running(campaign, as_of)
        or _of_other_kind(terms, campaign, question)
        or _unreserved(coupon, terms, question, freed)
    )


def _used_up(coupon: Coupon, freed: _Freed) -> Refusal | None:
    if coupon.status is CouponStatus.REVOKED:
        return Refusal(ReasonCode.COUPON_REVOKED, "the coupon was withdrawn")
    if coupon.status is CouponStatus.EXPIRED:
        return Refusal(ReasonCode.COUPON_EXPIRED, "the coupon has expired", actual=_told(coupon.valid_until))
    holds = coupon.holds - freed.holds.get(coupon.coupon_id, 0)
    if coupon.max_uses is None or coupon.uses + holds < coupon.max_uses:
        return None
    if coupon.uses < coupon.max_uses:
        return Refusal(ReasonCode.RESERVATION_HELD_BY_OTHER, "the coupon is reserved for another order; try later")
    if coupon.max_uses == 1:
        return Refusal(ReasonCode.ALREADY_REDEEMED, "the coupon has been redeemed", required=1, actual=1)
    return Refusal(
        ReasonCode.CODE_LIMIT_REACHED, "the code has been used up", required=coupon.max_uses, actual=coupon.uses
    )


def _outside_validity(coupon: Coupon, terms: OfferTerms, as_of: datetime) -> Refusal | None:
    for start in (coupon.valid_from, terms.valid_from):
        if start is not None and as_of < start:
            return Refusal(ReasonCode.COUPON_NOT_YET_VALID, f"valid from {_told(start)}", _told(start), _told(as_of))
    for end in (coupon.valid_until, terms.valid_until):
        if end is not None and as_of >= end:
            return Refusal(ReasonCode.COUPON_EXPIRED, f"valid until {_told(end)}", _told(end), _told(as_of))
    return None


def _not_running(campaign: Campaign, as_of: datetime) -> Refusal | None:
    status = campaign.status_at(as_of)
    if status is CampaignStatus.RUNNING:
        return None
    return Refusal(
        ReasonCode.CAMPAIGN_NOT_RUNNING, f"the campaign is {status}", CampaignStatus.RUNNING.value, status.value
    )


def _of_other_kind(terms: OfferTerms, campaign: Campaign, question: Question) -> Refusal | None:
    if campaign.terms.currency != question.basket.currency:
        return Refusal(
            ReasonCode.CURRENCY_MISMATCH,
            f"the offer is in {campaign.terms.currency}, the basket in {question.basket.currency}",
            campaign.terms.currency,
            question.basket.currency,
        )
    per_customer = any(limit.scope == "customer" for limit in campaign.terms.limits)
    if per_customer and question.situation.customer_id is None:
        return Refusal(
            ReasonCode.CUSTOMER_LIMIT_REACHED, "the campaign counts per customer; give customer_id", "customer_id"
        )
    return None


def _unreserved(coupon: Coupon, terms: OfferTerms, question: Question, freed: _Freed) -> Refusal | None:
    if not terms.reservation_required or question.is_to_reserve or coupon.coupon_id in freed.reserved:
        return None
    return Refusal(ReasonCode.RESERVATION_REQUIRED, "make a reservation first and redeem with its reservation_id")


def _limits(coupon: Coupon, campaign: Campaign, situation: Situation) -> list[tuple[CounterKey, int]]:
    """The counters that a use of the coupon counts in, each with its limit."""
    subjects = {"code": coupon.coupon_id, "customer": situation.customer_id or "", "campaign": ""}
    terms = campaign.terms
    return [
        (
            CounterKey(
                campaign.campaign_id,
                limit.scope,
                subjects[limit.scope],
                period_key(limit.period, situation.now_at, terms.time_zone),
            ),
            limit.count,
        )
        for limit in terms.limits
    ]


def _capacity_key(key: CounterKey) -> str:
    return "|".join((key.campaign_id, key.scope, key.subject, key.period))


_LIMIT_CODES = {
    "code": ReasonCode.CODE_LIMIT_REACHED,
    "customer": ReasonCode.CUSTOMER_LIMIT_REACHED,
    "campaign": ReasonCode.CAMPAIGN_LIMIT_REACHED,
}


def _capacities(
    connection: Connection,
    limits: Mapping[str, Sequence[tuple[CounterKey, int]]],
    of_campaigns: Mapping[str, Campaign],
    freed: _Freed,
) -> dict[str, Capacity]:
    """What is left of every limit and budget that the candidates touch."""
    capacities: dict[str, Capacity] = {}
    used = _used(connection, {key for keys in limits.values() for key, _ in keys})
    for keys in limits.values():
        for key, limit in keys:
            count = used.get(key, 0) - freed.counted.get(key, 0)
            told = Refusal(
                _LIMIT_CODES[key.scope], f"at most {limit} per {key.scope}, period {key.period}", limit, count
            )
            capacities[_capacity_key(key)] = Capacity(limit - count, told)
    for campaign in of_campaigns.values():
        remaining_minor = campaign.remaining_minor
        if remaining_minor is not None:
            left = remaining_minor + freed.money.get(campaign.campaign_id, 0)
            told = Refusal(ReasonCode.BUDGET_EXHAUSTED, "the campaign's budget does not cover it", actual=left)
            capacities[f"budget:{campaign.campaign_id}"] = Capacity(left, told)
    return capacities


def _used(connection: Connection, keys: set[CounterKey]) -> dict[CounterKey, int]:
    if not keys:
        return {}
    query = select(counters).where(
        counters.c.campaign_id.in_({key.campaign_id for key in keys}),
        counters.c.subject.in_({key.subject for key in keys}),
        counters.c.period.in_({key.period for key in keys}),
    )
    rows = connection.execute(query).mappings()
    found = {CounterKey(row["campaign_id"], row["scope"], row["subject"], row["period"]): row["used"] for row in rows}
    return {key: found.get(key, 0) for key in keys}


def _told(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
