"""What coupons would give on a basket, from one snapshot and without any lock: the answer of a dry run."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from sqlalchemy import Connection, select

from app.offers.rules.combination import Combination, UsableCoupon, best_combination
from app.offers.terms.basket import Situation
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.records import Campaign, Coupon, Offer
from app.offers.terms.terms import attributes_of
from app.stores.sql.campaigns.campaigns import campaign_of, find_offers
from app.stores.sql.campaigns.memberships import tier_of
from app.stores.sql.coupons.issuing import coupon_of, coupons_of, find_by_code
from app.stores.sql.customers.groups import customer_ids_joined, customer_named
from app.stores.sql.database.tables import campaigns, coupons, uses
from app.stores.sql.redemption.capacities import (
    capacity_key,
    counter_limits,
    kept_limits,
    remaining_capacities,
    used_of,
)
from app.stores.sql.redemption.claims import Claim, CounterKey
from app.stores.sql.redemption.freed import TermsInForce, freed_uses, terms_in_force
from app.stores.sql.redemption.question import Question, Quote, QuotedCoupon
from app.stores.sql.redemption.refusals import NOT_FOUND, refusal_of_coupon, refusal_of_recipient


def with_customer(connection: Connection, question: Question) -> Question:
    """The same of the customer by the id that tables hold, under whatever name they are meant."""
    customer_id = question.situation.customer_id
    if customer_id is None:
        return question
    return replace(question, situation=replace(question.situation, customer_id=customer_named(connection, customer_id)))


def quote(connection: Connection, question: Question) -> Quote:
    """The best combination for the customer out of what may be used; nothing is changed or locked."""
    question = with_customer(connection, question)
    situation = question.situation
    customer_id = situation.customer_id
    customer_ids = () if customer_id is None else customer_ids_joined(connection, customer_id)
    found = _find_coupons(connection, question, customer_ids)
    offers = find_offers(connection, [coupon.offer_id for _, coupon in found if coupon is not None])
    of_campaigns = _campaigns(connection, {offer.campaign_id for offer in offers.values()})
    freed = freed_uses(connection, question, list(of_campaigns))
    tier = situation.tier or tier_of(connection, customer_ids)
    situation = Situation(situation.now_at, situation.customer_id, tier, situation.channel, situation.store_id)
    refused: dict[str, Refusal] = {}
    candidates: list[UsableCoupon] = []
    in_force: dict[str, TermsInForce] = {}
    limits: dict[str, list[tuple[CounterKey, int]]] = {}
    for _, coupon in found:
        if coupon is None:
            continue
        offer = offers[coupon.offer_id]
        campaign = of_campaigns[offer.campaign_id]
        terms, in_force[coupon.coupon_id] = terms_in_force(connection, coupon, offer, question, freed)
        as_of = in_force[coupon.coupon_id].as_of
        # First of all: nobody may learn the state of a coupon that is somebody else's.
        refusal = refusal_of_recipient(coupon, customer_ids, question) or refusal_of_coupon(
            coupon, terms, campaign, question, freed, as_of=as_of
        )
        if refusal is not None:
            refused[coupon.coupon_id] = refusal
            continue
        limits[coupon.coupon_id] = counter_limits(
            coupon, campaign, freed, customer_id=next(iter(customer_ids), ""), now=situation.now_at
        )
        keys = tuple(capacity_key(key) for key, _ in limits[coupon.coupon_id])
        held = freed.reserved.get(coupon.coupon_id)
        since = None if held is None else held.as_of
        candidates.append(UsableCoupon(coupon.coupon_id, offer.offer_id, offer.campaign_id, terms, keys, since))
    # For all candidates at once, because coupons of one basket may share counters and budgets.
    used = used_of(connection, limits, freed)
    kept = kept_limits(limits, used, freed)
    capacities = remaining_capacities(kept, used, of_campaigns, freed)
    combination = best_combination(candidates, question.basket, situation, capacities)
    quoted = tuple(_quoted(typed, coupon, offers, in_force, combination, refused) for typed, coupon in found)
    claims = tuple(
        Claim(
            one.coupon_id,
            of_campaigns[one.campaign_id],
            one.cost_minor,
            kept[one.coupon_id],
            is_reserved=one.coupon_id in freed.reserved,
        )
        for one in combination.applied
    )
    attributes = frozenset(name for one in candidates for name in attributes_of(one.terms))
    return Quote(question, quoted, claims, freed.has_overdue, tier, attributes, customer_ids)


def _quoted(
    typed: str | None,
    coupon: Coupon | None,
    offers: Mapping[str, Offer],
    in_force: Mapping[str, TermsInForce],
    combination: Combination,
    refused: Mapping[str, Refusal],
) -> QuotedCoupon:
    refusal = None if coupon is None else refused.get(coupon.coupon_id) or combination.refused.get(coupon.coupon_id)
    # Another customer's coupon must look like a code that does not exist, or codes could be tried out.
    if coupon is None or (refusal is not None and refusal.code is ReasonCode.COUPON_NOT_FOUND):
        return QuotedCoupon(typed, coupon=None, offer=None, revision=0, applied=None, refusal=NOT_FOUND)
    applied = next((one for one in combination.applied if one.coupon_id == coupon.coupon_id), None)
    return QuotedCoupon(typed, coupon, offers[coupon.offer_id], in_force[coupon.coupon_id].revision, applied, refusal)


def _find_coupons(
    connection: Connection, question: Question, customer_ids: Collection[str]
) -> list[tuple[str | None, Coupon | None]]:
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
    if question.wallet:
        for coupon in coupons_of(connection, customer_ids, open_only=True):
            found.setdefault(coupon.coupon_id, (None, coupon))
    return list(found.values())


def _campaigns(connection: Connection, campaign_ids: set[str]) -> dict[str, Campaign]:
    rows = connection.execute(select(campaigns).where(campaigns.c.campaign_id.in_(campaign_ids))).mappings()
    return {row["campaign_id"]: campaign_of(row) for row in rows}
