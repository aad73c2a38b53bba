"""What a caller may send before and after its key is looked at: bytes, headers, seconds and connections are bounded."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.edge.boundary import MAX_BODY_BYTES
from app.api.edge.connections import MAX_HEAD_BYTES, MAX_HEADER_COUNT
from app.settings import Settings
from tests.support.server import serving

CONNECTIONS = 20
SHORT_S = 0.3
LONG_S = 60.0
HEAD = b"POST /v1/events HTTP/1.1\r\nhost: endcap\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory, valkey_server: str) -> Iterator[httpx.Client]:
    """A service whose callers have a fraction of a second for their headers and for their body."""
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("bounds"), max_connections=CONNECTIONS)
    with serving(settings, valkey_server, head_s=SHORT_S, body_s=SHORT_S) as client:
        yield client


def connected(api: httpx.Client) -> socket.socket:
    return socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=LONG_S)


def answer_to(api: httpx.Client, sent: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of what the server says to these bytes before it closes the connection."""
    with connected(api) as connection:
        connection.sendall(sent)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    received = b""
    while part := connection.recv(65536):
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    assert b"x-request-id: " in head
    return int(head.split(b" ")[1]), json.loads(body)


@pytest.mark.parametrize("path", ["/v1/events", "/v1/decisions", "/v1/redemptions"])
def test_body_that_is_too_large_is_refused_whether_its_size_was_declared_or_not(api: httpx.Client, path: str) -> None:
    chunks = [b" " * 100_000] * 20
    headers = {"Content-Type": "application/json", "Idempotency-Key": "large"}
    for content in (b"".join(chunks), iter(chunks)):
        answer = api.post(path, content=content, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (413, "request_too_large")
    assert api.get("/healthz").status_code == 200


def test_largest_body_passes_in_chunks(api: httpx.Client) -> None:
    body = b'{"events": []}'.ljust(MAX_BODY_BYTES)
    chunks = iter([body[:400_000], body[400_000:]])
    answer = api.post("/v1/events", content=chunks, headers={"Content-Type": "application/json"})
    assert answer.status_code in {202, 422}, answer.text


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nhost: endcap\r\nx: " + b"a" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: endcap\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"x: y\r\n" * (MAX_HEADER_COUNT + 1) + b"\r\n",
    ],
)
def test_too_many_bytes_of_headers_are_refused_whole_and_unfinished(api: httpx.Client, sent: bytes) -> None:
    assert answer_to(api, sent)[0] == 431
    if len(sent) > MAX_HEAD_BYTES:
        assert answer_to(api, sent[:-4])[1]["code"] == "headers_too_large"


def test_what_is_neither_header_nor_body_is_bounded(api: httpx.Client) -> None:
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    for start, more in ((b"", b"\r\n"), (chunked + b"0\r\nx: ", b"a"), (chunked + b"1;", b"a")):
        with connected(api) as connection:
            connection.sendall(start)
            with pytest.raises(ConnectionError):
                connection.sendall(more * 50_000_000)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: end",
        HEAD + b"content-length: 10\r\n\r\n{",
        HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n",
    ],
)
def test_caller_who_does_not_finish_learns_that_time_is_over(api: httpx.Client, sent: bytes) -> None:
    status, problem = answer_to(api, sent)
    assert (status, problem["code"]) == (408, "request_timeout")


def test_no_http_gets_a_problem_too(api: httpx.Client) -> None:
    status, problem = answer_to(api, b"\x16\x03\x01 hello\r\n\r\n")
    assert (status, problem["code"]) == (400, "malformed_request")


def test_half_open_connection_gives_way_to_one_that_asks_and_all_of_them_end(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path, max_connections=CONNECTIONS)
    with serving(settings, valkey, head_s=2.0, body_s=SHORT_S) as api, ExitStack() as stack:
        first, *held = [stack.enter_context(connected(api)) for _ in range(CONNECTIONS)]
        with connected(api) as one_more:
            one_more.sendall(b"GET /healthz HTTP/1.1\r\nhost: endcap\r\nconnection: close\r\n\r\n")
            assert one_more.recv(65536).startswith(b"HTTP/1.1 200")
        assert read_answer(first)[1]["code"] == "too_many_connections"
        assert {read_answer(one)[0] for one in held} == {408}
        assert api.get("/healthz").status_code == 200


def test_connections_are_turned_away_when_all_others_are_in_use(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path, max_connections=CONNECTIONS)
    with serving(settings, valkey) as api, ExitStack() as stack:
        for _ in range(CONNECTIONS):
            held = stack.enter_context(connected(api))
            held.sendall(HEAD + b"content-length: 10\r\nexpect: 100-continue\r\n\r\n")
            assert held.recv(65536).startswith(b"HTTP/1.1 100")
        with connected(api) as one_more:
            assert read_answer(one_more)[1]["code"] == "too_many_connections"


def test_caller_who_sends_on_after_the_refusal_is_cut_off(tmp_path: Path, valkey: str) -> None:
    chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    settings = Settings.load(data_dir=tmp_path)
    with serving(settings, valkey) as api, connected(api) as connection:
        connection.sendall(HEAD + b"transfer-encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            connection.sendall(chunk * 100)
