"""The yardstick: a FastAPI endpoint that reads the same request and returns the same body, and does nothing else."""

from fastapi import FastAPI

from app.api.wire import DecisionAnswer, DecisionRequest


def create_empty_app(body: dict[str, object]) -> FastAPI:
    """An application whose `POST /v1/decisions` always answers `body`, through FastAPI's ordinary response model."""
    app = FastAPI()

    @app.post("/v1/decisions", response_model=DecisionAnswer)
    async def empty(_: DecisionRequest) -> dict[str, object]:
        return body

    return app
