"""Errors become problem+json: the one table from error to HTTP status."""

import logging
import re
from collections.abc import Mapping
from math import ceil

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app import errors
from app.stores.jobs.folder import QueueFull


class Problem(BaseModel):
    """An error in the form of RFC 9457."""

    type: str = Field(description="The code as a URN")
    title: str = Field(description="The HTTP status in words")
    status: int = Field(description="The HTTP status")
    code: str = Field(description="Which error it is: stable, for programs (docs/errors.md)")
    detail: str = Field(description="What is wrong, with what, and what helps; for people")
    pointer: str | None = Field(default=None, description="JSON Pointer to the part of the request that is wrong")


STATUS: dict[type[errors.EndcapError], int] = {
    errors.BadInput: 422,
    errors.IdempotencyKeyMissing: 400,
    errors.Missing: 404,
    errors.Conflict: 409,
    errors.TooManyGuesses: 429,
    errors.StoreUnavailable: 503,
    QueueFull: 503,
    errors.BundleRefused: 503,
    errors.EndcapError: 500,
}

TITLES = {
    400: "Malformed request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    408: "Request timeout",
    409: "Conflict",
    413: "Request too large",
    415: "Unsupported media type",
    422: "Invalid request",
    429: "Too many requests",
    431: "Request headers too large",
    500: "Internal error",
    503: "Unavailable",
}
CODES = {400: "malformed_request", 404: "not_found", 405: "method_not_allowed", 413: "request_too_large"}
UNAVAILABLE = "a part that this needs does not answer now; send it again, a write with the same Idempotency-Key"

QUEUE_S = 30
"""An import takes seconds to minutes."""

_log = logging.getLogger(__name__)


def problem(
    status: int, code: str, detail: str, *, pointer: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """One problem+json answer."""
    body = problem_document(status, code, detail)
    if pointer is not None:
        body["pointer"] = pointer
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


def problem_document(status: int, code: str, detail: str) -> dict[str, object]:
    """The members that every problem has; `type` is the code as a URN."""
    return {
        "type": f"urn:endcap:error:{code}",
        "title": TITLES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }


def retry_after(wait_s: float) -> dict[str, str]:
    """The header that says after how many seconds to try again."""
    return {"Retry-After": str(max(1, ceil(wait_s)))}


Responses = dict[int | str, dict[str, object]]
"""What a route's decorator says of its further responses, by HTTP status."""


def problem_content(schema: str = Problem.__name__) -> dict[str, object]:
    """problem+json in the shape of a schema that the OpenAPI document holds (app/api/openapi.py puts it there)."""
    return {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def documented(*statuses: int) -> Responses:
    """What a route's OpenAPI says of these errors: their title, and problem+json in the shape of Problem."""
    return {status: {"description": TITLES[status], "content": problem_content()} for status in statuses}


def install_problems(app: FastAPI) -> None:
    """Every error of the service leaves as problem+json."""
    app.add_exception_handler(errors.EndcapError, _endcap)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _endcap(_: Request, error: Exception) -> Response:
    assert isinstance(error, errors.EndcapError)
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if isinstance(error, QueueFull):
        return problem(status, error.code, error.message, headers=retry_after(QUEUE_S))
    if status == 503:
        # Its own words may name hosts, files and tables.
        _log.warning("request not served", extra={"code": error.code, "detail": error.message})
        return problem(status, error.code, UNAVAILABLE, headers={"Retry-After": "1"})
    headers = retry_after(error.retry_after_s) if isinstance(error, errors.TooManyGuesses) else None
    return problem(status, error.code, error.message, pointer=error.pointer, headers=headers)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where, *path = first["loc"]
    if first["type"] == "json_invalid":
        return problem(400, "malformed_json", f"the body is no JSON: {first.get('ctx', {}).get('error', '')}")
    pointer = errors.pointer_to(path if where == "body" else first["loc"])
    return problem(422, "invalid_request", f"{pointer or 'body'}: {first['msg']}", pointer=pointer or None)


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, CODES.get(error.status_code, "http_error"), str(error.detail))
    answer.headers.update(error.headers or {})
    return answer


def endpoint_of(scope: Scope) -> str:
    """The route's own path; never that of the request, which names people."""
    return getattr(scope.get("route"), "path", "unknown")


def without_folders(text: str) -> str:
    """The text with every path cut to its last name: where files lie is nobody's business outside."""
    return re.sub(r"(?:[^\s'\"()/]*/)+(?=[^\s/])", "", text)


def unexpected(scope: Scope, error: Exception) -> Response:
    """What a caller learns of a failure that has no name; the log has it all."""
    _log.error("request failed", exc_info=error, extra={"endpoint": endpoint_of(scope)})
    # The error's own words stay in the log: they may name what no caller should know.
    return problem(500, "internal_error", "The service failed on this request; the log has the details.")
