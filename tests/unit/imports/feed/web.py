"""A web server with one file, which answers as servers of feeds do."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Web(ThreadingHTTPServer):
    """What it serves, and what it was sent."""

    content = b""
    status = 200
    location: str | None = None
    cut_bytes = 0
    """So many of the bytes that it states do not come."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []
        self.requests: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        """The file's address."""
        return f"http://127.0.0.1:{self.server_address[1]}/feeds/products.tsv?key=1"


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        web = self.server
        tag = f'"{hashlib.sha256(web.content).hexdigest()[:8]}"'
        web.requests.append(dict(self.headers))
        status = 304 if web.status == 200 and self.headers["If-None-Match"] == tag else web.status
        web.statuses.append(status)
        self.send_response(status)
        self.send_header("ETag", tag)
        if web.location is not None:
            self.send_header("Location", web.location)
        body = web.content if status == 200 else b""
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - web.cut_bytes])

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving_web() -> Iterator[Web]:
    """The server, until the block ends."""
    with Web() as web:
        thread = Thread(target=web.serve_forever)
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join()
