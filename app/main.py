"""The HTTP application around one service: its routes, what wraps them, and its life from start to end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from copy import copy
from functools import partial
from pathlib import Path

from fastapi import FastAPI

from app import __version__
from app.api import health
from app.api.access import Access, RouteScopes
from app.api.campaigns import generation, simulation
from app.api.campaigns import routes as campaigns
from app.api.catalogue import routes as catalogue
from app.api.coupons import routes as wallet
from app.api.customers import audit, clienteling, erasure
from app.api.customers import routes as customers
from app.api.customers import state as customer_state
from app.api.decisions import replenishment
from app.api.decisions import routes as decisions
from app.api.decisions.fast_path import FastPath
from app.api.edge.boundary import BoundaryMiddleware
from app.api.edge.segments import EncodedSlashes, read_slashes
from app.api.events import routes as events
from app.api.imports import routes as imports
from app.api.openapi import ABOUT, TAGS, describe
from app.api.places import routes as places
from app.api.problems import install_problems
from app.api.query import refuse_unknown_parameters
from app.api.reference import add_reference
from app.api.state import Service
from app.api.till import routes as redemptions
from app.composition.customers import customers_follower_of
from app.composition.places import follower_of
from app.composition.service import build_service, close_service
from app.composition.stores import keys_of
from app.decision.shadow import Shadow
from app.errors import StoreUnavailable
from app.model.bundle import Bundle
from app.settings import Settings
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.watch import StoreWatch
from app.stores.sql.access.keyring import READ_EVERY_S
from app.stores.sql.database.schema import upgrade
from app.stores.tables.feed_state import show_state
from app.telemetry import Metrics

FLUSH_S = 0.05
METRICS_FLUSH_S = 1.0
STORE_CHECK_S = 2.0
LEDGER_CHECK_S = 5.0
FEED_CHECK_S = 5.0
OFFER_INDEX_REFRESH_S = 0.5
"""A changed campaign shows so soon; each check costs two small queries."""
CUSTOMERS_REFRESH_S = 0.1
"""Several times within FOLLOWED_FOR_S (app/stores/redis/customers/reading.py); each check costs two small reads."""
DOCUMENTS_CHECK_S = 1.0
PLACES_REFRESH_S = 0.05
"""Changed stock counts so soon; each check costs one query of three small rows."""
PLACES_SNAPSHOT_S = 60.0


_log = logging.getLogger(__name__)


def create_app(settings: Settings, redis_url: str, *, metrics_dir: Path | None = None) -> FastAPI:
    """The service on one Redis and one data directory, and what it measures, shared with others where `metrics_dir` is.

    Raises BadSetting when the settings cannot work.
    """
    service, connections = build_service(settings, redis_url, Metrics(metrics_dir))
    lifespan = lifespan_of(service, connections)
    app = FastAPI(
        title="Endcap",
        version=__version__,
        description=ABOUT,
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
        catalogue.router,
        imports.router,
        places.router,
        customers.router,
        customer_state.router,
        erasure.router,
        clienteling.router,
        audit.router,
        health.router,
        campaigns.actions,
    )
    for router in routers:
        # Not include_router: FastAPI then asks each router in turn, 10 µs per request.
        # Copies, because what follows is this application's alone.
        app.router.routes.extend(map(copy, router.routes))
    read_slashes(app.router.routes)
    refuse_unknown_parameters(app.router.routes)
    install_problems(app)
    app.add_middleware(FastPath, service=service)
    describe(app)
    add_reference(app)
    # After the last route: what is not in here is not served.
    access = Access(RouteScopes(app.router.routes), service.keys, service.requests)
    # Around all others: no request gets past it, not even to the fast path.
    app.add_middleware(BoundaryMiddleware, metrics=service.metrics, access=access, admission=service.admission)
    # Added last and therefore outermost: access looks at the path as routing does.
    app.add_middleware(EncodedSlashes)
    return app


def _shadow_changes(service: Service) -> Callable[[Bundle | None, float], None]:
    """What to do when another bundle is to rank in the shadow, or none any more."""
    running: list[Shadow] = []

    def change(bundle: Bundle | None, per_second: float) -> None:
        # First of all, so that no answer goes to a shadow that is being closed.
        service.fallback_chain.shadow = None
        while running:
            running.pop().close()
        if bundle is not None:
            running.append(Shadow(bundle, service.fallback_chain.options, service.metrics, per_second=per_second))
            service.fallback_chain.shadow = running[0].submit

    return change


def lifespan_of(
    service: Service, connections: Sequence[PipelinedRedis]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What an application does around its requests: read all that they need, repeat it while they come, then close."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Entered before anything starts: a start that fails closes as well, and everything closes in reverse.
        async with AsyncExitStack() as stack:
            stack.push_async_callback(close_service, service, connections)
            service.live.on_shadow = _shadow_changes(service)
            await _migrate(service)
            # Before the first request: until the keys were read once only the bootstrap key is let in.
            await service.keys.refresh()
            await asyncio.to_thread(service.offer_indexes.refresh)
            customers_follower = customers_follower_of(service)
            await customers_follower.ensure_documents()
            await customers_follower.follow()
            follower = follower_of(service)
            await asyncio.to_thread(follower.load)
            await follower.follow()
            stack.callback(service.live.on_shadow, None, 0.0)
            await asyncio.to_thread(service.live.refresh)
            show_feed = partial(show_state, service.settings.feeds_dir, service.metrics.product_feed)
            watch = StoreWatch(connections[-1], keys_of(service.settings), service.metrics)
            for name, turn, every_s in (
                (
                    "bundles",
                    partial(asyncio.to_thread, service.live.refresh),
                    service.settings.reload_interval_ms / 1000,
                ),
                ("decisions", service.decisions.flush_all, FLUSH_S),
                ("offers", partial(asyncio.to_thread, service.offer_indexes.refresh), OFFER_INDEX_REFRESH_S),
                ("customers", customers_follower.follow, CUSTOMERS_REFRESH_S),
                ("customer_documents", customers_follower.ensure_documents, DOCUMENTS_CHECK_S),
                ("places", follower.follow, PLACES_REFRESH_S),
                ("places_snapshot", follower.write_snapshot, PLACES_SNAPSHOT_S),
                ("keys", service.keys.refresh, READ_EVERY_S),
                ("store", watch.measure, STORE_CHECK_S),
                ("ledger", partial(asyncio.to_thread, upgrade, service.ledger), LEDGER_CHECK_S),
                ("metrics", service.metrics.flush, METRICS_FLUSH_S),
            ):
                _end_when_closed(stack, service.background.start(name, turn, every_s=every_s))
            if service.settings.product_feed_url is not None:
                show = partial(asyncio.to_thread, show_feed)
                _end_when_closed(stack, service.background.start("feed", show, every_s=FEED_CHECK_S))
            yield

    return lifespan


async def _migrate(service: Service) -> None:
    """Brings the ledger up to date; one that is away costs coupons and never a decision, and may come up later."""
    try:
        await asyncio.to_thread(upgrade, service.ledger)
    except StoreUnavailable as error:
        detail = f"{error.message}; until it is there, coupons are missing and tills get 503"
        _log.error("serving without the ledger", extra={"detail": detail})


def _end_when_closed(stack: AsyncExitStack, task: "asyncio.Task[None]") -> None:
    async def end() -> None:
        task.cancel()
        # Not `await task`, which would raise the task's CancelledError here.
        await asyncio.wait({task})

    stack.push_async_callback(end)
