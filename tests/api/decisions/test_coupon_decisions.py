"""Coupons in decisions over HTTP, from the campaign to the till: what changes in the ledger changes the next answer."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis

from app.offers.terms.codes import normal_code
from app.stores.redis.keys import RedisKeys, worker_client
from app.stores.redis.projections import Projections
from app.stores.sql.database.engine import open_ledger
from tests.support.server import serving, wait_until
from tests.support.shop import Shop, new_name
from tests.support.world import World, customer, product

HALF = {"type": "percent", "percent": 50}
TEAS = [product("tea", number) for number in (3, 4, 5)]


class Counter:
    """A shop with a model, what its customers are shown, and the worker's hand on its projections."""

    def __init__(self, shop: Shop, projections: Projections, client: Any) -> None:
        self.shop = shop
        self.redis = client
        self._projections = projections

    def work(self) -> None:
        """The worker's sweep, after everything has settled."""
        self._projections.sweep(now=datetime.now(UTC) + timedelta(seconds=5))

    def decide(self, customer_id: str, **fields: Any) -> dict[str, Any]:
        """An answer with both kinds."""
        body = {"customer_id": customer_id, "placement": "app_home", "kinds": ["product", "coupon"]} | fields
        response = self.shop.client.post("/v1/decisions", json=body)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    def offers(self, customer_id: str, **fields: Any) -> list[str]:
        """The offers that the customer is shown."""
        return [one["coupon"]["offer_id"] for one in coupons(self.decide(customer_id, **fields))]

    def wait(self, customer_id: str, offer_ids: list[str], *, timeout_s: float = 2.0) -> None:
        """Returns once these offers are shown to the customer."""
        wait_until(lambda: self.offers(customer_id) == offer_ids, f"{offer_ids} are shown", timeout_s=timeout_s)


def coupons(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in answer["propositions"] if one["kind"] == "coupon"]


@pytest.fixture(scope="module")
def counter(trained_world: World, tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[Counter]:
    """One service for the module with a ledger and a Redis database of its own."""
    redis_url = valkey_server.removesuffix("/0") + "/5"
    url = f"sqlite:///{tmp_path_factory.mktemp('counter') / 'ledger.db'}"
    settings = trained_world.settings.model_copy(update={"database_url": url})
    with serving(settings, redis_url) as http, redis.Redis.from_url(redis_url) as client:
        ledger = open_ledger(url)
        projections = Projections(ledger, worker_client(redis_url), RedisKeys(settings.stream_partition_count))
        with closing(projections):
            yield Counter(Shop(http, url), projections, client)
        ledger.close()


@pytest.fixture
def shop(counter: Counter) -> Shop:
    """Its till side, Redis emptied and projected again."""
    counter.redis.flushdb()
    counter.work()
    return counter.shop


def test_coupon_in_the_wallet_is_shown_with_all_that_a_front_end_needs(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(discount=HALF, name="Half off tea", applies_to=[{"product_ids": TEAS}])
    coupon = shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    answer = counter.decide(who, context={"basket": [{"product_id": TEAS[1]}]}, explain=True)
    (one,) = coupons(answer)
    assert one["name"] == "Half off tea"
    assert one["reasons"][0]["code"] == "coupon_for_basket"
    assert one["product_id"] == one["coupon"]["applies_to"][0] == TEAS[1]
    assert set(one["coupon"]["applies_to"]) <= set(TEAS)
    assert one["coupon"]["coupon_id"] == coupon["coupon_id"]
    assert normal_code(one["coupon"]["code"]) == normal_code(coupon["code"])
    assert one["coupon"]["saving"] == {"amount_minor": 125, "currency": "EUR"}
    assert one["price"] == {"amount_minor": 250, "currency": "EUR"}
    assert (one["image_url"], one["rating"]) == (f"https://cdn.example/{TEAS[1]}.jpg", 4.5)
    assert one["factors"]["saving_minor"] == 125
    assert answer["trace"]["coupons"] == {"passed": 1, "dropped": {}}
    assert [one["rank"] for one in answer["propositions"]] == list(range(1, 11))
    assert counter.shop.get(f"/v1/decisions/{answer['decision_id']}")["propositions"] == answer["propositions"]


def test_redeemed_coupon_is_gone_from_the_next_answer_and_back_after_its_rollback(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(applies_to=[{"product_ids": [TEAS[0], "p1"]}])
    coupon = shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    redeemed = shop.redeem(1000, customer_id=who, codes=[coupon["code"]])
    counter.wait(who, [])
    shop.roll_back(redeemed["redemption_id"])
    counter.wait(who, [offer_id])
    shop.reserve(1000, customer_id=who, codes=[coupon["code"]], order_id=new_name())
    counter.wait(who, [])


def test_used_up_budget_takes_the_offer_from_everybody(counter: Counter, shop: Shop) -> None:
    ann, bob = new_name(), new_name()
    offer_id = shop.offer(shop.campaign(budget_minor=200), applies_to=[{"product_ids": [TEAS[0], "p1"]}])
    coupon = shop.give(offer_id, ann)
    shop.give(offer_id, bob)
    counter.wait(bob, [offer_id])
    shop.redeem(1000, customer_id=ann, codes=[coupon["code"]])
    counter.wait(bob, [])
    answer = counter.decide(bob, explain=True)
    assert answer["trace"]["coupons"]["dropped"] == {"budget_exhausted": {"count": 1, "offer_ids": [offer_id]}}


def test_pause_end_and_withdrawal_show_within_a_second(counter: Counter, shop: Shop) -> None:
    who, campaign_id = new_name(), shop.campaign()
    offers = {shop.offer(campaign_id, applies_to=[{"product_ids": [tea]}]) for tea in TEAS[:2]}
    for offer_id in offers:
        shop.give(offer_id, who)

    def wait(expected: set[str]) -> None:
        what = f"{expected} are shown"
        wait_until(lambda: set(counter.offers(who, kinds=["coupon"])) == expected, what, timeout_s=1.5)

    wait(offers)
    shop.act(campaign_id, "pause")
    wait(set())
    shop.act(campaign_id, "resume")
    wait(offers)
    gone = min(offers)
    shop.delete(f"/v1/offers/{gone}")
    wait(offers - {gone})
    shop.act(campaign_id, "end")
    wait(set())


def test_campaign_of_another_day_is_shown_by_now(counter: Counter, shop: Shop) -> None:
    who, opening = new_name(), datetime.now(UTC) + timedelta(days=3)
    campaign_id = shop.campaign(starts_at=opening.isoformat(), ends_at=(opening + timedelta(days=1)).isoformat())
    offer_id = shop.offer(campaign_id, applies_to=[{"product_ids": TEAS}])
    shop.give(offer_id, who)
    wait_until(
        lambda: counter.offers(who, context={"now": opening.isoformat()}) == [offer_id], "it will be shown", timeout_s=2
    )
    for days in (0, 2.9, 4.1):
        now = (datetime.now(UTC) + timedelta(days=days)).isoformat()
        assert counter.offers(who, context={"now": now}) == []


def test_offer_by_decision_is_activated_and_then_is_the_customers_own(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(applies_to=[{"product_ids": TEAS}], issue={"by": "decision"})
    counter.wait(who, [offer_id])
    (one,) = coupons(counter.decide(who))
    assert (one["coupon"]["coupon_id"], one["coupon"]["code"]) == (None, None)
    assert one["reasons"][0]["code"] == "offer_for_you"
    coupon = shop.post("/v1/coupons", {"offer_id": offer_id, "customer_id": who})
    wait_until(
        lambda: coupons(counter.decide(who))[0]["coupon"]["coupon_id"] == coupon["coupon_id"], "it is theirs",
        timeout_s=2,
    )  # fmt: skip
    shop.delete(f"/v1/offers/{offer_id}")
    counter.wait(who, [])


def test_waved_away_coupon_stays_away_from_the_next_answer_on(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(applies_to=[{"product_ids": TEAS}])
    shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    event = {"id": uuid4().hex, "type": "dismiss_promotion", "time": datetime.now(UTC).isoformat()}
    response = shop.client.post("/v1/events", json={"events": [event | {"customer_id": who, "offer_id": offer_id}]})
    assert response.json()["results"][0]["status"] == "accepted"
    answer = counter.decide(who, explain=True)
    assert answer["trace"]["coupons"]["dropped"] == {"capped": {"count": 1, "offer_ids": [offer_id]}}


def test_flushed_redis_costs_the_coupons_until_they_are_projected_again(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(applies_to=[{"product_ids": TEAS}])
    shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    counter.redis.flushdb()
    answer = counter.decide(who)
    assert "coupons_unknown" in answer["degraded"]
    assert not coupons(answer)
    assert len(answer["propositions"]) == 10
    assert "coupons_unknown" not in counter.decide(who, kinds=["product"])["degraded"]
    counter.work()
    assert counter.offers(who) == [offer_id]
    assert "coupons_unknown" not in counter.decide(who)["degraded"]


def test_frozen_redis_costs_the_coupons_and_products_still_answer(counter: Counter, shop: Shop) -> None:
    who = customer("tea", 3)
    offer_id = shop.offer(applies_to=[{"product_ids": TEAS}])
    shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    counter.redis.client_pause(700)
    answer = counter.decide(who)
    assert "coupons_unknown" in answer["degraded"]
    assert not coupons(answer)
    assert len(answer["propositions"]) == 10
    counter.wait(who, [offer_id], timeout_s=10)


def test_wallet_that_shows_a_used_coupon_redeems_nothing(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(applies_to=[{"product_ids": [TEAS[0], "p1"]}])
    coupon = shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    key = next(key for key in counter.redis.keys(f"*:wallet:c:{who}"))
    old = counter.redis.get(key)
    shop.redeem(1000, customer_id=who, codes=[coupon["code"]])
    counter.wait(who, [])
    counter.redis.set(key, old)
    assert counter.offers(who) == [offer_id]
    query = {"customer_id": who, "codes": [coupon["code"]], "decision_id": counter.decide(who)["decision_id"]}
    assert shop.redeem(1000, status=409, **query)["code"] == "already_redeemed"
    counter.work()
    assert counter.offers(who) == []


def test_anonymous_visitors_get_products_and_no_flag(counter: Counter, shop: Shop) -> None:
    shop.offer(applies_to=[{"product_ids": TEAS}], issue={"by": "decision"})
    body = {"anonymous_id": new_name(), "placement": "app_home", "kinds": ["product", "coupon"]}
    answer = shop.client.post("/v1/decisions", json=body).json()
    assert (len(answer["propositions"]), coupons(answer), answer["degraded"]) == (10, [], [])


def test_coupons_alone_may_be_none_at_all(counter: Counter, shop: Shop) -> None:
    answer = counter.decide(new_name(), kinds=["coupon"], filters={"department": ["COFFEE"]})
    assert answer["propositions"] == []
    assert "slate_short" not in answer["degraded"]


def test_what_a_decision_showed_is_redeemed_though_offer_and_price_change(counter: Counter, shop: Shop) -> None:
    who = new_name()
    offer_id = shop.offer(discount=HALF, applies_to=[{"product_ids": TEAS}])
    coupon = shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    answer = counter.decide(who, context={"basket": [{"product_id": TEAS[0]}]})
    (shown,) = coupons(answer)
    lesser = {"name": "Less", "discount": {"type": "percent", "percent": 10}, "applies_to": [{"product_ids": TEAS}]}
    shop.put(f"/v1/offers/{offer_id}", {"terms": lesser, "revision": 1})
    dearer = [{"product_id": TEAS[0], "quantity": 2, "unit_price_minor": 300}]
    query: dict[str, Any] = {"customer_id": who, "codes": [coupon["code"]], "lines": dearer}
    assert shop.validate(**query)["discount_minor"] == 60
    kept = shop.validate(**query, decision_id=answer["decision_id"])
    assert kept["basket_minor"] == 2 * shown["price"]["amount_minor"]
    assert kept["discount_minor"] == 2 * shown["coupon"]["saving"]["amount_minor"]


def test_redemption_is_answered_again_though_the_decision_that_priced_it_is_gone(counter: Counter, shop: Shop) -> None:
    who, key = new_name(), uuid4().hex
    offer_id = shop.offer(discount=HALF, applies_to=[{"product_ids": TEAS}])
    coupon = shop.give(offer_id, who)
    counter.wait(who, [offer_id])
    answer = counter.decide(who, context={"basket": [{"product_id": TEAS[0]}]})
    body = {
        "order_id": "o-1", "customer_id": who, "codes": [coupon["code"]], "decision_id": answer["decision_id"],
        "lines": [{"product_id": TEAS[0]}],
    }  # fmt: skip
    first = shop.send("POST", "/v1/redemptions", body, key=key)
    counter.redis.flushdb()
    again = shop.send("POST", "/v1/redemptions", body, key=key)
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["Idempotent-Replayed"]) == (first.content, "true")
