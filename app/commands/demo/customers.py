"""The demo's steps with one customer: known on another device, silent on request, and forgotten."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from uuid import uuid4

from app.commands.demo.client import DECISIONS, Client, DemoFailure
from app.domain import JsonObject

CONSENT_MISSING = "consent_missing"
ERASED_WITHIN_S = 120.0
POLL_S = 0.5


def customer_steps(client: Client, question: Mapping[str, object]) -> Iterator[str]:
    """Lines for people as each step is done; raises DemoFailure where something is not as it should be."""
    customer_id = str(question["customer_id"])
    device = f"demo-phone-{uuid4().hex[:8]}"
    by_device = {**question, "customer_id": None, "anonymous_id": device, "kinds": ["product"]}
    before, known = _products(client, by_device), _products(client, {**question, "kinds": ["product"]})
    client.put(f"/v1/customers/{customer_id}/identities/device/{device}", {})
    linked = _products(client, by_device)
    if linked != known or linked == before:
        raise DemoFailure(f"device {device} was linked to customer {customer_id} and gets another answer")
    yield f"A new phone of customer {customer_id}: before it is linked, {before[0]} first; a moment later {linked[0]}"
    consent = f"/v1/customers/{customer_id}/consents/personalization"
    client.put(consent, {"status": "withdrawn", "source": "demo"})
    answer = client.post(DECISIONS, by_device)
    if CONSENT_MISSING not in answer["degraded"]:
        raise DemoFailure(f"customer {customer_id} withdrew consent, and the phone's answer is personal")
    yield f"Consent withdrawn: the phone gets what is popular in the store ({CONSENT_MISSING})"
    client.put(consent, {"status": "granted", "source": "demo"})
    client.delete(f"/v1/customers/{customer_id}/identities/device/{device}")
    yield "Consent granted again, and the phone given away: it is nobody's"


def erase_somebody(client: Client) -> Iterator[str]:
    """A customer of a minute is forgotten: lines for people, the last with what the receipt says."""
    who, begun = f"demo-guest-{uuid4().hex[:8]}", monotonic()
    event = {"id": uuid4().hex, "type": "view_item", "customer_id": who, "product_id": "demo"}
    event["time"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    client.post("/v1/events", {"events": [event]})
    erasure_id = client.delete(f"/v1/customers/{who}")["erasure_id"]
    late = client.post("/v1/events", {"events": [event | {"id": uuid4().hex}]})["results"][0]
    if late["code"] != "erased":
        raise DemoFailure(f"customer {who} was erased, and an event of theirs was {late['status']}")
    yield f"Customer {who} wants to be forgotten: a late event is refused at once ({late['code']})"
    receipt = _receipt(client, erasure_id)
    places = sorted({place for step in receipt["steps"].values() for place in step["erased"]})
    yield f"  {monotonic() - begun:.0f} s later the receipt is signed; something was erased from {', '.join(places)}"


def _receipt(client: Client, erasure_id: str) -> JsonObject:
    deadline = monotonic() + ERASED_WITHIN_S
    while monotonic() < deadline:
        try:
            receipt: JsonObject | None = client.get(f"/v1/erasures/{erasure_id}")["receipt"]
        # Its last step exchanges the processes that answer.
        except OSError:
            receipt = None
        if receipt is not None:
            return receipt
        sleep(POLL_S)
    raise DemoFailure(f"erasure {erasure_id} is not done after {ERASED_WITHIN_S:.0f} s")


def _products(client: Client, question: Mapping[str, object]) -> list[str]:
    answer = client.post(DECISIONS, question)
    found = [str(one["name"] or one["product_id"]) for one in answer["propositions"]]
    if not found:
        raise DemoFailure("nothing is shown")
    return found
