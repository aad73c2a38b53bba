"""Consent over HTTP: what was withdrawn or objected to counts from the answer on; without it nothing is personal."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import Ask
from tests.api.customers.test_identities import link, products, report
from tests.support.server import serving
from tests.support.world import World, customer, product


def say(api: httpx.Client, who: str, status: str, purpose: str = "personalization", **fields: object) -> dict[str, Any]:
    response = api.put(f"/v1/customers/{who}/consents/{purpose}", json={"status": status, "source": "app"} | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def is_personal(answer: dict[str, Any]) -> bool:
    return "consent_missing" not in answer["degraded"]


def impersonal(answer: dict[str, Any]) -> tuple[list[str], list[str]]:
    return products(answer), answer["degraded"]


@pytest.fixture(scope="module")
def strict(trained_world: World) -> Iterator[httpx.Client]:
    """A service that needs consent."""
    settings = trained_world.settings.model_copy(update={"consent": "required"})
    with serving(settings, trained_world.redis_url) as client:
        yield client


def decide(client: httpx.Client, **fields: object) -> dict[str, Any]:
    response = client.post("/v1/decisions", json={"placement": "app_home"} | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_withdrawal_makes_the_answer_that_of_nobody_and_a_grant_brings_it_back(
    api: httpx.Client, ask: Ask, new_id: str
) -> None:
    who = customer("tea", 25)
    question = {"context": {"recent": [product("tea", 2)], "basket": [{"product_id": product("tea", 1)}]}}
    before = ask(customer_id=who, **question)
    say(api, who, "withdrawn")
    assert impersonal(ask(customer_id=who, **question)) == (
        products(ask(anonymous_id=new_id)),
        ["consent_missing"],
    )
    say(api, who, "granted")
    after = ask(customer_id=who, **question)
    assert (products(after), is_personal(after)) == (products(before), True)


def test_objection_stands_against_a_later_grant_until_it_is_lifted(api: httpx.Client, ask: Ask) -> None:
    who = customer("tea", 26)
    assert api.post(f"/v1/customers/{who}/objections", json={"source": "letter"}).status_code == 200
    answer = say(api, who, "granted")
    assert answer["consents"] == [
        {"purpose": "marketing", "channels": [{"channel": None, "status": "objected"}]},
        {"purpose": "personalization", "channels": [{"channel": None, "status": "objected"}]},
    ]
    assert ask(customer_id=who)["degraded"] == ["consent_missing"]
    assert api.delete(f"/v1/customers/{who}/objections/marketing").status_code == 200
    assert is_personal(ask(customer_id=who))


def test_channel_alone_can_be_withdrawn(api: httpx.Client, ask: Ask) -> None:
    who = customer("tea", 27)
    say(api, who, "granted")
    say(api, who, "withdrawn", channel="web")
    assert ask(customer_id=who, context={"channel": "web"})["degraded"] == ["consent_missing"]
    assert is_personal(ask(customer_id=who, context={"channel": "app"}))
    assert ask(customer_id=who)["degraded"] == ["consent_missing"], "a channel that is not known may be that one"


def test_strictest_consent_of_all_names_counts_and_separating_gives_each_its_own(
    api: httpx.Client, ask: Ask, new_id: str
) -> None:
    who, cookie = customer("tea", 28), f"cookie-{new_id}"
    say(api, f"~cookie:{cookie}", "withdrawn")
    link(api, who, "cookie", cookie)
    assert ask(customer_id=who)["degraded"] == ["consent_missing"]
    api.delete(f"/v1/customers/{who}/identities/cookie/{cookie}")
    assert is_personal(ask(customer_id=who))
    assert ask(anonymous_id=cookie)["degraded"] == ["consent_missing"]


def test_silence_is_no_consent_where_it_is_required(strict: httpx.Client, new_id: str) -> None:
    who = customer("coffee", 25)
    unknown = decide(strict, anonymous_id=new_id)
    assert impersonal(decide(strict, customer_id=who)) == (products(unknown), ["consent_missing"])
    assert unknown["degraded"] == ["consent_missing"]
    say(strict, who, "granted")
    answer = decide(strict, customer_id=who)
    assert is_personal(answer)
    assert products(answer) != products(unknown)


def test_replenishment_is_personal_and_needs_consent(api: httpx.Client) -> None:
    who = customer("tea", 29)
    assert api.get(f"/v1/customers/{who}/replenishment").json()["items"]
    say(api, who, "withdrawn")
    answer = api.get(f"/v1/customers/{who}/replenishment").json()
    assert (answer["items"], answer["degraded"]) == ([], ["consent_missing"])


def test_what_was_opted_out_of_is_never_proposed(api: httpx.Client, ask: Ask) -> None:
    who = customer("coffee", 26)
    assert any(name.startswith("coffee") for name in products(ask(customer_id=who, size=40)))
    preferences = {"opted_out": {"department": ["COFFEE"]}}
    answer = api.put(f"/v1/customers/{who}/preferences", json=preferences)
    assert answer.json()["opted_out"] == {"department": ["COFFEE"]}
    assert not any(name.startswith("coffee") for name in products(ask(customer_id=who, size=40)))


def test_everything_that_was_said_is_kept_with_its_source_and_text(api: httpx.Client, new_id: str) -> None:
    say(api, new_id, "granted", "marketing_push", text_version="2026-10", time="2026-10-01T08:00:00Z")
    answer = say(api, new_id, "withdrawn", "marketing_push", source="service desk")
    assert [(one["status"], one["source"], one["text_version"]) for one in answer["history"]] == [
        ("granted", "app", "2026-10"),
        ("withdrawn", "service desk", None),
    ]
    assert answer["consents"][0]["channels"] == [{"channel": None, "status": "withdrawn"}]


def test_events_of_somebody_without_consent_are_taken_and_not_used(api: httpx.Client, ask: Ask, new_id: str) -> None:
    say(api, new_id, "withdrawn")
    view = {"id": f"v-{new_id}", "type": "view_item", "customer_id": new_id, "product_id": product("coffee", 1)}
    assert report(api, view) == ["accepted"]
    assert ask(customer_id=new_id, explain=True)["trace"]["live_event_count"] == 0
