"""A shop's traffic for Locust: known customers ask and act, some are unknown, some have no account.

    ENDCAP_DATA_DIR=var locust -f benchmarks/locustfile.py --headless -u 16 -r 16 -t 60s --host http://127.0.0.1:8000

`python -m benchmarks.load` starts a service of its own for it. Every answer is checked: a flag that reports a
missing store or model counts as a failure.
"""

import json
import random
import subprocess
import sys
from typing import Any, ClassVar
from uuid import uuid4

from locust import HttpUser, between

from benchmarks.support.questions import Known, an_event

# In a process of their own: what reads the history keeps a thread that would never end under Locust's gevent.
LIST_CUSTOMERS = [sys.executable, "-m", "benchmarks.support.questions"]
CUSTOMERS = [
    Known(*row) for row in json.loads(subprocess.run(LIST_CUSTOMERS, stdout=subprocess.PIPE, check=True).stdout)
]
WRONG_FLAGS = {"features_missing", "model_unavailable", "overload", "bundle_missing"}
SOURCES = (("app", "app_home"), ("web", "web_home"), ("web", "product_page"), ("kiosk", "kiosk"), ("store", "in_aisle"))


class Shopper(HttpUser):  # type: ignore[misc]  # locust ships no types
    """One person after another: 55 % questions of known customers, 30 % events, 15 % questions of unknown ones."""

    wait_time = between(0.05, 0.2)

    def on_start(self) -> None:
        """Somebody comes in."""
        self.chance = random.Random()
        self.somebody = self.chance.choice(CUSTOMERS)

    def known_customer_asks(self) -> None:
        """The slate of the place where the customer is."""
        self.somebody = self.chance.choice(CUSTOMERS)
        channel, placement = self.chance.choice(SOURCES)
        recent = self.chance.sample(list(self.somebody.product_ids), min(2, len(self.somebody.product_ids)))
        context = {"channel": channel, "store_id": self.somebody.store_id, "recent": recent}
        self.ask({"customer_id": self.somebody.customer_id, "placement": placement, "context": context}, "known")

    def customer_acts(self) -> None:
        """One to five events in one request."""
        kinds = self.chance.choices(("view_item", "add_to_cart", "purchase"), (8, 3, 1), k=self.chance.randint(1, 5))
        events = [an_event(self.somebody, self.chance, event_type=kind) for kind in kinds]
        with self.client.post("/v1/events", json={"events": events}, catch_response=True) as answer:
            if answer.status_code != 202 or any(row["status"] != "accepted" for row in answer.json()["results"]):
                answer.failure(answer.text[:200])

    def unknown_customer_asks(self) -> None:
        """A customer who signed up a minute ago."""
        self.ask({"customer_id": f"new-{uuid4().hex}", "placement": "app_home"}, "unknown")

    def anonymous_device_asks(self) -> None:
        """A browser that looked at two products."""
        recent = list(self.somebody.product_ids[:2])
        body = {"anonymous_id": uuid4().hex, "placement": "web_home", "context": {"channel": "web", "recent": recent}}
        self.ask(body, "anonymous")

    def ask(self, body: dict[str, Any], who: str) -> None:
        """One question; a status but 200, an empty slate or a wrong flag is a failure."""
        name = f"/v1/decisions ({who})"
        with self.client.post("/v1/decisions", json=body, name=name, catch_response=True) as answer:
            if answer.status_code != 200 or not answer.json()["propositions"]:
                answer.failure(f"{answer.status_code} {answer.text[:200]}")
            elif WRONG_FLAGS & set(answer.json()["degraded"]):
                answer.failure(f"degraded: {answer.json()['degraded']}")

    tasks: ClassVar = {
        known_customer_asks: 11,
        customer_acts: 6,
        unknown_customer_asks: 2,
        anonymous_device_asks: 1,
    }
