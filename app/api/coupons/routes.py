"""Coupons and those who have them: wallets, pictures of codes, offers activated, coupons issued and revoked."""

from collections.abc import Sequence
from functools import partial

import orjson
from fastapi import APIRouter, Request, Response

from app.api.access import needs
from app.api.campaigns.wire import ActivationRequest, IssueRequest, MembershipAnswer, MembershipRequest
from app.api.coupons.wire import CouponAnswer, IssueAnswer, WalletAnswer, coupon_document
from app.api.documents import json_answer
from app.api.idempotency import idempotent, idempotent_request, respond
from app.api.problems import Responses, documented
from app.api.state import service_of
from app.bounds import Id
from app.domain import Scope
from app.errors import Missing
from app.offers.display.images import barcode_svg, qr_png, qr_svg
from app.offers.terms.records import Coupon
from app.stores.sql.campaigns.memberships import set_tier
from app.stores.sql.coupons.audience_issuing import activate, issue_to_audience
from app.stores.sql.coupons.staff_issuing import (
    IssuedCoupon,
    find_issued,
    issue_by_staff,
    revoke_by_staff,
    wallet_of,
    with_terms,
)
from app.stores.sql.database.engine import Ledger, Transaction
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse, find_response, run_idempotent

router = APIRouter(tags=["coupons"])
SVG, PNG = "image/svg+xml", "image/png"
KEEP = {"Cache-Control": "private, max-age=86400"}
"""A coupon's code never changes."""


class NoBarcode(Missing):
    """The coupon has no GS1 coupon number."""

    code = "no_barcode"


@router.get(
    "/v1/customers/{customer_id}/wallet",
    response_model=WalletAnswer,
    responses=documented(422),
    **needs(Scope.DECIDE),
)
def get_wallet(customer_id: Id, request: Request) -> Response:
    """All coupons of the customer, those that have come to their end among them."""
    ledger = service_of(request).ledger
    coupons, now = ledger.read(lambda connection: wallet_of(connection, customer_id)), ledger.now()
    document = {"customer_id": customer_id, "coupons": [coupon_document(one, now=now) for one in coupons]}
    return json_answer(document)


@router.put(
    "/v1/customers/{customer_id}/membership",
    response_model=MembershipAnswer,
    responses=documented(400, 409, 413, 422),
    **idempotent(Scope.STAFF),
)
async def set_membership(customer_id: Id, body: MembershipRequest, request: Request) -> Response:
    """From now on the customer is of this loyalty tier; coupons for tiers follow at once."""
    service, write = service_of(request), await idempotent_request(request, customers=[customer_id])
    content = orjson.dumps({"customer_id": customer_id, "tier": body.tier})

    def change(connection: Transaction) -> StoredResponse:
        member = set_tier(connection, customer_id, body.tier, now=write.now)
        return StoredResponse(200, content, (f"customer:{member}",))

    return await respond(service, write, partial(run_idempotent, service.ledger, write, change))


@router.post(
    "/v1/campaigns/{campaign_id}/coupons",
    status_code=201,
    response_model=IssueAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def issue_coupons(campaign_id: Id, body: IssueRequest, request: Request) -> Response:
    """Coupons for some customers or the campaign's audience, or one with a code of its own that anybody may use.

    An audience is gone through in steps: where it breaks off, the same request goes on, and nobody gets two.
    """
    service = service_of(request)
    write = await idempotent_request(request, customers=body.customer_ids or ())
    if body.audience:
        work = partial(_issue_to_audience, service.ledger, campaign_id, body.offer_id, write)
    else:
        customer_ids: Sequence[str | None] = body.customer_ids or [None]
        issue = partial(issue_by_staff, campaign_id=campaign_id, offer_id=body.offer_id, customer_ids=customer_ids)
        work = partial(
            run_idempotent,
            service.ledger,
            write,
            lambda connection: _issue_response(issue(connection, code=body.code, now=write.now), write),
        )
    return await respond(service, write, work)


@router.post(
    "/v1/coupons",
    status_code=201,
    response_model=CouponAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.DECIDE),
)
async def activate_offer(body: ActivationRequest, request: Request) -> Response:
    """The customer's coupon of an offer that is issued by decision; safe to repeat: it is the same coupon."""
    service, write = service_of(request), await idempotent_request(request, customers=[body.customer_id])

    def find_or_issue(connection: Transaction) -> StoredResponse:
        coupon = activate(connection, body.offer_id, body.customer_id, now=write.now)
        return _coupon_response(with_terms(connection, coupon), 201, write)

    return await respond(service, write, partial(run_idempotent, service.ledger, write, find_or_issue))


@router.post(
    "/v1/coupons/{coupon_id}/revoke",
    response_model=CouponAnswer,
    responses=documented(400, 404, 409, 413, 422),
    **idempotent(Scope.ADMIN),
)
async def revoke_coupon(coupon_id: Id, request: Request) -> Response:
    """The coupon, good for nothing from now on; one that is used or reserved is refused."""
    service, write = service_of(request), await idempotent_request(request)
    end = partial(revoke_by_staff, coupon_id=coupon_id, now=write.now)
    work = partial(
        run_idempotent, service.ledger, write, lambda connection: _coupon_response(end(connection), 200, write)
    )
    return await respond(service, write, work)


def _pictured(media_type: str) -> Responses:
    content = {media_type: {"schema": {"type": "string", "format": "binary"}}}
    picture: Responses = {200: {"description": "The picture", "content": content}}
    return picture | documented(404, 422)


@router.get("/v1/coupons/{coupon_id}/qr.svg", response_class=Response, responses=_pictured(SVG), **needs(Scope.DECIDE))
def get_coupon_qr_svg(coupon_id: Id, request: Request) -> Response:
    """The coupon's code as a QR code."""
    return Response(qr_svg(_code_in_picture(_find_issued(request, coupon_id).coupon)), headers=KEEP, media_type=SVG)


@router.get("/v1/coupons/{coupon_id}/qr.png", response_class=Response, responses=_pictured(PNG), **needs(Scope.DECIDE))
def get_coupon_qr_png(coupon_id: Id, request: Request) -> Response:
    """The coupon's code as a QR code."""
    return Response(qr_png(_code_in_picture(_find_issued(request, coupon_id).coupon)), headers=KEEP, media_type=PNG)


@router.get(
    "/v1/coupons/{coupon_id}/barcode.svg", response_class=Response, responses=_pictured(SVG), **needs(Scope.DECIDE)
)
def get_coupon_barcode(coupon_id: Id, request: Request) -> Response:
    """The coupon's GS1 element string as a DataBar, which tills scan."""
    gs1 = _find_issued(request, coupon_id).gs1
    if gs1 is None:
        raise NoBarcode(f"coupon {coupon_id!r} has no GS1 coupon number, its offer named no gcn; use the QR code")
    return Response(barcode_svg(gs1), headers=KEEP, media_type=SVG)


def _code_in_picture(coupon: Coupon) -> str:
    # A random code without its dashes, which only people need.
    return coupon.written_code or coupon.code


def _find_issued(request: Request, coupon_id: str) -> IssuedCoupon:
    return service_of(request).ledger.read(lambda connection: find_issued(connection, coupon_id))


def _issue_response(coupons: Sequence[IssuedCoupon], write: IdempotentRequest) -> StoredResponse:
    documents = [coupon_document(one, now=write.now) for one in coupons]
    document = {"issued_count": len(coupons), "known_count": 0, "coupons": documents}
    return StoredResponse(201, orjson.dumps(document), _holders(coupons))


def _coupon_response(one: IssuedCoupon, status: int, write: IdempotentRequest) -> StoredResponse:
    return StoredResponse(status, orjson.dumps(coupon_document(one, now=write.now)), _holders([one]))


def _holders(coupons: Sequence[IssuedCoupon]) -> tuple[str, ...]:
    return tuple({f"customer:{one.coupon.customer_id}": None for one in coupons if one.coupon.customer_id})


def _issue_to_audience(ledger: Ledger, campaign_id: str, offer_id: str, write: IdempotentRequest) -> StoredResponse:
    """Many transactions, each of which issues nobody's coupon twice; the last one stores the response."""
    stored = ledger.read(lambda connection: find_response(connection, write))
    if stored is not None:
        return stored
    report = issue_to_audience(ledger, campaign_id, offer_id, now=write.now, progress=lambda _done, _total: None)
    document = {"issued_count": report.issued_count, "known_count": report.known_count, "coupons": []}
    return run_idempotent(ledger, write, lambda _: StoredResponse(201, orjson.dumps(document)))
