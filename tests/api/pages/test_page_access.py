"""Publishable keys over HTTP: decisions and events of the token's own person, from listed origins, and nothing else."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import create_key, revoke_key
from app.stores.sql.access.publishable import new_token_key
from app.stores.sql.database.engine import Ledger, open_ledger
from tests.api.pages.persons import SHOP, PublishableKey, publishable_key
from tests.api.test_access import operations
from tests.support.server import serving, wait_until
from tests.support.world import World, customer, product

BOOTSTRAP_KEY = "a-key-of-decent-length"
ME, OTHER = customer("tea", 0), customer("coffee", 0)
QUESTION = {"placement": "app_home"}


@pytest.fixture(scope="module")
def settings(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The small shop with a key, and a ledger of its own."""
    ledger = f"sqlite:///{tmp_path_factory.mktemp('pages')}/ledger.db"
    return trained_world.settings.model_copy(update={"api_key": BOOTSTRAP_KEY, "database_url": ledger})


@pytest.fixture(scope="module")
def api(settings: Settings, trained_world: World) -> Iterator[httpx.Client]:
    """A client without a key."""
    with serving(settings, trained_world.redis_url) as client:
        yield client


@pytest.fixture(scope="module")
def ledger(settings: Settings, api: httpx.Client) -> Iterator[Ledger]:
    """The ledger of that service, which has started by then."""
    opened = open_ledger(settings.ledger_url)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shop(ledger: Ledger, api: httpx.Client) -> PublishableKey:
    """The key of the shop's pages, whose persons may ask as often as the tests like."""
    made = publishable_key(ledger, SHOP, "http://localhost:3000", per_second=10_000)
    assert decide(api, made, customer_id=ME).status_code == 200
    return made


@pytest.fixture(scope="module")
def app(ledger: Ledger) -> PublishableKey:
    """The key of the shop's app."""
    return publishable_key(ledger, client="app", per_second=10_000)


def decide(
    api: httpx.Client,
    key: PublishableKey,
    body: dict[str, Any] | None = None,
    *,
    origin: str | None = SHOP,
    **claims: Any,
) -> httpx.Response:
    return api.post("/v1/decisions", json=QUESTION | (body or {}), headers=key.headers(origin=origin, **claims))


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def an_event(**fields: Any) -> dict[str, Any]:
    return {"id": uuid4().hex, "type": "view_item", "time": datetime.now(UTC).isoformat(),
            "product_id": product("tea", 0)} | fields  # fmt: skip


def report(api: httpx.Client, key: PublishableKey, *rows: Any, **claims: Any) -> list[tuple[str, str | None]]:
    answer = api.post("/v1/events", json={"events": list(rows)}, headers=key.headers(**claims))
    assert answer.status_code == 202, answer.text
    return [(row["status"], row["code"]) for row in answer.json()["results"]]


def test_page_gets_the_decision_of_its_own_person(api: httpx.Client, shop: PublishableKey) -> None:
    for body in ({}, {"customer_id": ME}):
        answer = decide(api, shop, body, customer_id=ME)
        assert answer.status_code == 200
        document = answer.json()
        assert {one["product_id"].split("-")[0] for one in document["propositions"]} == {"tea"}
    assert decide(api, shop, customer_id=OTHER).json()["propositions"][0]["product_id"].startswith("coffee")


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8"])
def test_neither_way_of_a_decision_leads_to_another_person(
    api: httpx.Client, shop: PublishableKey, content_type: str
) -> None:
    # The second content type keeps a question from the fast path.
    for body in (f'{{"customer_id": "{OTHER}"}}', f'{{"customer_id": "{ME}", "customer_id": "{OTHER}"}}',
                 '{"anonymous_id": "visitor-1"}'):  # fmt: skip
        sent = body.replace("{", '{"placement": "app_home", ', 1)
        headers = shop.headers(customer_id=ME) | {"Content-Type": content_type}
        assert code_of(api.post("/v1/decisions", content=sent, headers=headers)) == (403, "other_person")
    headers = shop.headers(customer_id=ME) | {"Content-Type": content_type}
    own = api.post("/v1/decisions", content=b'{"placement": "app_home"}', headers=headers)
    assert own.json()["propositions"][0]["product_id"].startswith("tea")
    chunked = api.post("/v1/decisions", content=iter([b'{"customer_id":', f'"{OTHER}"}}'.encode()]), headers=headers)
    assert code_of(chunked) == (403, "other_person")


def test_page_learns_nothing_that_is_the_retailer_s(api: httpx.Client, shop: PublishableKey) -> None:
    for field in ({"explain": True}, {"objective": "margin"}, {"context": {"now": "2027-01-01T00:00:00Z"}}):
        assert code_of(decide(api, shop, field, customer_id=ME)) == (403, "not_for_pages")
    document = decide(api, shop, customer_id=ME).json()
    assert {one["expected_value"] for one in document["propositions"]} == {None}
    assert "trace" not in document
    as_server = {"Authorization": f"Bearer {BOOTSTRAP_KEY}"}
    of_the_server = api.post("/v1/decisions", json=QUESTION | {"customer_id": ME}, headers=as_server).json()
    assert None not in [one["expected_value"] for one in of_the_server["propositions"]]


def test_malformed_bodies_get_the_answers_that_they_always_get(api: httpx.Client, shop: PublishableKey) -> None:
    headers = shop.headers(customer_id=ME) | {"Content-Type": "application/json"}
    for body, expected in (
        (b"{", (400, "malformed_json")),
        (b"[]", (422, "invalid_request")),
        (b"{}", (422, "invalid_request")),
        (b'{"placement": "attic"}', (422, "unknown_placement")),
    ):
        assert code_of(api.post("/v1/decisions", content=body, headers=headers)) == expected, body
    plain = headers | {"Content-Type": "text/plain"}
    assert code_of(api.post("/v1/decisions", content=b"{}", headers=plain)) == (415, "unsupported_media_type")
    assert code_of(api.post("/v1/decisions", headers=shop.headers(customer_id=ME)))[0] in (400, 422)


def test_publishable_key_opens_no_other_route(api: httpx.Client, shop: PublishableKey) -> None:
    headers = shop.headers(customer_id=ME)
    seen = 0
    for method, path, operation in operations(api):
        if "x-endcap-scope" not in operation or path in ("/v1/decisions", "/v1/events"):
            continue
        address = path.replace("{customer_id}", ME).replace("{", "").replace("}", "")
        answer = api.request(method, address, headers=headers)
        assert code_of(answer) == (403, "not_for_pages"), (method, path)
        assert "access-control-allow-origin" not in answer.headers
        seen += 1
    assert seen > 30
    for method, path in (("PUT", "/v1/decisions"), ("GET", "/v1/events"), ("GET", "/v1/attic"), ("GET", "/docs/x")):
        assert api.request(method, path, headers=headers).status_code == 403


def test_key_without_token_and_token_without_key_get_clear_answers(
    api: httpx.Client, ledger: Ledger, shop: PublishableKey
) -> None:
    _, secret = create_key(ledger, "server", [Scope.DECIDE], per_second=None, now=datetime.now(UTC))
    token = shop.token(customer_id=ME)
    body = QUESTION | {"customer_id": ME}

    def answer(authorization: str | None, key: str | None) -> tuple[int, str, str]:
        headers = {"Origin": SHOP} | ({} if key is None else {"X-API-Key": key})
        headers |= {} if authorization is None else {"Authorization": authorization}
        found = api.post("/v1/decisions", json=body, headers=headers)
        return found.status_code, found.json().get("code"), found.json().get("detail", "")

    assert answer(None, shop.key)[:2] == (401, "token_missing")
    assert answer(f"Bearer {shop.key}", None)[:2] == (401, "token_missing")
    assert answer(f"Basic {token}", shop.key)[:2] == (401, "token_missing")
    assert answer(f"Bearer {secret}", shop.key)[:2] == (401, "invalid_token")
    for key in (None, secret, "endcap_unknown"):
        status, code, detail = answer(f"Bearer {token}", key)
        assert (status, code) == (401, "unauthorized")
        assert "a token is no key" in detail
    assert answer(f"Bearer {secret}", None)[0] == 200
    assert answer(None, secret)[0] == 200
    assert answer(f"Bearer {token}", shop.key + "x")[:2] == (401, "unauthorized")


FORGED: dict[str, Callable[[PublishableKey], str]] = {
    "ended": lambda key: key.token(customer_id=ME, iat=int(time()) - 900, exp=int(time()) - 120),
    "without an end": lambda key: key.token(customer_id=ME, exp=None),
    "too long a life": lambda key: key.token(customer_id=ME, exp=int(time()) + 7200),
    "issued in the future": lambda key: key.token(customer_id=ME, iat=int(time()) + 900, exp=int(time()) + 1200),
    "for another service": lambda key: key.token(customer_id=ME, aud="payments"),
    "for nobody": lambda key: key.token(),
    "by another key": lambda key: jwt.encode(
        {"aud": "endcap", "iat": int(time()), "exp": int(time()) + 60, "customer_id": ME}, new_token_key()[0], "ES256"
    ),
    "tampered": lambda key: ".".join(
        (key.token(customer_id=ME).split(".")[0], *key.token(customer_id=OTHER).split(".")[1:2], "A" * 86)
    ),
    "without a signature": lambda key: key.token(customer_id=ME).rsplit(".", 1)[0] + ".",
    "too large": lambda key: key.token(customer_id=ME, more="x" * 6000),
}
"""All that tests/unit/api/pages/test_tokens.py lists is refused by the same call."""


@pytest.mark.parametrize("forgery", FORGED)
def test_forged_token_gets_a_stable_code_that_the_page_can_read(
    api: httpx.Client, shop: PublishableKey, forgery: str
) -> None:
    for path in ("/v1/decisions", "/v1/events"):
        answer = api.post(path, json=QUESTION, headers=shop.headers(token=FORGED[forgery](shop)))
        assert code_of(answer) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.headers["access-control-allow-origin"] == SHOP


def test_token_of_a_megabyte_is_refused_before_anything_is_done(api: httpx.Client, shop: PublishableKey) -> None:
    answer = api.post("/v1/decisions", json=QUESTION, headers=shop.headers(token="x." * 500_000))
    assert answer.status_code == 431


def test_token_of_another_client_opens_nothing(api: httpx.Client, shop: PublishableKey, app: PublishableKey) -> None:
    assert code_of(decide(api, shop, token=app.token(customer_id=ME))) == (401, "invalid_token")


def test_page_of_an_origin_that_is_not_listed_is_refused_and_reads_nothing(
    api: httpx.Client, shop: PublishableKey
) -> None:
    for origin in ("https://evil.example", "https://shop.example.evil.example", "http://shop.example", "null",
                   "https://shop.example:8443", None):  # fmt: skip
        answer = decide(api, shop, origin=origin, customer_id=ME)
        assert code_of(answer) == (403, "origin_not_allowed"), origin
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert decide(api, shop, origin="http://localhost:3000", customer_id=ME).status_code == 200


def test_key_of_an_app_is_for_no_page(api: httpx.Client, shop: PublishableKey, app: PublishableKey) -> None:
    assert decide(api, app, origin=None, customer_id=ME).status_code == 200
    # A page that is listed with another key may read why.
    answer = decide(api, app, origin=SHOP, customer_id=ME)
    assert code_of(answer) == (403, "origin_not_allowed")
    assert "is for apps" in answer.json()["detail"]


def test_preflight_is_answered_for_listed_origins_on_the_two_routes(api: httpx.Client, shop: PublishableKey) -> None:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-api-key"}
    for path in ("/v1/decisions", "/v1/events"):
        answer = api.options(path, headers={"Origin": SHOP} | asks)
        assert (answer.status_code, answer.content) == (204, b"")
        allowed = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
        assert allowed == {
            "access-control-allow-origin": SHOP,
            "access-control-allow-methods": "POST",
            "access-control-allow-headers": "authorization, content-type, priority, x-api-key, x-deadline-ms, "
            "x-request-id",
            "access-control-max-age": "600",
            "access-control-expose-headers": "retry-after, x-request-id",
        }
        assert answer.headers["vary"] == "Origin"
        assert api.options(path, headers={"Origin": "https://evil.example"} | asks).status_code == 401
        assert api.options(path).status_code == 401
    wallet = api.options(f"/v1/customers/{ME}/wallet", headers={"Origin": SHOP} | asks)
    assert wallet.status_code == 401
    assert "access-control-allow-origin" not in wallet.headers


def test_every_answer_to_a_listed_page_can_be_read(api: httpx.Client, ledger: Ledger, shop: PublishableKey) -> None:
    slow = publishable_key(ledger, SHOP, client="slow", per_second=1)
    answers = [
        decide(api, shop, customer_id=ME),
        decide(api, shop, {"customer_id": OTHER}, customer_id=ME),
        decide(api, shop, token="x"),
        decide(api, shop, {"size": -1}, customer_id=ME),
        api.post("/v1/events", json={"events": [an_event()]}, headers=shop.headers(customer_id=ME)),
        api.post("/v1/decisions", content=b"x" * 1_500_000, headers=shop.headers(customer_id=ME)),
        api.post("/v1/decisions", json=QUESTION, headers={"Origin": SHOP}),
        next(one for _ in range(20) if (one := decide(api, slow, customer_id=ME)).status_code == 429),
    ]
    assert [one.status_code for one in answers] == [200, 403, 401, 422, 202, 413, 401, 429]
    for one in answers:
        assert one.headers["access-control-allow-origin"] == SHOP
        assert one.headers["vary"] == "Origin"
        assert "access-control-allow-credentials" not in one.headers
    assert answers[-1].headers["retry-after"] == "1"


def test_no_page_is_named_to_callers_without_an_origin(api: httpx.Client) -> None:
    answer = api.post("/v1/decisions", json=QUESTION, headers={"X-API-Key": BOOTSTRAP_KEY})
    assert not [name for name in answer.headers if name.startswith("access-control") or name == "vary"]


def test_overloaded_service_is_a_readable_503_to_a_page(settings: Settings, trained_world: World) -> None:
    with serving(settings, trained_world.redis_url, busy_count=1000) as busy:
        own = open_ledger(settings.ledger_url)
        key = publishable_key(own, SHOP, client="busy-shop")
        own.close()
        wait_until(lambda: busy.options("/v1/decisions", headers={"Origin": SHOP}).status_code == 204, "keys are read")
        for headers in ({}, {"Connection": "close"}):
            answer = busy.post("/v1/decisions", json=QUESTION, headers=key.headers(customer_id=ME) | headers)
            assert code_of(answer) == (503, "overloaded")
            assert answer.headers["access-control-allow-origin"] == SHOP
            other = busy.post("/v1/decisions", json=QUESTION, headers={"Origin": "https://evil.example"} | headers)
            assert "access-control-allow-origin" not in other.headers


def test_each_person_has_a_rate_of_their_own(api: httpx.Client, ledger: Ledger) -> None:
    key = publishable_key(ledger, SHOP, client="default-rate")
    answers = [decide(api, key, customer_id=ME) for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:5]] == [200] * 5
    assert code_of(refused[0]) == (429, "rate_limited")
    assert decide(api, key, customer_id=OTHER).status_code == 200
    assert decide(api, key, customer_id=None, anonymous_id=ME).status_code == 200


def test_page_reports_what_its_person_does(api: httpx.Client, shop: PublishableKey) -> None:
    rows = [an_event(), an_event(customer_id=ME), an_event(customer_id=OTHER), an_event(anonymous_id="visitor-1")]
    assert report(api, shop, *rows, customer_id=ME) == [
        ("accepted", None),
        ("accepted", None),
        ("rejected", "other_person"),
        ("rejected", "other_person"),
    ]


def test_what_a_page_reports_counts_for_its_person(api: httpx.Client, shop: PublishableKey) -> None:
    visitor = uuid4().hex
    assert report(api, shop, an_event(product_id=product("coffee", 3)), anonymous_id=visitor) == [("accepted", None)]
    [first, *_] = decide(api, shop, anonymous_id=visitor).json()["propositions"]
    assert first["product_id"].startswith("coffee")


@pytest.mark.parametrize(
    "kind", ["purchase", "refund", "payment_failed", "inventory_changed", "price_changed", "x", None]
)
def test_what_only_the_retailer_knows_is_rejected_row_by_row(
    api: httpx.Client, shop: PublishableKey, kind: str | None
) -> None:
    rows = [an_event(type=kind, store_id="s0", available=5.0), an_event(), "no row"]
    assert report(api, shop, *rows, customer_id=ME) == [
        ("rejected", "type_not_allowed"),
        ("accepted", None),
        ("rejected", "invalid_event"),
    ]


def test_page_uses_up_no_event_id_of_anybody_else(api: httpx.Client, shop: PublishableKey, ledger: Ledger) -> None:
    row = an_event()
    assert report(api, shop, row, customer_id=ME) == [("accepted", None)]
    assert report(api, shop, row, customer_id=ME) == [("duplicate", None)]
    assert report(api, shop, row, customer_id=OTHER) == [("accepted", None)]
    _, secret = create_key(ledger, "web-shop", [Scope.INGEST], per_second=None, now=datetime.now(UTC))
    from_server = {"events": [row | {"customer_id": ME}]}
    answer = api.post("/v1/events", json=from_server, headers={"X-API-Key": secret})
    assert [one["status"] for one in answer.json()["results"]] == ["accepted"]


def test_revoked_key_lets_no_page_in_and_its_origins_go_with_it(api: httpx.Client, ledger: Ledger) -> None:
    origin = "https://closing.example"
    key = publishable_key(ledger, origin, client="closing")
    assert decide(api, key, origin=origin, customer_id=ME).status_code == 200
    asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert api.options("/v1/decisions", headers=asks).status_code == 204
    revoke_key(ledger, key.key_id, now=datetime.now(UTC))
    wait_until(
        lambda: decide(api, key, origin=origin, customer_id=ME).status_code == 401, "the key is refused", timeout_s=3
    )
    assert api.options("/v1/decisions", headers=asks).status_code == 401


def test_refusals_are_counted_by_their_code(api: httpx.Client, shop: PublishableKey) -> None:
    decide(api, shop, token="x")
    decide(api, shop, {"customer_id": OTHER}, customer_id=ME)
    metrics = api.get("/metrics").text
    for code in ("invalid_token", "other_person"):
        assert f'endcap_refusals_total{{code="{code}"}}' in metrics
