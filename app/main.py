"""Builds the service from settings, yields it, and closes in reverse: the only file that constructs things."""

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import faiss
from fastapi import FastAPI

from app import __version__
from app.api import health
from app.api.access import Access, RouteScopes
from app.api.boundary import BoundaryMiddleware
from app.api.campaigns import generation, simulation
from app.api.campaigns import routes as campaigns
from app.api.coupons import routes as wallet
from app.api.decisions import replenishment
from app.api.decisions import routes as decisions
from app.api.decisions.fast_path import FastPath
from app.api.events import routes as events
from app.api.limits import GuessLimit, RequestLimit
from app.api.openapi import TAGS, describe
from app.api.problems import install_problems
from app.api.reference import add_reference
from app.api.state import Service
from app.api.till import routes as redemptions
from app.decision.eligibility.merchandising import ignored_rules
from app.decision.fallbacks import FallbackChain, warm_up
from app.decision.pipeline import Options
from app.decision.shadow import Shadow
from app.model.bundle import Bundle
from app.model.reloader import LiveBundle
from app.settings import Placement, Settings
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers import RedisCustomers
from app.stores.redis.decisions import DecisionLog
from app.stores.redis.events import RedisEvents
from app.stores.redis.keys import Keys, worker_client
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.projections import Projections
from app.stores.redis.watch import StoreWatch
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import read_keys
from app.stores.sql.campaigns.offer_indexes import OfferIndexes
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from app.telemetry import Metrics

OFFER_INDEX_REFRESH_S = 0.5
"""A changed campaign shows so soon; each look costs two small queries."""

_log = logging.getLogger(__name__)


def create_app(settings: Settings, redis_url: str) -> FastAPI:
    """The service on one Redis and one data directory; raises BadSetting when the settings cannot work."""
    service, connections = build_service(settings, redis_url)
    lifespan = _lifespan(service, connections)
    app = FastAPI(
        title="Endcap",
        version=__version__,
        lifespan=lifespan,
        openapi_tags=TAGS,
        # FastAPI's own pages load from the internet; add_reference serves them instead.
        openapi_url=None,
        # Conditions contain conditions: FastAPI's default would describe each such model twice, as -Input and -Output.
        separate_input_output_schemas=False,
    )
    app.state.service = service
    routers = (
        decisions.router,
        events.router,
        replenishment.router,
        redemptions.router,
        wallet.router,
        campaigns.router,
        simulation.router,
        generation.router,
        health.router,
        campaigns.actions,
    )
    for router in routers:
        # Not include_router: FastAPI then asks each router in turn, 10 µs per request.
        app.router.routes.extend(router.routes)
    install_problems(app)
    app.add_middleware(FastPath, service=service)
    describe(app)
    add_reference(app)
    limit = RequestLimit(default_per_second=settings.key_requests_per_second)
    access = Access(RouteScopes(app.router.routes), service.keys, limit)
    app.add_middleware(BoundaryMiddleware, metrics=service.metrics, access=access)
    return app


def build_service(settings: Settings, redis_url: str) -> tuple[Service, list[PipelinedRedis]]:
    """The parts, connected but not started, and the Redis connections that whoever runs them closes."""
    faiss.omp_set_num_threads(1)
    metrics = Metrics()
    placements = settings.placements()
    ledger = open_ledger(settings.ledger_url)
    offer_indexes = OfferIndexes(ledger)
    options = Options(stale_after_s=settings.features_stale_after_s, offer_index_of=offer_indexes.offer_index_of)
    live = LiveBundle(
        settings.bundles_dir,
        tables_dir=settings.tables_dir,
        warm=lambda bundle: _warm(bundle, options, next(iter(placements)), offer_indexes),
        on_refused=lambda _: metrics.bundle_refusals.inc(),
        on_live=lambda bundle: _announce(bundle, metrics, placements),
        on_canary=lambda version: metrics.canary_decisions.labels(version).inc(),
    )
    # Two connections, so that no read waits behind a write that is being synced to disk.
    reads, writes = PipelinedRedis(redis_url), PipelinedRedis(redis_url)
    keys = Keys(settings.stream_partition_count)
    customers = RedisCustomers(
        reads,
        keys,
        Breaker(in_flight_count=settings.max_in_flight_count),
        timeout_s=settings.feature_timeout_ms / 1000,
        live_event_count=settings.live_event_count,
        last_known_s=settings.last_known_features_s,
    )
    fallback_chain = FallbackChain(
        bundle=live.bundle_for,
        customers=customers,
        options=options,
        fallbacks={name: placement.fallback for name, placement in placements.items()},
        max_in_flight_count=settings.max_in_flight_count,
    )
    event_store, decision_log = _writers(writes, keys, settings, metrics)
    projections = Projections(ledger, worker_client(redis_url, timeout_s=settings.ingest_timeout_ms / 1000), keys)
    key_ring = KeyRing(lambda: read_keys(ledger), bootstrap=settings.api_key, may_be_open=settings.is_loopback)
    guesses = _guess_limit(settings, metrics)
    service = Service(
        settings,
        placements,
        live,
        fallback_chain,
        event_store,
        decision_log,
        metrics,
        ledger,
        offer_indexes,
        projections,
        key_ring,
        guesses,
    )
    return service, [reads, writes]


def _writers(
    writes: PipelinedRedis, keys: Keys, settings: Settings, metrics: Metrics
) -> tuple[RedisEvents, DecisionLog]:
    event_store = RedisEvents(
        writes,
        keys,
        Breaker(in_flight_count=settings.max_in_flight_count),
        timeout_s=settings.ingest_timeout_ms / 1000,
        seen_keep_s=settings.event_seen_keep_s,
        live_count=settings.live_event_count,
        live_keep_s=settings.live_keep_s,
    )
    decision_log = DecisionLog(
        writes,
        Breaker(in_flight_count=8),
        keep_s=settings.decision_keep_s,
        timeout_s=settings.feature_timeout_ms / 1000,
        on_lost=metrics.record_failures.inc,
    )
    return event_store, decision_log


def _guess_limit(settings: Settings, metrics: Metrics) -> GuessLimit:
    return GuessLimit(
        per_customer=settings.guesses_per_customer_per_minute,
        per_client=settings.guesses_per_client_per_minute,
        on_refused=lambda: metrics.refusals.add("too_many_guesses"),
    )


def _warm(bundle: Bundle, options: Options, placement: str, offer_indexes: OfferIndexes) -> None:
    """Lays the offers out for a new bundle, and warms every fallback level; a bundle that fails is never served."""
    offer_indexes.prepare(bundle)
    warm_up(bundle, options, placement=placement, now=datetime.now(UTC))
    # A bundle lives long: the garbage collector need not walk it again and again. A decision makes some 700 objects
    # and no cycle, so the default threshold would start a collection for each.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _announce(bundle: Bundle, metrics: Metrics, placements: Mapping[str, Placement]) -> None:
    metrics.model.version = bundle.version
    metrics.model_created_at.set(datetime.fromisoformat(bundle.manifest["created_at"]).timestamp())
    for name, placement in placements.items():
        for why in [] if placement.policy is None else ignored_rules(bundle.catalogue, placement.policy):
            _log.warning("placement rule ignored", extra={"placement": name, "detail": why})


def _shadow_changes(service: Service) -> Callable[[Bundle | None, float], None]:
    """What to do when another bundle is to rank in the shadow, or none any more."""
    running: list[Shadow] = []

    def change(bundle: Bundle | None, per_second: float) -> None:
        service.fallback_chain.shadow = None
        while running:
            running.pop().close()
        if bundle is not None:
            running.append(Shadow(bundle, service.fallback_chain.options, service.metrics, per_second=per_second))
            service.fallback_chain.shadow = running[0].submit

    return change


Lifespan = Callable[[FastAPI], Any]


def _lifespan(service: Service, connections: list[PipelinedRedis]) -> Lifespan:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.live.on_shadow = _shadow_changes(service)
        await asyncio.to_thread(upgrade, service.ledger)
        await service.keys.refresh()
        await asyncio.to_thread(service.offer_indexes.refresh)
        await asyncio.to_thread(service.live.refresh)
        settings = service.settings
        watch = StoreWatch(connections[-1], Keys(settings.stream_partition_count), service.metrics)
        async with AsyncExitStack() as stack:
            stack.callback(service.ledger.close)
            stack.callback(service.projections.close)
            stack.push_async_callback(service.keys.aclose)
            for connection in connections:
                stack.push_async_callback(connection.aclose)
            stack.callback(gc.unfreeze)
            stack.callback(service.live.on_shadow, None, 0.0)
            for job in (
                service.live.watch(settings.reload_interval_ms / 1000),
                service.decisions.flush_for_ever(),
                service.offer_indexes.watch(OFFER_INDEX_REFRESH_S),
                service.keys.watch(),
                watch.watch(),
            ):
                _run_until_closed(stack, job)
            yield

    return lifespan


def _run_until_closed(stack: AsyncExitStack, job: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(job)

    async def end() -> None:
        task.cancel()
        await asyncio.wait({task})

    stack.push_async_callback(end)
