"""What the routes work with: built once by main, handed to every request through the application."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, FastAPI, Request

from app.decision.ladder import Ladder
from app.ingest.accept import EventStore
from app.model.reloader import LiveBundle
from app.settings import Placement, Settings
from app.stores.decisions import DecisionLog
from app.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one running service."""

    settings: Settings
    placements: Mapping[str, Placement]
    live: LiveBundle
    ladder: Ladder
    events: EventStore
    decisions: DecisionLog
    metrics: Metrics


async def service_of(request: Request) -> Service:
    """The service behind this request; async, because FastAPI sends plain functions through a thread pool."""
    app: FastAPI = request.app
    service: Service = app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]
