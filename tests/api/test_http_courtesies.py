"""What callers may take for granted of HTTP: HEAD, schemes in any case, content types that are explained."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from app.settings import Settings
from tests.support.server import serving

KEY = "a-key-of-decent-length"
JSON = "application/json"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[httpx.Client]:
    """A service with a key, which the client sends."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("http"), api_key=KEY)
    with serving(settings, valkey_server) as client:
        client.headers["Authorization"] = f"Bearer {KEY}"
        yield client


def an_event() -> str:
    now = datetime.now(UTC).isoformat()
    return f'{{"events": [{{"id": "{now}", "type": "search", "time": "{now}", "customer_id": "900"}}]}}'


@pytest.mark.parametrize(
    "content_type", [JSON, "application/json; charset=utf-8", "text/plain;charset=UTF-8", "Text/Plain"]
)
def test_events_come_as_json_and_as_browsers_beacons_send_it(api: httpx.Client, content_type: str) -> None:
    answer = api.post("/v1/events", content=an_event(), headers={"Content-Type": content_type})
    assert (answer.status_code, answer.json()["results"][0]["status"]) == (202, "accepted")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/decisions"])
def test_byte_order_mark_before_a_body_does_no_harm(api: httpx.Client, path: str) -> None:
    body = an_event() if path == "/v1/events" else '{"customer_id": "900", "placement": "app_home"}'
    answer = api.post(path, content=b"\xef\xbb\xbf" + body.encode(), headers={"Content-Type": JSON})
    assert answer.status_code in (200, 202), answer.text


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/v1/events", "application/x-www-form-urlencoded"),
        ("/v1/events", None),
        ("/v1/decisions", "text/plain"),
        ("/v1/decisions", "application/xml"),
        ("/v1/redemptions", "multipart/form-data; boundary=x"),
    ],
)
def test_other_content_types_learn_what_to_send(api: httpx.Client, path: str, content_type: str | None) -> None:
    headers = {"Idempotency-Key": "typed"} | ({} if content_type is None else {"Content-Type": content_type})
    answer = api.post(path, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in answer.json()["detail"]
    assert api.post(path, headers=headers).status_code == 422, "without a body its type is not what is wrong"


def test_head_is_get_without_its_body(api: httpx.Client) -> None:
    for path in ("/healthz", "/metrics", "/openapi.json", "/v1/customers/900/wallet", "/v1/nothing"):
        head, get = api.head(path), api.get(path)
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["content-type"] == get.headers["content-type"]
    assert api.head("/v1/decisions").status_code == 405
    assert httpx.head(f"{api.base_url}/v1/customers/900/wallet").status_code == 401


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer"])
def test_scheme_of_the_key_may_be_written_in_any_case(api: httpx.Client, scheme: str) -> None:
    question = {"customer_id": "900", "placement": "app_home"}
    for header in (f"{scheme} {KEY}", f"{scheme}   {KEY}"):
        assert api.post("/v1/decisions", json=question, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("header", [KEY, f"Basic {KEY}", f"Bearer{KEY}", "Bearer"])
def test_other_schemes_are_no_key(api: httpx.Client, header: str) -> None:
    assert api.get("/v1/nothing", headers={"Authorization": header}).status_code == 401
