"""Redemptions and reservations, each quoted without a lock and then claimed under guards in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, RowMapping, insert

from app.errors import StoreUnavailable
from app.offers.terms.codes import new_id
from app.offers.terms.money import shares
from app.stores.sql.customers.groups import customer_ids_joined
from app.stores.sql.customers.links import share_persons
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue
from app.stores.sql.database.tables import redemption_lines, redemptions, uses
from app.stores.sql.redemption.claims import ClaimFailed, exchange_claims
from app.stores.sql.redemption.documents import bought_document
from app.stores.sql.redemption.entries import LedgerEntry, append_entries, stale_subjects_of
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, find_response, run_idempotent
from app.stores.sql.redemption.question import Question, Quote
from app.stores.sql.redemption.quote import quote, with_customer
from app.stores.sql.redemption.reservations import (
    Claimant,
    check_is_held,
    claimed_use_of,
    close_reservation,
    costs_of,
    expire_reservations,
    hold,
    use_rows,
)
from app.stores.sql.redemption.results import Redeemed, Refused, Reserved

ROUNDS = 50
"""A failed claim means that somebody else's succeeded, so rounds end; so many at most."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is paid for; with `expected_discount_minor` only exactly that discount is redeemed, else nothing."""

    order_id: str
    decision_id: str | None = None
    expected_discount_minor: int | None = None


def redeem(
    ledger: Ledger,
    question: Question,
    order: Order,
    request: IdempotentRequest,
    *,
    render: Callable[[Redeemed | Refused], StoredResponse],
) -> StoredResponse:
    """Redeems the best combination, or nothing; the result as `render` puts it, stored in the same transaction.

    A repeated request gets the response that is stored. Raises ReservationNotFound, ReservationOfOther and
    ReservationOver, IdempotencyMismatch, StoreUnavailable.
    """

    def claim(quoted: Quote, connection: Connection) -> StoredResponse:
        _check_person(connection, quoted)
        expected = order.expected_discount_minor
        if expected is not None and expected != quoted.discount_minor:
            # Stored like any other response: the same key gets this answer again, whatever the coupons give by then.
            return render(_discount_changed(quoted, expected))
        return render(_redeem(connection, quoted, order, request) if quoted.claims else _nothing_to_use(quoted))

    return _quote_and_claim(ledger, question, request, claim, order_id=order.order_id)


def reserve(
    ledger: Ledger,
    question: Question,
    request: IdempotentRequest,
    *,
    order_id: str | None,
    ttl: timedelta,
    render: Callable[[Reserved | Refused], StoredResponse],
) -> StoredResponse:
    """Holds the best combination for `ttl`, or nothing; rendered, stored and repeated as for `redeem`."""

    def claim(quoted: Quote, connection: Connection) -> StoredResponse:
        _check_person(connection, quoted)
        if not quoted.claims:
            return render(_nothing_to_use(quoted))
        return render(hold(connection, quoted, request, order_id=order_id, ttl=ttl))

    return _quote_and_claim(ledger, replace(question, is_to_reserve=True), request, claim, order_id=order_id)


def _quote_and_claim(
    ledger: Ledger,
    question: Question,
    request: IdempotentRequest,
    claim: Callable[[Quote, Connection], StoredResponse],
    *,
    order_id: str | None,
) -> StoredResponse:
    """The response of the first round in which every claim of the quote held."""

    def look(connection: Connection) -> StoredResponse | Quote:
        # A repetition ends here without a write transaction; two at the same moment meet where the key is claimed.
        stored = find_response(connection, request)
        if stored is not None:
            return stored
        named = with_customer(connection, question)
        if named.reservation_id is not None:
            claimant = Claimant(request.client, named.situation.customer_id, order_id)
            check_is_held(connection, named.reservation_id, claimant, now=request.now)
        return quote(connection, named)

    for _ in range(ROUNDS):
        seen = ledger.read(look)
        if isinstance(seen, StoredResponse):
            return seen
        # The quote counted what is overdue as free, but the guards of a claim see it held.
        if seen.overdue:
            expire_reservations(ledger, now=request.now)
        try:
            return run_idempotent(ledger, request, partial(claim, seen))
        # The key was claimed in the same transaction, so it is free again for the next round.
        except ClaimFailed:
            continue
    raise StoreUnavailable("too many others redeem the same coupons just now; send it again with the same key")


def _check_person(connection: Connection, quoted: Quote) -> None:
    """Raises ClaimFailed where the customer has other names than when it was quoted: then limits count elsewhere."""
    share_persons(connection)
    customer_id = quoted.question.situation.customer_id
    if customer_id is not None and customer_ids_joined(connection, customer_id) != quoted.customer_ids:
        raise ClaimFailed


def _redeem(connection: Connection, quoted: Quote, order: Order, request: IdempotentRequest) -> Redeemed:
    question, redemption_id = quoted.question, new_id("rdm")
    # The reservation's row before all others, as whoever releases or expires it takes it: one order of locks.
    held = _close_reservation(connection, question, now=request.now)
    exchange_claims(connection, quoted.claims, [claimed_use_of(row) for row in held], costs_of(held))
    connection.execute(
        insert(redemptions).values(
            redemption_id=redemption_id,
            status="redeemed",
            order_id=order.order_id,
            customer_id=question.situation.customer_id,
            client=request.client,
            channel=question.situation.channel,
            store_id=question.situation.store_id,
            currency=question.basket.currency,
            basket_minor=question.basket.total_minor,
            discount_minor=quoted.discount_minor,
            decision_id=order.decision_id,
            redeemed_at=request.now,
            bought=bought_document(quoted),
        )
    )
    rows = use_rows(quoted, redemption_id=redemption_id)
    connection.execute(insert(uses), rows)
    connection.execute(insert(redemption_lines), _lines(quoted, rows, redemption_id))
    entries = [LedgerEntry("spend", row["campaign_id"], row["cost_minor"], use_id=row["use_id"]) for row in rows]
    append_entries(connection, entries, channel=question.situation.channel, now=request.now)
    stale = stale_subjects_of(connection, [*held, *rows])
    enqueue(connection, stale, now=request.now)
    return Redeemed(redemption_id, order.order_id, request.now, quoted, stale)


def _close_reservation(connection: Connection, question: Question, *, now: datetime) -> Sequence[RowMapping]:
    """The uses of the question's reservation, which is redeemed now; raises ClaimFailed when it is over."""
    if question.reservation_id is None:
        return ()
    rows = close_reservation(connection, question.reservation_id, "redeemed", now=now)
    if rows is None:
        raise ClaimFailed
    return rows


def _lines(quoted: Quote, rows: list[dict[str, Any]], redemption_id: str) -> list[dict[str, Any]]:
    """What each coupon gives on each line: discount, cost and points add up to the coupon's, to the cent."""
    line_of = {line.line_id: line for line in quoted.question.basket.lines}
    made = []
    for applied, row in zip(quoted.applied, rows, strict=True):
        # At least 1: shares() refuses to split points among weights that are all 0.
        amounts = [max(line_of[share.line_id].amount_minor, 1) for share in applied.lines]
        points = shares(applied.points, amounts)
        # Each point costs the same, in whole minor units.
        point_cost_minor = (applied.cost_minor - applied.discount_minor) // max(applied.points, 1)
        for share, point_count in zip(applied.lines, points, strict=True):
            made.append(
                {
                    "redemption_id": redemption_id,
                    "use_id": row["use_id"],
                    "line_id": share.line_id,
                    "product_id": line_of[share.line_id].product_id,
                    "quantity": share.quantity,
                    "discount_minor": share.discount_minor,
                    "cost_minor": share.discount_minor + point_count * point_cost_minor,
                    "points": point_count,
                }
            )
    return made


def _nothing_to_use(quoted: Quote) -> Refused:
    """No coupon gives anything; the code is that of the only refusal, where there is just one."""
    refusals = [one.refusal for one in quoted.coupons if one.refusal is not None]
    if not refusals:
        return Refused("no_coupon", "no coupon was given, and the wallet holds none that may be used", quoted)
    if len(refusals) == 1:
        return Refused(refusals[0].code.value, refusals[0].detail, quoted)
    return Refused("not_redeemable", "none of the coupons can be used; `refused` tells why", quoted)


def _discount_changed(quoted: Quote, expected_minor: int) -> Refused:
    detail = f"the coupons give {quoted.discount_minor} now, not {expected_minor}; show the customer and ask again"
    return Refused("discount_changed", detail, quoted)
