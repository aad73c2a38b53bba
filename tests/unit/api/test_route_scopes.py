"""What a route declares and what a request then needs: closed where nothing is declared."""

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from app.api.access import CLIENT, DECLARED, Access, RouteScopes, needs
from app.api.limits import RequestLimit
from app.domain import Scope
from app.main import create_app
from app.settings import Settings
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import KeyBook

router = APIRouter()


@router.get("/v1/offers/{offer_id}", **needs(Scope.ADMIN))
@router.get("/v1/offers/export", **needs(Scope.STAFF))
@router.post("/v1/offers", **needs(Scope.ADMIN))
@router.get("/v1/offers", **needs(Scope.STAFF))
@router.get("/v1/forgotten")
@router.get("/v1/forgotten/{name}")
@router.get("/page")
async def nothing() -> None: ...


SCOPES = RouteScopes(reversed(router.routes))
"""Decorators apply from below: reversed, the routes stand in the order in which they are written."""


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/offers", {Scope.ADMIN}),
        ("GET", "/v1/offers", {Scope.STAFF}),
        ("GET", "/v1/offers/17", {Scope.ADMIN}),
        ("GET", "/v1/forgotten", set()),
        ("GET", "/v1/forgotten/one", set()),
        ("GET", "/page", set(Scope)),
        ("DELETE", "/v1/offers", None),
        ("GET", "/v1/offers/17/lines", None),
        ("GET", "/v1/OFFERS", None),
        ("GET", "/v1//offers", None),
    ],
)
def test_request_needs_what_its_route_declares(method: str, path: str, expected: set[Scope] | None) -> None:
    admitted = SCOPES.admitted(path, method)
    assert (None if admitted is None else set(admitted)) == expected


def test_path_that_two_routes_take_needs_what_the_one_that_answers_declares() -> None:
    # The router takes the first that fits, which is the route with the id.
    assert SCOPES.admitted("/v1/offers/export", "GET") == frozenset({Scope.ADMIN})


def test_route_that_has_no_path_is_refused_at_start() -> None:
    with pytest.raises(TypeError, match="has no path"):
        RouteScopes([BaseRoute()])


def test_every_route_of_the_service_declares_its_scope_and_is_documented(tmp_path: Path) -> None:
    app = create_app(Settings.load(data_dir=tmp_path), "redis://127.0.0.1:1/0")
    routes = [route for route in app.router.routes if isinstance(route, APIRoute) and route.path.startswith("/v1")]
    assert routes
    assert not [route.path for route in routes if DECLARED not in (route.openapi_extra or {})]
    assert not [route.path for route in routes if not route.include_in_schema]


def test_route_without_a_scope_answers_nobody_though_the_service_is_open() -> None:
    assert answer_of_open_service("/v1/forgotten") == (403, "scope_missing")
    assert answer_of_open_service("/v1/offers") is None


def answer_of_open_service(path: str) -> tuple[int, str] | None:
    """What the door says to somebody without a key while there are no keys; None: come in."""

    async def ask() -> tuple[int, str] | None:
        ring = KeyRing(lambda: KeyBook({}, is_empty=True), bootstrap=None, may_be_open=True, hold_s=60)
        await ring.refresh()
        scope: dict[str, Any] = {"path": path, "method": "GET"}
        refusal = await Access(SCOPES, ring, RequestLimit(default_per_second=0)).refusal(scope, {})
        await ring.aclose()
        if refusal is None:
            assert scope[CLIENT] == "local"
            return None
        return refusal.status_code, orjson.loads(refusal.body)["code"]

    return asyncio.run(ask())
