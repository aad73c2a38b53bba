"""Redemptions and reservations, each quoted without a lock and then claimed under guards in one transaction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, insert

from app.errors import StoreUnavailable
from app.offers.terms.codes import new_id
from app.offers.terms.money import shares
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.projection_queue import enqueue
from app.stores.sql.database.tables import redemption_lines, redemptions, uses
from app.stores.sql.redemption.claims import ClaimFailed, take_instead
from app.stores.sql.redemption.documents import quote_document, refused_documents
from app.stores.sql.redemption.entries import Entry, enter, touched_by
from app.stores.sql.redemption.idempotency import Answer, Once, do_once, earlier_answer
from app.stores.sql.redemption.question import Question, Quote
from app.stores.sql.redemption.quote import quote
from app.stores.sql.redemption.reservations import (
    check_held,
    close_reservation,
    expire_reservations,
    hold,
    money_of,
    taken_of,
    use_rows,
)

ROUNDS = 50
"""A failed claim means that somebody else's succeeded, so rounds end; so many at most."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is paid for; with `expected_discount_minor` only exactly that discount is redeemed, else nothing."""

    order_id: str
    decision_id: str | None = None
    expected_discount_minor: int | None = None


def redeem(ledger: Ledger, question: Question, order: Order, once: Once) -> Answer:
    """Redeems the best combination, once: 201 with the redemption, or 409 with the reasons why nothing was.

    Raises ReservationNotFound and ReservationOver, IdempotencyMismatch, StoreUnavailable.
    """

    def claim(connection: Connection, quoted: Quote) -> Answer:
        expected = order.expected_discount_minor
        if expected is not None and expected != quoted.discount_minor:
            return _changed(quoted, expected)
        return _nothing(quoted) if not quoted.claims else _redeemed(connection, quoted, order, once)

    return _quote_and_claim(ledger, question, once, claim)


def reserve(ledger: Ledger, question: Question, *, order_id: str | None, ttl: timedelta, once: Once) -> Answer:
    """Holds the best combination for `ttl`, once: 201 with the reservation, or 409 with the reasons why not."""

    def claim(connection: Connection, quoted: Quote) -> Answer:
        if not quoted.claims:
            return _nothing(quoted)
        return hold(connection, quoted, once, order_id=order_id, ttl=ttl)

    return _quote_and_claim(ledger, replace(question, is_to_reserve=True), once, claim)


def _quote_and_claim(
    ledger: Ledger, question: Question, once: Once, claim: Callable[[Connection, Quote], Answer]
) -> Answer:
    """The answer of the first round in which every claim of the quote held."""

    def look(connection: Connection) -> Answer | Quote:
        earlier = earlier_answer(connection, once)
        if earlier is not None:
            return earlier
        if question.reservation_id is not None:
            check_held(connection, question.reservation_id, now=once.now)
        return quote(connection, question)

    for _ in range(ROUNDS):
        seen = ledger.read(look)
        if isinstance(seen, Answer):
            return seen
        if seen.overdue:
            expire_reservations(ledger, now=once.now)
        try:
            return do_once(ledger, once, lambda connection, quoted=seen: claim(connection, quoted))  # type: ignore[misc]
        except ClaimFailed:
            continue
    raise StoreUnavailable("too many others redeem the same coupons just now; send it again with the same key")


def _redeemed(connection: Connection, quoted: Quote, order: Order, once: Once) -> Answer:
    question, redemption_id = quoted.question, new_id("rdm")
    held = _held(connection, question, now=once.now)
    take_instead(connection, quoted.claims, [taken_of(row) for row in held], money_of(held))
    told = {
        "redemption_id": redemption_id,
        "status": "redeemed",
        "order_id": order.order_id,
        "redeemed_at": once.now.isoformat(),
    } | quote_document(quoted)
    connection.execute(
        insert(redemptions).values(
            redemption_id=redemption_id,
            status="redeemed",
            order_id=order.order_id,
            customer_id=question.situation.customer_id,
            client=once.client,
            channel=question.situation.channel,
            store_id=question.situation.store_id,
            currency=question.basket.currency,
            basket_minor=question.basket.total_minor,
            discount_minor=quoted.discount_minor,
            decision_id=order.decision_id,
            redeemed_at=once.now,
        )
    )
    rows = use_rows(quoted, redemption_id=redemption_id)
    connection.execute(insert(uses), rows)
    connection.execute(insert(redemption_lines), _lines(quoted, rows, redemption_id))
    enter(connection, [Entry("spend", row["campaign_id"], row["cost_minor"], use_id=row["use_id"]) for row in rows],
          channel=question.situation.channel, now=once.now)  # fmt: skip
    touched = touched_by(connection, [*held, *rows])
    enqueue(connection, touched, now=once.now)
    return Answer(201, orjson.dumps(told), touched)


def _held(connection: Connection, question: Question, *, now: datetime) -> Sequence[Any]:
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
        amounts = [max(line_of[share.line_id].amount_minor, 1) for share in applied.lines]
        extra = shares(applied.cost_minor - applied.discount_minor, amounts)
        points = shares(applied.points, amounts)
        for share, extra_minor, point_count in zip(applied.lines, extra, points, strict=True):
            made.append(
                {
                    "redemption_id": redemption_id,
                    "use_id": row["use_id"],
                    "line_id": share.line_id,
                    "product_id": line_of[share.line_id].product_id,
                    "quantity": share.quantity,
                    "discount_minor": share.discount_minor,
                    "cost_minor": share.discount_minor + extra_minor,
                    "points": point_count,
                }
            )
    return made


def _nothing(quoted: Quote) -> Answer:
    """409: no coupon gave anything; the code is that of the first refusal."""
    refusals = [one.refusal for one in quoted.coupons if one.refusal is not None]
    if not refusals:
        return _problem("no_coupon", "no coupon was given, and the wallet holds none that may be used", [])
    refused = refused_documents(quoted.coupons)
    if len(refusals) == 1:
        return _problem(refusals[0].code.value, refusals[0].detail, refused)
    return _problem("not_redeemable", "none of the coupons can be used; `refused` tells why", refused)


def _changed(quoted: Quote, expected: int) -> Answer:
    detail = f"the coupons give {quoted.discount_minor} now, not {expected}; show the customer and ask again"
    return _problem("discount_changed", detail, refused_documents(quoted.coupons))


def _problem(code: str, detail: str, refused: list[dict[str, Any]]) -> Answer:
    body = {"type": f"urn:endcap:error:{code}", "title": "Conflict", "status": 409, "code": code, "detail": detail}
    return Answer(409, orjson.dumps(body | {"refused": refused}))
