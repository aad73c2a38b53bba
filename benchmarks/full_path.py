"""The full path against an empty endpoint with the same body, in one run: latency, CPU, drift, memory.

    python -m benchmarks.full_path --data-dir var

With --events N each customer first looks at N products: their events stay in the directory.
Both servers share one core and take turns on it; Valkey and the client have the other. `empty` reads the same
request and returns the same body through FastAPI's ordinary response model, `empty_bytes` returns it ready encoded.
"""

import argparse
import os
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

import orjson

from app.settings import Settings
from app.stores.redis.server.embedded import find_running, redis_for
from benchmarks.support import machine
from benchmarks.support.questions import Known, an_event, full_questions, known_customers
from benchmarks.support.servers import SERVE_EMPTY, SERVE_ENDCAP, Server, can_pin, post, post_json, python_server

BLOCK = 200
WARM_UP_CALLS = 400
LESSER = (b'"features_missing"', b'"model_unavailable"', b'"overload"', b'"bundle_missing"')
MAX_LESSER_SHARE = 0.001
SERVER_CPU = 0
OTHER_CPU = 1


def measure(servers: Mapping[str, Server], bodies: list[bytes]) -> dict[str, object]:
    """Alternating blocks of calls to all servers, so that a slow spell of the machine hits every one."""
    latency_s: dict[str, list[float]] = {name: [] for name in servers}
    cpu_s = dict.fromkeys(servers, 0.0)
    lesser = 0
    with ExitStack() as stack:
        connections = {name: server.connection() for name, server in servers.items()}
        for connection in connections.values():
            stack.callback(connection.close)
        for start in range(-WARM_UP_CALLS, len(bodies), BLOCK):
            for name, server in servers.items():
                before_s = server.cpu_s()
                taken_s = []
                for body in bodies[max(start, 0) : max(start, 0) + BLOCK]:
                    started = perf_counter()
                    status, answer = post(connections[name], "/v1/decisions", body)
                    taken_s.append(perf_counter() - started)
                    assert status == 200, (status, answer)
                    lesser += any(flag in answer for flag in LESSER)
                if start >= 0:
                    latency_s[name] += taken_s
                    cpu_s[name] += server.cpu_s() - before_s
    if lesser > MAX_LESSER_SHARE * len(bodies):
        raise SystemExit(f"{lesser} answers did not come from the full path: that would flatter it")
    return {"calls_each": len(bodies), "not_from_full_path": lesser, **compared(latency_s, cpu_s)}


def compared(latency_s: Mapping[str, list[float]], cpu_s: Mapping[str, float]) -> dict[str, object]:
    """Each server's latency and CPU, the ratios to the empty ones, and how the latency drifted."""
    median = {name: statistics.median(taken) for name, taken in latency_s.items()}
    calls = {name: len(taken) for name, taken in latency_s.items()}
    empty = [name for name in latency_s if name != "endcap"]
    return {
        "latency_ratio": {name: round(median["endcap"] / median[name], 2) for name in empty},
        "cpu_ratio": {name: round(cpu_s["endcap"] / max(cpu_s[name], 1e-9), 2) for name in empty},
        "latency_ms": {name: quantiles_ms(taken) for name, taken in latency_s.items()},
        "cpu_ms_per_call": {name: round(1000 * used / calls[name], 3) for name, used in cpu_s.items()},
        "last_fifth_to_first_fifth": {name: drift(taken) for name, taken in latency_s.items()},
    }


def quantiles_ms(taken_s: list[float]) -> dict[str, float]:
    """Median, p99 and maximum in milliseconds."""
    cuts = statistics.quantiles(taken_s, n=100)
    return {"p50": round(cuts[49] * 1000, 3), "p99": round(cuts[98] * 1000, 3), "max": round(max(taken_s) * 1000, 1)}


def drift(taken_s: list[float]) -> float:
    """Median of the last fifth over that of the first: 1 = as fast at the end as at the start."""
    fifth = max(len(taken_s) // 5, 1)
    return round(statistics.median(taken_s[-fifth:]) / statistics.median(taken_s[:fifth]), 3)


@contextmanager
def redis_off_the_measured_core(settings: Settings) -> Iterator[str]:
    """Redis for `settings`; this process and every thread of Valkey move to the other core first."""
    if can_pin():
        os.sched_setaffinity(0, {OTHER_CPU})
    with redis_for(settings) as redis_url:
        running = find_running(settings.data_dir) if settings.redis_url is None else None
        if running is not None and can_pin():
            for thread in Path(f"/proc/{running.pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), {OTHER_CPU})
        yield redis_url


def look_around(server: Server, customers: Sequence[Known], count: int) -> None:
    """Each customer looks at `count` products that they know."""
    chance, connection = random.Random(0), server.connection()
    events = [an_event(known, chance) for known in customers for _ in range(count)]
    for start in range(0, len(events), BLOCK):
        status, answer = post_json(connection, "/v1/events", {"events": events[start : start + BLOCK]})
        assert status == 202, (status, answer)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--events", type=int, default=0)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    customers = known_customers(settings)
    bodies = full_questions(customers, given.calls)
    with redis_off_the_measured_core(settings) as redis_url, ExitStack() as stack:
        environment = {"ENDCAP_REDIS_URL": redis_url, "ENDCAP_DATA_DIR": str(given.data_dir)}
        endcap = stack.enter_context(python_server(SERVE_ENDCAP, environment, cpu=SERVER_CPU))
        look_around(endcap, customers, given.events)
        start_bytes = endcap.resident_bytes()
        _, answer = post_json(endcap.connection(), "/v1/decisions", orjson.loads(bodies[0]))
        body = {"EMPTY_BODY": orjson.dumps(answer).decode()}
        servers = {"endcap": endcap}
        for name, as_bytes in (("empty", "0"), ("empty_bytes", "1")):
            servers[name] = stack.enter_context(
                python_server(SERVE_EMPTY, body | {"EMPTY_AS_BYTES": as_bytes}, cpu=SERVER_CPU)
            )
        found = measure(servers, bodies)
        memory = {"start": round(start_bytes / 2**20), "end": round(endcap.resident_bytes() / 2**20)}
    pins = {"servers": SERVER_CPU, "client_and_valkey": OTHER_CPU} if can_pin() else None
    machine.show(
        {
            "benchmark": "full_path",
            "live_events": given.events,
            **machine.facts(),
            "cores_used": pins,
            **found,
            "resident_mib": memory,
        }
    )


if __name__ == "__main__":
    main()
