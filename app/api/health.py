"""`/healthz`, `/readyz` and `/metrics`: what the retailer's operations look at."""

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field

from app.api.problems import without_folders
from app.api.state import service_of
from app.background import failing


class Health(BaseModel):
    """Whether the process works, and with which model."""

    status: str = Field(description="`ok`, or what the service waits for")
    model_version: str | None = Field(default=None, description="The model that answers; left out while there is none")
    detail: str | None = Field(
        default=None,
        description="Why a newer model is not used, and which background tasks fail; left out while all works",
    )


router = APIRouter(tags=["health"])


@router.get("/healthz", response_model=Health, response_model_exclude_none=True)
async def get_health() -> Health:
    """Answers while the process lives."""
    return Health(status="ok")


@router.get("/readyz", response_model=Health, response_model_exclude_none=True, responses={503: {"model": Health}})
async def get_readiness(response: Response, request: Request) -> Health:
    """Ready once a bundle is verified and warmed; before that decisions come from the static lists."""
    service = service_of(request)
    bundle = service.live.bundle
    problem = service.live.problem
    tasks = failing(service.background.problems())
    detail = "; ".join(filter(None, (None if problem is None else without_folders(problem), tasks))) or None
    if bundle is None:
        response.status_code = 503
        return Health(status="waiting for a bundle", detail=detail)
    return Health(status="ok", model_version=bundle.version, detail=detail)


@router.get("/metrics", response_class=Response)
async def get_metrics(request: Request) -> Response:
    """Prometheus metrics."""
    return Response(await service_of(request).metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
