"""Query parameters that a route does not know are refused: a misspelt filter must not look as if it had filtered."""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import InvalidRequest, pointer_to


def refuse_unknown_parameters(routes: Iterable[BaseRoute]) -> None:
    """From now on each of these routes takes the query parameters that it declares, and no others."""
    for route in routes:
        if isinstance(route, APIRoute):
            parameters = route.dependant.query_params
            known = {name for one in parameters for name in _names(one.alias, one.field_info.annotation)}
            route.app = _checked(route.app, known)


def _names(name: str, kind: object) -> Iterable[str]:
    """The parameter's name; of a model with a field for each parameter, theirs."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or field_name for field_name, field in kind.model_fields.items()]
    return [name]


def _checked(app: ASGIApp, known: set[str]) -> ASGIApp:
    async def checked(scope: Scope, receive: Receive, send: Send) -> None:
        query: bytes = scope["query_string"]
        for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True) if query else ():
            if name not in known:
                names = ", ".join(sorted(known)) or "none"
                remedy = f"{name!r} is no query parameter here; there are: {names}"
                raise InvalidRequest(f"/query: {remedy}", pointer=pointer_to(("query", name)))
        await app(scope, receive, send)

    return checked
