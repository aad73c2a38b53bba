"""What each stage of a decision costs: the server's own path in-process, over known customers in turn.

    python -m benchmarks.speed.stages --data-dir var

`features` is the round trip to Redis with decoding, `encode` the answer's JSON. Microseconds.
"""

import argparse
import asyncio
from collections import Counter
from pathlib import Path
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from app.api.decisions.wire import DecisionRequest, answer_body, to_query
from app.composition.customers import customers_follower_of
from app.composition.service import build_service
from app.domain import Degraded
from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.support import machine
from benchmarks.support.questions import full_questions, known_customers

WARM_UP_CALLS = 300
PATIENT_TIMEOUT_MS = 5000
LESSER = {Degraded.FEATURES_MISSING, Degraded.MODEL_UNAVAILABLE, Degraded.OVERLOAD, Degraded.BUNDLE_MISSING}


class Stopwatch:
    """Microseconds of each stage, call by call."""

    def __init__(self) -> None:
        self.taken_us: dict[str, list[float]] = {}
        self.restart()

    def restart(self) -> None:
        """A new call begins now."""
        self._last = perf_counter()

    def end(self, stage: str) -> None:
        """The stage that just ended."""
        now = perf_counter()
        self.taken_us.setdefault(stage, []).append((now - self._last) * 1e6)
        self._last = perf_counter()


async def measure(settings: Settings, redis_url: str, bodies: list[bytes]) -> dict[str, object]:
    """Median and p99 per stage after a warm-up, and how many answers carried a flag."""
    service, connections = build_service(settings, redis_url)
    if not service.live.refresh():
        raise SystemExit(service.live.problem or "no bundle; run `endcap train` first")
    await customers_follower_of(service).ensure_documents()
    placements = dict(service.placements)
    watch, total_us, flags = Stopwatch(), list[float](), Counter[Degraded]()
    for number, body in enumerate(bodies):
        if number == WARM_UP_CALLS:
            watch, total_us, flags = Stopwatch(), [], Counter()
        started = perf_counter()
        watch.restart()
        query = to_query(DecisionRequest.model_validate_json(body), placements)
        watch.end("parse")
        slate = await service.fallback_chain.answer(query, watch)
        answer_body(slate, currency=settings.currency, with_trace=False, keep_s=settings.decision_keep_s)
        watch.end("encode")
        total_us.append((perf_counter() - started) * 1e6)
        flags.update(slate.degraded)
    for connection in connections:
        await connection.aclose()
    if set(flags) & LESSER:
        raise SystemExit(f"{dict(flags)}: these answers did not come from the full path")
    stages = {stage: quantiles(taken) for stage, taken in watch.taken_us.items()}
    return {
        "calls": len(total_us),
        "flags": {str(flag): count for flag, count in flags.items()},
        "stages_us": stages,
        "all_us": quantiles(total_us),
    }


def quantiles(taken: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    return {"p50": round(float(np.median(taken)), 1), "p99": round(float(np.quantile(taken, 0.99)), 1)}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=3000)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir, feature_timeout_ms=PATIENT_TIMEOUT_MS)
    bodies = full_questions(known_customers(settings), WARM_UP_CALLS + given.calls)
    with redis_for(settings) as redis_url, threadpool_limits(1):
        found = asyncio.run(measure(settings, redis_url, bodies))
    machine.show({"benchmark": "stages", **machine.facts(), **found})


if __name__ == "__main__":
    main()
