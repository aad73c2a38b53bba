"""Coupons in the ledger: issued once per reason, found by what a till scans or somebody types, revoked, expired."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, select, update

from app.errors import BadInput, Conflict
from app.offers.terms.codes import chosen_code, new_code, new_id, new_serial, normal_code
from app.offers.terms.gs1 import COUPON_NUMBER, parse_element_string
from app.offers.terms.records import Campaign, Coupon, CouponStatus, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import OfferTerms
from app.offers.terms.time_zones import day_start, local_date
from app.stores.sql.database.chunks import CHUNK_ROWS, chunks
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue, insert
from app.stores.sql.database.tables import coupons, pending_revocations

OPEN = (CouponStatus.ISSUED, CouponStatus.RESERVED)
_UNUSED = (coupons.c.status == CouponStatus.ISSUED) & (coupons.c.uses == 0) & (coupons.c.holds == 0)
_FOR_MANY = (coupons.c.status == CouponStatus.ISSUED) & (coupons.c.max_uses.is_(None) | (coupons.c.max_uses > 1))
_COLUMNS = tuple(field.name for field in fields(Coupon))
KEEP_PENDING = timedelta(days=90)
ATTEMPTS = 5
"""Of a million serials under one number, one in a million meets another: five times in a row never happens."""


class CodeTaken(Conflict):
    """A coupon has this code already."""

    code = "code_taken"


class ShownStatus(StrEnum):
    """What a wallet calls a coupon."""

    ACTIVE = "active"
    PENDING = "pending"
    USED = "used"
    EXPIRED = "expired"
    DISABLED = "disabled"


def issue(
    connection: Connection,
    offer: Offer,
    campaign: Campaign,
    customer_ids: Sequence[str | None],
    *,
    issued_by: str,
    issue_keys: Sequence[str] | None = None,
    code: str | None = None,
    now: datetime,
) -> list[Coupon]:
    """New coupons, one per customer (None: whoever has the code), in their order.

    An issue whose key (one per customer) happened before is not repeated, whatever became of that coupon: it is missing
    from the answer. `code` is for one coupon with a code that people remember; raises BadInput when it is none and
    CodeTaken when it is taken. Otherwise codes are random.
    """
    if code is not None and len(customer_ids) != 1:
        raise BadInput("a code of one's own names one coupon; leave it out to issue several", pointer="/code")
    made = _coupons(offer, campaign, customer_ids, issued_by=issued_by, now=now)
    if code is not None:
        made = [replace(made[0], code=chosen_code(code), written_code=code)]
    keys: Sequence[str | None] = issue_keys or [None] * len(made)
    issued: list[Coupon] = []
    # Keys in one order in every transaction, so that two never wait for each other in a ring.
    pending = sorted(zip(made, keys, strict=True), key=lambda one: one[1] or "")
    for _ in range(ATTEMPTS):
        new_ids = _insert(connection, pending)
        issued += [coupon for coupon, _ in pending if coupon.coupon_id in new_ids]
        pending = _not_yet_issued(connection, [one for one in pending if one[0].coupon_id not in new_ids])
        if not pending:
            break
        if code is not None:
            raise CodeTaken(f"code {code!r} is taken; choose another", pointer="/code")
        pending = [(_renamed(coupon), key) for coupon, key in pending]
    enqueue(connection, (f"customer:{coupon.customer_id}" for coupon in issued if coupon.customer_id), now=now)
    position = {coupon.coupon_id: number for number, coupon in enumerate(made)}
    return sorted(issued, key=lambda coupon: position[coupon.coupon_id])


def find_coupon(connection: Connection, coupon_id: str) -> Coupon | None:
    """The coupon with this id."""
    return _one(connection, coupons.c.coupon_id == coupon_id)


def find_by_code(connection: Connection, typed: str) -> Coupon | None:
    """The coupon with this code, however it was typed, or with the GS1 coupon number and serial that a till scanned."""
    found = _one(connection, coupons.c.code == normal_code(typed))
    if found is not None:
        return found
    try:
        number = parse_element_string(typed).get(COUPON_NUMBER, "")
    except BadInput:
        return None
    return _one(connection, (coupons.c.gcn == number[:13]) & (coupons.c.serial == number[13:]))


def coupon_issued_for(connection: Connection, issue_key: str) -> Coupon | None:
    """The coupon that was issued for this reason, whatever became of it."""
    return _one(connection, coupons.c.issue_key == issue_key)


def coupons_of(connection: Connection, customer_ids: Collection[str], *, open_only: bool) -> list[Coupon]:
    """The own coupons of whoever has these ids, latest issued first; `open_only`: those issued or reserved now."""
    query = select(coupons).where(coupons.c.customer_id.in_(customer_ids))
    if open_only:
        query = query.where(coupons.c.status.in_(OPEN))
    query = query.order_by(coupons.c.issued_at.desc(), coupons.c.coupon_id)
    return [coupon_of(row) for row in connection.execute(query).mappings()]


def revoke(connection: Connection, coupon_id: str, *, now: datetime) -> bool:
    """True when the coupon is revoked now; one that was used, is reserved or has come to its end stays.

    A code for many is revoked though some have used it: who has reserved it still redeems it.
    """
    is_revocable = (coupons.c.coupon_id == coupon_id) & (_UNUSED | _FOR_MANY)
    statement = update(coupons).where(is_revocable).values(status=CouponStatus.REVOKED)
    customers = connection.execute(statement.returning(coupons.c.customer_id)).scalars().all()
    enqueue(connection, _subjects(customers), now=now)
    return bool(customers)


def revoke_when_unused(connection: Connection, coupon_id: str, *, now: datetime) -> bool:
    """True when the coupon is revoked now; one that is reserved or used will be if it gets free and unused again."""
    if revoke(connection, coupon_id, now=now):
        return True
    statement = insert(connection, pending_revocations).values(coupon_id=coupon_id, noted_at=now)
    connection.execute(statement.on_conflict_do_nothing())
    return False


def revoke_pending(ledger: Ledger, *, now: datetime) -> int:
    """Revokes what `revoke_when_unused` could not, as far as it can now; returns how many."""
    waiting = select(pending_revocations.c.coupon_id).join(coupons).where(_UNUSED)
    is_over = select(coupons.c.coupon_id).where(coupons.c.status.in_((CouponStatus.REVOKED, CouponStatus.EXPIRED)))
    over = pending_revocations.c.coupon_id.in_(is_over) | (pending_revocations.c.noted_at < now - KEEP_PENDING)

    def work(connection: Connection) -> int:
        # In the order in which claims take coupons, so that no two transactions deadlock.
        freed = connection.execute(waiting.order_by(coupons.c.coupon_id)).scalars().all()
        revoked = sum(revoke(connection, coupon_id, now=now) for coupon_id in freed)
        connection.execute(delete(pending_revocations).where(over))
        return revoked

    return ledger.write(work)


def expire_due(ledger: Ledger, *, now: datetime, batch: int = CHUNK_ROWS) -> int:
    """How many issued coupons were beyond their last instant and are expired now; `batch` of them per transaction.

    A reserved coupon is left to its reservation.
    """
    total = 0
    while count := ledger.write(lambda connection: _expire(connection, now, batch)):
        total += count
    return total


def shown_status(coupon: Coupon, campaign: Campaign, *, now: datetime) -> ShownStatus:
    """What the customer's wallet calls this coupon at `now`."""
    match coupon.status:
        case CouponStatus.REDEEMED:
            return ShownStatus.USED
        case CouponStatus.REVOKED:
            return ShownStatus.DISABLED
        case CouponStatus.EXPIRED:
            return ShownStatus.EXPIRED
    status = campaign.status_at(now)
    if status is CampaignStatus.ENDED or (coupon.valid_until is not None and now >= coupon.valid_until):
        return ShownStatus.EXPIRED
    if status in (CampaignStatus.DRAFT, CampaignStatus.PAUSED):
        return ShownStatus.DISABLED
    if status is CampaignStatus.SCHEDULED or (coupon.valid_from is not None and now < coupon.valid_from):
        return ShownStatus.PENDING
    return ShownStatus.ACTIVE


def valid_until(terms: OfferTerms, *, time_zone: str, now: datetime) -> datetime | None:
    """The instant from which a coupon issued now is no longer valid; None = never.

    `valid_days` ends with a day, not in the middle of it: the day of issue (or of `valid_from`, if later) and so many
    more in the campaign's time zone.
    """
    if terms.valid_days is None:
        return terms.valid_until
    first = local_date(max(now, terms.valid_from or now), time_zone)
    # Valid through its last day, so until the day after begins; both in local time, because of clock changes.
    by_days = day_start(first + timedelta(days=terms.valid_days + 1), time_zone)
    return by_days if terms.valid_until is None else min(by_days, terms.valid_until)


def coupon_of(row: RowMapping) -> Coupon:
    """A row of the table as a Coupon."""
    return Coupon(**{name: row[name] for name in _COLUMNS} | {"status": CouponStatus(row["status"])})


_Keyed = tuple[Coupon, str | None]


def _coupons(
    offer: Offer, campaign: Campaign, customer_ids: Sequence[str | None], *, issued_by: str, now: datetime
) -> list[Coupon]:
    ends_at = valid_until(offer.terms, time_zone=campaign.terms.time_zone, now=now)
    return [
        Coupon(
            coupon_id=new_id("cpn"),
            code=new_code(),
            offer_id=offer.offer_id,
            campaign_id=campaign.campaign_id,
            customer_id=customer_id,
            status=CouponStatus.ISSUED,
            max_uses=offer.terms.uses_per_code,
            uses=0,
            holds=0,
            valid_from=offer.terms.valid_from,
            valid_until=ends_at,
            issued_at=now,
            issued_by=issued_by,
            gcn=offer.terms.gcn,
            serial=None if offer.terms.gcn is None else new_serial(),
        )
        for customer_id in customer_ids
    ]


def _renamed(coupon: Coupon) -> Coupon:
    return replace(coupon, code=new_code(), serial=None if coupon.gcn is None else new_serial())


def _insert(connection: Connection, pending: Sequence[_Keyed]) -> set[str]:
    """The ids of those that are in the table now."""
    statement = insert(connection, coupons).on_conflict_do_nothing().returning(coupons.c.coupon_id)
    new_ids: set[str] = set()
    for chunk in chunks(pending):
        rows = [_row(coupon, key) for coupon, key in chunk]
        new_ids.update(connection.execute(statement, rows).scalars())
    return new_ids


def _row(coupon: Coupon, issue_key: str | None) -> dict[str, Any]:
    return {name: getattr(coupon, name) for name in _COLUMNS} | {"issue_key": issue_key}


def _not_yet_issued(connection: Connection, refused: Sequence[_Keyed]) -> list[_Keyed]:
    """Those that were refused for their code or serial, not because the same issue happened before."""
    keys = [key for _, key in refused if key is not None]
    known = {key for chunk in chunks(keys) for key in _known_keys(connection, chunk)}
    return [one for one in refused if one[1] not in known]


def _known_keys(connection: Connection, keys: Sequence[str]) -> Iterator[str]:
    query = select(coupons.c.issue_key).where(coupons.c.issue_key.in_(keys))
    yield from connection.execute(query).scalars()


def _one(connection: Connection, condition: Any) -> Coupon | None:
    row = connection.execute(select(coupons).where(condition)).mappings().one_or_none()
    return None if row is None else coupon_of(row)


def _expire(connection: Connection, now: datetime, batch: int) -> int:
    is_due = (coupons.c.status == CouponStatus.ISSUED) & (coupons.c.valid_until <= now) & (coupons.c.holds == 0)
    due = select(coupons.c.coupon_id).where(is_due).order_by(coupons.c.coupon_id).limit(batch)
    # The condition once more: on PostgreSQL a coupon may be reserved between the subquery and its lock.
    statement = update(coupons).where(coupons.c.coupon_id.in_(due), is_due).values(status=CouponStatus.EXPIRED)
    customers = connection.execute(statement.returning(coupons.c.customer_id)).scalars().all()
    enqueue(connection, _subjects(customers), now=now)
    return len(customers)


def _subjects(customer_ids: Sequence[str | None]) -> list[str]:
    return [f"customer:{customer_id}" for customer_id in customer_ids if customer_id is not None]
