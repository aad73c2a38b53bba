"""The yardstick: a FastAPI endpoint that reads the same request and returns the same body, and does nothing else."""

import orjson
from fastapi import FastAPI, Response

from app.api.decisions.wire import DecisionAnswer, DecisionRequest


def create_empty_app(body: dict[str, object], *, as_bytes: bool) -> FastAPI:
    """An application whose `POST /v1/decisions` always answers `body`: through the response model, or ready encoded."""
    app = FastAPI()
    encoded = orjson.dumps(body)

    async def through_model(_: DecisionRequest) -> dict[str, object]:
        return body

    async def ready_encoded(_: DecisionRequest) -> Response:
        return Response(encoded, media_type="application/json")

    answer = ready_encoded if as_bytes else through_model
    app.post("/v1/decisions", response_model=DecisionAnswer)(answer)
    return app
