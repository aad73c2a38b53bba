"""A customer with something in every place where a service keeps things of people, to be erased again."""

import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx

from tests.support.running import Up, bare_environment, endcap
from tests.support.server import wait_until
from tests.support.shop import Shop
from tests.support.traces import as_written, found_in_memory
from tests.support.world import product

CANARY, DEVICE, CARD, BYSTANDER = "canary-7f3a91", "canary-dev-5b20", "canary-card-91c4", "bystander-1"
NEEDLES = as_written(CANARY, DEVICE, CARD)


def event(kind: str, **fields: object) -> dict[str, object]:
    """An event of now, with an id of its own."""
    return {"id": uuid4().hex, "type": kind, "time": datetime.now(UTC).isoformat()} | fields


def plant(up: Up) -> None:
    """A customer with something in every place, and another who has to keep theirs."""
    client, shop = up.client, Shop(up.client, "")
    client.put(f"/v1/customers/{CANARY}/identities/device/{DEVICE}").raise_for_status()
    client.put(f"/v1/customers/{CANARY}/identities/loyalty_card/{CARD}").raise_for_status()
    said = {"status": "granted", "source": "app"}
    client.put(f"/v1/customers/{CANARY}/consents/personalization", json=said).raise_for_status()
    client.put(f"/v1/customers/{CANARY}/preferences", json={"opted_out": {"brand": ["x"]}}).raise_for_status()
    client.get(f"/v1/clienteling/customers/{CANARY}", params={"staff_id": "emma", "reason": "a test"})
    for who in (CANARY, BYSTANDER):
        campaign = shop.campaign(budget_minor=10_000)
        offer = shop.offer(campaign, discount={"type": "amount", "amount_minor": 100})
        lines = [{"line_id": "1", "product_id": product("tea", 1), "quantity": 1, "amount_minor": 1000}]
        order = {"order_id": f"order-{who}", "customer_id": who, "channel": "store", "currency": "EUR"}
        shop.post("/v1/redemptions", order | {"codes": [shop.give(offer, who)["code"]], "lines": lines})
        shop.give(offer, who)
        shop.post(f"/v1/campaigns/{campaign}/audience", {"customer_ids": [who]}, status=200)
        shop.put(f"/v1/customers/{who}/membership", {"tier": "gold"})
        bought = {"customer_id": who, "channel": "store", "product_id": product("tea", 1), "basket_id": f"b-{who}"}
        assert {row["status"] for row in up.send([event("purchase", **bought)])} == {"accepted"}
    seen = {"anonymous_id": DEVICE, "product_id": product("coffee", 1)}
    up.send([event("view_item", **seen), event("add_to_cart", **seen), event("add_to_wishlist", **seen)])
    up.send([event("view_item", customer_id=f"~loyalty_card:{CARD}", product_id=product("coffee", 2))])
    client.post("/v1/decisions", json={"customer_id": CANARY, "placement": "app_home"}).raise_for_status()
    client.post("/v1/decisions", json={"anonymous_id": DEVICE, "placement": "app_home"}).raise_for_status()
    rows = up.data_dir.parent / "lines.csv"
    week_ago = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    good = [f"{who},{product('tea', n)},{week_ago},{who}-{n},1,100" for who in (CANARY, BYSTANDER) for n in range(5)]
    bad = f"{CANARY},{product('tea', 1)},not a time,b,1,100"
    rows.write_text("\n".join(["customer_id,product_id,timestamp,basket_id,quantity,amount", *good, bad]) + "\n")
    subprocess.run(
        [*endcap("import"), "--transactions", str(rows), "--data-dir", str(up.data_dir)],
        env=bare_environment(), capture_output=True, check=False,
    )  # fmt: skip
    job = client.post("/v1/imports", content=rows.read_bytes(), params={"table": "transactions"})
    wait_until(lambda: client.get(job.headers["location"]).json()["status"] == "done", "the import is done")
    rows.unlink()


def erase(client: httpx.Client) -> str:
    """Asks for the erasure, by another name than the customer id; what names it."""
    response = client.delete(f"/v1/customers/~device:{DEVICE}")
    assert response.status_code == 202, response.text
    return str(response.json()["erasure_id"])


def receipt_of(client: httpx.Client, erasure_id: str) -> dict[str, Any] | None:
    """The receipt; None as long as the erasure runs, or nobody answers."""
    try:
        response = client.get(f"/v1/erasures/{erasure_id}")
    except httpx.TransportError:
        return None
    receipt: dict[str, Any] | None = response.json().get("receipt")
    return receipt


def pids(up: Up) -> list[int]:
    """The supervisor and its parts, Valkey among them."""
    return [up.process.pid, *up.children()]


def found_in(pid: int) -> int:
    """How often the memory of a process has one of the needles; of one that is gone, never."""
    try:
        return sum(found_in_memory(pid, needle) for needle in NEEDLES)
    except (FileNotFoundError, ProcessLookupError):
        return 0
