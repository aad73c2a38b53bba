"""Questions that were answered, ranked again by a bundle that is never served: behind the answers, to compare."""

import logging
from collections import deque
from threading import Event, Thread
from time import monotonic, perf_counter

from app.decision.pipeline import Options, rank
from app.domain import Query
from app.model.bundle import Bundle
from app.ports import CustomerState
from app.slates import Slate
from app.telemetry import Metrics

WAITING_COUNT = 8
"""Answers that may wait for the shadow; the next ones are dropped, so that a slow shadow costs no memory."""
ANSWERED_AFTER_S = 0.02
"""So long after it was ranked an answer has left, and its customer cannot feel the shadow any more."""
BUSY_RATIO = 0.1
"""Part of the time that a shadow may rank: with one busy half the time every tenth answer took 7 ms instead of 2."""
END_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)

_Waiting = tuple[float, Query, CustomerState, Slate]
"""An answer and the monotonic time at which it was submitted."""


class Shadow:
    """Ranks at most `per_second` of the submitted answers with `bundle`, in its own thread, from now until closed."""

    def __init__(self, bundle: Bundle, options: Options, metrics: Metrics, *, per_second: float) -> None:
        self._bundle = bundle
        self._options = options
        self._metrics = metrics
        self._pause_s = 1 / per_second
        # Appending to a deque and taking from it are atomic: event loop and thread need no lock.
        self._waiting: deque[_Waiting] = deque()
        self._ended = Event()
        # A daemon, so that a slow shadow does not hold up the end of the process.
        self._thread = Thread(target=self._run, name="shadow", daemon=True)
        self._thread.start()

    def submit(self, query: Query, state: CustomerState, slate: Slate) -> None:
        """Takes one answer, or drops it when too many wait; returns at once."""
        if len(self._waiting) < WAITING_COUNT:
            self._waiting.append((monotonic(), query, state, slate))
        else:
            self._metrics.shadow.labels("dropped").inc()

    def close(self) -> None:
        """Ends after the answer in hand, and does not wait long for that."""
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)

    def _run(self) -> None:
        pause_s = self._pause_s
        while not self._ended.wait(pause_s):
            if not self._waiting:
                continue
            submitted_at, query, state, slate = self._waiting.popleft()
            self._ended.wait(max(0.0, submitted_at + ANSWERED_AFTER_S - monotonic()))
            started = perf_counter()
            try:
                self._compare(query, state, slate)
            except Exception:  # noqa: BLE001 - the task border: a shadow that fails harms nobody
                self._metrics.shadow.labels("failed").inc()
                _log.exception("shadow failed", extra={"shadow_version": self._bundle.version})
            pause_s = max(self._pause_s, (perf_counter() - started) / BUSY_RATIO)

    def _compare(self, query: Query, state: CustomerState, slate: Slate) -> None:
        started = perf_counter()
        other = rank(query, self._bundle, state, self._options)
        seconds = perf_counter() - started
        overlap = overlap_at_k(slate, other)
        self._metrics.shadow.labels("compared").inc()
        self._metrics.shadow_overlap.observe(overlap)
        comparison = {
            "decision_id": slate.decision_id,
            "placement": query.placement,
            "model_version": slate.model_version,
            "shadow_version": self._bundle.version,
            "k": max(len(slate.propositions), len(other.propositions)),
            "overlap": round(overlap, 4),
            "is_same_first": _first(slate) == _first(other),
            "shadow_ms": round(seconds * 1000, 2),
        }
        _log.info("shadow compared", extra=comparison)


def overlap_at_k(served: Slate, other: Slate) -> float:
    """Products that both slates show, as a share of the longer one; two empty slates are alike."""
    ours, theirs = ({proposition.product_id for proposition in slate.propositions} for slate in (served, other))
    longer = max(len(ours), len(theirs))
    return len(ours & theirs) / longer if longer else 1.0


def _first(slate: Slate) -> str | None:
    return slate.propositions[0].product_id if slate.propositions else None
