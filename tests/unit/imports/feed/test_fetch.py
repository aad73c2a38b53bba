"""A file by its URL comes whole or not at all, and only when it changed."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.imports.feed.fetch import FeedUnavailable, Validators, fetch, url_of
from tests.unit.imports.feed.web import Web, serving_web

LIMIT = 1000


@pytest.fixture
def web() -> Iterator[Web]:
    with serving_web() as web:
        web.content = b"id\ttitle\n1\tone\n"
        yield web


def test_file_comes_once_and_again_when_it_changed(web: Web, tmp_path: Path) -> None:
    first = fetch(web.url, tmp_path, max_bytes=LIMIT)
    assert first is not None
    assert (first.path.name, first.path.read_bytes()) == ("products.tsv", web.content)
    assert fetch(web.url, tmp_path, max_bytes=LIMIT, known=first.validators) is None
    web.content += b"2\ttwo\n"
    again = fetch(web.url, tmp_path, max_bytes=LIMIT, known=first.validators)
    assert again is not None
    assert again.path.read_bytes() == web.content
    assert web.statuses == [200, 304, 200]


def test_server_without_etag_says_what_is_newer(web: Web, tmp_path: Path) -> None:
    fetch(web.url, tmp_path, max_bytes=LIMIT, known=Validators(None, "Sat, 28 Nov 2026 10:00:00 GMT"))
    assert web.requests[0]["If-Modified-Since"] == "Sat, 28 Nov 2026 10:00:00 GMT"


def test_file_that_comes_in_part_is_none(web: Web, tmp_path: Path) -> None:
    web.cut_bytes = 5
    with pytest.raises(FeedUnavailable, match="10 of 15 bytes"):
        fetch(web.url, tmp_path, max_bytes=LIMIT)


def test_file_that_is_too_large_is_not_fetched(web: Web, tmp_path: Path) -> None:
    with pytest.raises(FeedUnavailable, match="more than 9 bytes"):
        fetch(web.url, tmp_path, max_bytes=9)


def test_error_names_the_status_and_no_password(web: Web, tmp_path: Path) -> None:
    web.status = 403
    url = web.url.replace("://", "://shop:s3cret@")
    with pytest.raises(FeedUnavailable, match="answered 403") as error:
        fetch(url, tmp_path, max_bytes=LIMIT)
    assert "s3cret" not in error.value.message
    assert web.requests[0]["Authorization"] == "Basic c2hvcDpzM2NyZXQ="


def test_password_goes_to_no_other_host(web: Web, tmp_path: Path) -> None:
    with serving_web() as other:
        other.content = b"x"
        web.status, web.location = 302, other.url
        found = fetch(web.url.replace("://", "://shop:s3cret@"), tmp_path, max_bytes=LIMIT)
        assert found is not None
        assert "Authorization" in web.requests[0]
        assert "Authorization" not in other.requests[0]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://127.0.0.1/x"])
def test_no_redirect_leads_to_another_scheme(web: Web, tmp_path: Path, location: str) -> None:
    web.status, web.location = 302, location
    with pytest.raises(FeedUnavailable, match=r"not (followed|allowed)"):
        fetch(web.url, tmp_path, max_bytes=LIMIT)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "https://", "products.csv"])
def test_only_the_web_is_fetched_from(tmp_path: Path, url: str) -> None:
    with pytest.raises(FeedUnavailable, match="http://"):
        fetch(url, tmp_path, max_bytes=LIMIT)


def test_server_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(FeedUnavailable, match="timed out"):
            fetch(url, tmp_path, max_bytes=LIMIT, answer_s=0.1)


def test_url_is_known_though_a_path_has_lost_a_slash() -> None:
    assert url_of(Path("https://host/a.xml?b=c")) == "https://host/a.xml?b=c"
    assert url_of(Path("https/host")) is None
