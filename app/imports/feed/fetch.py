"""Fetches a file by its URL: only what changed, only http and https, bounded in bytes and seconds."""

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from time import monotonic
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from app import __version__
from app.errors import EndcapError

ANSWER_S = 30.0
"""So long a server may say nothing."""
WHOLE_S = 600.0
PIECE_BYTES = 2**20
NOT_MODIFIED = 304
SCHEMES = ("http", "https")


class FeedUnavailable(EndcapError):
    """A file could not be fetched by its URL, or not as a whole."""

    code = "feed_unavailable"


@dataclass(frozen=True, slots=True)
class Validators:
    """By what a server knows which version of a file is here."""

    etag: str | None = None
    modified: str | None = None

    def headers(self) -> dict[str, str]:
        """As a request sends them."""
        given = {"If-None-Match": self.etag, "If-Modified-Since": self.modified}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Fetched:
    """The file, and by what its next version is known."""

    path: Path
    validators: Validators


def url_of(named: Path) -> str | None:
    """The URL that somebody wrote where a path is expected, which made one slash of two; None for a path."""
    found = re.fullmatch(r"(https?):/+(.+)", str(named))
    return f"{found[1]}://{found[2]}" if found else None


def fetch(
    url: str,
    folder: Path,
    *,
    max_bytes: int,
    known: Validators | None = None,
    clock: Callable[[], float] = monotonic,
    answer_s: float = ANSWER_S,
) -> Fetched | None:
    """The file of this URL, in the folder under its own name; None where it is the `known` one still.

    A user and password in the URL are sent as Basic authentication, and to no other host. Raises FeedUnavailable.
    """
    parts = urlsplit(url)
    where = f"{parts.hostname}{parts.path}"
    request = _request(parts, known or Validators())
    until = clock() + WHOLE_S
    try:
        with build_opener(_Redirects()).open(request, timeout=answer_s) as answer:
            path = folder / _name_of(parts)
            with path.open("wb") as file:
                size = _copied(answer, file, max_bytes=max_bytes, is_late=lambda: clock() > until)
            _check_whole(answer.headers, size)
            return Fetched(path, Validators(answer.headers["ETag"], answer.headers["Last-Modified"]))
    except HTTPError as error:
        error.close()
        if error.code == NOT_MODIFIED:
            return None
        raise FeedUnavailable(f"{where} answered {error.code} {error.reason}; look at its address and access") from None
    except (URLError, HTTPException, OSError, ValueError) as error:
        why = error.reason if isinstance(error, URLError) else error
        raise FeedUnavailable(f"{where} cannot be fetched ({why}); it is tried again") from None


def _request(parts: SplitResult, known: Validators) -> Request:
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise FeedUnavailable(f"{parts.scheme or 'nothing'} is not fetched; give a URL with http:// or https://")
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))
    # Answers packed on their way would not have the length that they state; a packed file is unpacked where it is read.
    headers = {"User-Agent": f"endcap/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    request = Request(bare, headers=headers | known.headers())
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        # Left out where the server sends us on to another one.
        request.add_unredirected_header("Authorization", f"Basic {b64encode(pair.encode()).decode()}")
    return request


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        scheme = urlsplit(newurl).scheme
        if scheme not in SCHEMES or (req.type == "https" and scheme == "http"):
            raise FeedUnavailable(f"{req.host} leads from {req.type} to {scheme or 'nothing'}, which is not followed")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _copied(source: IO[bytes], target: IO[bytes], *, max_bytes: int, is_late: Callable[[], bool]) -> int:
    size = 0
    while piece := source.read(PIECE_BYTES):
        size += len(piece)
        if size > max_bytes:
            raise ValueError(f"more than {max_bytes:,} bytes, see ENDCAP_IMPORT_MAX_BYTES")
        if is_late():
            raise ValueError(f"not complete within {WHOLE_S:.0f} s")
        target.write(piece)
    return size


def _check_whole(headers: HTTPMessage, size: int) -> None:
    stated = headers["Content-Length"]
    if stated is not None and stated.isdigit() and int(stated) != size:
        raise ValueError(f"{size:,} of {int(stated):,} bytes came")


def _name_of(parts: SplitResult) -> str:
    last = unquote(parts.path).rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[-100:] or "feed"
