"""The full path against an empty endpoint with the same body, in one run: latency, CPU, drift, memory."""

import argparse
import statistics
from pathlib import Path
from time import perf_counter

import orjson
import polars as pl

from app.history import CUSTOMER_ID, PRODUCT_ID, STORE_ID, History
from app.settings import Settings
from app.stores.embedded import redis_for
from benchmarks.servers import SERVE_EMPTY, SERVE_ENDCAP, Server, post, post_json, python_server

BLOCK = 200


def requests_of(settings: Settings, count: int) -> list[bytes]:
    """Request bodies of known customers in their stores, with a basket and recent products."""
    rows = (
        History(settings.history_dir)
        .scan()
        .filter(pl.col(CUSTOMER_ID).is_not_null() & pl.col(PRODUCT_ID).is_not_null())
        .group_by(CUSTOMER_ID)
        .agg(pl.col(STORE_ID).first(), pl.col(PRODUCT_ID).unique().sort().head(3))
        .sort(CUSTOMER_ID)
        .collect()
        .to_dicts()
    )
    bodies = []
    for number in range(count):
        row = rows[number % len(rows)]
        first, *recent = row[PRODUCT_ID]
        context = {"channel": "app", "store_id": row[STORE_ID], "recent": recent, "basket": [{"product_id": first}]}
        bodies.append(
            orjson.dumps(
                {"customer_id": row[CUSTOMER_ID], "placement": "app_home", "size": 20, "context": context}
            )
        )
    return bodies


def measure(endcap: Server, empty: Server, bodies: list[bytes]) -> dict[str, object]:
    """Alternating blocks of calls to both servers, so that a slow spell of the machine hits both."""
    latency: dict[str, list[float]] = {"endcap": [], "empty": []}
    cpu = {"endcap": 0.0, "empty": 0.0}
    servers = {"endcap": endcap, "empty": empty}
    connections = {name: server.connection() for name, server in servers.items()}
    for start in range(0, len(bodies), BLOCK):
        for name, server in servers.items():
            before = server.cpu_s()
            for body in bodies[start : start + BLOCK]:
                started = perf_counter()
                status, _ = post(connections[name], "/v1/decisions", body)
                latency[name].append(perf_counter() - started)
                assert status == 200, status
            cpu[name] += server.cpu_s() - before
    drift = len(bodies) // 5
    return {
        "calls": len(bodies),
        "latency_ms": {name: _quantiles_ms(values) for name, values in latency.items()},
        "cpu_ms_per_call": {name: round(1000 * used / len(bodies), 3) for name, used in cpu.items()},
        "cpu_ratio": round(cpu["endcap"] / cpu["empty"], 2),
        "latency_ratio": round(statistics.median(latency["endcap"]) / statistics.median(latency["empty"]), 2),
        "drift_last_fifth_to_first_fifth": {
            name: round(statistics.median(values[-drift:]) / statistics.median(values[:drift]), 3)
            for name, values in latency.items()
        },
        "resident_mb": round(endcap.resident_bytes() / 2**20),
    }


def _quantiles_ms(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49] * 1000, 3), "p99": round(cuts[98] * 1000, 3), "max": round(max(values) * 1000, 1)}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=20_000)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    bodies = requests_of(settings, given.calls)
    with redis_for(settings) as redis_url:
        environment = {"ENDCAP_REDIS_URL": redis_url, "ENDCAP_DATA_DIR": str(given.data_dir)}
        with python_server(SERVE_ENDCAP, environment, cpu=0) as endcap:
            _, answer = post_json(endcap.connection(), "/v1/decisions", orjson.loads(bodies[0]))
            with python_server(SERVE_EMPTY, {"EMPTY_BODY": orjson.dumps(answer).decode()}, cpu=0) as empty:
                print(orjson.dumps(measure(endcap, empty, bodies), option=orjson.OPT_INDENT_2).decode())


if __name__ == "__main__":
    main()
