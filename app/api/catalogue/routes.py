"""`/v1/catalogue`: products as another system knows them, some at a time, next to what comes in by file."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from app.api.access import needs
from app.api.catalogue.wire import (
    ProductAnswer,
    ProductBatch,
    ProductFields,
    ProductRow,
    RowResult,
    RowResults,
    product_document,
)
from app.api.documents import json_answer
from app.api.problems import documented
from app.api.state import Service, service_of
from app.bounds import Id, valid_text
from app.domain import Scope
from app.errors import Missing, pointer_to
from app.stores.tables.cells import Cells, Change, NotInTable

PATH = "/v1/catalogue/products"
ONE = PATH + "/{product_id}"

router = APIRouter(tags=["data"])


class ProductNotFound(Missing):
    """The product table has no such product."""

    code = "product_not_found"


@router.post(PATH, response_model=RowResults, responses=documented(400, 413, 422), **needs(Scope.IMPORT))
async def store_products(body: ProductBatch, request: Request) -> Response:
    """Adds and changes at most 1,000 products: a field that is absent keeps what is stored, null clears it.

    `accepted` is on disk, and servers take it up within seconds. Sent again it changes nothing.
    """
    service = service_of(request)
    # Some milliseconds, in which others are answered.
    results, rows = await run_in_threadpool(_checked, body.products, service.settings.currency)
    if rows:
        await service.products.put(Change(rows))
    return json_answer({"results": [result.model_dump() for result in results]})


@router.get(ONE, response_model=ProductAnswer, responses=documented(404, 422), **needs(Scope.IMPORT))
def get_product(product_id: Id, request: Request) -> Response:
    """The product as it is stored, whatever brought it."""
    return _product(service_of(request), product_id)


@router.patch(ONE, response_model=ProductAnswer, responses=documented(400, 404, 413, 422), **needs(Scope.IMPORT))
async def change_product(product_id: Id, body: ProductFields, request: Request) -> Response:
    """Changes one product that is there: a field that is absent keeps what is stored, null clears it."""
    return await _changed(service_of(request), product_id, body)


@router.delete(ONE, response_model=ProductAnswer, responses=documented(404, 422), **needs(Scope.IMPORT))
async def withdraw_product(product_id: Id, request: Request) -> Response:
    """Takes the product out of training and slates; it stays in the history. `recommendable` true brings it back."""
    return await _changed(service_of(request), product_id, ProductFields(recommendable=False))


async def _changed(service: Service, product_id: str, fields: ProductFields) -> Response:
    change = Change([fields.cells(product_id, currency=service.settings.currency)], must_exist=True)
    try:
        await service.products.put(change)
    except NotInTable:
        raise _unknown(product_id) from None
    return await run_in_threadpool(_product, service, product_id)


def _product(service: Service, product_id: str) -> Response:
    row = service.products.find(product_id)
    if row is None:
        raise _unknown(product_id)
    return json_answer(product_document(row))


def _unknown(product_id: str) -> ProductNotFound:
    return ProductNotFound(f"product {product_id!r} is not in the product table; POST {PATH} adds it")


def _checked(given: Sequence[object], currency: str) -> tuple[list[RowResult], list[Cells]]:
    """What becomes of each row, and the cells of the sound ones."""
    results, rows = [], []
    for place, one in enumerate(given):
        try:
            row = ProductRow.model_validate(one)
        except ValidationError as error:
            results.append(_rejected(place, one, error))
        else:
            results.append(RowResult(product_id=row.product_id, status="accepted"))
            rows.append(row.cells(row.product_id, currency=currency))
    return results, rows


def _rejected(place: int, given: object, error: ValidationError) -> RowResult:
    first = error.errors()[0]
    product_id = given.get("product_id") if isinstance(given, dict) else None
    return RowResult(
        product_id=valid_text(product_id) if isinstance(product_id, str) else None,
        status="rejected",
        code="invalid_request",
        detail=f"{pointer_to(first['loc']) or 'row'}: {first['msg']}",
        pointer=pointer_to(("products", place, *first["loc"])),
    )
