"""Whether anybody without consent ever gets a personal answer, also while Redis or SQL is killed, frozen or locked.

    python -m benchmarks.customers.consent --data-dir var --decisions 10000
    python -m benchmarks.customers.consent --data-dir var --decisions 1000 --consent upstream

A whole `endcap up` on a copy of the data, with two processes of the API. A third of the customers granted consent,
a third withdrew it, a third never said anything. Questions name customers, stores and products; meanwhile Valkey is
frozen, killed and restarted, and the SQLite ledger locked. An answer without consent must be, to the product, that of a
new visitor in the store. Then consents are withdrawn one by one: from the answer on, no process may know the customer.

The second command is the control: where the retailer's own systems ask for consent, who never said anything gets
personal answers, so this must find some. Exits with 1 when it came out otherwise.
"""

import argparse
import os
import random
import shutil
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import httpx

from app.settings import Settings
from benchmarks.support import machine
from benchmarks.support.questions import Known, known_customers
from tests.support.running import Up, endcap_up, run_endcap

GRANTED, WITHDRAWN, SILENT = "granted", "withdrawn", "silent"
CONSENT = "consent_missing"
FAULT_S = 1.5
SIZE = 10


class Answers:
    """Asks, compares with what a new visitor of the store gets, and counts."""

    def __init__(self, client: httpx.Client, stores: Sequence[str | None]) -> None:
        self._client = client
        self._of_nobody = {store: self._products({"anonymous_id": f"new-{store}"}, store)[0] for store in stores}
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def check(self, known: Known, status: str, *, is_allowed: bool, products: Sequence[str] = ()) -> None:
        """One decision; where nothing is allowed it must be that of nobody."""
        context: dict[str, object] = {"recent": list(products), "basket": [{"product_id": one} for one in products[:1]]}
        found, degraded = self._products({"customer_id": known.customer_id}, known.store_id, context)
        is_personal = found != self._of_nobody[known.store_id]
        self.counts[f"{status}: {'personal' if is_personal else 'of nobody'}"] += 1
        for flag in degraded:
            self.counts[f"flag {flag}"] += 1
        if not is_allowed and is_personal:
            self.faults.append(f"{status} {known.customer_id}: {degraded}")

    def _products(
        self, who: dict[str, object], store: str | None, context: dict[str, object] | None = None
    ) -> tuple[list[str], list[str]]:
        body = {**who, "placement": "app_home", "size": SIZE, "context": {"store_id": store, **(context or {})}}
        answer = self._client.post("/v1/decisions", json=body).raise_for_status().json()
        return [one["product_id"] for one in answer["propositions"]], answer["degraded"]


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--decisions", type=int, default=10_000)
    parser.add_argument("--withdrawals", type=int, default=40)
    parser.add_argument("--consent", choices=("required", "upstream"), default="required")
    given = parser.parse_args()
    begun = perf_counter()
    with TemporaryDirectory(prefix="endcap-consent-") as folder:
        data_dir = Path(folder) / "var"
        shutil.copytree(given.data_dir, data_dir, ignore=shutil.ignore_patterns("valkey", "ledger.db*", "places"))
        known = known_customers(Settings.load(data_dir=data_dir))[:300]
        environment = {"ENDCAP_CONSENT": given.consent, "ENDCAP_API_PROCESS_COUNT": "2"}
        with endcap_up(data_dir, environment=environment) as up:
            run_endcap(data_dir, "features")
            answers = run(up, known, given)
    facts = {"decisions": given.decisions, "withdrawals": given.withdrawals, "consent": given.consent}
    counted = dict(sorted(answers.counts.items()))
    faults = {"personal_without_consent": len(answers.faults), "first": answers.faults[:5]}
    seconds = round(perf_counter() - begun)
    machine.show({"benchmark": "consent", **machine.facts(), **facts, "counts": counted, **faults, "seconds": seconds})
    sys.exit(bool(answers.faults) == (given.consent == "required"))


def run(up: Up, known: Sequence[Known], given: argparse.Namespace) -> Answers:
    """Decisions under faults, then withdrawals."""
    answers = Answers(up.client, sorted({one.store_id for one in known}, key=str))
    status_of = {one.customer_id: (GRANTED, WITHDRAWN, SILENT)[number % 3] for number, one in enumerate(known)}
    for one in known:
        if (status := status_of[one.customer_id]) != SILENT:
            say(up, one, status)
    chance = random.Random(7)
    with faults_on(up):
        for _ in range(given.decisions):
            one = chance.choice(known)
            status = status_of[one.customer_id]
            products = chance.sample(list(one.product_ids), k=min(2, len(one.product_ids)))
            answers.check(one, status, is_allowed=status == GRANTED, products=products)
    for one in [one for one in known if status_of[one.customer_id] == GRANTED][: given.withdrawals]:
        say(up, one, WITHDRAWN)
        is_frozen = chance.random() < 0.5
        if is_frozen:
            os.kill(up.parts()["valkey-server"], signal.SIGSTOP)
        for _ in range(10):
            # A connection of its own each time, so that both processes answer.
            with httpx.Client(base_url=up.client.base_url, timeout=10) as client:
                answers._client = client
                answers.check(one, "just withdrawn", is_allowed=False, products=one.product_ids[:2])
        if is_frozen:
            os.kill(up.parts()["valkey-server"], signal.SIGCONT)
    return answers


def say(up: Up, one: Known, status: str) -> None:
    """Sends it until it is in force."""
    for _ in range(50):
        body = {"status": status, "source": "benchmark"}
        response = up.client.put(f"/v1/customers/{one.customer_id}/consents/personalization", json=body)
        if response.status_code == 200:
            return
        assert response.status_code == 503, response.text
    raise AssertionError("no consent can be noted")


@contextmanager
def faults_on(up: Up) -> Iterator[None]:
    """One fault after the other, with as much time between them, until the block ends."""
    is_over = threading.Event()
    kinds: list[Callable[[], None]] = [
        lambda: freeze(up, is_over), lambda: kill(up), lambda: lock(up, is_over), lambda: None
    ]  # fmt: skip

    def work() -> None:
        number = 0
        while not is_over.wait(FAULT_S):
            kinds[number % len(kinds)]()
            number += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def freeze(up: Up, is_over: threading.Event) -> None:
    """Valkey stands still."""
    pid = up.parts().get("valkey-server")
    if pid is not None:
        os.kill(pid, signal.SIGSTOP)
        is_over.wait(FAULT_S)
        os.kill(pid, signal.SIGCONT)


def kill(up: Up) -> None:
    """Valkey is killed; the supervisor starts another."""
    pid = up.parts().get("valkey-server")
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def lock(up: Up, is_over: threading.Event) -> None:
    """Nobody writes to the ledger, nor reads what was written since."""
    with sqlite3.connect(up.data_dir / "ledger.db", isolation_level=None) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        is_over.wait(FAULT_S)
        connection.execute("ROLLBACK")


if __name__ == "__main__":
    main()
