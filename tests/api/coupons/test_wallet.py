"""Wallets, pictures, activation, public codes and revoking over HTTP; on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import zxingcpp
from PIL import Image

from tests.support.shop import Shop, new_name, reasons

GCN = "9501101020917"


def test_wallet_calls_each_coupon_what_it_is_to_the_customer(shop: Shop) -> None:
    customer_id = new_name()
    soon, late = ((datetime.now(UTC) + timedelta(days=days)).isoformat() for days in (1, 2))
    campaign_id = shop.campaign()
    given = {
        "active": shop.give(shop.offer(campaign_id), customer_id),
        "pending": shop.give(shop.offer(campaign_id, valid_from=soon, valid_until=late), customer_id),
        "used": shop.give(shop.offer(campaign_id), customer_id),
        "disabled": shop.give(shop.offer(campaign_id), customer_id),
    }
    ending = shop.campaign()
    given["expired"] = shop.give(shop.offer(ending), customer_id)
    shop.act(ending, "end")
    shop.redeem(1000, customer_id=customer_id, codes=[given["used"]["code"]])
    shop.post(f"/v1/coupons/{given['disabled']['coupon_id']}/revoke", status=200)
    wallet = {coupon["coupon_id"]: coupon for coupon in shop.wallet(customer_id)}
    assert {name: wallet[coupon["coupon_id"]]["status"] for name, coupon in given.items()} == {
        name: name for name in given
    }
    pending = wallet[given["pending"]["coupon_id"]]
    assert (pending["valid_from"], pending["valid_until"]) == (soon, late)
    assert shop.wallet("nobody") == []


def test_wallet_shows_what_a_coupon_gives(shop: Shop) -> None:
    customer_id = new_name()
    tea = {"attribute": "category", "values": ["tea"]}
    campaign_id = shop.campaign(currency="SEK")
    shop.give(
        shop.offer(campaign_id, name="Tea time", applies_to=[tea], minimum_basket_minor=500, channels=["app"]),
        customer_id,
    )
    (coupon,) = shop.wallet(customer_id)
    offer = coupon["offer"]
    assert (offer["name"], offer["currency"], offer["channels"]) == ("Tea time", "SEK", ["app"])
    assert offer["discount"] == {"type": "amount", "amount_minor": 200}
    assert offer["applies_to"] == [{"product_ids": [], "attribute": "category", "values": ["tea"]}]
    assert (offer["minimum_basket_minor"], offer["campaign_id"]) == (500, campaign_id)
    assert len(coupon["code"].replace("-", "")) == 16


def test_pictures_hold_the_code(shop: Shop) -> None:
    coupon = shop.give(shop.offer(gcn=GCN), new_name())
    images = coupon["images"]
    png = shop.client.get(images["qr_png"])
    assert (png.status_code, png.headers["content-type"]) == (200, "image/png")
    read = zxingcpp.read_barcodes(Image.open(BytesIO(png.content)))
    assert [code.text for code in read] == [coupon["code"].replace("-", "")]
    for name in ("qr_svg", "barcode_svg"):
        svg = shop.client.get(images[name])
        assert (svg.status_code, svg.headers["content-type"]) == (200, "image/svg+xml")
        assert svg.text.startswith("<svg")
    assert coupon["gs1"] in shop.client.get(images["barcode_svg"]).text
    assert shop.get("/v1/coupons/none/qr.svg", status=404)["code"] == "coupon_not_found"
    plain = shop.give(shop.offer(), new_name())
    assert plain["images"]["barcode_svg"] is None
    assert shop.get(f"/v1/coupons/{plain['coupon_id']}/barcode.svg", status=404)["code"] == "no_barcode"


def test_scanned_gs1_element_string_redeems_its_coupon(shop: Shop) -> None:
    customer_id = new_name()
    coupon = shop.give(shop.offer(gcn=GCN), customer_id)
    assert coupon["gs1"].startswith(f"(255){GCN}")
    redeemed = shop.redeem(1000, customer_id=customer_id, codes=[coupon["gs1"]])
    assert [applied["coupon_id"] for applied in redeemed["applied"]] == [coupon["coupon_id"]]


def test_offer_is_activated_once_per_customer(shop: Shop) -> None:
    offer_id = shop.offer(issue={"by": "decision"})
    body = {"customer_id": new_name(), "offer_id": offer_id, "decision_id": "d-1"}
    first, again = (shop.post("/v1/coupons", body) for _ in range(2))
    assert first["coupon_id"] == again["coupon_id"]
    assert len(shop.wallet(body["customer_id"])) == 1
    other = shop.post("/v1/coupons", body | {"customer_id": new_name()})
    assert other["coupon_id"] != first["coupon_id"]


def test_offer_that_is_not_issued_by_decision_cannot_be_activated(shop: Shop) -> None:
    body = {"customer_id": new_name(), "offer_id": shop.offer()}
    assert shop.post("/v1/coupons", body, status=409)["code"] == "not_issuable"
    assert shop.post("/v1/coupons", body | {"offer_id": "none"}, status=404)["code"] == "offer_not_found"


def test_chosen_code_comes_back_as_it_was_written(shop: Shop) -> None:
    code = f"WELCOME-10-{new_name()}".upper()
    (coupon,) = shop.issue(shop.offer(uses_per_code=None), code=code)
    assert coupon["code"] == code
    revoked = shop.post(f"/v1/coupons/{coupon['coupon_id']}/revoke", status=200)
    assert revoked["code"] == code
    png = shop.client.get(coupon["images"]["qr_png"])
    assert [read.text for read in zxingcpp.read_barcodes(Image.open(BytesIO(png.content)))] == [code]
    (other,) = shop.issue(shop.offer(reservation_required=True), code=f"{code}-B")
    typed = f"{code}-B".lower().replace("-", " ").replace("o", "0").replace("l", "1")
    reservation = shop.reserve(1000, codes=[typed])
    redeemed = shop.redeem(1000, reservation_id=reservation["reservation_id"])
    assert [(one["coupon_id"], one["code"]) for one in redeemed["applied"]] == [(other["coupon_id"], f"{code}-B")]


def test_public_code_is_good_for_as_many_uses_as_the_offer_says(shop: Shop) -> None:
    offer_id = shop.offer(uses_per_code=2)
    code = f"SUMMER-{new_name()}"
    (coupon,) = shop.issue(offer_id, code=code)
    assert (coupon["customer_id"], coupon["max_uses"]) == (None, 2)
    typed = f" {code.lower()} "
    for _ in range(2):
        assert shop.redeem(1000, customer_id=new_name(), codes=[typed])["discount_minor"] == 200
    refused = shop.redeem(1000, customer_id=new_name(), codes=[typed], status=409)
    assert refused["code"] == "code_limit_reached"
    assert refused["refused"][0]["reason"].items() >= {"required": 2, "actual": 2}.items()


def test_code_of_one_s_own_must_be_free_and_a_code(shop: Shop) -> None:
    campaign_id = shop.campaign()
    offer_id = shop.offer(campaign_id)
    path, body = f"/v1/campaigns/{campaign_id}/coupons", {"offer_id": offer_id, "code": new_name()}
    shop.post(path, body)
    taken = shop.post(path, body, status=409)
    assert (taken["code"], taken["pointer"]) == ("code_taken", "/code")
    assert shop.post(path, body | {"code": "ten €!"}, status=422)["pointer"] == "/code"
    twice = {"offer_id": offer_id, "customer_ids": ["ann", "ann"]}
    assert "twice" in shop.post(path, twice, status=422)["detail"]
    assert shop.post(path, body | {"audience": True}, status=422)["code"] == "invalid_request"
    elsewhere = {"offer_id": shop.offer(), "customer_ids": ["ann"]}
    assert shop.post(path, elsewhere, status=409)["code"] == "not_issuable"


def test_revoked_coupon_gives_nothing_and_a_used_one_is_not_revoked(shop: Shop) -> None:
    customer_id = new_name()
    offer_id = shop.offer()
    first, second = shop.give(offer_id, customer_id), shop.give(offer_id, customer_id)
    path = f"/v1/coupons/{first['coupon_id']}/revoke"
    assert [shop.post(path, status=200)["status"] for _ in range(2)] == ["disabled", "disabled"]
    assert reasons(shop.validate(1000, customer_id=customer_id, codes=[first["code"]])) == ["coupon_revoked"]
    shop.redeem(1000, customer_id=customer_id, codes=[second["code"]])
    used = shop.post(f"/v1/coupons/{second['coupon_id']}/revoke", status=409)
    assert used["code"] == "not_revocable"
    assert shop.post("/v1/coupons/none/revoke", status=404)["code"] == "coupon_not_found"


def test_new_tier_opens_a_tier_s_offer_at_once(shop: Shop) -> None:
    customer_id = new_name()
    shop.give(shop.offer(tiers=["gold"]), customer_id)
    assert reasons(shop.validate(1000, customer_id=customer_id, wallet=True)) == ["tier_not_allowed"]
    shop.put(f"/v1/customers/{customer_id}/membership", {"tier": "gold"})
    assert shop.validate(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200
    shop.put(f"/v1/customers/{customer_id}/membership", {"tier": "silver"})
    assert reasons(shop.validate(1000, customer_id=customer_id, wallet=True)) == ["tier_not_allowed"]
