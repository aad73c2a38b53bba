"""A window into a server process: over a port of its own, what its live tables hold at this moment."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import orjson

from app.places.live import LivePlaces
from app.places.tables import LEVEL, MILLI, LiveTables
from benchmarks.places.truth import digest


def rows_of(tables: LiveTables) -> Iterator[tuple[str, str, float | None]]:
    """Store, product and how many are left, None where that is many, of all that can be had."""
    products = tables.product_ids()
    columns = np.arange(len(products))
    for store_id, row in tables.row_of.items():
        codes = tables.codes(row, columns)
        for column in (codes & LEVEL).nonzero()[0].tolist():
            left_milli = tables.left_milli(row, column, int(codes[column]))
            yield store_id, products[column], None if left_milli is None else left_milli / MILLI


def open_window(places: LivePlaces, port: int) -> None:
    """Answers with digest and staleness in a thread until the process ends."""

    class Window(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # First: the tables that are looked at are at least as new.
            staleness_s = min(places.staleness_s, 1e9)
            # A copy, because changes go on.
            body = orjson.dumps({"staleness_s": staleness_s, "digest": digest(rows_of(places.tables.copy()))})
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    Thread(target=ThreadingHTTPServer(("127.0.0.1", port), Window).serve_forever, daemon=True).start()
