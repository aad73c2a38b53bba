"""Reservations: coupons and their budget held for one order until it is paid, given up, or its time is over."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, update

from app.domain import JsonObject
from app.errors import Conflict, Missing
from app.offers.terms.codes import new_id
from app.stores.sql.customers.groups import customer_ids_joined
from app.stores.sql.customers.links import share_persons
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue
from app.stores.sql.database.tables import reservations, uses
from app.stores.sql.redemption.claims import ClaimedUse, CounterKey, make_claims, release_claims
from app.stores.sql.redemption.documents import quote_document
from app.stores.sql.redemption.entries import LedgerEntry, append_entries, stale_subjects_of
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Quote
from app.stores.sql.redemption.results import Released, Reserved

# A redemption that meets overdue reservations waits for this many at most.
EXPIRE_COUNT = 500


class ReservationNotFound(Missing):
    """No reservation has this id."""

    code = "reservation_not_found"


class ReservationOver(Conflict):
    """The reservation was redeemed, released, or its time is over."""

    code = "reservation_over"


class ReservationOfOther(Conflict):
    """The reservation was made for another order or customer, or by another client."""

    code = "reservation_of_other"


@dataclass(frozen=True, slots=True)
class Claimant:
    """Who wants to use a reservation; `order_id` None where no order is named, as by a dry run."""

    client: str
    customer_id: str | None
    order_id: str | None = None


def hold(
    connection: Connection, quote: Quote, request: IdempotentRequest, *, order_id: str | None, ttl: timedelta
) -> Reserved:
    """Holds what the quote gives, in the transaction of its idempotency record; raises ClaimFailed."""
    now, reservation_id = request.now, new_id("rsv")
    make_claims(connection, quote.claims, as_hold=True)
    expires_at = now + ttl
    document = {"reservation_id": reservation_id, "expires_at": expires_at.isoformat()} | quote_document(quote)
    connection.execute(
        insert(reservations).values(
            reservation_id=reservation_id,
            status="held",
            order_id=order_id,
            customer_id=quote.question.situation.customer_id,
            client=request.client,
            answer=document,
            created_at=now,
            expires_at=expires_at,
        )
    )
    rows = use_rows(quote, reservation_id=reservation_id)
    connection.execute(insert(uses), rows)
    entries = [LedgerEntry("hold", row["campaign_id"], row["cost_minor"], use_id=row["use_id"]) for row in rows]
    append_entries(connection, entries, channel=quote.question.situation.channel, now=now)
    stale = stale_subjects_of(connection, rows)
    enqueue(connection, stale, now=now)
    return Reserved(document, stale)


def use_rows(quote: Quote, **of: str) -> list[JsonObject]:
    """Rows of the table `uses` for what a quote applies, for one reservation or redemption."""
    limits = {claim.coupon_id: claim.limits for claim in quote.claims}
    return [
        {
            "use_id": new_id("use"),
            "coupon_id": one.applied.coupon_id,
            "campaign_id": one.applied.campaign_id,
            "offer_id": one.applied.offer_id,
            "offer_revision": one.revision,
            "discount_minor": one.applied.discount_minor,
            "points": one.applied.points,
            "cost_minor": one.applied.cost_minor,
            "is_open": True,
            "counters": [
                [key.campaign_id, key.scope, key.subject, key.period] for key, _ in limits[one.applied.coupon_id]
            ],
        }
        | of
        for one in quote.coupons
        if one.applied is not None
    ]


def find_reservation(connection: Connection, reservation_id: str) -> JsonObject:
    """The reservation as it was made, with its status now; raises ReservationNotFound."""
    query = select(reservations).where(reservations.c.reservation_id == reservation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ReservationNotFound(f"no reservation {reservation_id!r}")
    return dict(row["answer"]) | {"status": row["status"]}


def check_is_held(connection: Connection, reservation_id: str, claimant: Claimant, *, now: datetime) -> None:
    """Raises ReservationNotFound, ReservationOfOther, or ReservationOver when it holds nothing any more."""
    query = select(reservations).where(reservations.c.reservation_id == reservation_id)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise ReservationNotFound(f"no reservation {reservation_id!r}")
    # Any name of the customer for whom it was made will do.
    joined = () if row["customer_id"] is None else customer_ids_joined(connection, row["customer_id"])
    _check_is_theirs(row, claimant, joined)
    if row["status"] != "held" or row["expires_at"] <= now:
        status = row["status"] if row["status"] != "held" else "expired"
        raise ReservationOver(f"reservation {reservation_id!r} is {status}; make a new one")


def _check_is_theirs(row: RowMapping, claimant: Claimant, customer_ids: Sequence[str]) -> None:
    # What it was made for is not named: the id alone must not tell whose reservation it is.
    reservation = f"reservation {row['reservation_id']!r}"
    if row["order_id"] is not None and claimant.order_id not in (None, row["order_id"]):
        raise ReservationOfOther(
            f"{reservation} is for another order; send the order_id that it was made with", pointer="/order_id"
        )
    # Without a customer it holds no personal coupon, and whoever pays may be known by then.
    if row["customer_id"] is not None and claimant.customer_id not in customer_ids:
        raise ReservationOfOther(
            f"{reservation} is for another customer; send the customer_id that it was made with", pointer="/customer_id"
        )
    if row["order_id"] is None and row["client"] != claimant.client:
        raise ReservationOfOther(
            f"{reservation} was made by another client; reserve with an order_id to redeem with another key",
            pointer="/reservation_id",
        )


def end_reservation(
    connection: Connection, reservation_id: str, status: str, *, now: datetime, guard: ColumnElement[bool] | None = None
) -> tuple[str, ...] | None:
    """Ends a reservation that is held and frees what it held; None when it was over already."""
    rows = close_reservation(connection, reservation_id, status, now=now, guard=guard)
    if rows is None:
        return None
    release_claims(connection, [claimed_use_of(row) for row in rows], costs_of(rows), was_hold=True)
    stale = stale_subjects_of(connection, rows)
    enqueue(connection, stale, now=now)
    return stale


def close_reservation(
    connection: Connection, reservation_id: str, status: str, *, now: datetime, guard: ColumnElement[bool] | None = None
) -> Sequence[RowMapping] | None:
    """Its uses, which the caller must release in the same transaction; None when it was over already."""
    share_persons(connection)
    is_held = (reservations.c.reservation_id == reservation_id) & (reservations.c.status == "held")
    is_held = is_held if guard is None else is_held & guard
    # Of all who want to end it, only one finds it held.
    if not connection.execute(update(reservations).where(is_held).values(status=status)).rowcount:
        return None
    rows = _open_uses(connection, reservation_id)
    connection.execute(update(uses).where(uses.c.reservation_id == reservation_id).values(is_open=False))
    entries = [LedgerEntry("release", row["campaign_id"], row["cost_minor"], use_id=row["use_id"]) for row in rows]
    append_entries(connection, entries, channel=None, now=now)
    return rows


def release(connection: Connection, reservation_id: str, *, now: datetime) -> Released:
    """Gives a reservation up, which is safe to repeat. Raises ReservationNotFound, ReservationOver when redeemed."""
    stale = end_reservation(connection, reservation_id, "released", now=now)
    document = find_reservation(connection, reservation_id)
    if document["status"] == "redeemed":
        raise ReservationOver(f"reservation {reservation_id!r} is redeemed; roll the redemption back instead")
    return Released(document, stale or ())


def expire_reservations(ledger: Ledger, *, now: datetime) -> int:
    """Ends reservations whose time is over, one small transaction each; returns how many."""
    is_over = (reservations.c.status == "held") & (reservations.c.expires_at <= now)
    query = select(reservations.c.reservation_id).where(is_over).limit(EXPIRE_COUNT)
    overdue = ledger.read(lambda connection: connection.execute(query).scalars().all())
    # One transaction for all would keep the rows of many campaigns locked until its end.
    ended = 0
    for reservation_id in overdue:
        end = partial(
            end_reservation,
            reservation_id=reservation_id,
            status="expired",
            now=now,
            guard=reservations.c.expires_at <= now,
        )
        stale = ledger.write(end)
        ended += stale is not None
    return ended


def claimed_use_of(row: RowMapping) -> ClaimedUse:
    """A row of `uses` as it is released."""
    return ClaimedUse(row["coupon_id"], tuple(CounterKey(*parts) for parts in row["counters"]))


def costs_of(rows: Sequence[RowMapping]) -> list[tuple[str, int]]:
    """What rows of `uses` cost, each with its campaign."""
    return [(row["campaign_id"], row["cost_minor"]) for row in rows]


def _open_uses(connection: Connection, reservation_id: str) -> Sequence[RowMapping]:
    query = select(uses).where(uses.c.reservation_id == reservation_id, uses.c.is_open).order_by(uses.c.use_id)
    return connection.execute(query).mappings().all()
