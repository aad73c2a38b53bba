"""What a quote may count as free although it is held, and the terms that a reserved coupon keeps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, select

from app.offers.terms.records import Coupon, Offer
from app.offers.terms.terms import OfferTerms
from app.stores.sql.campaigns.campaigns import terms_at
from app.stores.sql.database.tables import reservations, uses
from app.stores.sql.redemption.claims import CounterKey
from app.stores.sql.redemption.question import Question


@dataclass(frozen=True, slots=True)
class TermsInForce:
    """Which terms count for a coupon: this revision of its offer, and whether it is valid at this instant."""

    as_of: datetime
    revision: int


@dataclass(slots=True)
class FreedUses:
    """Uses that a quote may count as free: of reservations that are over, and of the caller's own reservation.

    `reserved` are the coupons of the latter, as they stood when it was made, `held_counters` what each counts in and
    `held` how much all of them count there: that much is promised, whatever happens to limits meanwhile.
    """

    holds: dict[str, int] = field(default_factory=dict)
    money: dict[str, int] = field(default_factory=dict)
    counted: dict[CounterKey, int] = field(default_factory=dict)
    reserved: dict[str, TermsInForce] = field(default_factory=dict)
    held_counters: dict[str, Sequence[CounterKey]] = field(default_factory=dict)
    held: dict[CounterKey, int] = field(default_factory=dict)
    has_overdue: bool = False


def freed_uses(connection: Connection, question: Question, campaign_ids: Sequence[str]) -> FreedUses:
    """What reservations of these campaigns hold that does not stand in the question's way."""
    now = question.situation.now_at
    # What is overdue counts as free at once: nobody has to wait until a sweep has expired it.
    is_over = reservations.c.expires_at <= now
    if question.reservation_id is not None:
        is_over |= reservations.c.reservation_id == question.reservation_id
    query = (
        select(uses, reservations.c.expires_at, reservations.c.created_at)
        .join(reservations, uses.c.reservation_id == reservations.c.reservation_id)
        .where(reservations.c.status == "held", is_over, uses.c.campaign_id.in_(campaign_ids))
    )
    freed = FreedUses()
    for row in connection.execute(query).mappings():
        freed.has_overdue |= row["expires_at"] <= now
        keys = [CounterKey(*parts) for parts in row["counters"]]
        if row["reservation_id"] == question.reservation_id:
            freed.reserved[row["coupon_id"]] = TermsInForce(row["created_at"], row["offer_revision"])
            freed.held_counters[row["coupon_id"]] = keys
            freed.held.update({key: freed.held.get(key, 0) + 1 for key in keys})
        freed.holds[row["coupon_id"]] = freed.holds.get(row["coupon_id"], 0) + 1
        freed.money[row["campaign_id"]] = freed.money.get(row["campaign_id"], 0) + row["cost_minor"]
        freed.counted.update({key: freed.counted.get(key, 0) + 1 for key in keys})
    return freed


def terms_in_force(
    connection: Connection, coupon: Coupon, offer: Offer, question: Question, freed: FreedUses
) -> tuple[OfferTerms, TermsInForce]:
    """As a decision guarantees them, else as the caller's own reservation held them, else as they are now."""
    guarantee, kept = question.guarantee, freed.reserved.get(coupon.coupon_id)
    if guarantee is not None and offer.offer_id in guarantee.revisions:
        kept = TermsInForce(guarantee.decided_at, guarantee.revisions[offer.offer_id])
    if kept is not None and kept.revision == offer.revision:
        return offer.terms, kept
    terms = None if kept is None else terms_at(connection, offer.offer_id, kept.revision)
    if kept is None or terms is None:
        return offer.terms, TermsInForce(question.situation.now_at, offer.revision)
    return terms, kept
