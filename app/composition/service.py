"""The service that answers requests, constructed from the settings and closed in reverse."""

import gc
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from time import CLOCK_BOOTTIME, clock_gettime

import faiss

from app.api.customers.changes import CustomerChanges
from app.api.edge.admission import Admission, PacedCustomers
from app.api.edge.connections import DECISIONS
from app.api.limits import GuessLimit, RequestLimit
from app.api.state import Service
from app.background import Background
from app.composition.launch import own_command
from app.composition.stores import keys_of, ledger_of, price_rules_of, projections_of, redis_client
from app.decision.eligibility.merchandising import ignored_rules
from app.decision.eligibility.products import age_restricted_among
from app.decision.fallbacks import FallbackChain
from app.decision.pipeline import Options
from app.decision.warm_up import warm_up
from app.erasure.places import Places
from app.erasure.secret import secret_of
from app.model.bundle import Bundle
from app.model.reloader import LiveBundle
from app.places.live import LivePlaces
from app.settings import Placement, Settings
from app.stores.jobs.processes import JobProcesses
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.reading import RedisCustomers
from app.stores.redis.customers.states import RedisStates
from app.stores.redis.decisions import DecisionLog
from app.stores.redis.events import RedisEvents
from app.stores.redis.keys import RedisKeys
from app.stores.redis.limits import SharedLimits
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.server.disk import Disk
from app.stores.redis.server.embedded import written_endpoint
from app.stores.sql.access.keyfile import KeyFile
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import read_keys
from app.stores.sql.campaigns.offer_indexes import OfferIndexes
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.report import SqlPlaceReports
from app.stores.tables.cells import CellWriter
from app.stores.tables.facts import product_facts
from app.telemetry import Metrics

LEDGER_LIMIT_S = 2.0
"""A caller of a ledger that hangs is answered within 3 s, what else its request costs included."""

_log = logging.getLogger(__name__)

GUESS_TIMEOUT_S = 0.5
"""A till can wait so long; a limit of guesses that gave up as soon as a decision does would be easy to overrun."""
LIMITED_COUNT = 10_000
STATE_TIMEOUT_S = 0.5
"""A page that shows a cart can wait so long; no answer at all would show an empty one."""


def build_service(
    settings: Settings, redis_url: str, metrics: Metrics | None = None
) -> tuple[Service, list[PipelinedRedis]]:
    """The parts, connected but not started, and the Redis connections; `close_service` closes both."""
    # A question is too small to share among threads: waiting for each other would cost more than the search.
    faiss.omp_set_num_threads(1)
    metrics = metrics or Metrics()
    placements = settings.placements()
    ledger = ledger_of(settings, limit_s=LEDGER_LIMIT_S)
    offer_indexes = OfferIndexes(ledger)
    places = LivePlaces(clock=steady_s, currency=settings.currency)
    options = Options(settings.features_stale_after_s, offer_indexes.offer_index_of, places=places)
    warm = partial(_warm, options=options, placement=next(iter(placements)), offer_indexes=offer_indexes, places=places)
    live = _live(settings, metrics, placements, warm)
    # Two connections, so that no read waits behind a large write.
    reads, writes = PipelinedRedis(redis_url), PipelinedRedis(redis_url)
    keys = keys_of(settings)
    admission = Admission(on_refused=_overload_counter(metrics))
    people = _customers(reads, keys, settings)
    fallback_chain = FallbackChain(
        bundle=live.bundle_for,
        customers=PacedCustomers(people, admission),
        options=options,
        fallbacks={name: placement.fallback for name, placement in placements.items()},
        max_in_flight_count=settings.max_in_flight_count,
    )
    disk = _disk(settings, redis_url, writes)
    event_store, decision_log = _writers(writes, keys, settings, metrics, disk)
    projections = projections_of(settings, ledger, redis_client(redis_url, timeout_s=settings.ingest_timeout_ms / 1000))
    requests, guesses = _limits(writes, keys, settings, metrics)
    secret, background = secret_of(settings.privacy_file), Background()
    metrics.tasks.sources.append(background.problems)
    service = Service(
        settings,
        placements,
        live,
        fallback_chain,
        people,
        CustomerChanges(ledger, projections, people, disk, secret),
        RedisStates(reads, keys, Breaker(in_flight_count=settings.max_in_flight_count), timeout_s=STATE_TIMEOUT_S),
        event_store,
        decision_log,
        metrics,
        ledger,
        offer_indexes,
        projections,
        _key_ring(ledger, settings),
        requests,
        guesses,
        background,
        admission,
        disk,
        CellWriter(settings.tables_dir, "products"),
        JobProcesses(settings, own_command()),
        places,
        _place_reports(ledger, settings),
        Places(settings, ledger, redis_client(redis_url), keys, secret),
    )
    return service, [reads, writes]


async def close_service(service: Service, connections: Sequence[PipelinedRedis]) -> None:
    """Lets go of what `build_service` opened, in reverse, all of it even where one part fails to close."""
    async with AsyncExitStack() as stack:
        # Undoes the freeze in _warm(), so that what the service held can be collected.
        stack.callback(gc.unfreeze)
        stack.callback(service.ledger.close)
        for connection in connections:
            stack.push_async_callback(connection.aclose)
        stack.callback(service.projections.close)
        stack.callback(service.personal_data.client.close)
        stack.push_async_callback(service.keys.aclose)
        stack.push_async_callback(service.products.aclose)
        if service.disk is not None:
            stack.push_async_callback(service.disk.aclose)


def steady_s() -> float:
    """Seconds since the machine began: they pass while a process or the machine stands still, and nobody sets them."""
    return clock_gettime(CLOCK_BOOTTIME)


def _live(
    settings: Settings, metrics: Metrics, placements: Mapping[str, Placement], warm: Callable[[Bundle], None]
) -> LiveBundle:
    return LiveBundle(
        settings.bundles_dir,
        tables_dir=settings.tables_dir,
        warm=warm,
        on_refused=lambda reason: metrics.bundle_refusals.labels(reason).inc(),
        on_live=lambda bundle: _announce(bundle, metrics, placements),
        on_canary=lambda version: metrics.canary_decisions.labels(version).inc(),
    )


def _place_reports(ledger: Ledger, settings: Settings) -> SqlPlaceReports:
    facts_of = partial(product_facts, settings.tables_dir)
    return SqlPlaceReports(ledger, currency=settings.currency, rules=price_rules_of(settings), facts_of=facts_of)


def _customers(reads: PipelinedRedis, keys: RedisKeys, settings: Settings) -> RedisCustomers:
    return RedisCustomers(
        reads,
        keys,
        Breaker(in_flight_count=settings.max_in_flight_count),
        timeout_s=settings.feature_timeout_ms / 1000,
        live_event_count=settings.live_event_count,
        last_known_s=settings.last_known_features_s,
        consent_is_required=settings.consent_is_required,
        clock=steady_s,
    )


def _key_ring(ledger: Ledger, settings: Settings) -> KeyRing:
    return KeyRing(
        lambda: read_keys(ledger),
        bootstrap=settings.api_key,
        # Without keys a service answers everybody only where nobody else can reach it.
        may_be_open=settings.is_loopback,
        hold_s=settings.keys_hold_s,
        file=KeyFile(settings.keys_file),
    )


def _overload_counter(metrics: Metrics) -> Callable[[], None]:
    """Counts a decision that was refused before anything was done about it."""
    seconds = metrics.request_seconds.labels(DECISIONS, 503)

    def count() -> None:
        metrics.refusals.add("overloaded")
        seconds.observe(0)

    return count


def _disk(settings: Settings, redis_url: str, writes: PipelinedRedis) -> Disk | None:
    """What syncs the embedded Valkey's files; None on any other server, which syncs as it was configured to."""
    embedded = written_endpoint(settings.data_dir)
    return Disk(settings.data_dir, writes) if embedded is not None and embedded.url == redis_url else None


def _writers(
    writes: PipelinedRedis, keys: RedisKeys, settings: Settings, metrics: Metrics, disk: Disk | None
) -> tuple[RedisEvents, DecisionLog]:
    event_store = RedisEvents(
        writes,
        keys,
        # Each has a breaker of its own: late writes must not keep decisions from reading.
        Breaker(in_flight_count=settings.max_in_flight_count),
        timeout_s=settings.ingest_timeout_ms / 1000,
        seen_keep_s=settings.event_seen_keep_s,
        live_count=settings.live_event_count,
        live_keep_s=settings.live_keep_s,
        secret=secret_of(settings.privacy_file),
        sync=None if disk is None else disk.sync,
    )
    decision_log = DecisionLog(
        writes,
        Breaker(in_flight_count=8),
        keep_s=settings.decision_keep_s,
        timeout_s=settings.feature_timeout_ms / 1000,
        on_lost=metrics.record_failures.inc,
    )
    return event_store, decision_log


def _limits(
    writes: PipelinedRedis, keys: RedisKeys, settings: Settings, metrics: Metrics
) -> tuple[RequestLimit, GuessLimit]:
    shared = SharedLimits(
        writes,
        keys,
        # As many as come: who is not counted here is counted in this process alone.
        Breaker(in_flight_count=LIMITED_COUNT),
        rate_timeout_s=settings.feature_timeout_ms / 1000,
        guess_timeout_s=GUESS_TIMEOUT_S,
    )
    guesses = GuessLimit(
        per_customer=settings.guesses_per_customer_per_minute,
        per_client=settings.guesses_per_client_per_minute,
        shared=shared,
        on_refused=lambda: metrics.refusals.add("too_many_guesses"),
    )
    return RequestLimit(default_per_second=settings.key_requests_per_second, shared=shared), guesses


def _warm(bundle: Bundle, options: Options, placement: str, offer_indexes: OfferIndexes, places: LivePlaces) -> None:
    """Lays offers and stock out for a new bundle, and warms every fallback level; one that fails is never served."""
    offer_indexes.prepare(bundle)
    places.prepare(bundle)
    warm_up(bundle, options, placement=placement, now=datetime.now(UTC))
    # A bundle lives long: the garbage collector need not walk it again and again. A decision makes some 700 objects
    # and no cycle, so the default threshold would start a collection for each.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _announce(bundle: Bundle, metrics: Metrics, placements: Mapping[str, Placement]) -> None:
    metrics.model.serve(bundle.version)
    metrics.model_created_at.set(bundle.created_at.timestamp())
    for name, placement in placements.items():
        ignored = [] if placement.policy is None else ignored_rules(bundle.catalogue, placement.policy)
        named = [*(pin.product_id for pin in placement.pin), *placement.fallback]
        if not placement.allow_age_restricted:
            ignored += [
                f"product {product_id!r} is age-restricted, which allow_age_restricted does not allow here"
                for product_id in age_restricted_among(bundle.catalogue, named)
            ]
        for why in ignored:
            _log.warning("placement rule ignored", extra={"placement": name, "detail": why})
