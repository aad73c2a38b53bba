"""Campaigns, their offers and their customers' tiers in the ledger: created, found, changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from app.errors import Conflict, Missing
from app.offers.terms.codes import new_id
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import Action, CampaignStatus, changed
from app.offers.terms.stored import stored_terms
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.stores.sql.database import projection_queue as queue
from app.stores.sql.database.tables import budget_ledger, campaigns, offer_revisions, offers


class CampaignNotFound(Missing):
    """No campaign has this id."""

    code = "campaign_not_found"


class OfferNotFound(Missing):
    """No offer has this id."""

    code = "offer_not_found"


class AlreadyExists(Conflict):
    """The id that was given is taken."""

    code = "already_exists"


class RevisionConflict(Conflict):
    """Somebody else changed it since it was read."""

    code = "revision_conflict"


class BudgetBelowSpend(Conflict):
    """A budget cannot be less than what is spent or held of it already."""

    code = "budget_below_spend"


def create_campaign(
    connection: Connection, campaign_id: str | None, terms: CampaignTerms, *, now: datetime
) -> Campaign:
    """A new campaign in state draft; raises AlreadyExists."""
    campaign_id = campaign_id or new_id("cmp")
    row = {"campaign_id": campaign_id, "status": CampaignStatus.DRAFT, "created_at": now, "updated_at": now}
    _insert_new(connection, campaigns, "campaign", campaign_id, row | _columns(terms))
    if terms.budget_minor is not None:
        _enter_budget(connection, campaign_id, terms, now=now)
    queue.enqueue(connection, [f"campaign:{campaign_id}"], now=now)
    return find_campaign(connection, campaign_id)


def find_campaign(connection: Connection, campaign_id: str) -> Campaign:
    """The campaign; raises CampaignNotFound."""
    row = connection.execute(select(campaigns).where(campaigns.c.campaign_id == campaign_id)).mappings().one_or_none()
    if row is None:
        raise CampaignNotFound(f"no campaign {campaign_id!r}")
    return campaign_of(row)


def list_campaigns(connection: Connection, *, after: str | None = None, limit: int = 1000) -> list[Campaign]:
    """Campaigns, the newest first, those after the campaign `after`; raises CampaignNotFound.

    What came in one import has one instant: 2 then stands before 10.
    """
    table = campaigns.c
    length = func.length(table.campaign_id)
    query = select(campaigns).order_by(table.created_at.desc(), length, table.campaign_id).limit(limit)
    if after is not None:
        last = find_campaign(connection, after)
        id_follows = (length > len(after)) | ((length == len(after)) & (table.campaign_id > after))
        is_older = table.created_at < last.created_at
        query = query.where(is_older | ((table.created_at == last.created_at) & id_follows))
    return [campaign_of(row) for row in connection.execute(query).mappings()]


def change_campaign(
    connection: Connection, campaign_id: str, terms: CampaignTerms, *, revision: int | None, now: datetime
) -> Campaign:
    """The campaign with other terms; raises CampaignNotFound, RevisionConflict where `revision` is not the last one,
    BudgetBelowSpend, and Conflict for another currency or funder once money was spent.

    The budget is guarded by the database, whatever is redeemed meanwhile.
    """
    before = find_campaign(connection, campaign_id)
    table = campaigns.c
    revision = before.revision if revision is None else revision
    guard = (table.campaign_id == campaign_id) & (table.revision == revision)
    if terms.budget_minor is not None:
        guard &= table.spent_minor + table.held_minor <= terms.budget_minor
    # Entries so far are in that currency and on that funder's bill.
    if (terms.currency, terms.funder) != (before.terms.currency, before.terms.funder):
        guard &= (table.spent_minor == 0) & (table.held_minor == 0)
    values = _columns(terms) | {"revision": table.revision + 1, "updated_at": now}
    if not connection.execute(update(campaigns).where(guard).values(values)).rowcount:
        raise _why_unchanged(find_campaign(connection, campaign_id), terms, revision)
    if terms.budget_minor is not None and terms.budget_minor != before.terms.budget_minor:
        _enter_budget(connection, campaign_id, terms, now=now)
    queue.enqueue(connection, [f"campaign:{campaign_id}"], now=now)
    return find_campaign(connection, campaign_id)


def act_on_campaign(connection: Connection, campaign_id: str, action: Action, *, now: datetime) -> Campaign:
    """The campaign after schedule, pause, resume or end; raises CampaignNotFound and BadTransition."""
    before = find_campaign(connection, campaign_id)
    status = changed(CampaignStatus(before.status), action)
    guard = (campaigns.c.campaign_id == campaign_id) & (campaigns.c.status == before.status)
    values = {"status": status, "revision": campaigns.c.revision + 1, "updated_at": now}
    if not connection.execute(update(campaigns).where(guard).values(values)).rowcount:
        raise RevisionConflict(f"campaign {campaign_id!r} was changed at the same moment; look at it and try again")
    queue.enqueue(connection, [f"campaign:{campaign_id}"], now=now)
    return find_campaign(connection, campaign_id)


def create_offer(
    connection: Connection, campaign_id: str, offer_id: str | None, terms: OfferTerms, *, now: datetime
) -> Offer:
    """A new offer of a campaign; raises CampaignNotFound and AlreadyExists."""
    find_campaign(connection, campaign_id)
    offer_id = offer_id or new_id("off")
    row = {"offer_id": offer_id, "campaign_id": campaign_id, "created_at": now, "updated_at": now}
    _insert_new(connection, offers, "offer", offer_id, row | _offer_columns(terms))
    _keep_revision(connection, offer_id, revision=1, terms=terms, now=now)
    queue.enqueue(connection, [f"campaign:{campaign_id}"], now=now)
    return find_offer(connection, offer_id)


def find_offer(connection: Connection, offer_id: str) -> Offer:
    """The offer in its last revision; raises OfferNotFound."""
    return find_offers(connection, [offer_id])[offer_id]


def find_offers(connection: Connection, offer_ids: Sequence[str]) -> dict[str, Offer]:
    """Offers by id; raises OfferNotFound for the first that is missing."""
    rows = connection.execute(select(offers).where(offers.c.offer_id.in_(set(offer_ids)))).mappings()
    found = {row["offer_id"]: offer_of(row) for row in rows}
    for offer_id in offer_ids:
        if offer_id not in found:
            raise OfferNotFound(f"no offer {offer_id!r}")
    return found


def terms_at(connection: Connection, offer_id: str, revision: int) -> OfferTerms | None:
    """The terms that this revision of an offer had; None when there was none such."""
    query = select(offer_revisions.c.terms).where(
        (offer_revisions.c.offer_id == offer_id) & (offer_revisions.c.revision == revision)
    )
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else stored_terms(found)


def list_offers(connection: Connection, campaign_id: str | None = None) -> list[Offer]:
    """Offers in the order in which they were made, those of one campaign or all; of one instant 2 before 10."""
    query = select(offers).order_by(offers.c.created_at, func.length(offers.c.offer_id), offers.c.offer_id)
    if campaign_id is not None:
        query = query.where(offers.c.campaign_id == campaign_id)
    return [offer_of(row) for row in connection.execute(query).mappings()]


def change_offer(
    connection: Connection, offer_id: str, terms: OfferTerms, *, revision: int | None, now: datetime
) -> Offer:
    """The offer in a new revision, which holds for coupons issued before as well, unless a decision guarantees the
    earlier one; raises OfferNotFound and RevisionConflict."""
    before = find_offer(connection, offer_id)
    guard = (offers.c.offer_id == offer_id) & (offers.c.revision == (before.revision if revision is None else revision))
    values = _offer_columns(terms) | {"revision": offers.c.revision + 1, "updated_at": now}
    if not connection.execute(update(offers).where(guard).values(values)).rowcount:
        raise RevisionConflict(f"offer {offer_id!r} is at revision {before.revision}; look at it and try again")
    after = find_offer(connection, offer_id)
    _keep_revision(connection, offer_id, after.revision, terms, now=now)
    queue.enqueue(connection, [f"campaign:{after.campaign_id}"], now=now)
    return after


def withdraw_offer(connection: Connection, offer_id: str, *, is_active: bool = False, now: datetime) -> Offer:
    """The offer, no longer issued or shown; coupons that are out stay good. `is_active` True takes that back."""
    offer = find_offer(connection, offer_id)
    # No new revision: the terms stay as they are.
    values = {"is_active": is_active, "updated_at": now}
    connection.execute(update(offers).where(offers.c.offer_id == offer_id).values(values))
    queue.enqueue(connection, [f"campaign:{offer.campaign_id}"], now=now)
    return find_offer(connection, offer_id)


def campaign_of(row: RowMapping) -> Campaign:
    """A row of the table as a Campaign."""
    return Campaign(
        campaign_id=row["campaign_id"],
        status=row["status"],
        terms=CampaignTerms.model_validate(row["terms"]),
        spent_minor=row["spent_minor"],
        held_minor=row["held_minor"],
        revision=row["revision"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def offer_of(row: RowMapping) -> Offer:
    """A row of the table as an Offer."""
    return Offer(
        offer_id=row["offer_id"],
        campaign_id=row["campaign_id"],
        revision=row["revision"],
        terms=stored_terms(row["terms"]),
        is_active=row["is_active"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _columns(terms: CampaignTerms) -> dict[str, Any]:
    repeated = {name: getattr(terms, name) for name in ("funder", "currency", "starts_at", "ends_at", "budget_minor")}
    return {"terms": terms.model_dump(mode="json"), **repeated}


def _offer_columns(terms: OfferTerms) -> dict[str, Any]:
    return {"terms": terms.model_dump(mode="json"), "issued_by": terms.issue.by}


def _keep_revision(connection: Connection, offer_id: str, revision: int, terms: OfferTerms, *, now: datetime) -> None:
    row = {"offer_id": offer_id, "revision": revision, "terms": terms.model_dump(mode="json"), "created_at": now}
    connection.execute(insert(offer_revisions).values(row))


def _insert_new(connection: Connection, table: Any, what: str, given_id: str, row: Mapping[str, Any]) -> None:
    # ON CONFLICT, because on PostgreSQL an INSERT that fails ends the whole transaction.
    if not connection.execute(queue.insert(connection, table).values(row).on_conflict_do_nothing()).rowcount:
        raise AlreadyExists(f"{what} {given_id!r} exists already; choose another id, or change that one")


def _enter_budget(connection: Connection, campaign_id: str, terms: CampaignTerms, *, now: datetime) -> None:
    entry = {"campaign_id": campaign_id, "kind": "budget", "amount_minor": terms.budget_minor, "funder": terms.funder}
    connection.execute(insert(budget_ledger).values(entry | {"entered_at": now}))


def _why_unchanged(campaign: Campaign, terms: CampaignTerms, revision: int) -> Conflict:
    if revision != campaign.revision:
        return RevisionConflict(
            f"campaign {campaign.campaign_id!r} is at revision {campaign.revision}, not {revision}; "
            "look at it and try again"
        )
    used = campaign.spent_minor + campaign.held_minor
    if terms.budget_minor is not None and terms.budget_minor < used:
        return BudgetBelowSpend(
            f"budget_minor {terms.budget_minor} is less than the {used} spent or held already; give at least that",
            pointer="/budget_minor",
        )
    return Conflict(f"campaign {campaign.campaign_id!r} has spent money: its currency and funder stay as they are")
