"""A script of the till: a campaign, its coupons, and everything that may happen to them, answered and refused."""

from collections.abc import Sequence
from typing import Any

from benchmarks.behaviour.recording import Recorder, find

TEA, MUG = "tea", "mug", "cake"
FAR = "2100-01-01T12:00:00Z"
GCN = "4012345000009"


def line(product_id: str, amount_minor: int, *, line_id: str | None = None, quantity: float = 1) -> dict[str, Any]:
    """One line of a basket; it costs so much as a whole."""
    return {
        "line_id": line_id or product_id,
        "product_id": product_id,
        "quantity": quantity,
        "amount_minor": amount_minor,
    }


BASKET = [line(TEA, 800, quantity=2), line(MUG, 400)]


def run_the_till(recorder: Recorder) -> None:
    """The whole script; each part has campaigns and customers of its own."""
    _follow_the_page(recorder)


def campaign(recorder: Recorder, campaign_id: str, **terms: object) -> None:
    """A campaign that runs."""
    about = {"name": f"Campaign {campaign_id}", "currency": "USD"} | terms
    recorder.write("POST", "/v1/campaigns", {"campaign_id": campaign_id, "terms": about})
    recorder.write("POST", f"/v1/campaigns/{campaign_id}/schedule")


def offer(recorder: Recorder, campaign_id: str, offer_id: str, discount: dict[str, Any], **terms: object) -> None:
    """An offer of it."""
    body = {"offer_id": offer_id, "terms": {"name": f"Offer {offer_id}", "discount": discount} | terms}
    recorder.write("POST", f"/v1/campaigns/{campaign_id}/offers", body)


def coupon(recorder: Recorder, campaign_id: str, offer_id: str, **whom: object) -> Any:
    """New coupons of it."""
    body = {"offer_id": offer_id} | whom
    return recorder.write("POST", f"/v1/campaigns/{campaign_id}/coupons", body)


def redeem(recorder: Recorder, order_id: str, lines: Sequence[object] = BASKET, **fields: object) -> Any:
    """A redemption in a store."""
    body = {"order_id": order_id, "channel": "store", "store_id": "s1", "lines": lines} | fields
    return recorder.write("POST", "/v1/redemptions", body)


def _follow_the_page(recorder: Recorder) -> None:
    """What docs/coupons.md shows, in its order."""
    daily = [{"scope": "customer", "count": 1, "period": "day"}]
    campaign(recorder, "spring", budget_minor=500, limits=daily)
    two_off = {"type": "amount", "amount_minor": 200}
    terms = {"minimum_basket_minor": 1000, "channels": ["store", "app"], "valid_days": 14, "gcn": GCN}
    offer(recorder, "spring", "two-off", two_off, **terms)
    issued = coupon(recorder, "spring", "two-off", customer_ids=["ann"])
    code, coupon_id = find(issued, "code"), find(issued, "coupon_id")
    recorder.get("/v1/customers/ann/wallet")
    for picture in ("qr.svg", "qr.png", "barcode.svg"):
        recorder.get(f"/v1/coupons/{coupon_id}/{picture}")
    at_the_till = {"customer_id": "ann", "channel": "store", "store_id": "s1"}
    recorder.ask("/v1/qualifications", at_the_till | {"lines": BASKET[:1]})
    recorder.ask("/v1/qualifications", at_the_till | {"lines": BASKET})
    for typed in (code, code.lower(), find(issued, "gs1"), "NO-SUCH-CODE"):
        recorder.ask("/v1/validations", at_the_till | {"lines": BASKET, "codes": [typed]})
    recorder.ask("/v1/validations?dry_run=true", at_the_till | {"lines": BASKET, "wallet": True, "now": FAR})
    recorder.ask("/v1/validations", at_the_till | {"lines": BASKET, "wallet": True, "now": FAR})
    order = at_the_till | {"order_id": "order-17", "lines": BASKET}
    held = recorder.write("POST", "/v1/reservations", order | {"codes": [code]})
    reservation_id = find(held, "reservation_id")
    recorder.get(f"/v1/reservations/{reservation_id}")
    redeem(recorder, "order-16", customer_id="ann", codes=[code])
    body = order | {"reservation_id": reservation_id}
    recorder.write("POST", "/v1/redemptions", body | {"expected_discount_minor": 199})
    redeemed = recorder.write("POST", "/v1/redemptions", body | {"expected_discount_minor": 200}, key="order-17")
    recorder.write("POST", "/v1/redemptions", body | {"expected_discount_minor": 200}, key="order-17")
    recorder.write("POST", "/v1/redemptions", body, key="order-17")
    redeem(recorder, "order-18", customer_id="ann", codes=[code])
    redemption_id = find(redeemed, "redemption_id")
    path = f"/v1/redemptions/{redemption_id}"
    for lines in ([{"line_id": TEA, "quantity": 1}], [{"line_id": TEA, "quantity": 5}], None, None):
        recorder.write("POST", f"{path}/rollback", {} if lines is None else {"lines": lines})
        recorder.get(path)
    redeem(recorder, "order-19", customer_id="ann", codes=[code])
    recorder.get("/v1/campaigns/spring/budget")
    offer(recorder, "spring", "ten-percent", {"type": "percent", "percent": 10}, uses_per_code=2)
    coupon(recorder, "spring", "ten-percent", code="Spring-10")
    for number, customer_id in enumerate(("bob", "cat", "dan")):
        redeem(recorder, f"order-{20 + number}", customer_id=customer_id, codes=["spring 1O"])
    coupon(recorder, "spring", "ten-percent", code="SPRING10")
