"""Results of writes at the till as the responses that clients get and that are stored with their keys."""

import orjson

from app.api.problems import problem_document
from app.stores.sql.redemption.documents import quote_document, refused_documents
from app.stores.sql.redemption.idempotency import StoredResponse
from app.stores.sql.redemption.results import Redeemed, Refused, Released, Reserved, RolledBack


def redemption_response(result: Redeemed | Refused) -> StoredResponse:
    """201 with the redemption, or 409 with the reason of every coupon."""
    if isinstance(result, Refused):
        return _refusal_response(result)
    document = {
        "redemption_id": result.redemption_id,
        "status": "redeemed",
        "order_id": result.order_id,
        "redeemed_at": result.redeemed_at.isoformat(),
    }
    return StoredResponse(201, orjson.dumps(document | quote_document(result.quote)), result.stale_subjects)


def reservation_response(result: Reserved | Refused) -> StoredResponse:
    """201 with the reservation, or 409 with the reason of every coupon."""
    if isinstance(result, Refused):
        return _refusal_response(result)
    return StoredResponse(201, orjson.dumps(result.document), result.stale_subjects)


def release_response(result: Released) -> StoredResponse:
    """200 with the reservation as it stands."""
    return StoredResponse(200, orjson.dumps(result.document), result.stale_subjects)


def rollback_response(result: RolledBack) -> StoredResponse:
    """200 with what came back."""
    return StoredResponse(200, orjson.dumps(result.document), result.stale_subjects)


def _refusal_response(result: Refused) -> StoredResponse:
    document = problem_document(409, result.code, result.detail)
    return StoredResponse(409, orjson.dumps(document | {"refused": refused_documents(result.quote.coupons)}))
