"""Coupons at the till over HTTP: qualified, validated, reserved, redeemed, given back; on SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.api.till.baskets import MAX_BASKET_MINOR
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.tables import metadata
from tests.support.shop import Shop, document_of, new_name, order, reasons
from tests.support.world import product

TEN_PERCENT = {"type": "percent", "percent": 10}


def held_by(shop: Shop, **terms: Any) -> tuple[str, dict[str, Any]]:
    """A new customer who has one coupon of a new offer."""
    customer_id = new_name()
    return customer_id, shop.give(shop.offer(**terms), customer_id)


def rows(shop: Shop) -> dict[str, list[Any]]:
    """Everything in the ledger."""
    ledger = open_ledger(shop.ledger_url)
    found = ledger.read(
        lambda connection: {
            name: sorted(map(repr, connection.execute(table.select()))) for name, table in metadata.tables.items()
        }
    )
    ledger.close()
    return found


def test_qualification_shows_what_is_missing_for_the_rest(shop: Shop) -> None:
    customer_id, _ = held_by(shop, minimum_basket_minor=1500)
    shop.give(shop.offer(channels=["app"]), customer_id)
    answer = shop.post("/v1/qualifications", order(1000) | {"customer_id": customer_id, "channel": "store"}, status=200)
    assert sorted(reasons(answer)) == ["channel_not_allowed", "minimum_basket_not_met"]
    assert [near["missing_minor"] for near in answer["near"]] == [500]
    more = shop.post("/v1/qualifications", order(1000, 500) | {"customer_id": customer_id}, status=200)
    assert (more["discount_minor"], more["near"]) == (200, [])
    assert shop.post("/v1/qualifications", order(1), status=422)["pointer"] == "/customer_id"


def test_validation_promises_what_the_redemption_gives_and_changes_nothing(shop: Shop) -> None:
    customer_id, coupon = held_by(shop, discount=TEN_PERCENT)
    before = rows(shop)
    validated = shop.validate(999, 501, customer_id=customer_id, codes=[coupon["code"]])
    assert validated.pop("is_redeemable") is True
    assert rows(shop) == before
    expected = {"expected_discount_minor": validated["discount_minor"]}
    redeemed = shop.redeem(999, 501, customer_id=customer_id, codes=[coupon["code"]], **expected)
    assert {name: redeemed[name] for name in validated} == validated
    assert (redeemed["discount_minor"], redeemed["payable_minor"]) == (150, 1350)
    assert [line["discount_minor"] for line in redeemed["lines"]] == [100, 50]
    found = shop.get(f"/v1/redemptions/{redeemed['redemption_id']}")
    assert (found["status"], found["discount_minor"], found["returned_minor"]) == ("redeemed", 150, 0)
    assert [line["discount_minor"] for line in found["coupons"][0]["lines"]] == [100, 50]


def test_dry_run_looks_into_the_future(shop: Shop) -> None:
    opening = datetime.now(UTC) + timedelta(days=10)
    customer_id = new_name()
    shop.give(shop.offer(valid_from=opening.isoformat()), customer_id)
    body = order(1000) | {"customer_id": customer_id, "wallet": True}
    assert reasons(shop.post("/v1/validations", body, status=200)) == ["coupon_not_yet_valid"]
    then = body | {"now": opening.isoformat()}
    assert shop.post("/v1/validations?dry_run=true", then, status=200)["discount_minor"] == 200
    for path in ("/v1/validations", "/v1/validations?dry_run=false"):
        refused = shop.post(path, then, status=422)
        assert (refused["code"], refused["pointer"]) == ("invalid_request", "/now")


def test_wallet_gives_the_best_combination_by_itself(shop: Shop) -> None:
    customer_id, single = held_by(shop, discount={"type": "amount", "amount_minor": 250})
    several = [shop.give(shop.offer(combinable=True), customer_id) for _ in range(2)]
    redeemed = shop.redeem(1000, customer_id=customer_id, wallet=True)
    assert redeemed["discount_minor"] == 400
    assert {one["coupon_id"] for one in redeemed["applied"]} == {one["coupon_id"] for one in several}
    refused = {one["coupon_id"]: one["reason"]["code"] for one in redeemed["refused"]}
    assert refused == {single["coupon_id"]: "not_combinable"}


def test_second_redemption_is_refused_with_its_reason(shop: Shop) -> None:
    customer_id, coupon = held_by(shop)
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    shop.redeem(1000, **fields)
    refused = shop.send("POST", "/v1/redemptions", order(1000) | fields | {"order_id": "another"})
    assert refused.headers["content-type"] == "application/problem+json"
    problem = document_of(refused, 409)
    assert problem["code"] == "already_redeemed"
    assert problem["refused"][0]["coupon_id"] == coupon["coupon_id"]
    assert shop.redeem(1000, customer_id=customer_id, wallet=True, status=409)["code"] == "no_coupon"


def test_app_only_coupon_is_refused_on_the_web(shop: Shop) -> None:
    customer_id, coupon = held_by(shop, channels=["app"])
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    refused = shop.redeem(1000, channel="web", status=409, **fields)
    assert refused["code"] == "channel_not_allowed"
    assert refused["refused"][0]["reason"].items() >= {"required": "app", "actual": "web"}.items()
    assert shop.redeem(1000, channel="app", **fields)["discount_minor"] == 200


def test_discount_other_than_expected_redeems_nothing(shop: Shop) -> None:
    customer_id, coupon = held_by(shop)
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    refused = shop.redeem(1000, expected_discount_minor=300, status=409, **fields)
    assert refused["code"] == "discount_changed"
    assert shop.redeem(1000, expected_discount_minor=200, **fields)["discount_minor"] == 200


def test_reservation_holds_the_coupon_until_it_is_given_up(shop: Shop) -> None:
    customer_id, coupon = held_by(shop)
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    reservation = shop.reserve(1000, order_id="mine", **fields)
    path = f"/v1/reservations/{reservation['reservation_id']}"
    assert shop.get(path) == reservation | {"status": "held"}
    assert shop.redeem(1000, status=409, **fields)["code"] == "reservation_held_by_other"
    assert [shop.delete(path)["status"] for _ in range(2)] == ["released", "released"]
    assert shop.redeem(1000, **fields)["discount_minor"] == 200
    assert shop.get("/v1/reservations/none", status=404)["code"] == "reservation_not_found"


def test_coupon_that_needs_a_reservation_is_redeemed_with_one(shop: Shop) -> None:
    customer_id, coupon = held_by(shop, reservation_required=True)
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    assert shop.redeem(1000, status=409, **fields)["code"] == "reservation_required"
    reservation_id = shop.reserve(1000, **fields)["reservation_id"]
    redeemed = shop.redeem(1000, customer_id=customer_id, reservation_id=reservation_id)
    assert [one["coupon_id"] for one in redeemed["applied"]] == [coupon["coupon_id"]]
    assert shop.get(f"/v1/reservations/{reservation_id}")["status"] == "redeemed"
    missing = shop.redeem(1000, customer_id=customer_id, reservation_id="none", status=404)
    assert missing["code"] == "reservation_not_found"


def test_reservation_s_time_ends_it(shop: Shop) -> None:
    customer_id, coupon = held_by(shop)
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]]}
    reservation = shop.reserve(1000, ttl_s=86_400, **fields)
    ends_in = datetime.fromisoformat(reservation["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=23) < ends_in <= timedelta(hours=24)
    own: dict[str, Any] = {"reservation_id": reservation["reservation_id"]}
    late = order(1000) | fields | own | {"now": (datetime.now(UTC) + timedelta(days=2)).isoformat()}
    assert shop.post("/v1/validations?dry_run=true", late, status=409)["code"] == "reservation_over"
    assert shop.reserve(1000, ttl_s=86_401, status=422, **fields)["pointer"] == "/ttl_s"
    assert shop.redeem(1000, customer_id=customer_id, **own)["discount_minor"] == 200
    assert shop.redeem(1000, customer_id=customer_id, status=409, **own)["code"] == "reservation_over"
    assert shop.send("DELETE", f"/v1/reservations/{own['reservation_id']}").json()["code"] == "reservation_over"


def test_rollback_gives_lines_back_and_then_the_rest_once(shop: Shop) -> None:
    customer_id, coupon = held_by(shop)
    lines = [{"line_id": "tea", "product_id": "t", "quantity": 3, "unit_price_minor": 400}]
    fields: dict[str, Any] = {"customer_id": customer_id, "codes": [coupon["code"]], "lines": lines}
    redemption_id = shop.redeem(**fields)["redemption_id"]
    part = shop.roll_back(redemption_id, {"line_id": "tea", "quantity": 1})
    assert (part["status"], part["returned_minor"], part["discount_left_minor"]) == ("partly_returned", 66, 134)
    whole, again = shop.roll_back(redemption_id), shop.roll_back(redemption_id)
    assert (whole["status"], whole["returned_minor"]) == ("rolled_back", 134)
    assert (again["rollback_id"], again["returned_minor"]) == (None, 0)
    assert shop.redeem(**fields)["discount_minor"] == 200, "the coupon is good again"
    assert shop.get(f"/v1/redemptions/{redemption_id}")["status"] == "rolled_back"


def test_return_below_the_minimum_basket_takes_the_whole_discount_with_it(shop: Shop) -> None:
    customer_id, _ = held_by(shop, minimum_basket_minor=1000)
    fields: dict[str, Any] = {"customer_id": customer_id, "wallet": True}
    redemption_id = shop.redeem(800, 400, **fields)["redemption_id"]
    back = shop.roll_back(redemption_id, {"line_id": "2"})
    # Paid were 10.00; what stays costs 8.00 without the coupon.
    assert (back["returned_minor"], back["refund_minor"], back["discount_left_minor"]) == (200, 200, 0)
    assert [(line["line_id"], line["quantity"], line["discount_minor"]) for line in back["lines"]] == [
        ("1", 0.0, 133),
        ("2", 1.0, 67),
    ]
    rest = shop.roll_back(redemption_id)
    assert (rest["returned_minor"], rest["refund_minor"], rest["status"]) == (0, 800, "rolled_back")
    assert shop.redeem(1000, **fields)["discount_minor"] == 200, "the coupon is good again"


def test_lines_with_and_without_a_discount_come_back_together(shop: Shop) -> None:
    customer_id, _ = held_by(shop, applies_to=[{"product_ids": ["p2"]}])
    redemption_id = shop.redeem(800, 400, 300, customer_id=customer_id, wallet=True)["redemption_id"]
    plain = shop.roll_back(redemption_id, {"line_id": "3"})
    assert (plain["status"], plain["returned_minor"], plain["refund_minor"]) == ("partly_returned", 0, 300)
    both = shop.roll_back(redemption_id, {"line_id": "1"}, {"line_id": "2"})
    assert (both["status"], both["returned_minor"], both["refund_minor"]) == ("rolled_back", 200, 1000)
    again = shop.roll_back(redemption_id, {"line_id": "3", "quantity": 1}, status=422)
    assert (again["code"], again["pointer"]) == ("return_exceeds", "/lines/0/quantity")


def test_three_for_two_over_three_lines_gives_each_line_back(shop: Shop) -> None:
    customer_id, _ = held_by(shop, discount={"type": "n_for_m", "take": 3, "pay": 2})
    bought = shop.redeem(300, 300, 300, customer_id=customer_id, wallet=True)
    assert [line["payable_minor"] for line in bought["lines"]] == [200, 200, 200]
    refunds = [shop.roll_back(bought["redemption_id"], {"line_id": str(one)})["refund_minor"] for one in (2, 1, 3)]
    # Two pieces cost 6.00 without the offer, which is what was paid for three.
    assert refunds == [0, 300, 300]


def test_pointer_leads_to_the_line_that_cannot_come_back(shop: Shop) -> None:
    customer_id, _ = held_by(shop)
    redemption_id = shop.redeem(1000, customer_id=customer_id, wallet=True)["redemption_id"]
    more = shop.roll_back(redemption_id, {"line_id": "1", "quantity": 2}, status=422)
    assert (more["code"], more["pointer"]) == ("return_exceeds", "/lines/0/quantity")
    other = shop.roll_back(redemption_id, {"line_id": "2"}, status=422)
    assert (other["code"], other["pointer"]) == ("return_exceeds", "/lines/0/line_id")
    twice = shop.roll_back(redemption_id, {"line_id": "1"}, {"line_id": "1"}, status=422)
    assert (twice["code"], twice["pointer"]) == ("invalid_request", "/lines/1/line_id")
    assert shop.roll_back("none", status=404)["code"] == "redemption_not_found"
    assert shop.get("/v1/redemptions/none", status=404)["code"] == "redemption_not_found"


LINE = {"product_id": "p", "amount_minor": 100}


@pytest.mark.parametrize(
    ("fault", "pointer"),
    [
        ({"lines": [LINE | {"line_id": "a"}, LINE | {"line_id": "a"}]}, "/lines/1/line_id"),
        ({"lines": [LINE | {"line_id": "2"}, LINE]}, "/lines/1/line_id"),
        ({"lines": [LINE, {"product_id": "p"}]}, "/lines/1"),
        ({"lines": [LINE | {"unit_price_minor": 100}]}, "/lines/0"),
        ({"lines": [LINE | {"amount_minor": -1}]}, "/lines/0/amount_minor"),
        ({"lines": [LINE | {"amount_minor": 1.5}]}, "/lines/0/amount_minor"),
        ({"lines": [LINE | {"quantity": 0}]}, "/lines/0/quantity"),
        ({"lines": [LINE | {"amount_minor": 2**53}]}, "/lines/0/amount_minor"),
        ({"lines": [LINE | {"amount_minor": 2**53 - 1}] * 2}, "/lines"),
        ({"lines": [{"product_id": "p", "unit_price_minor": 2**53 - 1, "quantity": 2}]}, "/lines/0/unit_price_minor"),
        ({"lines": [LINE] * 501}, "/lines"),
        ({"lines": []}, "/lines"),
        ({"codes": ["c"] * 21}, "/codes"),
        ({"codes": []}, "/codes"),
        ({"wallet": True}, "/wallet"),
        ({"currency": "euro"}, "/currency"),
        ({"channel": "mail"}, "/channel"),
        ({"expected_discount_minor": -1}, "/expected_discount_minor"),
        ({"order_id": ""}, "/order_id"),
        ({"now": "2026-11-22T12:00:00Z"}, "/now"),
        ({"codes": ["a\x00b"]}, "/codes/0"),
    ],
)
def test_pointer_leads_to_the_fault_of_an_order(shop: Shop, fault: dict[str, Any], pointer: str) -> None:
    body = {"order_id": "o", "codes": ["ABCD"], "lines": [LINE]} | fault
    refused = shop.post("/v1/redemptions", body, status=422)
    assert (refused["code"], refused["pointer"]) == ("invalid_request", pointer)


def test_dearest_basket_with_the_most_generous_points_is_still_counted(shop: Shop) -> None:
    customer_id = new_name()
    most = {"type": "points", "points": 10**9, "points_per_major": 10**4, "point_cost_minor": 10**3}
    campaign_id = shop.campaign(currency="JPY")
    shop.give(shop.offer(campaign_id, discount=most), customer_id)
    fields: dict[str, Any] = {"customer_id": customer_id, "wallet": True, "currency": "JPY"}
    assert shop.redeem(MAX_BASKET_MINOR, **fields)["points"] == 10**9 + MAX_BASKET_MINOR * 10**4
    assert shop.get(f"/v1/campaigns/{campaign_id}")["spent_minor"] == (10**9 + MAX_BASKET_MINOR * 10**4) * 10**3


def test_price_of_a_piece_times_its_quantity_is_rounded_half_up(shop: Shop) -> None:
    weighed = {"product_id": "cheese", "quantity": 0.35, "unit_price_minor": 1990}
    answer = shop.post("/v1/validations", {"codes": ["none"], "lines": [weighed]}, status=200)
    assert answer["basket_minor"] == 697


def test_basket_is_in_the_service_s_currency_if_it_names_none(shop: Shop) -> None:
    customer_id = new_name()
    shop.give(shop.offer(shop.campaign(currency="SEK")), customer_id)
    fields: dict[str, Any] = {"customer_id": customer_id, "wallet": True}
    answer = shop.validate(1000, **fields)
    assert (answer["currency"], reasons(answer)) == ("EUR", ["currency_mismatch"])
    assert shop.validate(1000, currency="SEK", **fields)["discount_minor"] == 200


def test_what_the_catalogue_says_of_a_product_counts_before_what_the_till_says(api: httpx.Client) -> None:
    shop = Shop(api, "")
    customer_id = new_name()
    shop.give(shop.offer(applies_to=[{"attribute": "department", "values": ["TEA"]}]), customer_id)

    def given(product_id: str, **attributes: str) -> int:
        line = {"product_id": product_id, "amount_minor": 1000, "attributes": attributes}
        answer = shop.post("/v1/validations", {"customer_id": customer_id, "wallet": True, "lines": [line]}, status=200)
        discount_minor: int = answer["discount_minor"]
        return discount_minor

    assert given(product("tea", 3)) == 200
    assert given(product("coffee", 3)) == 0
    assert given(product("coffee", 3), department="TEA") == 0
    assert given("of tomorrow", department="TEA") == 200
    assert given("of tomorrow") == 0
