"""What can be seen from outside: metrics, the stage timer and logs without personal data."""

import asyncio
import json
import logging
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Literal, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.errors import REFUSAL_REASONS

LATENCY_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
OVERLAP_BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TIMED_ONE_IN = 16
"""One decision in so many has its stages timed: seven observations cost 12 µs, and a sample says as much."""
STAGES = ("features", "context", "candidates", "eligibility", "scoring", "coupons", "slate", "encode")


Mode = Literal["livemax", "livemin", "livemostrecent", "livesum"]
"""What a gauge says where several processes have one."""


class StageTimer(Protocol):
    """A stopwatch that names each stage as it ends."""

    def end(self, stage: str) -> None:
        """The stage that just ended."""


class _NoTimer:
    def end(self, stage: str) -> None:
        return None


no_timer: StageTimer = _NoTimer()


def share_metrics(folder: Path, name: str) -> None:
    """What this process measures from now on is kept in files of this folder, which `Metrics.exposition` sums up.

    The next process of this name goes on counting where this one ended. The folder must be in memory: a file that
    cannot grow would kill the process.
    """
    # Feast sets the same variable to a folder of its own when it is imported.
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    # Its package has types for its public names only.
    values.ValueClass = values.MultiProcessValue(lambda: name)  # type: ignore[no-untyped-call]


def forget_gauges(folder: Path, name: str) -> None:
    """Removes what the ended process of this name said of its present state; its counts stay."""
    for file in folder.glob(f"gauge_live*_{name}.db"):
        file.unlink(missing_ok=True)


class ModelInfo(Collector):
    """`endcap_model_info{version=…} 1`: a sample for each version that is being served."""

    def __init__(self) -> None:
        text = "1 for the version being served"
        self._gauge = Gauge("endcap_model_info", text, ["version"], registry=None, multiprocess_mode="livemax")
        self._version: str | None = None

    def serve(self, version: str) -> None:
        """This version is served from now on, in place of the one before."""
        if self._version is not None:
            # Where processes share their metrics a sample cannot be removed.
            self._gauge.labels(self._version).set(0)
        self._gauge.labels(version).set(1)
        self._version = version

    def collect(self) -> Iterator[Metric]:
        """The sample; none before the first bundle."""
        yield from map(without_retired_versions, self._gauge.collect())


def without_retired_versions(family: Metric) -> Metric:
    """The family, of endcap_model_info only what is served."""
    if family.name == "endcap_model_info":
        family.samples = [sample for sample in family.samples if sample.value]
    return family


class TaskHealth(Collector):
    """`endcap_background_task_up{task=…}`: 1 for each task that works, 0 where it fails in any process."""

    def __init__(self) -> None:
        self.sources: list[Callable[[], Mapping[str, str | None]]] = []
        text = "1 while a background task works"
        self._gauge = Gauge("endcap_background_task_up", text, ["task"], registry=None, multiprocess_mode="livemin")

    def flush(self) -> None:
        """Takes what the sources say now."""
        for source in self.sources:
            for task, problem in source().items():
                self._gauge.labels(task).set(problem is None)

    def collect(self) -> Iterator[Metric]:
        """One sample per task."""
        self.flush()
        yield from self._gauge.collect()


class FastCounter(Collector):
    """A counter with one label that the event loop alone adds to: without a lock, at a tenth of Counter's cost."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self._counter = Counter(name, text, [label], registry=None)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, value: str, count: int = 1) -> None:
        """Counts `count` more for this value of the label."""
        self._counts[value] += count

    def flush(self) -> None:
        """Moves what was added to where it can be seen; for the event loop, which then adds nothing meanwhile."""
        for value, count in self._counts.items():
            self._counter.labels(value).inc(count)
        self._counts.clear()

    def collect(self) -> Iterable[Metric]:
        """One sample per value seen so far."""
        self.flush()
        return self._counter.collect()


class SharedMetrics(Collector):
    """The metrics of all processes that called `share_metrics` with this folder, the dead ones' counts among them."""

    def __init__(self, folder: Path) -> None:
        # Untyped as well.
        self._all = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]

    def collect(self) -> Iterator[Metric]:
        """Counts and histograms summed, gauges each in its own way."""
        # Untyped as well; by name, because the files of processes come in any order.
        families: Iterable[Metric] = self._all.collect()  # type: ignore[no-untyped-call]
        yield from map(without_retired_versions, sorted(families, key=lambda family: family.name))


class Metrics:
    """Every metric of the service, in a registry of its own; names are public (docs/operations.md)."""

    def __init__(self, shared_dir: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._shared_dir = shared_dir
        self._fast_counters: list[FastCounter] = []
        stage_seconds = Histogram(
            "endcap_stage_seconds",
            "Time per decision stage",
            ["stage"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.decision_number = 0
        self.stage_seconds = {stage: stage_seconds.labels(stage) for stage in STAGES}
        self.request_seconds = Histogram(
            "endcap_request_seconds",
            "Time per request",
            ["endpoint", "status"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.candidates = self._fast_counter("endcap_candidates", "Candidates found", "source")
        self.drops = self._fast_counter("endcap_drops", "Candidates dropped", "reason")
        self.degraded = self._fast_counter("endcap_degraded", "Degraded answers", "why")
        self.decisions = self._fast_counter("endcap_decisions", "Decisions answered", "fallback_level")
        self.canary_decisions = self._counter("endcap_canary_decisions", "Decisions given to a canary", "version")
        self.shadow = self._counter("endcap_shadow", "Answers submitted to the shadow, by outcome", "outcome")
        self.shadow_overlap = Histogram(
            "endcap_shadow_overlap_ratio",
            "Share of a slate that the shadow shows as well",
            buckets=OVERLAP_BUCKETS,
            registry=self.registry,
        )
        self.events = self._counter("endcap_events", "Event rows by outcome", "status")
        self.refusals = self._fast_counter("endcap_refusals", "Requests refused, by the problem's code", "code")
        self.bundle_refusals = self._counter("endcap_bundle_refusals", "Bundles refused, by what is wrong", "reason")
        for reason in REFUSAL_REASONS:
            # There before the first refusal: Prometheus sees no increase in a series that begins with 1.
            self.bundle_refusals.labels(reason)
        self.record_failures = Counter("endcap_record_failures", "Decisions not kept", registry=self.registry)
        self.model = ModelInfo()
        self.registry.register(self.model)
        self.tasks = TaskHealth()
        self.registry.register(self.tasks)
        created = "When the model was made"
        self.model_created_at = self._gauge("endcap_model_created_timestamp_seconds", created, mode="livemax")
        self.stream_lag = self._gauge("endcap_stream_lag", "Accepted events not yet in the history")
        self.stream_dead = self._gauge("endcap_stream_dead_letters", "Events that could not be stored")
        as_of = "Instant the batch features look at"
        self.features_as_of = self._gauge("endcap_features_as_of_timestamp_seconds", as_of)
        self.product_feed = self._feed_gauges()
        self.store_up = self._gauge("endcap_store_up", "1 while Redis answers", mode="livemin")
        text = "Seconds since stock and prices were last known to be equal to the database"
        self.stock_staleness = self._gauge("endcap_stock_staleness_seconds", text, mode="livemax")
        self._loop_tasks = self._gauge("endcap_asyncio_tasks", "Tasks of the event loops", mode="livesum")

    def _feed_gauges(self) -> dict[str, Gauge]:
        texts = {
            "up": "0 while the products feed cannot be fetched or imported",
            "success_timestamp_seconds": "When the products feed was last found as it should be",
            "products": "Products of the feed as it was imported last",
        }
        found = {name: self._gauge(f"endcap_product_feed_{name}", text, mode="livemin") for name, text in texts.items()}
        # Without a feed nothing fails.
        found["up"].set(1)
        return found

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _fast_counter(self, name: str, text: str, label: str) -> FastCounter:
        counter = FastCounter(name, text, label)
        self._fast_counters.append(counter)
        self.registry.register(counter)
        return counter

    def _gauge(self, name: str, text: str, *, mode: Mode = "livemostrecent") -> Gauge:
        return Gauge(name, text, registry=self.registry, multiprocess_mode=mode)

    async def exposition(self) -> bytes:
        """What Prometheus reads: of this process, or of all that share its folder."""
        if self._shared_dir is None:
            return generate_latest(self.registry)
        self._flush()
        everybody = CollectorRegistry()
        everybody.register(SharedMetrics(self._shared_dir))
        # Reading everybody's files takes milliseconds.
        return await asyncio.to_thread(generate_latest, everybody)

    async def flush(self) -> None:
        """Lets the other processes see what this one counted; a killed process loses what came since."""
        self._loop_tasks.set(len(asyncio.all_tasks()))
        self._flush()

    def _flush(self) -> None:
        self.tasks.flush()
        for counter in self._fast_counters:
            counter.flush()


class PartMetrics:
    """What the supervisor knows of its parts, shown by whichever process of the API answers `/metrics`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        text = "Processes of a part that run"
        self._running = Gauge("endcap_processes", text, ["part"], registry=self.registry, multiprocess_mode="livemax")
        text = "Processes of a part that should run"
        self._wanted = Gauge(
            "endcap_processes_wanted", text, ["part"], registry=self.registry, multiprocess_mode="livemax"
        )
        text = "Processes of a part that died and were started again"
        self._restarts = Counter("endcap_process_restarts", text, ["part"], registry=self.registry)

    def see(self, pids: Sequence[tuple[str, int | None]]) -> None:
        """Takes the name of each part with its process id, None where it does not run."""
        for name in {name for name, _ in pids}:
            of_part = [pid for part, pid in pids if part == name]
            self._wanted.labels(name).set(len(of_part))
            self._running.labels(name).set(len(of_part) - of_part.count(None))

    def restarts_of(self, part: str) -> Callable[[], None]:
        """What to call whenever a process of this part was started again."""
        # From the first scrape on at 0, so that the first restart is an increase.
        return self._restarts.labels(part).inc


def stage_timer(metrics: Metrics) -> StageTimer:
    """A stopwatch for one decision; one in TIMED_ONE_IN keeps what it measures."""
    metrics.decision_number += 1
    return HistogramTimer(metrics) if metrics.decision_number % TIMED_ONE_IN == 0 else no_timer


class HistogramTimer:
    """StageTimer of one request, observed into the stage histogram."""

    __slots__ = ("_last", "_metrics")

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._last = perf_counter()

    def end(self, stage: str) -> None:
        """Observes the time since the last stage ended as `stage`."""
        now = perf_counter()
        self._metrics.stage_seconds[stage].observe(now - self._last)
        self._last = now


# color_message is uvicorn's copy of each message for terminals.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, logger, message and whatever `extra` names."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line of JSON."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        } | {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


OURS = ("app", "training", "feature_repo", "uvicorn")
"""Whose lines of INFO are logged; other libraries are heard from WARNING on, unless the level is DEBUG."""


def log_to_stderr(level: str) -> None:
    """Nothing but JSON lines on standard error for this process: logs, Python's warnings, failures of threads."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level="WARNING" if level == "INFO" else level, handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    # Below that it logs every row and every value of a statement: people and codes.
    logging.getLogger("sqlalchemy").setLevel("WARNING")
    logging.captureWarnings(True)
    threading.excepthook = _log_failed_thread


def logs_to_stderr() -> bool:
    """True once `log_to_stderr` was called, so that no other line may be written there."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _log_failed_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        name = None if failed.thread is None else failed.thread.name
        logging.getLogger(__name__).error("thread failed", exc_info=failed.exc_value, extra={"thread_name": name})
