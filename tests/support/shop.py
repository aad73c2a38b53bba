"""A running service as the retailer's people and tills use it: campaigns, coupons and orders in a few words."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any
from uuid import uuid4

import httpx

_numbers = count(1)
TWO_OFF = {"type": "amount", "amount_minor": 200}


@dataclass(frozen=True, slots=True)
class Shop:
    """`client` may do everything; `ledger_url` is where its ledger lies."""

    client: httpx.Client
    ledger_url: str

    def send(
        self, method: str, path: str, body: object = None, *, key: str | None = None, **others: Any
    ) -> httpx.Response:
        """One write under a key of its own, or this one."""
        headers = {"Idempotency-Key": key or uuid4().hex} | others.pop("headers", {})
        return self.client.request(method, path, json=body, headers=headers, **others)

    def post(self, path: str, body: object = None, *, status: int = 201, key: str | None = None) -> dict[str, Any]:
        """The document that a POST returns, which must have this status."""
        return document_of(self.send("POST", path, body, key=key), status)

    def put(self, path: str, body: object, *, status: int = 200) -> dict[str, Any]:
        """The same for a PUT."""
        return document_of(self.send("PUT", path, body), status)

    def delete(self, path: str, *, status: int = 200) -> dict[str, Any]:
        """The same for a DELETE."""
        return document_of(self.send("DELETE", path), status)

    def get(self, path: str, parameters: Mapping[str, str] | None = None, *, status: int = 200) -> dict[str, Any]:
        """The same for a GET."""
        return document_of(self.client.get(path, params=parameters), status)

    def campaign(self, **terms: object) -> str:
        """The id of a new campaign in euros that runs."""
        campaign_id = self.draft(**terms)
        self.act(campaign_id, "schedule")
        return campaign_id

    def draft(self, **terms: object) -> str:
        """The id of a new campaign that does not."""
        body = {"campaign_id": new_name(), "terms": {"name": "A campaign", "currency": "EUR"} | terms}
        return str(self.post("/v1/campaigns", body)["campaign_id"])

    def act(self, campaign_id: str, action: str) -> dict[str, Any]:
        """The campaign after schedule, pause, resume, end or reopen."""
        return self.post(f"/v1/campaigns/{campaign_id}/{action}", status=200)

    def offer(self, campaign_id: str | None = None, **terms: object) -> str:
        """The id of a new offer, 2.00 off if not given otherwise, alone in a running campaign if none is named."""
        body = {"offer_id": new_name(), "terms": {"name": "An offer", "discount": TWO_OFF} | terms}
        return str(self.post(f"/v1/campaigns/{campaign_id or self.campaign()}/offers", body)["offer_id"])

    def issue(self, offer_id: str, **whom: object) -> list[dict[str, Any]]:
        """New coupons of the offer."""
        campaign_id = self.get(f"/v1/offers/{offer_id}")["campaign_id"]
        issued = self.post(f"/v1/campaigns/{campaign_id}/coupons", {"offer_id": offer_id} | whom)
        coupons: list[dict[str, Any]] = issued["coupons"]
        return coupons

    def give(self, offer_id: str, customer_id: str) -> dict[str, Any]:
        """The customer's new coupon of the offer."""
        return self.issue(offer_id, customer_ids=[customer_id])[0]

    def wallet(self, customer_id: str) -> list[dict[str, Any]]:
        """The customer's coupons."""
        coupons: list[dict[str, Any]] = self.get(f"/v1/customers/{customer_id}/wallet")["coupons"]
        return coupons

    def validate(self, *amounts_minor: int, status: int = 200, **fields: object) -> dict[str, Any]:
        """What coupons would give on a basket of lines that cost so much."""
        return self.post("/v1/validations", order(*amounts_minor) | fields, status=status)

    def reserve(self, *amounts_minor: int, status: int = 201, **fields: object) -> dict[str, Any]:
        """A reservation."""
        return self.post("/v1/reservations", order(*amounts_minor) | fields, status=status)

    def redeem(self, *amounts_minor: int, status: int = 201, **fields: object) -> dict[str, Any]:
        """A redemption for an order of its own."""
        return self.post("/v1/redemptions", order(*amounts_minor) | {"order_id": new_name()} | fields, status=status)

    def roll_back(self, redemption_id: str, *lines: object, status: int = 200) -> dict[str, Any]:
        """A rollback of these lines, or of all when none is named."""
        body = {"lines": lines} if lines else {}
        return self.post(f"/v1/redemptions/{redemption_id}/rollback", body, status=status)


def order(*amounts_minor: int) -> dict[str, Any]:
    """A basket whose lines "1", "2", … cost so much, of products "p1", "p2", …."""
    lines = [{"product_id": f"p{position}", "amount_minor": amount} for position, amount in enumerate(amounts_minor, 1)]
    return {"lines": lines}


def new_name() -> str:
    """A name that nothing else has."""
    return f"n{next(_numbers)}-{uuid4().hex[:8]}"


def document_of(response: httpx.Response, status: int) -> dict[str, Any]:
    """The answer's document; fails when the status is another one."""
    assert response.status_code == status, response.text
    document: dict[str, Any] = response.json()
    return document


def reasons(answer: dict[str, Any]) -> list[str]:
    """Why each coupon was refused."""
    return [refused["reason"]["code"] for refused in answer["refused"]]
