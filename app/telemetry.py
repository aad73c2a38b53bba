"""What can be seen from outside: metrics, the stage timer and logs without personal data."""

import json
import logging
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from time import perf_counter
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.errors import REFUSAL_REASONS

LATENCY_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
OVERLAP_BUCKETS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
TIMED_ONE_IN = 16
"""One decision in so many has its stages timed: seven observations cost 12 µs, and a sample says as much."""
STAGES = ("features", "context", "candidates", "eligibility", "scoring", "coupons", "slate", "encode")


class StageTimer(Protocol):
    """A stopwatch that names each stage as it ends."""

    def end(self, stage: str) -> None:
        """The stage that just ended."""


class _NoTimer:
    def end(self, stage: str) -> None:
        return None


no_timer: StageTimer = _NoTimer()


class ModelInfo(Collector):
    """`endcap_model_info{version=…} 1`: exactly one sample, of the version being served."""

    version: str | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The sample; none before the first bundle."""
        info = GaugeMetricFamily("endcap_model_info", "1 for the version being served", labels=["version"])
        if self.version is not None:
            info.add_metric([self.version], 1)
        yield info


class TaskHealth(Collector):
    """`endcap_background_task_up{task=…}`: 1 for each task that works, as the sources say at the time of asking."""

    def __init__(self) -> None:
        self.sources: list[Callable[[], Mapping[str, str | None]]] = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """One sample per task."""
        health = GaugeMetricFamily("endcap_background_task_up", "1 while a background task works", labels=["task"])
        for source in self.sources:
            for task, problem in source().items():
                health.add_metric([task], problem is None)
        yield health


class FastCounter(Collector):
    """A counter with one label that the event loop alone adds to: without a lock, at a tenth of Counter's cost."""

    def __init__(self, name: str, text: str, label: str) -> None:
        self._name, self._text, self._label = name, text, label
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, value: str, count: int = 1) -> None:
        """Counts `count` more for this value of the label."""
        self._counts[value] += count

    def collect(self) -> Iterator[CounterMetricFamily]:
        """One sample per value seen so far."""
        family = CounterMetricFamily(self._name, self._text, labels=[self._label])
        # The event loop collects too, so nothing is added meanwhile.
        for value, count in self._counts.items():
            family.add_metric([value], count)
        yield family


class Metrics:
    """Every metric of the service, in a registry of its own; names are public (docs/operations.md)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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
        self.model_created_at = self._gauge("endcap_model_created_timestamp_seconds", "When the model was made")
        self.stream_lag = self._gauge("endcap_stream_lag", "Accepted events not yet in the history")
        self.stream_dead = self._gauge("endcap_stream_dead_letters", "Events that could not be stored")
        self.features_as_of = self._gauge(
            "endcap_features_as_of_timestamp_seconds", "Instant the batch features look at"
        )
        self.store_up = self._gauge("endcap_store_up", "1 while Redis answers")

    def _counter(self, name: str, text: str, label: str) -> Counter:
        return Counter(name, text, [label], registry=self.registry)

    def _fast_counter(self, name: str, text: str, label: str) -> FastCounter:
        counter = FastCounter(name, text, label)
        self.registry.register(counter)
        return counter

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(name, text, registry=self.registry)


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
    logging.captureWarnings(True)
    threading.excepthook = _log_failed_thread


def logs_to_stderr() -> bool:
    """True once `log_to_stderr` was called, so that no other line may be written there."""
    return any(isinstance(handler.formatter, JsonLines) for handler in logging.getLogger().handlers)


def _log_failed_thread(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_value is not None:
        name = None if failed.thread is None else failed.thread.name
        logging.getLogger(__name__).error("thread failed", exc_info=failed.exc_value, extra={"thread_name": name})
