"""An offer that an earlier version stored and nobody can compute takes nothing else down with it."""

from sqlalchemy import update

from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.tables import offers
from tests.support.shop import TWO_OFF, Shop, new_name, order, reasons

TINY = {"name": "Tiny", "discount": {"type": "percent", "percent": 1e-9}}
SOUND = {"name": "An offer", "discount": TWO_OFF}


def spoil(shop: Shop, offer_id: str) -> None:
    """The ledger holds other terms of the offer than any door would let in now."""
    ledger = open_ledger(shop.ledger_url)
    ledger.write(
        lambda connection: connection.execute(update(offers).where(offers.c.offer_id == offer_id).values(terms=TINY))
    )
    ledger.close()


def test_till_skips_it_with_a_reason_and_gives_the_rest(shop: Shop) -> None:
    customer_id = new_name()
    spoilt, sound = shop.offer(), shop.offer()
    coupons = [shop.give(offer_id, customer_id) for offer_id in (spoilt, sound)]
    spoil(shop, spoilt)
    answer = shop.validate(1000, customer_id=customer_id, wallet=True)
    assert (answer["discount_minor"], reasons(answer)) == (200, ["offer_unusable"])
    assert "/discount/percent" in answer["refused"][0]["reason"]["detail"]
    named = order(1000) | {"codes": [coupons[0]["code"]], "customer_id": customer_id}
    assert shop.post("/v1/redemptions", named | {"order_id": "o"}, status=409)["code"] == "offer_unusable"
    assert shop.post("/v1/qualifications", named, status=200)["discount_minor"] == 200
    assert [coupon["coupon_id"] for coupon in shop.wallet(customer_id)] == [coupons[1]["coupon_id"]]
    assert shop.redeem(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200


def test_its_terms_are_shown_as_they_are_and_can_be_put_right(shop: Shop) -> None:
    campaign_id = shop.campaign()
    offer_id = shop.offer(campaign_id)
    customer_id = new_name()
    shop.give(offer_id, customer_id)
    spoil(shop, offer_id)
    (shown,) = shop.get(f"/v1/campaigns/{campaign_id}/offers")["offers"]
    assert shown == shop.get(f"/v1/offers/{offer_id}")
    assert shown["terms"] == TINY
    assert shown["fault"].startswith("/discount/percent: ")
    for whom in ({"customer_ids": [new_name()]}, {"audience": True}):
        refused = shop.post(f"/v1/campaigns/{campaign_id}/coupons", {"offer_id": offer_id} | whom, status=409)
        assert refused["code"] == "not_issuable"
        assert "/discount/percent" in refused["detail"]
    assert shop.put(f"/v1/offers/{offer_id}", {"terms": SOUND})["fault"] is None
    assert shop.redeem(1000, customer_id=customer_id, wallet=True)["discount_minor"] == 200
