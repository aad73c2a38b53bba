"""Who may do what: the scope that a route declares next to its code, against those that the caller's key holds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import monotonic, time
from typing import TypedDict

from fastapi import Request, Response
from starlette.routing import BaseRoute
from starlette.types import Scope as RequestScope

from app.api.limits import RequestLimit
from app.api.pages.tokens import InvalidToken, Person, Tokens
from app.api.problems import problem, retry_after
from app.domain import Scope, subject_of
from app.errors import StoreUnavailable
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import Grant
from app.stores.sql.access.publishable import PREFIX as PUBLISHABLE

DECLARED = "x-endcap-scope"
FOR_PERSONS = "x-endcap-person"
CLIENT = "endcap.client"
SCOPES = "endcap.scopes"
PERSON = "endcap.person"
API = "/v1/"
NO_SCOPE: frozenset[Scope] = frozenset()
ANY_SCOPE = frozenset(Scope)
UNAUTHORIZED = "send a live API key as `Authorization: Bearer <key>`"
TOKEN_ALONE = "a token is no key: send the publishable key that it belongs to in `X-API-Key`"
TOKEN_MISSING = (
    "a publishable key needs a person's token: send the key in `X-API-Key`, and as `Authorization: Bearer <token>` the"
    " token that your server signed"
)
_MADE_PUBLISHABLE = PUBLISHABLE.encode()


class RouteOptions(TypedDict):
    """What is handed on to a route's decorator."""

    openapi_extra: dict[str, object]


def needs(scope: Scope) -> RouteOptions:
    """What a route's decorator says of the scope that it needs: `@router.post("/v1/…", **needs(Scope.REDEEM))`.

    The middleware enforces it, the OpenAPI document shows it. A route below /v1 without it answers nobody.
    """
    return {"openapi_extra": {DECLARED: scope.value, "security": [{"bearer": [scope.value]}]}}


def needs_or_person(scope: Scope) -> RouteOptions:
    """The same for a route that persons may use, too, each for themselves: with a publishable key and their token.

    The route sees to it that it is for themselves: `person_of` says whom.
    """
    security: list[dict[str, list[str]]] = [{"bearer": [scope.value]}, {"publishable_key": [], "person_token": []}]
    return {"openapi_extra": {DECLARED: scope.value, FOR_PERSONS: True, "security": security}}


def person_of(scope: RequestScope) -> Person | None:
    """Who sends this request from a page or an app; None where a secret key does."""
    person: Person | None = scope.get(PERSON)
    return person


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
    is_for_persons: bool

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
        self._for_persons = {
            route.path: method for route in self._routes if route.is_for_persons for method in route.methods or ()
        }

    def admitted(self, path: str, method: str) -> frozenset[Scope] | None:
        """Any one of these scopes is enough; None when no route takes this method on this path."""
        admitted = self._exact.get((path, method))
        return self._first(path, method) if admitted is None else admitted

    def method_for_persons(self, path: str) -> str | None:
        """The method with which persons may use this path, each for themselves; None for most."""
        return self._for_persons.get(path)

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
    declared = getattr(route, "openapi_extra", None) or {}
    scope = declared.get(DECLARED)
    return _Route(
        path=getattr(route, "path", ""),
        pattern=pattern,
        methods=None if methods is None else frozenset(methods),
        scope=None if scope is None else Scope(scope),
        is_for_persons=bool(declared.get(FOR_PERSONS)),
    )


class Access:
    """Decides on each request, before its body is read."""

    def __init__(self, routes: RouteScopes, keys: KeyRing, limit: RequestLimit) -> None:
        self.routes = routes
        self.keys = keys
        self._limit = limit
        self._tokens = Tokens()

    async def refusal(self, request: RequestScope, headers: Mapping[bytes, bytes]) -> Response | None:
        """None when the caller may do this, whose name `request` then carries; else the answer that says why not."""
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        bearer = bearer.strip() if scheme.lower() == b"bearer" else b""
        given = headers.get(b"x-api-key", b"")
        # Next to a publishable key, and there alone, what is borne is a token.
        has_token = given.startswith(_MADE_PUBLISHABLE)
        key = given if has_token else bearer or given
        try:
            grant = self.keys.find(key)
            if grant is None and key:
                grant = await self.keys.find_again(key)
        except StoreUnavailable as error:
            return problem(503, "store_unavailable", error.message, headers={"Retry-After": "1"})
        if grant is None:
            # By its looks alone: whether the other header holds a live key is nobody's business.
            detail = UNAUTHORIZED if has_token or bearer.count(b".") != 2 else TOKEN_ALONE
            return problem(401, "unauthorized", detail, headers={"WWW-Authenticate": "Bearer"})
        if grant.publishable is not None:
            return await self._person_refusal(request, headers, grant, token=bearer if has_token else b"")
        # Before the scope is looked at, so that requests without it count as well.
        wait_s = await self._limit.refused_for_s(grant, monotonic())
        if wait_s:
            detail = f"client {grant.client!r} sends more requests than its key allows; wait, or spread the requests"
            return problem(429, "rate_limited", detail, headers=retry_after(wait_s))
        path, method = request["path"], request["method"]
        admitted = self.routes.admitted(path, method)
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

    async def _person_refusal(
        self, request: RequestScope, headers: Mapping[bytes, bytes], grant: Grant, *, token: bytes
    ) -> Response | None:
        """The same for a page or an app: `request` then carries its person, for whom alone the route answers."""
        origin = headers.get(b"origin")
        if not _comes_from(origin, grant):
            return problem(403, "origin_not_allowed", _why_not_from(origin, grant))
        if not token:
            return problem(401, "token_missing", TOKEN_MISSING, headers={"WWW-Authenticate": "Bearer"})
        try:
            person = self._tokens.person(token, grant, now_s=time())
        except InvalidToken as error:
            asks = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return problem(401, "invalid_token", str(error), headers=asks)
        own = Grant(f"{grant.key_id}:{subject_of(*person)}", grant.client, NO_SCOPE, grant.per_second)
        wait_s = await self._limit.refused_for_s(own, monotonic())
        if wait_s:
            detail = "this person sends more requests than the publishable key allows one; wait"
            return problem(429, "rate_limited", detail, headers=retry_after(wait_s))
        if self.routes.method_for_persons(request["path"]) != request["method"]:
            return problem(403, "not_for_pages", "a publishable key is for decisions and events of its person alone")
        request[CLIENT], request[SCOPES], request[PERSON] = grant.client, NO_SCOPE, person
        return None

    def _no_route(self, path: str) -> Response:
        methods = self.routes.methods(path)
        if not methods:
            return problem(404, "not_found", "Not Found")
        allowed = {"Allow": ", ".join(sorted(methods))}
        return problem(405, "method_not_allowed", "Method Not Allowed", headers=allowed)


def _comes_from(origin: bytes | None, grant: Grant) -> bool:
    """Whether the key is for pages of this origin, or for apps where there is none."""
    allowed = grant.publishable.origins if grant.publishable else ()
    return not allowed if origin is None else origin.decode("latin-1") in allowed


def _why_not_from(origin: bytes | None, grant: Grant) -> str:
    if grant.publishable and not grant.publishable.origins:
        return "this publishable key is for apps; a page needs one that was made with --origin"
    given = "no Origin" if origin is None else f"the Origin {origin.decode('latin-1')!r}"
    return f"the request has {given}, and the publishable key is for pages of others; make one with --origin for it"


def _listed(scopes: Iterable[Scope]) -> str:
    return ", ".join(sorted(scopes))
