"""A till's receipt becomes a coupon in the customer's wallet: over HTTP, through the stream, by the worker."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.stores.sql.coupons.issuing import coupons_of
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from tests.support.running import Up, endcap_up
from tests.support.server import wait_until
from tests.support.tills import run_campaign

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

RULE = {
    "by": "receipt",
    "condition": {
        "type": "all",
        "of": [{"type": "channel", "any_of": ["store"]}, {"type": "basket_total", "above_minor": 5000}],
    },
    # The test may run at midnight.
    "grace_minutes": 1440,
}


@contextmanager
def ledger_of(up: Up) -> Iterator[Ledger]:
    """The ledger of a running service, with a rule: above 50 euros in a store, five off the next online purchase."""
    ledger = open_ledger(f"sqlite:///{up.data_dir / 'ledger.db'}")
    upgrade(ledger)
    terms = {
        "name": "five off",
        "discount": Amount(type="amount", amount_minor=500),
        "channels": ["web"],
        "issue": RULE,
    }
    run_campaign(ledger, "next", CampaignTerms(name="next", currency="EUR"), OfferTerms.model_validate(terms))
    yield ledger
    ledger.close()


def receipt(
    customer_id: str, *amounts_minor: int, kind: str = "purchase", basket_id: str | None = None
) -> dict[str, Any]:
    """One event of a till."""
    items = [{"product_id": f"p{position}", "amount_minor": amount} for position, amount in enumerate(amounts_minor)]
    return {
        "id": uuid4().hex, "type": kind, "time": datetime.now(UTC).isoformat(), "customer_id": customer_id,
        "channel": "store", "store_id": "s1", "basket_id": basket_id or f"r-{customer_id}", "currency": "EUR",
        "items": items,
    }  # fmt: skip


def send(up: Up, *events: dict[str, Any]) -> None:
    """Posts events; returns once the worker is through with them."""
    assert len(up.send(list(events))) == len(events)
    with redis.Redis.from_url(up.valkey_url()) as client:
        wait_until(
            lambda: not any(client.xlen(key) for key in client.scan_iter("{p*}:events")), "the worker is through"
        )


def wallet(ledger: Ledger, customer_id: str) -> list[str]:
    """The states of a customer's coupons."""
    found = ledger.read(lambda connection: coupons_of(connection, [customer_id], open_only=False))
    return [coupon.status.value for coupon in found]


def test_receipt_above_fifty_euros_earns_one_coupon_until_goods_come_back(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up, ledger_of(up) as ledger:
        above, exactly = receipt("ann", 3000, 2001), receipt("bob", 3000, 2000)
        send(up, exactly, above)
        assert (wallet(ledger, "ann"), wallet(ledger, "bob")) == (["issued"], [])
        turned = above | {"id": uuid4().hex, "items": above["items"][::-1]}
        send(up, above, above | {"id": uuid4().hex}, turned, exactly | {"id": uuid4().hex})
        assert (wallet(ledger, "ann"), wallet(ledger, "bob")) == (["issued"], [])
        send(up, receipt("cid", 9000) | {"channel": "web"})
        assert wallet(ledger, "cid") == []
        send(up, receipt("ann", 1, kind="refund"))
        assert wallet(ledger, "ann") == ["revoked"]


def test_receipt_accepted_while_the_worker_was_dead_earns_its_coupon(tmp_path: Path) -> None:
    with endcap_up(tmp_path / "var") as up, ledger_of(up) as ledger:
        wait_until(lambda: "worker" in up.parts(), "the worker runs")
        up.kill("worker")
        send(up, receipt("ann", 5001))
        assert wallet(ledger, "ann") == ["issued"]
