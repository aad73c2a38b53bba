"""A reservation is kept to whoever made it, and nobody else's; over HTTP, on SQLite and PostgreSQL."""

from typing import Any

import pytest

from tests.support.shop import Shop, new_name


def reserved(shop: Shop, **fields: Any) -> dict[str, Any]:
    """What a new customer redeems a new reservation with, for an order of their own."""
    customer_id, order_id = new_name(), new_name()
    coupon = shop.give(shop.offer(), customer_id)
    made = shop.reserve(1000, order_id=order_id, customer_id=customer_id, codes=[coupon["code"]], **fields)
    return {"order_id": order_id, "customer_id": customer_id, "reservation_id": made["reservation_id"]}


@pytest.mark.parametrize("another", [{"order_id": "another"}, {"customer_id": "another"}, {"customer_id": None}])
def test_reservation_is_redeemed_by_its_own_order_and_customer_alone(shop: Shop, another: dict[str, Any]) -> None:
    fields = reserved(shop)
    refused = shop.redeem(1000, **fields | another, status=409)
    assert (refused["code"], refused["pointer"]) == ("reservation_of_other", f"/{next(iter(another))}")
    path = f"/v1/reservations/{fields['reservation_id']}"
    assert shop.get(path)["status"] == "held"
    assert shop.redeem(1000, **fields)["discount_minor"] == 200
    assert shop.get(path)["status"] == "redeemed"


def test_validation_of_a_reservation_is_for_its_own_customer_alone(shop: Shop) -> None:
    fields = reserved(shop)
    own = {name: fields[name] for name in ("customer_id", "reservation_id")}
    assert shop.validate(1000, **own)["discount_minor"] == 200
    refused = shop.validate(1000, **own | {"customer_id": "another"}, status=409)
    assert (refused["code"], refused["pointer"]) == ("reservation_of_other", "/customer_id")


def test_customer_may_be_named_after_a_reservation_without_one(shop: Shop) -> None:
    code = f"ALL-{new_name()}"
    shop.issue(shop.offer(uses_per_code=None), code=code)
    reservation_id = shop.reserve(1000, codes=[code])["reservation_id"]
    redeemed = shop.redeem(1000, customer_id=new_name(), reservation_id=reservation_id)
    assert redeemed["discount_minor"] == 200


@pytest.mark.parametrize("actions", [["pause"], ["end"], ["pause", "resume", "end", "reopen"]])
def test_what_is_reserved_outlives_the_end_of_its_campaign(shop: Shop, actions: list[str]) -> None:
    customer_id, campaign_id = new_name(), shop.campaign(budget_minor=500)
    held, other = (shop.give(shop.offer(campaign_id, combinable=True), customer_id) for _ in range(2))
    fields: dict[str, Any] = {"customer_id": customer_id, "order_id": new_name()}
    made = shop.reserve(1000, codes=[held["code"]], **fields)
    for action in actions:
        shop.act(campaign_id, action)
    own: dict[str, Any] = {"customer_id": customer_id, "reservation_id": made["reservation_id"]}
    assert shop.validate(1000, **own)["discount_minor"] == 200
    redeemed = shop.redeem(1000, **own, wallet=True, order_id=fields["order_id"])
    assert [one["coupon_id"] for one in redeemed["applied"]] == [held["coupon_id"]]
    assert [(one["coupon_id"], one["reason"]["code"]) for one in redeemed["refused"]] == [
        (other["coupon_id"], "campaign_not_running")
    ]
    budget = shop.get(f"/v1/campaigns/{campaign_id}")
    assert (budget["spent_minor"], budget["held_minor"]) == (200, 0)
    assert shop.redeem(1000, customer_id=customer_id, wallet=True, status=409)["code"] == "campaign_not_running"


def test_what_is_reserved_outlives_a_lower_limit_and_a_revoked_code(shop: Shop) -> None:
    campaign_id, code = shop.campaign(), f"ALL-{new_name()}"
    (coupon,) = shop.issue(shop.offer(campaign_id, uses_per_code=None), code=code)
    orders: list[dict[str, Any]] = [{"customer_id": new_name(), "order_id": new_name()} for _ in range(2)]
    made = [shop.reserve(1000, codes=[code], **one) for one in orders]
    terms = {"name": "A campaign", "currency": "EUR", "limits": [{"scope": "campaign", "count": 1}]}
    shop.put(f"/v1/campaigns/{campaign_id}", {"terms": terms})
    shop.post(f"/v1/coupons/{coupon['coupon_id']}/revoke", status=200)
    for one, reservation in zip(orders, made, strict=True):
        assert shop.redeem(1000, **one, reservation_id=reservation["reservation_id"])["discount_minor"] == 200
    refused = shop.redeem(1000, codes=[code], customer_id=new_name(), status=409)
    assert refused["code"] == "coupon_revoked"
