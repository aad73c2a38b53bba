"""Coupons at the till: what they would give, held for an order, redeemed for it, and given back."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.access import client_of, needs, scopes_of
from app.api.documents import json_answer
from app.api.idempotency import http_response, idempotent, idempotent_request, respond, stored_response
from app.api.limits import Allowance
from app.api.problems import Responses, documented, problem_content
from app.api.state import Service, service_of
from app.api.till.baskets import basket_of
from app.api.till.guarantees import find_guarantee
from app.api.till.responses import redemption_response, release_response, reservation_response, rollback_response
from app.api.till.wire import (
    BasketRequest,
    CouponsRequest,
    QualificationAnswer,
    QualificationRequest,
    RedemptionAnswer,
    RedemptionRequest,
    RedemptionState,
    RefusedProblem,
    ReservationAnswer,
    ReservationRequest,
    ReservationState,
    RollbackAnswer,
    RollbackRequest,
    ValidationAnswer,
    ValidationRequest,
)
from app.bounds import Id
from app.domain import Scope
from app.errors import InvalidRequest
from app.offers.terms.basket import Situation
from app.offers.terms.reasons import ReasonCode
from app.stores.sql.database.engine import Ledger, Transaction
from app.stores.sql.redemption.documents import quote_document
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, find_response, run_idempotent
from app.stores.sql.redemption.question import PriceGuarantee, Question, Quote
from app.stores.sql.redemption.quote import quote
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.redemptions import find_redemption
from app.stores.sql.redemption.reservations import Claimant, check_is_held, find_reservation, release
from app.stores.sql.redemption.rollback import ReturnedLine, roll_back

router = APIRouter(tags=["till"])
REFUSED: Responses = {
    409: {
        "description": "No coupon gives anything, or something else prevents it; `refused` says why",
        "content": problem_content(RefusedProblem.__name__),
    }
}
NO_CUSTOMER = "-"
"""Whose guesses they are where no customer is given."""
Result = TypeVar("Result")


@router.post(
    "/v1/qualifications",
    response_model=QualificationAnswer,
    responses=documented(400, 413, 422),
    **needs(Scope.REDEEM),
)
async def qualify_coupons(body: QualificationRequest, request: Request) -> Response:
    """What the customer's coupons and these codes give on this basket, and what is missing for the rest.

    Changes nothing.
    """
    if body.customer_id is None and not body.codes:
        raise InvalidRequest("/customer_id: give customer_id, codes, or both", pointer="/customer_id")
    question = _question(body, request, now=service_of(request).ledger.now(), wallet=body.customer_id is not None)
    document = await _quote_document(request, question)
    near = [_near(refused) for refused in document["refused"] if _is_near(refused)]
    return json_answer(document | {"near": near})


@router.post(
    "/v1/validations",
    response_model=ValidationAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **needs(Scope.REDEEM),
)
async def validate_coupons(
    body: ValidationRequest,
    request: Request,
    dry_run: Annotated[bool, Query(description="Lets `now` ask about another time")] = False,
) -> Response:
    """What a redemption of the same would give. Changes nothing, whatever `dry_run` says."""
    if body.now is not None and not dry_run:
        raise InvalidRequest("/now: another time than now needs dry_run=true", pointer="/now")
    now = body.now or service_of(request).ledger.now()
    _check_names_coupons(body, body.reservation_id)
    question = await _guaranteed_question(body, request, now=now, reservation_id=body.reservation_id)
    document = await _quote_document(request, question)
    return json_answer(document | {"is_redeemable": bool(document["applied"])})


@router.post(
    "/v1/reservations",
    status_code=201,
    response_model=ReservationAnswer,
    responses=documented(400, 413, 422) | REFUSED,
    **idempotent(Scope.REDEEM),
)
async def reserve_coupons(body: ReservationRequest, request: Request) -> Response:
    """Holds coupons and the money that they cost for one order."""
    write = await idempotent_request(request, customers=[body.customer_id])
    _check_names_coupons(body, None)
    if (stored := await _find_stored(request, write)) is not None:
        return stored
    question = await _guaranteed_question(body, request, now=write.now)
    ttl = timedelta(seconds=body.ttl_s)
    ledger = service_of(request).ledger
    work = partial(reserve, ledger, question, write, order_id=body.order_id, ttl=ttl)
    return await _guarded(request, question, write, lambda render: work(render=render), reservation_response)


@router.get(
    "/v1/reservations/{reservation_id}",
    response_model=ReservationState,
    responses=documented(404, 422),
    **needs(Scope.REDEEM),
)
def get_reservation(reservation_id: Id, request: Request) -> Response:
    """The reservation and what became of it."""
    ledger = service_of(request).ledger
    reservation = ledger.read(lambda connection: find_reservation(connection, reservation_id))
    # The sweep that ends reservations may be late.
    is_over = datetime.fromisoformat(reservation["expires_at"]) <= ledger.now()
    is_expired = reservation["status"] == "held" and is_over
    return json_answer(reservation | {"status": "expired"} if is_expired else reservation)


@router.delete(
    "/v1/reservations/{reservation_id}",
    response_model=ReservationState,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.REDEEM),
)
async def release_reservation(reservation_id: Id, request: Request) -> Response:
    """Gives the reservation up; what it held is free at once."""
    service, write = service_of(request), await idempotent_request(request)

    def free(connection: Transaction) -> StoredResponse:
        return release_response(release(connection, reservation_id, now=write.now))

    return await respond(service, write, partial(run_idempotent, service.ledger, write, free))


@router.post(
    "/v1/redemptions",
    status_code=201,
    response_model=RedemptionAnswer,
    responses=documented(400, 404, 413, 422) | REFUSED,
    **idempotent(Scope.REDEEM),
)
async def redeem_coupons(body: RedemptionRequest, request: Request) -> Response:
    """Redeems the best combination of the coupons named, to the cent on every line, exactly once per key."""
    write = await idempotent_request(request, customers=[body.customer_id])
    _check_names_coupons(body, body.reservation_id)
    if (stored := await _find_stored(request, write)) is not None:
        return stored
    question = await _guaranteed_question(body, request, now=write.now, reservation_id=body.reservation_id)
    order = Order(body.order_id, body.decision_id, body.expected_discount_minor)
    work = partial(redeem, service_of(request).ledger, question, order, write)
    return await _guarded(request, question, write, lambda render: work(render=render), redemption_response)


@router.get(
    "/v1/redemptions/{redemption_id}",
    response_model=RedemptionState,
    responses=documented(404, 422),
    **needs(Scope.REDEEM),
)
def get_redemption(redemption_id: Id, request: Request) -> Response:
    """The redemption as it stands."""
    return json_answer(service_of(request).ledger.read(lambda connection: find_redemption(connection, redemption_id)))


@router.post(
    "/v1/redemptions/{redemption_id}/rollback",
    response_model=RollbackAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.REDEEM),
)
async def roll_back_redemption(redemption_id: Id, body: RollbackRequest, request: Request) -> Response:
    """Takes the redemption back, whole or the lines that come back; what is back already stays so."""
    service, write = service_of(request), await idempotent_request(request)
    lines = None if body.lines is None else [ReturnedLine(line.line_id, line.quantity) for line in body.lines]
    for number, line in enumerate(lines or ()):
        if line.line_id in {before.line_id for before in (lines or ())[:number]}:
            pointer = f"/lines/{number}/line_id"
            raise InvalidRequest(f"{pointer}: line {line.line_id!r} is duplicated", pointer=pointer)
    work = partial(roll_back, service.ledger, redemption_id, lines, write, render=rollback_response)
    return await respond(service, write, work)


async def _find_stored(request: Request, write: IdempotentRequest) -> Response | None:
    """The response under this key: looked up first, for the decision that priced the basket may have expired since."""
    service = service_of(request)
    stored = await run_in_threadpool(service.ledger.read, partial(find_response, request=write))
    return None if stored is None else http_response(service, stored)


def _check_names_coupons(body: CouponsRequest, reservation_id: str | None) -> None:
    if body.wallet and body.customer_id is None:
        raise InvalidRequest("/wallet: the wallet is that of a customer; give customer_id", pointer="/wallet")
    if not body.codes and not body.wallet and reservation_id is None:
        raise InvalidRequest("/codes: give codes, wallet or a reservation_id", pointer="/codes")


async def _guaranteed_question(
    body: CouponsRequest, request: Request, *, now: datetime, reservation_id: str | None = None
) -> Question:
    service = service_of(request)
    guarantee = await find_guarantee(service, body.decision_id, store_id=body.store_id, now=now)
    return _question(body, request, now=now, wallet=body.wallet, reservation_id=reservation_id, guarantee=guarantee)


def _question(
    body: BasketRequest,
    request: Request,
    *,
    now: datetime,
    wallet: bool,
    reservation_id: str | None = None,
    guarantee: PriceGuarantee | None = None,
) -> Question:
    return Question(
        basket=basket_of(service_of(request), body, {} if guarantee is None else guarantee.prices_minor),
        # The tier is read from the ledger together with the quote: nobody can claim one.
        situation=Situation(now, body.customer_id, tier=None, channel=body.channel, store_id=body.store_id),
        codes=tuple(body.codes),
        wallet=wallet,
        reservation_id=reservation_id,
        guarantee=guarantee,
        reveals_recipients=Scope.STAFF in scopes_of(request),
    )


async def _quote_document(request: Request, question: Question) -> dict[str, Any]:
    """The quote as a document, failed guesses at codes counted; raises TooManyGuesses and what `check_is_held` does."""
    service = service_of(request)
    async with _allowance(service, client_of(request), question) as allowance:
        document = quote_document(await run_in_threadpool(_quote, service.ledger, question, client_of(request)))
        _check_guesses(allowance, question, document)
    return document


def _quote(ledger: Ledger, question: Question, client: str) -> Quote:
    def look(connection: Transaction) -> Quote:
        if question.reservation_id is not None:
            claimant = Claimant(client, question.situation.customer_id)
            check_is_held(connection, question.reservation_id, claimant, now=question.situation.now_at)
        return quote(connection, question)

    return ledger.read(look)


async def _guarded(
    request: Request,
    question: Question,
    write: IdempotentRequest,
    work: Callable[[Callable[[Result], StoredResponse]], StoredResponse],
    render: Callable[[Result], StoredResponse],
) -> Response:
    """The response to a write about codes, failed guesses counted, those of a repeated response not again."""
    service = service_of(request)
    async with _allowance(service, write.client, question) as allowance:

        def checked(result: Result) -> StoredResponse:
            # Within the transaction: what is refused here is neither kept nor stored for the key.
            response = render(result)
            _check_guesses(allowance, question, orjson.loads(response.body))
            return response

        stored = await stored_response(service, write, partial(work, checked))
    return http_response(service, stored)


def _allowance(service: Service, client: str, question: Question) -> AbstractAsyncContextManager[Allowance]:
    subject = question.situation.customer_id or NO_CUSTOMER
    return service.guesses.allowance(client, subject, len(question.codes))


def _check_guesses(allowance: Allowance, question: Question, document: dict[str, Any]) -> None:
    if question.codes:
        reasons = [refused["reason"]["code"] for refused in document["refused"]]
        allowance.check(reasons.count(ReasonCode.COUPON_NOT_FOUND))


def _is_near(refused: dict[str, Any]) -> bool:
    return bool(refused["reason"]["code"] == ReasonCode.MINIMUM_BASKET_NOT_MET)


def _near(refused: dict[str, Any]) -> dict[str, Any]:
    reason = refused["reason"]
    named = {name: value for name, value in refused.items() if name != "reason"}
    return named | {"missing_minor": reason["required"] - reason["actual"]}
