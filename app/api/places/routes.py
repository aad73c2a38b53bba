"""`/v1/stores`, `/v1/stock`, `/v1/prices` and `/v1/stock-reservations`: where goods are, and goods put aside."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import orjson
from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from app.api.access import client_of, needs
from app.api.documents import json_answer
from app.api.idempotency import idempotent, idempotent_request, respond
from app.api.places.wire import (
    PriceHistoryAnswer,
    ProductStockAnswer,
    StockReservationAnswer,
    StockReservationRequest,
    StoreAnswer,
    StoreRequest,
    StoresAnswer,
)
from app.api.problems import documented
from app.api.state import service_of
from app.bounds import Id
from app.domain import JsonObject, Scope
from app.errors import InvalidRequest
from app.places.hours import check_region
from app.places.stores import EVERYWHERE, Store
from app.stores.sql.database.engine import Transaction
from app.stores.sql.places.overview import reference_of, stock_of_product
from app.stores.sql.places.prices import price_history_of
from app.stores.sql.places.reservations import (
    Order,
    ReservedLine,
    collect_stock,
    find_stock_reservation,
    release_stock,
    reserve,
)
from app.stores.sql.places.stores import find_store, list_stores, put_store, remove_store
from app.stores.sql.redemption.idempotency import StoredResponse, run_idempotent

router = APIRouter(tags=["places"])
STORE = "/v1/stores/{store_id}"
RESERVATIONS = "/v1/stock-reservations"
MILLI = 1_000


@router.get("/v1/stores", response_model=StoresAnswer, responses=documented(422), **needs(Scope.DECIDE))
def get_stores(
    request: Request,
    after: Annotated[Id | None, Query(description="Only stores behind this id")] = None,
) -> Response:
    """All stores and warehouses by id, a thousand at a time."""
    return json_answer({"stores": service_of(request).ledger.read(partial(list_stores, after=after))})


@router.get(STORE, response_model=StoreAnswer, responses=documented(404, 422), **needs(Scope.DECIDE))
def get_store(store_id: Id, request: Request) -> Response:
    """The store as it stands, with the revision that a change of it names."""
    return json_answer(service_of(request).ledger.read(partial(find_store, store_id=store_id)))


@router.put(STORE, response_model=StoreAnswer, responses=documented(400, 409, 413, 422), **needs(Scope.IMPORT))
def set_store(store_id: Id, body: StoreRequest, request: Request) -> Response:
    """Adds the store or changes it as a whole; every server process knows it within a second. Safe to repeat."""
    work = partial(put_store, store=_store_of(store_id, body), revision=body.revision, now=datetime.now(UTC))
    return json_answer(service_of(request).ledger.write(work))


@router.delete(STORE, status_code=204, response_model=None, responses=documented(404, 422), **needs(Scope.IMPORT))
def delete_store(store_id: Id, request: Request) -> Response:
    """Takes the store off the map; its stock and prices are kept for a store of the same id."""
    service_of(request).ledger.write(partial(remove_store, store_id=store_id))
    return Response(status_code=204)


@router.get(
    "/v1/stock/{product_id}", response_model=ProductStockAnswer, responses=documented(422), **needs(Scope.DECIDE)
)
def get_stock(product_id: Id, request: Request) -> Response:
    """One view of a product's stock over all stores and warehouses; empty where none ever reported it."""
    rows = service_of(request).ledger.read(partial(stock_of_product, product_id=product_id))
    stores = [
        {
            "store_id": row.store_id,
            "quantity": None if row.quantity_milli is None else row.quantity_milli / MILLI,
            "reserved": row.reserved_milli / MILLI,
            "available": None if row.available_milli is None else row.available_milli / MILLI,
        }
        for row in rows
    ]
    available = sum(row.available_milli or 0 for row in rows) / MILLI
    return json_answer({"product_id": product_id, "available": available, "stores": stores})


@router.get(
    "/v1/prices/{product_id}", response_model=PriceHistoryAnswer, responses=documented(422), **needs(Scope.DECIDE)
)
def get_prices(
    product_id: Id,
    request: Request,
    store_id: Annotated[Id | None, Query(description="Default: every store that has no price of its own")] = None,
) -> Response:
    """Every price that a product had in a store, and what a reduction may name as the price before."""
    cell = store_id or EVERYWHERE, product_id

    def read(connection: Transaction) -> JsonObject:
        reference = reference_of(connection, *cell)
        return {
            "product_id": product_id,
            "store_id": store_id,
            "prices": [
                {"effective_at": one.effective_at, "price": _money(one.price.price_minor, one.price.currency)}
                for one in reversed(price_history_of(connection, *cell))
            ],
            "reference_price": None if reference is None else _money(*reference),
        }

    return json_answer(service_of(request).ledger.read(read))


@router.post(
    RESERVATIONS,
    status_code=201,
    response_model=StockReservationAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.REDEEM),
)
async def reserve_stock(body: StockReservationRequest, request: Request) -> Response:
    """Puts goods aside for an order: all of them or, where too little is left, none (`out_of_stock`).

    They are available to nobody else at once, and free again when they are released or their time is over.
    """
    service, write = service_of(request), await idempotent_request(request, customers=[body.customer_id])
    lines = [ReservedLine(line.product_id, round(line.quantity * MILLI)) for line in body.lines]
    _check_lines(lines)
    order = Order(body.order_id, write.client, body.customer_id)
    ttl = timedelta(minutes=body.ttl_minutes)

    def work(connection: Transaction) -> StoredResponse:
        # The stock of a store that was taken off the map is kept, and nobody collects it there.
        find_store(connection, body.store_id)
        return _stored(reserve(connection, order, body.store_id, lines, now=write.now, ttl=ttl), 201)

    return await respond(service, write, partial(run_idempotent, service.ledger, write, work))


@router.get(
    RESERVATIONS + "/{reservation_id}",
    response_model=StockReservationAnswer,
    responses=documented(404, 422),
    **needs(Scope.REDEEM),
)
def get_stock_reservation(reservation_id: Id, request: Request) -> Response:
    """The reservation as it stands."""
    ledger = service_of(request).ledger
    find = partial(find_stock_reservation, reservation_id=reservation_id, now=ledger.now())
    return json_answer(ledger.read(find))


@router.delete(
    RESERVATIONS + "/{reservation_id}",
    response_model=StockReservationAnswer,
    responses=documented(404, 409, 422),
    **needs(Scope.REDEEM),
)
async def release_stock_reservation(reservation_id: Id, request: Request) -> Response:
    """Gives the goods back, as when the order was cancelled. Safe to repeat."""
    return await _ended(request, release_stock, reservation_id)


@router.post(
    RESERVATIONS + "/{reservation_id}/collect",
    response_model=StockReservationAnswer,
    responses=documented(404, 409, 413, 422),
    **needs(Scope.REDEEM),
)
async def collect_stock_reservation(reservation_id: Id, request: Request) -> Response:
    """The customer has the goods: they leave the store's stock, so send no change of stock for them. Safe to repeat."""
    return await _ended(request, collect_stock, reservation_id)


async def _ended(request: Request, end: Callable[..., JsonObject], reservation_id: str) -> Response:
    ledger, client = service_of(request).ledger, client_of(request)
    work = partial(end, reservation_id=reservation_id, client=client, now=ledger.now())
    return json_answer(await run_in_threadpool(ledger.write, work))


def _store_of(store_id: str, body: StoreRequest) -> Store:
    """The store that a request describes."""
    if body.store_id not in (None, store_id):
        detail = f"/store_id: {body.store_id!r} is not {store_id!r}, the store of the path; leave it out"
        raise InvalidRequest(detail, pointer="/store_id")
    if body.holiday_region is not None:
        check_region(body.holiday_region)
    return replace(body.to_store(), store_id=store_id)


def _check_lines(lines: list[ReservedLine]) -> None:
    names = [line.product_id for line in lines]
    for number, line in enumerate(lines):
        if line.product_id in names[:number]:
            detail = f"/lines/{number}/product_id: {line.product_id!r} is there already; add the quantities up"
            raise InvalidRequest(detail, pointer=f"/lines/{number}/product_id")
        if line.quantity_milli == 0:
            pointer = f"/lines/{number}/quantity"
            raise InvalidRequest(f"{pointer}: less than a thousandth; give more", pointer=pointer)


def _money(amount_minor: int | None, currency: str | None) -> JsonObject | None:
    return None if amount_minor is None else {"amount_minor": amount_minor, "currency": currency}


def _stored(document: JsonObject, status: int) -> StoredResponse:
    return StoredResponse(status, orjson.dumps(document))
