"""What it costs to know a customer by another name: by a linked device, compared with by the customer's own id.

    python -m benchmarks.customers.cost --data-dir var

One server, half of the customers with a linked device each and a consent that was given, half with neither. The same
number of full questions by plain id, by the id of somebody who is linked, and by the device, in alternating blocks.
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx
import orjson

from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.full_path import BLOCK, SERVER_CPU, WARM_UP_CALLS, quantiles_ms
from benchmarks.support import machine
from benchmarks.support.questions import full_questions, known_customers
from benchmarks.support.servers import SERVE_ENDCAP, Server, post, python_server

PLAIN, LINKED, DEVICE = "plain_id", "linked_id", "device"


def link_devices(base_url: str, customer_ids: Sequence[str]) -> None:
    """A device and a consent for each."""
    with httpx.Client(base_url=base_url, timeout=30) as client:
        for customer_id in customer_ids:
            client.put(f"/v1/customers/{customer_id}/identities/device/dev-{customer_id}").raise_for_status()
            said = {"status": "granted", "source": "benchmark"}
            client.put(f"/v1/customers/{customer_id}/consents/personalization", json=said).raise_for_status()


def by_device(body: bytes) -> bytes:
    """The same question, from the customer's device."""
    question = orjson.loads(body)
    return orjson.dumps(question | {"customer_id": None, "anonymous_id": f"dev-{question['customer_id']}"})


def measure(server: Server, bodies: Mapping[str, Sequence[bytes]]) -> dict[str, object]:
    """Alternating blocks of every kind, so that a slow spell hits all."""
    connection = server.connection()
    taken_s: dict[str, list[float]] = {kind: [] for kind in bodies}
    for start in range(-WARM_UP_CALLS, len(bodies[PLAIN]), BLOCK):
        for kind, each in bodies.items():
            for body in each[max(start, 0) : max(start, 0) + BLOCK]:
                begun = perf_counter()
                status, answer = post(connection, "/v1/decisions", body)
                assert status == 200, (status, answer)
                assert b"consent_missing" not in answer, answer[:300]
                assert b"features_missing" not in answer, answer[:300]
                if start >= 0:
                    taken_s[kind].append(perf_counter() - begun)
    medians = {kind: statistics.median(values) for kind, values in taken_s.items()}
    return {
        "device_to_plain": round(medians[DEVICE] / medians[PLAIN], 3),
        "linked_to_plain": round(medians[LINKED] / medians[PLAIN], 3),
        "latency_ms": {kind: quantiles_ms(values) for kind, values in taken_s.items()},
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--calls", type=int, default=4000)
    parser.add_argument("--customers", type=int, default=400)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-customers-") as folder, ExitStack() as stack:
        settings = Settings.load(data_dir=given.data_dir, database_url=f"sqlite:///{folder}/ledger.db")
        redis_url = stack.enter_context(redis_for(settings))
        environment = {
            "ENDCAP_REDIS_URL": redis_url,
            "ENDCAP_DATA_DIR": str(given.data_dir),
            "ENDCAP_DATABASE_URL": f"sqlite:///{folder}/ledger.db",
            "ENDCAP_FEATURE_TIMEOUT_MS": "5000",
        }
        server = stack.enter_context(python_server(SERVE_ENDCAP, environment, cpu=SERVER_CPU))
        known = known_customers(settings)[: 2 * given.customers]
        plain, linked = known[0::2], known[1::2]
        link_devices(f"http://127.0.0.1:{server.port}", [one.customer_id for one in linked])
        of_linked = full_questions(linked, given.calls)
        bodies = {PLAIN: full_questions(plain, given.calls), LINKED: of_linked, DEVICE: list(map(by_device, of_linked))}
        found = measure(server, bodies)
    machine.show({"benchmark": "customers' names", **machine.facts(), "calls_each": given.calls, **found})


if __name__ == "__main__":
    main()
