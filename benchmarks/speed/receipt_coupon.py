"""How soon after a receipt was accepted its coupon is in the wallet that decisions read, and gone after its return.

python -m benchmarks.speed.receipt_coupon --receipts 200
"""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

import httpx
from redis import Redis

from app.settings import Settings
from app.stores.redis.keys import RedisKeys
from app.stores.redis.wallets import MADE, unpack_wallet
from benchmarks.full_path import quantiles_ms
from benchmarks.support import machine
from benchmarks.support.servers import Service, endcap_up

GIVE_UP_S = 60.0
RULE = {"by": "receipt", "condition": {"type": "basket_total", "at_least_minor": 100}, "same_day": False}
OFFER = {"name": "off", "discount": {"type": "amount", "amount_minor": 100}, "issue": RULE}


def start_campaign(client: httpx.Client) -> None:
    """One offer for every receipt of 1.00 and more."""
    for path, body in (
        ("/v1/campaigns", {"campaign_id": "k", "terms": {"name": "k", "currency": "EUR"}}),
        ("/v1/campaigns/k/offers", {"offer_id": "o", "terms": OFFER}),
        ("/v1/campaigns/k/schedule", None),
    ):
        answer = client.post(path, json=body, headers={"Idempotency-Key": path})
        assert answer.status_code in (200, 201), answer.text


def send(client: httpx.Client, kind: str, customer_id: str) -> float:
    """Sends one receipt line of this kind and returns the instant of its acceptance."""
    event = {
        "id": f"{kind}-{customer_id}", "type": kind, "time": datetime.now(UTC).isoformat(), "customer_id": customer_id,
        "product_id": "p", "basket_id": customer_id, "amount_minor": 500, "currency": "EUR",
    }  # fmt: skip
    (row,) = client.post("/v1/events", json={"events": [event]}).json()["results"]
    assert row["status"] == "accepted", row
    return perf_counter()


def wait_for(redis: "Redis", keys: RedisKeys, customer_id: str, *, coupon_count: int) -> float:
    """The instant at which the wallet in Redis holds so many coupons."""
    begun = perf_counter()
    while perf_counter() - begun < GIVE_UP_S:
        packed: Any = redis.get(keys.wallet(customer_id))
        wallet = unpack_wallet(packed, [MADE, b"1"])
        if (0 if wallet is None else len(wallet.coupons)) == coupon_count:
            return perf_counter()
        sleep(0.002)
    raise TimeoutError(f"{customer_id} has no {coupon_count} coupons after {GIVE_UP_S:.0f} s")


def measure(service: Service, count: int) -> dict[str, list[float]]:
    """Seconds from acceptance to the wallet, for receipts and for returns."""
    endpoint = json.loads((service.data_dir / "valkey" / "endpoint.json").read_text())
    keys = RedisKeys(Settings.load(data_dir=service.data_dir).stream_partition_count)
    taken: dict[str, list[float]] = {"purchase": [], "refund": []}
    address = f"http://127.0.0.1:{service.server.port}"
    with httpx.Client(base_url=address, timeout=30) as client, Redis(port=int(endpoint["port"])) as redis:
        start_campaign(client)
        for number in range(count):
            for kind, coupons in (("purchase", 1), ("refund", 0)):
                accepted = send(client, kind, f"c{number}")
                taken[kind].append(wait_for(redis, keys, f"c{number}", coupon_count=coupons) - accepted)
    return taken


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=200)
    given = parser.parse_args()
    with TemporaryDirectory() as folder, endcap_up(Path(folder) / "var", ready_at="/healthz") as service:
        taken = measure(service, given.receipts)
    figures = {f"{kind}_to_wallet_ms": quantiles_ms(seconds) for kind, seconds in taken.items()}
    machine.show({"benchmark": "receipt_coupon", **machine.facts(), "receipts": given.receipts, **figures})


if __name__ == "__main__":
    main()
