"""The short way of a sound question, from its bytes to its answer before any routing: a fifth of the long one."""

from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.access import person_of
from app.api.decisions.routes import answer_to, count, router
from app.api.decisions.wire import DecisionRequest
from app.api.edge.bodies import replayed
from app.api.state import Service
from app.errors import EndcapError

JSON = (b"content-type", b"application/json")
ROUTE = next(route for route in router.routes if isinstance(route, APIRoute) and route.name == "decide")
"""The long way of the same question; the OpenAPI document describes it."""


class FastPath:
    """Answers what can be answered as ROUTE would; all else goes on, and ROUTE says what is wrong with it."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        is_plain = scope["type"] == "http" and not scope["query_string"]
        if not is_plain or scope["path"] != ROUTE.path or scope["method"] != "POST" or JSON not in scope["headers"]:
            await self._app(scope, receive, send)
            return
        messages = [await receive()]
        while messages[-1].get("more_body"):
            messages.append(await receive())
        try:
            body = b"".join([message.get("body", b"") for message in messages])
            question = DecisionRequest.model_validate_json(body)
            slate, answer = await answer_to(question, self._service, person_of(scope))
        except (ValidationError, EndcapError):
            await self._app(scope, replayed(messages, receive), send)
            return
        # For the name of the route in metrics, which otherwise the router would set.
        scope["route"] = ROUTE
        headers = [(b"content-length", b"%d" % len(answer)), JSON]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
        # Once the answer has left: counting must not delay it.
        count(self._service.metrics, slate)
