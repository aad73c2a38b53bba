"""What stock, store prices and options add to a decision: the same questions with and without places, in one run.

    python -m benchmarks.speed.stock_decisions --data-dir var

Two servers on the same model and the same Redis share one core and take turns on it; Valkey and the client have the
other. One has the SIMULATED stores, stock and prices of the demo in its database, the other no store at all; both have
the campaigns of `benchmarks.speed.coupon_decisions`. Products alone, and both kinds.
"""

import argparse
import sqlite3
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import orjson

from app.commands.demo.places import put_simulated_places
from app.commands.terminal import progress_bar
from app.settings import Settings
from benchmarks.full_path import BLOCK, SERVER_CPU, WARM_UP_CALLS, quantiles_ms
from benchmarks.ranking.coupon_ranking import journey_coupons
from benchmarks.speed.coupon_decisions import BOTH, PRODUCTS, questions, redis_with_coupons, running
from benchmarks.support import machine
from benchmarks.support.questions import full_questions, known_customers
from benchmarks.support.servers import SERVE_ENDCAP, Server, post, python_server

PLAIN, WITH_STOCK = "without_places", "with_places"


def measure(servers: Mapping[str, Server], bodies: Mapping[str, Sequence[bytes]]) -> dict[str, object]:
    """Alternating blocks of every kind of question to both servers, so that a slow spell hits all."""
    connections: dict[str, HTTPConnection] = {name: server.connection() for name, server in servers.items()}
    turns = [(name, kind) for kind in (PRODUCTS, BOTH) for name in servers]
    taken_s: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
    cpu_s = dict.fromkeys(turns, 0.0)
    options = eligible = stale = 0
    count = len(bodies[PRODUCTS])
    for start in range(-WARM_UP_CALLS, count, BLOCK):
        for name, kind in turns:
            before_s = servers[name].cpu_s()
            for body in bodies[kind][max(start, 0) : max(start, 0) + BLOCK]:
                begun = perf_counter()
                status, answer = post(connections[name], "/v1/decisions", body)
                if start >= 0:
                    taken_s[name, kind].append(perf_counter() - begun)
                    if name == WITH_STOCK:
                        options += answer.count(b'"way":')
                        eligible += orjson.loads(answer)["eligible_count"]
                        stale += b'"stock_stale"' in answer
                assert status == 200, (status, answer)
            if start >= 0:
                cpu_s[name, kind] += servers[name].cpu_s() - before_s
    found: dict[str, object] = {"calls_each": count, "flagged_stale": stale}
    for kind in (PRODUCTS, BOTH):
        medians = {name: statistics.median(taken_s[name, kind]) for name in servers}
        found[kind] = {
            "with_to_without": round(medians[WITH_STOCK] / medians[PLAIN], 3),
            "with_to_without_cpu": round(cpu_s[WITH_STOCK, kind] / cpu_s[PLAIN, kind], 3),
            "latency_ms": {name: quantiles_ms(taken_s[name, kind]) for name in servers},
        }
    answers = sum(len(taken_s[WITH_STOCK, kind]) for kind in (PRODUCTS, BOTH))
    return found | {"options_per_answer": round(options / answers, 1), "eligible_per_answer": round(eligible / answers)}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=4000)
    given = parser.parse_args()
    campaigns = running(journey_coupons(), is_every=False)
    with TemporaryDirectory(prefix="endcap-places-") as folder, ExitStack() as stack:
        urls = {name: f"sqlite:///{folder}/{name}.db" for name in (PLAIN, WITH_STOCK)}
        settings = Settings.load(data_dir=given.data_dir, database_url=urls[PLAIN])
        holders = {customer_id for campaign in campaigns for customer_id in campaign.customer_ids}
        customers = [known for known in known_customers(settings) if known.customer_id in holders]
        redis_url = stack.enter_context(redis_with_coupons(settings, campaigns))
        plain, with_places = (sqlite3.connect(f"{folder}/{name}.db") for name in (PLAIN, WITH_STOCK))
        with closing(plain), closing(with_places):
            plain.backup(with_places)
        with_stock = settings.model_copy(update={"database_url": urls[WITH_STOCK]})
        with progress_bar() as bar:
            put_simulated_places(with_stock, now=datetime.now(UTC), progress=bar)
        servers = {}
        for name, url in urls.items():
            environment = {
                "ENDCAP_REDIS_URL": redis_url,
                "ENDCAP_DATA_DIR": str(given.data_dir),
                "ENDCAP_DATABASE_URL": url,
                # A busy machine may be late; the median tells the cost all the same.
                "ENDCAP_FEATURE_TIMEOUT_MS": "5000",
            }
            servers[name] = stack.enter_context(python_server(SERVE_ENDCAP, environment, cpu=SERVER_CPU))
        bodies = questions(full_questions(customers, given.calls))
        found = measure(servers, bodies)
        memory = {name: round(server.resident_bytes() / 2**20) for name, server in servers.items()}
    machine.show({"benchmark": "stock_decisions", **machine.facts(), **found, "resident_mib": memory})


if __name__ == "__main__":
    main()
