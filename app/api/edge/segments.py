"""Ids in paths may hold a slash, sent as %2F: it stays part of its id, though servers decode paths before routing."""

from collections.abc import Iterable
from urllib.parse import unquote

from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

STAND_IN = "\x1f"
"""Stands for the slash until its id is read: a control character, which no id holds."""


class _IdConvertor(StringConvertor):
    def convert(self, value: str) -> str:
        """The id with its slashes."""
        return value.replace(STAND_IN, "/")


def read_slashes(routes: Iterable[BaseRoute]) -> None:
    """From now on these routes read the ids in their paths so."""
    for route in routes:
        convertors = getattr(route, "param_convertors", {})
        convertors.update(dict.fromkeys(convertors, _IdConvertor()))


class EncodedSlashes:
    """Outermost: whoever looks at the path sees each id as one part of it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request through the middleware."""
        raw: bytes = scope.get("raw_path") or b""
        if b"%2f" in raw.lower():
            parts = raw.decode("latin-1").split("/")
            path = "/".join(unquote(part).replace("/", STAND_IN) for part in parts)
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)
