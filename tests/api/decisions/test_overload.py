"""A service that has more decisions under way than it can make in time: refused before the application is called."""

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.support.server import serving

MANY = 1000
BODY = json.dumps({"customer_id": "c1", "placement": "app_home"}).encode()
HEAD = b"POST /v1/decisions HTTP/1.1\r\nhost: endcap\r\ncontent-type: application/json\r\nx-request-id: r1\r\n"
REQUEST = HEAD + b"content-length: %d\r\n" % len(BODY)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[httpx.Client]:
    """A service that is overloaded for as long as it runs."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("busy"))
    with serving(settings, valkey_server, busy_count=MANY, body_s=1.0) as client:
        yield client


def connected(api: httpx.Client) -> socket.socket:
    return socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=20)


def answers(connection: socket.socket, count: int) -> list[tuple[int, dict[bytes, bytes], dict[str, Any]]]:
    """Status, headers and document of each of so many answers."""
    found = []
    with connection.makefile("rb") as stream:
        for _ in range(count):
            status = int(stream.readline().split(b" ")[1])
            headers = {}
            while (line := stream.readline().rstrip()) != b"":
                name, _, value = line.partition(b": ")
                headers[name.lower()] = value
            found.append((status, headers, json.loads(stream.read(int(headers[b"content-length"])))))
    return found


def assert_overloaded(answer: tuple[int, dict[bytes, bytes], dict[str, Any]]) -> None:
    status, headers, document = answer
    assert (status, document["code"], headers[b"retry-after"]) == (503, "overloaded", b"1")
    assert headers[b"x-request-id"] == b"r1"
    assert headers[b"content-type"] == b"application/problem+json"


def test_refused_connection_goes_on(busy: httpx.Client) -> None:
    with connected(busy) as connection:
        for _ in range(3):
            connection.sendall(REQUEST + b"\r\n" + BODY)
            assert_overloaded(answers(connection, 1)[0])
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: endcap\r\n\r\n")
        assert answers(connection, 1)[0][0] == 200


def test_refusal_comes_before_the_body_which_is_dropped(busy: httpx.Client) -> None:
    with connected(busy) as connection:
        connection.sendall(REQUEST + b"\r\n" + BODY[:5])
        assert_overloaded(answers(connection, 1)[0])
        connection.sendall(BODY[5:] + b"GET /healthz HTTP/1.1\r\nhost: endcap\r\n\r\n")
        assert answers(connection, 1)[0][0] == 200


def test_rest_of_a_refused_body_has_its_time(busy: httpx.Client) -> None:
    with connected(busy) as connection:
        connection.sendall(REQUEST + b"\r\n" + BODY[:5])
        assert_overloaded(answers(connection, 1)[0])
        assert connection.recv(1) == b""


@pytest.mark.parametrize("header", [b"connection: close", b"expect: 100-continue"])
def test_caller_of_another_kind_is_refused_too(busy: httpx.Client, header: bytes) -> None:
    with connected(busy) as connection:
        connection.sendall(REQUEST + header + b"\r\n\r\n" + BODY)
        assert_overloaded(answers(connection, 1)[0])


def test_requests_sent_at_once_are_refused_one_by_one(busy: httpx.Client) -> None:
    with connected(busy) as connection:
        connection.sendall((REQUEST + b"\r\n" + BODY) * 2000)
        for answer in answers(connection, 2000):
            assert_overloaded(answer)


def test_refusals_are_counted(busy: httpx.Client) -> None:
    def count(series: str) -> float:
        lines = [line for line in busy.get("/metrics").text.splitlines() if line.startswith(series)]
        return float(lines[0].rpartition(" ")[2]) if lines else 0.0

    names = (
        'endcap_refusals_total{code="overloaded"}',
        'endcap_request_seconds_count{endpoint="/v1/decisions",status="503"}',
    )
    before = [count(name) for name in names]
    assert busy.post("/v1/decisions", json={"customer_id": "c1", "placement": "app_home"}).status_code == 503
    assert [count(name) for name in names] == [one + 1 for one in before]


def test_answered_decisions_make_room(tmp_path_factory: pytest.TempPathFactory, valkey: str) -> None:
    with serving(Settings.load(data_dir=tmp_path_factory.mktemp("free")), valkey) as free:
        for placement, status in (("app_home", 200), ("nowhere", 422)):
            for _ in range(300):
                body = {"customer_id": "c1", "placement": placement}
                assert free.post("/v1/decisions", json=body).status_code == status
