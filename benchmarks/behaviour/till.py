"""A script of the till: a campaign, its coupons, and everything that may happen to them, answered and refused."""

from collections.abc import Sequence
from typing import Any

from benchmarks.behaviour.recording import Recorder, find, values
from benchmarks.behaviour.store import HOLDER_IDS, NEXT_DAYS, PRODUCT_IDS

TEA, MUG, CAKE = "tea", "mug", "cake"
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
    _let_a_reservation_end(recorder)
    _use_a_wallet(recorder)
    _redeem_at_a_decisions_prices(recorder)
    _change_campaigns(recorder)
    _refuse(recorder)
    _show_reports(recorder)


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


def _let_a_reservation_end(recorder: Recorder) -> None:
    """One that is given up, one whose time is over: returns once the ledger has freed what it held."""
    campaign(recorder, "short", budget_minor=100)
    offer(recorder, "short", "one-off", {"type": "amount", "amount_minor": 100}, reservation_required=True)
    coupon(recorder, "short", "one-off", customer_ids=["eve"])
    redeem(recorder, "order-30", customer_id="eve", wallet=True)
    body = {"customer_id": "eve", "channel": "web", "lines": BASKET, "wallet": True}
    first = find(recorder.write("POST", "/v1/reservations", body | {"order_id": "order-31"}), "reservation_id")
    recorder.write("POST", "/v1/reservations", body | {"order_id": "order-32"})
    recorder.write("DELETE", f"/v1/reservations/{first}")
    recorder.write("DELETE", f"/v1/reservations/{first}")
    redeem(recorder, "order-31", customer_id="eve", reservation_id=first)
    held = recorder.write("POST", "/v1/reservations", body | {"order_id": "order-33", "ttl_s": 1})
    second = find(held, "reservation_id")
    recorder.wait_for("/v1/campaigns/short/budget", lambda budget: find(budget, "held_minor") == 0)
    recorder.get(f"/v1/reservations/{second}")
    redeem(recorder, "order-33", customer_id="eve", reservation_id=second)
    recorder.get("/v1/campaigns/short/budget")


def _use_a_wallet(recorder: Recorder) -> None:
    """Coupons that go together, that exclude each other, and that give nothing here."""
    campaign(recorder, "basket", budget_minor=100_000, limits=[{"scope": "campaign", "count": 100, "period": "month"}])
    tea, mugs, cake = ([{"product_ids": [one]}] for one in (TEA, MUG, CAKE))
    together: dict[str, Any] = {"combinable": True}
    offers: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "b-tenth": ({"type": "percent", "percent": 10}, together),
        "b-tea": ({"type": "amount", "amount_minor": 130}, together | {"applies_to": tea}),
        "b-mugs": ({"type": "n_for_m", "take": 3, "pay": 2}, together | {"applies_to": mugs}),
        "b-cake": (
            {"type": "fixed_price", "price_minor": 350},
            together | {"applies_to": cake, "price_floor_minor": 300},
        ),
        "b-points": ({"type": "points", "points": 20, "point_cost_minor": 1}, together),
        "b-alone": ({"type": "amount", "amount_minor": 210}, {}),
        "b-gold": ({"type": "amount", "amount_minor": 220}, {"tiers": ["gold"]}),
        "b-web": ({"type": "amount", "amount_minor": 230}, {"channels": ["web"]}),
    }
    for offer_id, (discount, terms) in offers.items():
        offer(recorder, "basket", offer_id, discount, **terms)
        coupon(recorder, "basket", offer_id, customer_ids=["fay"])
    lines = [line(TEA, 1000, quantity=2), line(MUG, 999, quantity=3), line(CAKE, 833, quantity=2), line("nut", 77)]
    about = {"customer_id": "fay", "channel": "store", "lines": lines}
    recorder.ask("/v1/qualifications", about)
    recorder.ask("/v1/validations", about | {"wallet": True})
    recorder.ask("/v1/validations", about | {"wallet": True, "channel": "web", "lines": lines[1:2]})
    redeemed = redeem(recorder, "order-40", lines, customer_id="fay", wallet=True)
    path = f"/v1/redemptions/{find(redeemed, 'redemption_id')}"
    recorder.get("/v1/customers/fay/wallet")
    back = [{"line_id": MUG, "quantity": 1}, {"line_id": CAKE}]
    recorder.write("POST", f"{path}/rollback", {"lines": back})
    recorder.get(path)
    redeem(recorder, "order-41", lines[:1], customer_id="fay", wallet=True)
    recorder.get("/v1/campaigns/basket/budget")
    for customer_id in HOLDER_IDS[:4]:
        groceries = [line(one, 399, quantity=3) for one in PRODUCT_IDS[:8]]
        redeem(recorder, f"order-{customer_id}", groceries, customer_id=customer_id, wallet=True, store_id="286")
        recorder.get(f"/v1/customers/{customer_id}/wallet")


def _redeem_at_a_decisions_prices(recorder: Recorder) -> None:
    """What a decision showed holds, though the offer was changed meanwhile."""
    customer_id = HOLDER_IDS[5]
    context = {"now": NEXT_DAYS, "basket": [{"product_id": PRODUCT_IDS[3]}]}
    body = {
        "customer_id": customer_id,
        "placement": "weekly",
        "kinds": ["product", "coupon"],
        "size": 60,
        "context": context,
    }
    decided = recorder.ask("/v1/decisions", body)
    decision_id = find(decided, "decision_id")
    recorder.wait_for(f"/v1/decisions/{decision_id}", lambda _: True)
    priced = [one for one in dict.fromkeys(values(decided, "product_id")) if one in PRODUCT_IDS]
    lines = [{"line_id": str(number), "product_id": one} for number, one in enumerate(priced[:3])]
    milk = [{"line_id": "milk", "product_id": PRODUCT_IDS[3], "unit_price_minor": 250}]
    terms = {
        "name": "Less milk",
        "discount": {"type": "amount", "amount_minor": 5},
        "applies_to": [{"product_ids": [PRODUCT_IDS[3]]}],
    }
    recorder.write("PUT", "/v1/offers/w-milk", {"terms": terms})
    for fields in ({}, {"decision_id": decision_id}):
        about = {"customer_id": customer_id, "channel": "store", "wallet": True} | fields
        recorder.ask("/v1/validations", about | {"lines": [*lines, *milk]})
        recorder.ask("/v1/validations", about | {"lines": milk})
    redeem(recorder, "order-50", [*lines, *milk], customer_id=customer_id, wallet=True, decision_id=decision_id)


def _change_campaigns(recorder: Recorder) -> None:
    """Every state and action, changes that come too late, coupons that are taken back."""
    recorder.write("POST", "/v1/campaigns", {"campaign_id": "autumn", "terms": {"name": "Autumn", "currency": "USD"}})
    offer(recorder, "autumn", "a-one", {"type": "amount", "amount_minor": 90})
    issued = coupon(recorder, "autumn", "a-one", customer_ids=["gus", "hal"])
    redeem(recorder, "order-60", customer_id="gus", wallet=True)
    for action in ("pause", "schedule", "schedule", "pause", "resume", "end", "resume", "reopen", "resume"):
        recorder.write("POST", f"/v1/campaigns/autumn/{action}")
        recorder.ask("/v1/validations", {"customer_id": "gus", "channel": "web", "wallet": True, "lines": BASKET})
    terms = {"name": "Late autumn", "currency": "USD", "budget_minor": 150}
    recorder.write("PUT", "/v1/campaigns/autumn", {"terms": terms, "revision": 1})
    recorder.write("PUT", "/v1/campaigns/autumn", {"terms": terms})
    redeem(recorder, "order-61", customer_id="gus", wallet=True)
    redeem(recorder, "order-62", customer_id="hal", wallet=True)
    recorder.write("PUT", "/v1/campaigns/autumn", {"terms": terms | {"budget_minor": 10}})
    for coupon_id in values(issued, "coupon_id"):
        recorder.write("POST", f"/v1/coupons/{coupon_id}/revoke")
    redeem(recorder, "order-63", customer_id="hal", wallet=True)
    recorder.write("DELETE", "/v1/offers/a-one")
    coupon(recorder, "autumn", "a-one", customer_ids=["ike"])
    recorder.get("/v1/offers/a-one")
    recorder.get("/v1/campaigns/autumn")
    recorder.get("/v1/campaigns/autumn/offers")


def _refuse(recorder: Recorder) -> None:
    """Requests that are wrong, each in its own way, and codes that somebody guesses."""
    recorder.ask("/v1/campaigns", {"terms": {"name": "Keyless", "currency": "USD"}})
    recorder.write("POST", "/v1/campaigns", {"campaign_id": "spring", "terms": {"name": "Again", "currency": "USD"}})
    recorder.write("POST", "/v1/campaigns", {"terms": {"name": "Bad", "currency": "usd"}})
    recorder.write("POST", "/v1/campaigns", {"terms": {"name": "Bad", "currency": "USD", "budget_minor": "500"}})
    recorder.write("POST", "/v1/campaigns", {"campaign_id": "no spaces", "terms": {"name": "Bad", "currency": "USD"}})
    offer(recorder, "spring", "bad", {"type": "n_for_m", "take": 2, "pay": 2})
    offer(recorder, "spring", "bad", {"type": "amount", "amount_minor": 100}, gcn="4012345000001")
    offer(recorder, "no-such-campaign", "bad", {"type": "amount", "amount_minor": 100})
    coupon(recorder, "spring", "two-off")
    coupon(recorder, "spring", "two-off", customer_ids=["x", "x"])
    coupon(recorder, "spring", "b-tea", customer_ids=["x"])
    for path in (
        "campaigns/none",
        "offers/none",
        "reservations/none",
        "redemptions/none",
        "coupons/none/qr.svg",
        "none",
    ):
        recorder.get(f"/v1/{path}")
    recorder.write("POST", "/v1/coupons/none/revoke")
    recorder.write("POST", "/v1/redemptions/none/rollback", {})
    redeem(recorder, "order-70", [])
    redeem(recorder, "order-71", [line(TEA, 100), line(TEA, 100)], codes=["x"])
    redeem(recorder, "order-72", [{"product_id": TEA}], codes=["x"])
    redeem(recorder, "order-73", wallet=True)
    redeem(recorder, "order-74", customer_id="nobody", wallet=True)
    redeem(recorder, "order-75", customer_id="ann", codes=["SPRING10"], currency="EUR")
    recorder.write("POST", "/v1/campaigns", {}, key="x" * 256)
    recorder.write("DELETE", "/v1/campaigns/spring")
    for number in range(12):
        body = {"customer_id": "guesser", "channel": "web", "codes": [f"GUESS{number:03d}"], "lines": BASKET}
        recorder.ask("/v1/validations", body)


def _show_reports(recorder: Recorder) -> None:
    """What the retailer's people look at afterwards."""
    recorder.get("/v1/campaigns")
    recorder.get("/v1/settlements", {"from": "2017-01-01T00:00:00Z", "to": "2018-01-01T00:00:00Z"})
    recorder.get("/v1/settlements", {"from": "2018-01-01T00:00:00Z", "to": FAR})
    recorder.get("/v1/settlements", {"from": FAR, "to": "2018-01-01T00:00:00Z"})
