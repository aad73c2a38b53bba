"""What asking who calls and whether they may costs a decision: the server's own check, in-process.

    python -m benchmarks.speed.access

`open`: a service without keys; `key`: a key that may decide; `limited`: one that has a rate besides. Microseconds a
request, the best of ROUNDS, since whatever else runs on the machine only adds to it, and the median of all.
"""

import asyncio
import statistics
from collections.abc import Mapping
from time import perf_counter

from app.api.access import Access, RouteScopes
from app.api.decisions.routes import router
from app.api.limits import RequestLimit
from app.domain import Scope
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import PREFIX, Grant, KeyBook, hash_of
from benchmarks.support import machine

ROUNDS = 30
CALLS = 5000
KEY = (PREFIX + "k" * 43).encode()
WITH_KEY = {b"authorization": b"Bearer " + KEY}


async def measure(book: KeyBook, headers: Mapping[bytes, bytes]) -> dict[str, float]:
    """One caller's requests, one after the other."""
    ring = KeyRing(lambda: book, bootstrap=None, may_be_open=True, hold_s=60)
    await ring.refresh()
    access = Access(RouteScopes(router.routes), ring, RequestLimit(default_per_second=0))
    taken_us = []
    for _ in range(ROUNDS):
        requests = [{"path": "/v1/decisions", "method": "POST"} for _ in range(CALLS)]
        started = perf_counter()
        for request in requests:
            assert await access.refusal(request, headers) is None
        taken_us.append((perf_counter() - started) / CALLS * 1e6)
    await ring.aclose()
    return {"best": round(min(taken_us), 2), "median": round(statistics.median(taken_us), 2)}


def holding(per_second: int | None) -> KeyBook:
    """The one key, with this rate."""
    return KeyBook({hash_of(KEY): Grant("key_1", "shop", frozenset({Scope.DECIDE}), per_second)}, is_empty=False)


def main() -> None:
    """Prints one JSON object."""
    found = {
        "open": asyncio.run(measure(KeyBook({}, is_empty=True), {})),
        "key": asyncio.run(measure(holding(None), WITH_KEY)),
        "limited": asyncio.run(measure(holding(1_000_000), WITH_KEY)),
    }
    machine.show({"benchmark": "access", **machine.facts(), "us_per_request": found})


if __name__ == "__main__":
    main()
