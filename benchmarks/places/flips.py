"""Stock that flips: reports of sales, deliveries and counts, sent in small batches at a steady rate, and noted."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from time import monotonic, sleep
from uuid import uuid4

import orjson

from benchmarks.places.truth import Cell, Truth
from benchmarks.support.servers import Server, post

BATCH = 25
SENDERS = 2
AGAIN_S = 0.05
MOST_TRIES = 100
MANY_LEFT = 40

Report = dict[str, object]


class Flips:
    """What was sent so far; a sender that got no sound answer notes why in `problems` and stops."""

    def __init__(self) -> None:
        self.accepted_count = 0
        self.repeated_count = 0
        self.problems: list[str] = []


@contextmanager
def flipping(servers: Sequence[Server], truth: Truth, cells: Sequence[Cell], *, per_s: float) -> Iterator[Flips]:
    """The stock of these cells flips while the block runs; each cell has one sender."""
    flips, stop = Flips(), Event()
    senders = [
        Thread(
            target=_send_until,
            args=(stop, servers[number % len(servers)], truth, cells[number::SENDERS]),
            kwargs={"interval_s": SENDERS * BATCH / per_s, "seed": number, "flips": flips},
        )
        for number in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    try:
        yield flips
    finally:
        stop.set()
        for sender in senders:
            sender.join()


def _send_until(
    stop: Event, server: Server, truth: Truth, cells: Sequence[Cell], *, interval_s: float, seed: int, flips: Flips
) -> None:
    chance, connection, next_at = random.Random(seed), server.connection(), monotonic()
    try:
        while not stop.wait(max(next_at - monotonic(), 0)):
            next_at = max(next_at + interval_s, monotonic() - 1)
            chosen = chance.sample(cells, min(BATCH, len(cells)))
            flips.repeated_count += report(connection, truth, {cell: a_change(cell, truth, chance) for cell in chosen})
            flips.accepted_count += len(chosen)
    except RuntimeError as error:
        flips.problems.append(str(error))
    finally:
        connection.close()


def a_change(cell: Cell, truth: Truth, chance: random.Random) -> Report:
    """Of five reports four make a product go or come: counted, or by what was sold or delivered."""
    left, is_flip, is_counted = truth.quantities[cell], chance.random() < 0.8, chance.random() < 0.5
    if (left > 0) == is_flip:
        # Sold out; at times more was sold than was known.
        return {"available": 0} if is_counted else {"change": -max(left, 0) - chance.choice((0, 0, 1))}
    coming = chance.choice((1, 2, 3, 5, MANY_LEFT))
    return {"available": coming} if is_counted else {"change": coming - min(left, 0)}


def report(connection: HTTPConnection, truth: Truth, changes: dict[Cell, Report]) -> int:
    """Sends one change of each cell until all are safe, and notes them; how often it had to be sent again.

    Raises RuntimeError for a report that was refused.
    """
    now = datetime.now(UTC).isoformat()
    rows = [
        {"id": uuid4().hex, "type": "inventory_changed", "time": now, "store_id": cell[0], "product_id": cell[1]} | one
        for cell, one in changes.items()
    ]
    for cell, one in changes.items():
        truth.sent(cell, at=monotonic(), **{name: float(str(value)) for name, value in one.items()})
    tries = _insist(connection, orjson.dumps({"events": rows}))
    at = monotonic()
    for cell in changes:
        truth.accepted(cell, at=at)
    return tries


def _insist(connection: HTTPConnection, body: bytes) -> int:
    for tries in range(MOST_TRIES):
        try:
            status, answer = post(connection, "/v1/events", body)
        except (OSError, HTTPException):
            connection.close()
            sleep(AGAIN_S)
            continue
        results = orjson.loads(answer).get("results", ()) if status == 202 else ()
        outcomes = {(one["status"], one["code"]) for one in results}
        if outcomes and outcomes <= {("accepted", None), ("duplicate", None)}:
            return tries
        if status == 202 and ("rejected", "store_unavailable") not in outcomes:
            raise RuntimeError(f"stock was not taken: {outcomes}")
        sleep(AGAIN_S)
    raise RuntimeError(f"stock was not taken after {MOST_TRIES} tries: {status} {answer[:200]!r}")
