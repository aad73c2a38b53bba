"""What the routes work with: built once by the composition, handed to every request through the application."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi import FastAPI, Request

from app.api.customers.changes import CustomerChanges
from app.api.edge.admission import Admission
from app.api.limits import GuessLimit, RequestLimit
from app.background import Background
from app.decision.fallbacks import FallbackChain
from app.erasure.places import Places
from app.ingest.accept import EventStore, PlaceStore
from app.model.reloader import LiveBundle
from app.places.live import LivePlaces
from app.settings import Placement, Settings
from app.stores.jobs.processes import JobProcesses
from app.stores.redis.customers.reading import RedisCustomers
from app.stores.redis.customers.states import RedisStates
from app.stores.redis.decisions import DecisionLog
from app.stores.redis.projections import Projections
from app.stores.redis.server.disk import Disk
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.campaigns.offer_indexes import OfferIndexes
from app.stores.sql.database.engine import Ledger
from app.stores.tables.cells import CellWriter
from app.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of one running service; `in_flight` are the client and key of each write being worked on."""

    settings: Settings
    placements: Mapping[str, Placement]
    live: LiveBundle
    fallback_chain: FallbackChain
    people: RedisCustomers
    customers: CustomerChanges
    states: RedisStates
    events: EventStore
    decisions: DecisionLog
    metrics: Metrics
    ledger: Ledger
    offer_indexes: OfferIndexes
    projections: Projections
    keys: KeyRing
    requests: RequestLimit
    guesses: GuessLimit
    background: Background
    admission: Admission
    disk: Disk | None
    products: CellWriter
    imports: JobProcesses
    places: LivePlaces
    place_reports: PlaceStore
    personal_data: Places
    in_flight: set[tuple[str, str]] = field(default_factory=set)


def service_of(request: Request) -> Service:
    """The service behind this request; called, not depended on: a dependency costs 15 µs."""
    app: FastAPI = request.app
    service: Service = app.state.service
    return service
