"""Access over HTTP: every route against every scope, rotation, revocation, rates, what unknown callers learn."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain import Scope
from app.settings import Settings
from app.stores.sql.access.keys import create_key, revoke_key
from app.stores.sql.database.engine import Ledger, open_ledger
from tests.support.server import serving, wait_until

BOOTSTRAP_KEY = "a-key-of-decent-length"
OPEN = {"/healthz", "/readyz", "/metrics"}
FOR_PERSONS = {("POST", "/v1/decisions"), ("POST", "/v1/events")}
QUESTION = {"customer_id": "900", "placement": "app_home"}
Made = tuple[str, dict[str, str]]
MakeKey = Callable[..., Made]


@contextmanager
def ledger_of(settings: Settings) -> Iterator[Ledger]:
    """The service's ledger, opened as another process would: the schema is there once the service has started."""
    ledger = open_ledger(settings.ledger_url)
    yield ledger
    ledger.close()


@contextmanager
def guarded(settings: Settings, redis_url: str) -> Iterator[tuple[httpx.Client, MakeKey]]:
    """A client without a key, and how to make one: scopes in, id and header out."""
    with serving(settings, redis_url) as client, ledger_of(settings) as ledger:

        def make(*scopes: Scope, client: str = "till-12", per_second: int | None = None) -> Made:
            key_id, key = create_key(ledger, client, scopes, per_second=per_second, now=datetime.now(UTC))
            return key_id, bearer(key)

        yield client, make


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client: httpx.Client, headers: Mapping[str, str]) -> httpx.Response:
    """One sound question, which takes the direct way."""
    return client.post("/v1/decisions", json=QUESTION, headers=headers)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A service with a bootstrap key, on an empty data directory."""
    return Settings.load(data_dir=tmp_path, api_key=BOOTSTRAP_KEY)


@pytest.fixture
def service(settings: Settings, valkey: str) -> Iterator[tuple[httpx.Client, MakeKey]]:
    """That service, running."""
    with guarded(settings, valkey) as parts:
        yield parts


def operations(client: httpx.Client) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of everything in the OpenAPI document."""
    document = client.get("/openapi.json", headers=bearer(BOOTSTRAP_KEY)).json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_every_route_asks_for_its_scope_and_no_other(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    headers = {scope: make(scope, client=f"holder-of-{scope}")[1] for scope in Scope}
    seen = 0
    for method, path, operation in operations(client):
        needed = operation.get("x-endcap-scope")
        if path in OPEN:
            assert needed is None
            assert client.request(method, path).status_code not in {401, 403}
            continue
        seen += 1
        assert needed in set(Scope), f"{method} {path} declares no scope"
        by_person: list[dict[str, list[str]]] = [{"publishable_key": [], "person_token": []}]
        assert operation["security"] == [{"bearer": [needed]}, *(by_person if (method, path) in FOR_PERSONS else ())]
        assert {"401", "403", "429", "503"} <= operation["responses"].keys()
        address = path.replace("{", "").replace("}", "")
        refused = client.request(method, address)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized"), (method, path)
        for scope in Scope:
            answer = client.request(method, address, headers=headers[scope])
            if scope in {needed, Scope.ADMIN}:
                assert answer.status_code not in {401, 403}, (method, path, scope)
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), (method, path, scope)
                assert f"the scope {needed};" in answer.json()["detail"]
    assert seen >= 4


def test_direct_way_is_no_way_around(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    _, redeems = make(Scope.REDEEM)
    _, decides = make(Scope.DECIDE)
    assert [ask(client, headers).status_code for headers in ({}, redeems, decides)] == [401, 403, 200]
    assert ask(client, {"X-API-Key": BOOTSTRAP_KEY}).status_code == 200


def test_refusal_comes_before_the_body_is_looked_at(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    _, redeems = make(Scope.REDEEM)
    assert client.post("/v1/events", content=b"{no json", headers=redeems).status_code == 403
    assert client.post("/v1/events", content=b"x" * 2_000_000).status_code == 401


def test_reference_page_is_open_and_nothing_next_to_it(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    page = client.get("/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    for address in re.findall(r"(?:src|href|url)[=:]\s*['\"]([^'\"]+)", page.text):
        assert client.get(f"/{address}").status_code == 200, address
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert client.get("/docs/redoc.standalone.js").status_code == 401
    assert client.get("/docs/attic", headers=make(Scope.DECIDE)[1]).json()["code"] == "not_found"


def test_keys_rotate_without_a_gap(settings: Settings, service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    old_id, old = make(Scope.DECIDE)
    _, new = make(Scope.DECIDE)
    assert ask(client, old).status_code == ask(client, new).status_code == 200
    with ledger_of(settings) as ledger:
        revoke_key(ledger, old_id, now=datetime.now(UTC))
    wait_until(lambda: ask(client, old).status_code == 401, "the revoked key is refused", timeout_s=3)
    assert ask(client, new).status_code == 200


def test_unknown_callers_get_one_answer_whatever_they_send(settings: Settings, service: tuple[Any, MakeKey]) -> None:
    client, make = service
    key_id, revoked = make(Scope.DECIDE)
    with ledger_of(settings) as ledger:
        revoke_key(ledger, key_id, now=datetime.now(UTC))
    wait_until(lambda: ask(client, revoked).status_code == 401, "the revoked key is refused", timeout_s=3)
    answers = [
        client.request(method, path, headers=headers)
        for headers in ({}, revoked, bearer("endcap_" + "x" * 43), bearer(key_id), {"Authorization": "Basic Og=="})
        for method, path in (
            ("POST", "/v1/decisions"),
            ("GET", "/v1/nothing"),
            ("PUT", "/docs/x"),
            ("GET", "/attic"),
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}


def test_known_callers_learn_what_is_not_there(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    _, redeems = make(Scope.REDEEM)
    assert client.get("/v1/nothing", headers=redeems).json()["code"] == "not_found"
    wrong = client.put("/v1/decisions", headers=redeems)
    assert (wrong.status_code, wrong.json()["code"], wrong.headers["allow"]) == (405, "method_not_allowed", "POST")
    assert client.get("/docs", headers=redeems).status_code == 200


def test_first_key_closes_an_open_service_for_good(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path)
    with guarded(settings, valkey) as (client, make):
        assert ask(client, {}).status_code == 200
        key_id, headers = make(Scope.DECIDE)
        wait_until(lambda: ask(client, {}).status_code == 401, "the service is closed", timeout_s=3)
        assert ask(client, headers).status_code == 200
        with ledger_of(settings) as ledger:
            revoke_key(ledger, key_id, now=datetime.now(UTC))
        wait_until(lambda: ask(client, headers).status_code == 401, "the revoked key is refused", timeout_s=3)
        assert ask(client, {}).status_code == 401


def test_service_that_others_can_reach_is_never_open(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path, host="0.0.0.0")
    with serving(settings, valkey) as client:
        assert ask(client, {}).status_code == 401


def test_key_beyond_its_rate_learns_when_to_try_again(service: tuple[httpx.Client, MakeKey]) -> None:
    client, make = service
    _, slow = make(Scope.DECIDE, client="slow", per_second=1)
    _, free = make(Scope.DECIDE, client="free")
    # As many as it takes: a machine that is slow enough earns a token between two questions.
    answers = [ask(client, slow) for _ in range(20)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert (refused[0].json()["code"], refused[0].headers["retry-after"]) == ("rate_limited", "1")
    assert ask(client, free).status_code == 200
    metrics = client.get("/metrics").text
    assert f'endcap_refusals_total{{code="rate_limited"}} {len(refused)}.0' in metrics


def test_settings_limit_keys_that_have_no_rate(settings: Settings, valkey: str) -> None:
    limited = settings.model_copy(update={"key_requests_per_second": 1})
    with guarded(limited, valkey) as (client, make):
        _, own = make(Scope.DECIDE, client="own", per_second=0)
        assert 429 in {ask(client, bearer(BOOTSTRAP_KEY)).status_code for _ in range(20)}
        assert {ask(client, own).status_code for _ in range(20)} == {200}


def test_keys_are_nowhere_in_plain(
    settings: Settings, service: tuple[httpx.Client, MakeKey], caplog: pytest.LogCaptureFixture
) -> None:
    client, make = service
    caplog.set_level(logging.DEBUG)
    _, headers = make(Scope.DECIDE, Scope.INGEST)
    key = headers["Authorization"].removeprefix("Bearer ")
    assert ask(client, headers).status_code == 200
    assert client.post("/v1/events", content=b"{no json", headers=headers).status_code == 415
    as_json = headers | {"Content-Type": "application/json"}
    assert client.post("/v1/events", content=b"{no json", headers=as_json).status_code == 400
    assert client.get("/v1/nothing", headers=headers).status_code == 404
    # httpx and httpcore are the test's own client, which may log what it sends.
    logged = [vars(record) for record in caplog.records if not record.name.startswith("http")]
    assert logged
    assert key not in str(logged)
    files = [path.read_bytes() for path in settings.data_dir.rglob("*") if path.is_file()]
    assert any(b"api_keys" in content for content in files)
    assert not any(key.encode() in content for content in files)


def test_keys_hold_while_the_ledger_cannot_be_read_and_new_ones_are_not_believed(
    settings: Settings, service: tuple[httpx.Client, MakeKey]
) -> None:
    client, make = service
    _, known = make(Scope.DECIDE)
    assert ask(client, known).status_code == 200
    with ledger_of(settings) as ledger, ledger.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
    assert ask(client, known).status_code == 200
    unknown = ask(client, bearer("endcap_" + "x" * 43))
    assert (unknown.status_code, unknown.json()["code"]) == (503, "store_unavailable")
    assert ask(client, bearer(BOOTSTRAP_KEY)).status_code == 200
