"""What a front end sees of decisions, over HTTP on a real Valkey."""

from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest

from tests.api.conftest import Ask
from tests.support.world import PRODUCTS_PER_TASTE, customer, product

NOW = "2026-10-01T00:00:00Z"


def ids(answer: dict[str, Any]) -> list[str]:
    return [proposition["product_id"] for proposition in answer["propositions"]]


def test_known_customer_gets_the_staple_first_with_the_reason(ask: Ask) -> None:
    answer = ask(customer_id=customer("tea", 3), context={"now": NOW})
    first = answer["propositions"][0]
    assert first["product_id"] == product("tea", 3)
    assert first["reasons"] == [{"code": "buy_again", "text": "You buy this about every 7 days, last 8 days ago"}]
    assert first["name"] == "The tea-3"
    assert answer["degraded"] == []


def test_taste_decides_when_purchases_are_excluded(ask: Ask, new_id: str) -> None:
    answer = ask(anonymous_id=new_id, size=5, context={"recent": [product("coffee", 1), product("coffee", 2)]})
    assert all(name.startswith("coffee") for name in ids(answer))


def test_ranks_count_from_one_and_scores_never_rise(ask: Ask) -> None:
    propositions = ask(customer_id=customer("tea", 1), size=20)["propositions"]
    assert [proposition["rank"] for proposition in propositions] == list(range(1, 21))
    scores = [proposition["score"] for proposition in propositions]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < proposition["probability"] < 1 for proposition in propositions)
    assert len(set(ids({"propositions": propositions}))) == 20


def test_purchased_products_are_excluded_on_request(ask: Ask) -> None:
    answer = ask(customer_id=customer("tea", 3), exclude=["purchased"], size=10)
    assert product("tea", 3) not in ids(answer)


def test_unknown_customer_gets_a_flagged_answer(ask: Ask, new_id: str) -> None:
    answer = ask(customer_id=new_id)
    assert answer["degraded"] == ["customer_unknown"]
    assert len(ids(answer)) == 10


def test_new_anonymous_visitor_is_answered_without_a_flag(ask: Ask, new_id: str) -> None:
    answer = ask(anonymous_id=new_id)
    assert answer["degraded"] == []
    assert len(ids(answer)) == 10


def test_products_that_left_the_catalogue_are_flagged_and_ignored(ask: Ask) -> None:
    known = ask(customer_id=customer("tea", 3), context={"now": NOW})
    answer = ask(customer_id=customer("tea", 3), context={"now": NOW, "recent": ["gone-for-good"]})
    assert answer["degraded"] == ["products_unknown"]
    assert ids(answer) == ids(known)


def test_filter_admits_only_its_values(ask: Ask) -> None:
    answer = ask(customer_id=customer("tea", 3), size=40, filters={"department": ["COFFEE"]}, context={"now": NOW})
    assert all(name.startswith("coffee") for name in ids(answer))
    assert len(ids(answer)) == PRODUCTS_PER_TASTE
    assert answer["degraded"] == ["slate_short"]


def test_filter_on_an_unknown_attribute_is_refused_by_name(api: httpx.Client) -> None:
    body = {"customer_id": "x", "placement": "app_home", "filters": {"colour": ["red"]}}
    response = api.post("/v1/decisions", json=body)
    assert response.status_code == 422
    problem = response.json()
    assert (problem["code"], problem["pointer"]) == ("unknown_filter", "/filters/colour")
    assert response.headers["content-type"] == "application/problem+json"


def test_filter_without_a_value_is_refused(api: httpx.Client) -> None:
    body = {"customer_id": "x", "placement": "app_home", "filters": {"department": []}}
    refused = api.post("/v1/decisions", json=body)
    assert (refused.status_code, refused.json()["pointer"]) == (422, "/filters/department")


def test_products_in_the_basket_are_not_proposed(ask: Ask) -> None:
    basket = [{"product_id": product("tea", number)} for number in range(5)]
    answer = ask(customer_id=customer("tea", 3), size=20, explain=True, context={"basket": basket})
    assert not set(ids(answer)) & {line["product_id"] for line in basket}
    assert answer["trace"]["dropped"]["in_basket"]["count"] > 0


def test_explain_tells_what_each_column_added(ask: Ask) -> None:
    first = ask(customer_id=customer("tea", 3), explain=True)["propositions"][0]
    assert abs(sum(first["factors"].values()) - first["score"]) < 1e-4


def test_decision_can_be_read_again_with_its_trace(api: httpx.Client, ask: Ask) -> None:
    answer = ask(customer_id=customer("tea", 3))
    again = api.get(f"/v1/decisions/{answer['decision_id']}").json()
    assert {name: again[name] for name in answer} == answer
    assert again["trace"]["candidates"]["buy_again"] > 0


def test_decision_that_was_never_made_is_not_found(api: httpx.Client) -> None:
    response = api.get("/v1/decisions/never-made")
    assert (response.status_code, response.json()["code"]) == (404, "decision_not_found")


def test_unknown_placement_names_the_known_ones(api: httpx.Client) -> None:
    response = api.post("/v1/decisions", json={"customer_id": "1", "placement": "moon"})
    problem = response.json()
    assert (response.status_code, problem["code"], problem["pointer"]) == (422, "unknown_placement", "/placement")
    assert "app_home" in problem["detail"]


def test_question_about_nobody_is_refused(api: httpx.Client) -> None:
    response = api.post("/v1/decisions", json={"placement": "app_home"})
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


def test_misspelt_field_is_refused_and_pointed_at(api: httpx.Client) -> None:
    response = api.post("/v1/decisions", json={"customer_id": "1", "placement": "app_home", "sise": 3})
    assert (response.status_code, response.json()["pointer"]) == (422, "/sise")


def test_broken_json_is_a_problem_too(api: httpx.Client) -> None:
    response = api.post("/v1/decisions", content=b"{", headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "malformed_json")


@pytest.mark.parametrize("now", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00"])
def test_instant_that_utc_cannot_tell_is_refused_and_pointed_at(api: httpx.Client, now: str) -> None:
    response = api.post("/v1/decisions", json={"customer_id": "1", "placement": "app_home", "context": {"now": now}})
    assert (response.status_code, response.json()["pointer"]) == (422, "/context/now")


def test_short_and_long_way_give_the_same_answer(api: httpx.Client) -> None:
    question = orjson.dumps({"customer_id": customer("tea", 3), "placement": "app_home", "context": {"now": NOW}})
    short, long = (
        api.post("/v1/decisions", content=question, headers={"Content-Type": kind})
        for kind in ("application/json", "application/json; charset=utf-8")
    )
    assert [name for name, _ in short.headers.items()] == [name for name, _ in long.headers.items()]
    own = {"decision_id": "", "expires_at": ""}
    assert short.json() | own == long.json() | own


def test_question_may_come_in_pieces(api: httpx.Client, ask: Ask) -> None:
    question = orjson.dumps({"customer_id": customer("tea", 3), "placement": "app_home", "context": {"now": NOW}})
    pieces = (bytes([byte]) for byte in question)
    response = api.post("/v1/decisions", content=pieces, headers={"Content-Type": "application/json"})
    assert ids(response.json()) == ids(ask(customer_id=customer("tea", 3), context={"now": NOW}))


def test_wrong_question_in_pieces_is_refused_by_name(api: httpx.Client) -> None:
    pieces = (piece for piece in (b'{"customer_id": "1", ', b'"placement": "moon"}'))
    response = api.post("/v1/decisions", content=pieces, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (422, "unknown_placement")


def test_the_past_does_not_know_later_events(api: httpx.Client, ask: Ask) -> None:
    bought = product("coffee", 7)
    row = {
        "id": "what-if-purchase",
        "type": "purchase",
        "time": datetime.now(UTC).isoformat(),
        "customer_id": customer("tea", 20),
        "product_id": bought,
    }
    assert api.post("/v1/events", json={"events": [row]}).json()["results"][0]["status"] == "accepted"
    now = ask(customer_id=customer("tea", 20), exclude=["purchased"], size=50)
    then = ask(customer_id=customer("tea", 20), exclude=["purchased"], size=50, context={"now": NOW})
    assert bought not in ids(now)
    assert bought in ids(then)


def test_features_older_than_a_week_are_used_and_flagged(ask: Ask) -> None:
    answer = ask(customer_id=customer("tea", 3), context={"now": "2026-11-01T00:00:00Z"})
    assert answer["degraded"] == ["features_stale"]
    assert answer["propositions"][0]["product_id"] == product("tea", 3)


def test_coupons_alone_give_an_empty_slate_until_there_are_any(ask: Ask) -> None:
    assert ask(customer_id=customer("tea", 3), kinds=["coupon"])["propositions"] == []
