"""A campaign's audience, and its coupons of each of the offers, issued in batches that can stop and go on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, String, func, literal, select

from app.errors import Conflict
from app.offers.terms.records import Campaign, Coupon, Offer
from app.offers.terms.status import CampaignStatus
from app.stores.sql.campaigns.campaigns import find_campaign, find_offer, list_offers
from app.stores.sql.coupons.issuing import coupon_of, issue
from app.stores.sql.customers.groups import customer_ids_joined, customer_named, joined_customers
from app.stores.sql.customers.links import share_persons
from app.stores.sql.database.chunks import CHUNK_ROWS, chunks
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue, insert
from app.stores.sql.database.tables import audience, coupons, memberships

BY_AUDIENCE = "audience"
BY_DECISION = "decision"

Progress = Callable[[int, int], None]
"""Called with how many people were gone through, each once per offer, and how many there are in all."""


class NotIssuable(Conflict):
    """The offer or its campaign gives no coupon this way, or no longer."""

    code = "not_issuable"


@dataclass(frozen=True, slots=True)
class IssueReport:
    """The end of one run: how many people the campaign has, how many coupons are new, how many they had before."""

    campaign_id: str
    audience_count: int
    issued_count: int
    known_count: int


def add_audience(connection: Connection, campaign_id: str, customer_ids: Sequence[str], *, now: datetime) -> int:
    """How many of the customers are new to the campaign's audience; raises CampaignNotFound."""
    find_campaign(connection, campaign_id)
    # In one order, so that two requests that name the same customers cannot deadlock.
    named = sorted({customer_named(connection, one) for one in customer_ids})
    rows = [{"campaign_id": campaign_id, "customer_id": one, "assigned_at": now} for one in named]
    # What the statement wrote itself: a difference of two counts would hold what others added meanwhile.
    statement = insert(connection, audience).on_conflict_do_nothing().returning(audience.c.customer_id)
    added = sum(len(connection.execute(statement, chunk).all()) for chunk in chunks(rows))
    enqueue(connection, (f"customer:{row['customer_id']}" for row in rows), now=now)
    return added


def add_segment(connection: Connection, campaign_id: str, *, tier: str, now: datetime) -> int:
    """The same for all customers who are of this loyalty tier now; who joins it later is not added by itself."""
    find_campaign(connection, campaign_id)
    # With their types, so that Instant writes `now` as it does everywhere else.
    members = select(literal(campaign_id, String), memberships.c.customer_id, literal(now, audience.c.assigned_at.type))
    members = members.where(memberships.c.tier == tier).order_by(memberships.c.customer_id)
    names = [column.name for column in audience.columns]
    of_tier = connection.execute(select(memberships.c.customer_id).where(memberships.c.tier == tier)).scalars()
    enqueue(connection, (f"customer:{customer_id}" for customer_id in of_tier), now=now)
    return connection.execute(
        insert(connection, audience).from_select(names, members).on_conflict_do_nothing()
    ).rowcount


def customers_of(connection: Connection, campaign_id: str) -> set[str]:
    """The campaign's whole audience."""
    query = select(audience.c.customer_id).where(audience.c.campaign_id == campaign_id)
    return set(connection.execute(query).scalars())


def issue_to_audience(
    ledger: Ledger, campaign_id: str, offer_id: str | None, *, now: datetime, progress: Progress
) -> IssueReport:
    """One coupon per person of the audience and offer that is issued by audience: of one offer, or of all.

    Every batch is a transaction. A run that broke off is taken up by the next, and nobody gets a coupon twice, not
    even when the first was revoked. Raises CampaignNotFound, OfferNotFound and NotIssuable.
    """
    campaign, offers = ledger.read(lambda connection: _issuable(connection, campaign_id, offer_id, now))
    people = ledger.read(lambda connection: _count(connection, campaign_id))
    done = issued = 0
    for offer in offers:
        # By id and not by OFFSET: who joins meanwhile moves nobody to another batch.
        last = ""
        while batch := ledger.read(partial(_next, campaign_id=campaign_id, last=last)):
            issued += ledger.write(partial(_issue_batch, campaign=campaign, offer=offer, customer_ids=batch, now=now))
            last = batch[-1]
            done += len(batch)
            progress(done, people * len(offers))
    return IssueReport(campaign_id, people, issued, done - issued)


def audience_key(offer_id: str, customer_id: str) -> str:
    """The issue key of the one coupon of an offer that somebody in the audience gets."""
    return f"{BY_AUDIENCE}:{offer_id}:{customer_id}"


def activate(connection: Connection, offer_id: str, customer_id: str, *, now: datetime) -> Coupon:
    """The customer's coupon of an offer that is issued by decision: issued by the first call, the same afterwards.

    Raises OfferNotFound, and NotIssuable where there is none yet and the offer or campaign gives none now.
    """
    offer = find_offer(connection, offer_id)
    campaign = find_campaign(connection, offer.campaign_id)
    share_persons(connection)
    customer_id = customer_named(connection, customer_id)
    customer_ids = customer_ids_joined(connection, customer_id)
    earlier = _activated(connection, offer_id, customer_ids)
    if earlier is not None:
        return earlier
    _check(offer, campaign, BY_DECISION, now)
    if campaign.status_at(now) is not CampaignStatus.RUNNING:
        raise NotIssuable(
            f"campaign {campaign.campaign_id!r} is {campaign.status_at(now)}; it gives coupons as it runs"
        )
    # By the first name, so that two names of one person at once get one coupon; by their own where that name got one
    # for somebody who was of that person then.
    for key in (f"{BY_DECISION}:{offer_id}:{name}" for name in dict.fromkeys((customer_ids[0], customer_id))):
        made = issue(connection, offer, campaign, [customer_id], issued_by=BY_DECISION, issue_keys=[key], now=now)
        # None is new when another transaction was quicker.
        found = made[0] if made else _activated(connection, offer_id, customer_ids)
        if found is not None:
            return found
    raise NotIssuable(f"offer {offer_id!r} was activated under this name by somebody who has another one now")


def _activated(connection: Connection, offer_id: str, customer_ids: Sequence[str]) -> Coupon | None:
    is_theirs = (coupons.c.offer_id == offer_id) & coupons.c.customer_id.in_(customer_ids)
    query = select(coupons).where(is_theirs, coupons.c.issued_by == BY_DECISION).order_by(coupons.c.issued_at)
    row = connection.execute(query.limit(1)).mappings().one_or_none()
    return None if row is None else coupon_of(row)


def _issuable(
    connection: Connection, campaign_id: str, offer_id: str | None, now: datetime
) -> tuple[Campaign, list[Offer]]:
    campaign = find_campaign(connection, campaign_id)
    check_not_over(campaign, now)
    if offer_id is None:
        every = list_offers(connection, campaign_id)
        return campaign, [
            one for one in every if one.is_active and one.fault is None and one.terms.issue.by == BY_AUDIENCE
        ]
    offer = offer_in(connection, campaign_id, offer_id)
    _check(offer, campaign, BY_AUDIENCE, now)
    return campaign, [offer]


def offer_in(connection: Connection, campaign_id: str, offer_id: str) -> Offer:
    """The offer of just this campaign; raises OfferNotFound and NotIssuable."""
    offer = find_offer(connection, offer_id)
    if offer.campaign_id != campaign_id:
        raise NotIssuable(f"offer {offer_id!r} is one of campaign {offer.campaign_id!r}, not of {campaign_id!r}")
    return offer


def check_active(offer: Offer) -> None:
    """Raises NotIssuable for an offer that was withdrawn, or that nobody can compute."""
    if not offer.is_active:
        raise NotIssuable(f"offer {offer.offer_id!r} was withdrawn")
    if offer.fault is not None:
        raise NotIssuable(f"offer {offer.offer_id!r} cannot be computed ({offer.fault}); change its terms first")


def check_not_over(campaign: Campaign, now: datetime) -> None:
    """Raises NotIssuable for a campaign that has ended."""
    if campaign.status_at(now) is CampaignStatus.ENDED:
        raise NotIssuable(f"campaign {campaign.campaign_id!r} has ended; reopen it or change ends_at first")


def _check(offer: Offer, campaign: Campaign, issued_by: str, now: datetime) -> None:
    if offer.terms.issue.by != issued_by:
        raise NotIssuable(f"offer {offer.offer_id!r} is issued by {offer.terms.issue.by}, not by {issued_by}")
    check_active(offer)
    if offer.terms.valid_until is not None and now >= offer.terms.valid_until:
        raise NotIssuable(f"offer {offer.offer_id!r} was valid until {offer.terms.valid_until.isoformat()}")


def _count(connection: Connection, campaign_id: str) -> int:
    query = select(func.count()).select_from(audience).where(audience.c.campaign_id == campaign_id)
    return int(connection.execute(query).scalar_one())


def _next(connection: Connection, *, campaign_id: str, last: str) -> Sequence[str]:
    mine = (audience.c.campaign_id == campaign_id) & (audience.c.customer_id > last)
    query = select(audience.c.customer_id).where(mine).order_by(audience.c.customer_id).limit(CHUNK_ROWS)
    return connection.execute(query).scalars().all()


def _issue_batch(
    connection: Connection, *, campaign: Campaign, offer: Offer, customer_ids: Sequence[str], now: datetime
) -> int:
    customer_ids = _one_per_person(connection, offer.offer_id, customer_ids)
    keys = [audience_key(offer.offer_id, customer_id) for customer_id in customer_ids]
    return len(issue(connection, offer, campaign, customer_ids, issued_by=BY_AUDIENCE, issue_keys=keys, now=now))


def _one_per_person(connection: Connection, offer_id: str, customer_ids: Sequence[str]) -> list[str]:
    """Those who get a coupon: of several names of one person the first, and none where another has one already."""
    share_persons(connection)
    joined = joined_customers(connection, customer_ids)
    others = {audience_key(offer_id, name) for names in joined.values() for name in names}
    known = set()
    for chunk in chunks(sorted(others)):
        known |= set(connection.execute(select(coupons.c.issue_key).where(coupons.c.issue_key.in_(chunk))).scalars())
    served: set[str] = set()
    due = []
    for customer_id in customer_ids:
        names = joined.get(customer_id, ())
        if served.isdisjoint(names) and not any(audience_key(offer_id, name) in known for name in names):
            due.append(customer_id)
            served.update(names)
    return due
