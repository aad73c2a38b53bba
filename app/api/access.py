"""Who may do what: the scope that a route declares next to its code, against those that the caller's key holds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TypedDict

from fastapi import Request, Response
from starlette.routing import BaseRoute
from starlette.types import Scope as RequestScope

from app.api.limits import RequestLimit
from app.api.problems import problem, retry_after
from app.domain import Scope
from app.errors import StoreUnavailable
from app.stores.sql.access.keyring import KeyRing

DECLARED = "x-endcap-scope"
CLIENT = "endcap.client"
SCOPES = "endcap.scopes"
API = "/v1/"
NO_SCOPE: frozenset[Scope] = frozenset()
ANY_SCOPE = frozenset(Scope)
UNAUTHORIZED = "send a live API key as `Authorization: Bearer <key>`"


class RouteOptions(TypedDict):
    """What is handed on to a route's decorator."""

    openapi_extra: dict[str, object]


def needs(scope: Scope) -> RouteOptions:
    """What a route's decorator says of the scope that it needs: `@router.post("/v1/…", **needs(Scope.REDEEM))`.

    The middleware enforces it, the OpenAPI document shows it. A route below /v1 without it answers nobody.
    """
    return {"openapi_extra": {DECLARED: scope.value, "security": [{"bearer": [scope.value]}]}}


def client_of(request: Request) -> str:
    """The client whose key this request carries; "local" while there are no keys."""
    client: str = request.scope[CLIENT]
    return client


def scopes_of(request: Request) -> frozenset[Scope]:
    """Everything that the caller may do, what ADMIN implies included; all while there are no keys."""
    scopes: frozenset[Scope] = request.scope[SCOPES]
    return scopes


@dataclass(frozen=True, slots=True)
class _Route:
    """What counts of a route here; `methods` None takes them all."""

    path: str
    pattern: re.Pattern[str]
    methods: frozenset[str] | None
    scope: Scope | None

    def takes(self, method: str) -> bool:
        return self.methods is None or method in self.methods

    def admits(self, path: str) -> frozenset[Scope]:
        if self.scope is not None:
            return frozenset({self.scope})
        return NO_SCOPE if path.startswith(API) else ANY_SCOPE


class RouteScopes:
    """Which scopes let a request in, for every route there is; what is not in here is not served.

    Asks the routes in the router's own order, so that both always mean the same one.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._routes = [_described(route) for route in routes]
        # Found in the router's order as well, because a pattern before it may take the same path.
        self._exact = {
            (route.path, method): self._first(route.path, method)
            for route in self._routes
            for method in route.methods or ()
            if "{" not in route.path
        }

    def admitted(self, path: str, method: str) -> frozenset[Scope] | None:
        """Any one of these scopes is enough; None when no route takes this method on this path."""
        admitted = self._exact.get((path, method))
        return self._first(path, method) if admitted is None else admitted

    def methods(self, path: str) -> set[str]:
        """The methods that are taken on this path; none when there is no such path."""
        return {method for route in self._routes if route.pattern.match(path) for method in route.methods or ()}

    def _first(self, path: str, method: str) -> frozenset[Scope] | None:
        matching = (route for route in self._routes if route.takes(method) and route.pattern.match(path))
        route = next(matching, None)
        return None if route is None else route.admits(path)


def _described(route: BaseRoute) -> _Route:
    pattern = getattr(route, "path_regex", None)
    if not isinstance(pattern, re.Pattern):
        raise TypeError(f"{route!r} has no path, so nobody could say who may use it")
    methods = getattr(route, "methods", None)
    scope = (getattr(route, "openapi_extra", None) or {}).get(DECLARED)
    return _Route(
        path=getattr(route, "path", ""),
        pattern=pattern,
        methods=None if methods is None else frozenset(methods),
        scope=None if scope is None else Scope(scope),
    )


class Access:
    """Decides on each request, before its body is read."""

    def __init__(self, routes: RouteScopes, keys: KeyRing, limit: RequestLimit) -> None:
        self._routes = routes
        self._keys = keys
        self._limit = limit

    async def refusal(self, request: RequestScope, headers: Mapping[bytes, bytes]) -> Response | None:
        """None when the caller may do this, whose name `request` then carries; else the answer that says why not."""
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        key = key.strip() if scheme.lower() == b"bearer" and key else headers.get(b"x-api-key", b"")
        try:
            grant = self._keys.find(key)
            if grant is None and key:
                grant = await self._keys.find_again(key)
        except StoreUnavailable as error:
            return problem(503, "store_unavailable", error.message, headers={"Retry-After": "1"})
        if grant is None:
            return problem(401, "unauthorized", UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
        # Before the scope is looked at, so that requests without it count as well.
        wait_s = await self._limit.refused_for_s(grant, monotonic())
        if wait_s:
            detail = f"client {grant.client!r} sends more requests than its key allows; wait, or spread the requests"
            return problem(429, "rate_limited", detail, headers=retry_after(wait_s))
        path, method = request["path"], request["method"]
        admitted = self._routes.admitted(path, method)
        # After the key: without a live one, existing and unknown paths get the same answer.
        if admitted is None:
            return self._no_route(path)
        if admitted.isdisjoint(grant.scopes):
            needed = " or ".join(sorted(admitted)) or "that no key can have"
            detail = f"this needs the scope {needed}; the key of client {grant.client!r} has {_listed(grant.scopes)}"
            return problem(403, "scope_missing", detail)
        request[CLIENT] = grant.client
        request[SCOPES] = grant.scopes
        return None

    def _no_route(self, path: str) -> Response:
        methods = self._routes.methods(path)
        if not methods:
            return problem(404, "not_found", "Not Found")
        allowed = {"Allow": ", ".join(sorted(methods))}
        return problem(405, "method_not_allowed", "Method Not Allowed", headers=allowed)


def _listed(scopes: Iterable[Scope]) -> str:
    return ", ".join(sorted(scopes))
