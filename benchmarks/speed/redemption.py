"""What a redemption takes over HTTP, on SQLite and on a PostgreSQL of the benchmark's own, next to an empty endpoint.

    python -m benchmarks.speed.redemption --calls 1000

One till after the other, each order of ten lines for another customer. `code`: one code under a budget and two limits;
`wallet`: the best of eight coupons that go together; `reservation` and `reserved`: the two steps of one order;
`validation`: what a code would give; `rollback`: all of it back. `empty` reads the same order and answers the same
redemption. The servers take turns.
"""

import argparse
import http.client
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import orjson
from fastapi import FastAPI, Response

from app.api.till.wire import RedemptionAnswer, RedemptionRequest
from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.support import machine
from benchmarks.support.postgres import binaries
from benchmarks.support.servers import SERVE_ENDCAP, Server, python_server
from tests.support.postgres import running_postgres

WARM_UP = 50
BLOCK = 50
CUSTOMERS_PER_CALL = 1000
LINES = [{"product_id": f"p{n}", "quantity": 1 + n % 3, "unit_price_minor": 199 + 100 * n} for n in range(10)]
LIMITS = [
    {"scope": "customer", "count": 100, "period": "day"},
    {"scope": "campaign", "count": 10**9, "period": "total"},
]
DISCOUNTS = [
    {"type": "percent", "percent": 5},
    {"type": "percent", "percent": 10, "max_discount_minor": 300},
    {"type": "amount", "amount_minor": 100},
    {"type": "amount", "amount_minor": 250},
    {"type": "n_for_m", "take": 3, "pay": 2, "max_groups": 1},
    {"type": "fixed_price", "price_minor": 150, "max_quantity": 1},
    {"type": "points", "points_per_major": 2, "point_cost_minor": 1},
    {"type": "amount", "amount_minor": 50},
]
SERVE_EMPTY = """
import os, sys, uvicorn
from benchmarks.speed.redemption import create_empty_app
uvicorn.run(create_empty_app(os.environ["EMPTY_BODY"].encode()), port=int(sys.argv[1]), log_config=None,
            access_log=False, loop="uvloop", http="httptools")
"""


def create_empty_app(body: bytes) -> FastAPI:
    """An application that reads an order and answers always the same redemption."""
    app = FastAPI()

    async def answer(_: RedemptionRequest) -> Response:
        return Response(body, 201, media_type="application/json")

    app.post("/v1/redemptions", status_code=201, response_model=RedemptionAnswer)(answer)
    return app


class Till:
    """One kept-alive connection that times what it sends, each under a key of its own."""

    def __init__(self, server: Server) -> None:
        self._connection: http.client.HTTPConnection = server.connection()
        self._count = 0
        self.taken_s: dict[str, list[float]] = {}

    def reconnect(self) -> None:
        """A fresh connection: the server has ended one that nothing was sent on for some seconds."""
        self._connection.close()
        self._connection.connect()

    def post(self, path: str, body: object, *, name: str | None = None) -> dict[str, object]:
        """The answer, timed under `name`; anything but success ends the benchmark."""
        self._count += 1
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{id(self)}-{self._count}"}
        sent = orjson.dumps(body)
        started = perf_counter()
        self._connection.request("POST", path, sent, headers)
        response = self._connection.getresponse()
        answer = response.read()
        taken_s = perf_counter() - started
        if response.status not in (200, 201):
            raise SystemExit(f"{path}: {response.status} {answer[:500]!r}")
        if name is not None:
            self.taken_s.setdefault(name, []).append(taken_s)
        result: dict[str, object] = orjson.loads(answer)
        return result


def open_shop(till: Till, count: int) -> Mapping[str, str]:
    """Customers `c0`, … with a code each, which are returned, and `w0`, … with eight coupons each."""
    terms = {"name": "Measured", "currency": "EUR", "budget_minor": 10**12, "limits": LIMITS}
    till.post("/v1/campaigns", {"campaign_id": "measured", "terms": terms})
    till.post("/v1/campaigns/measured/schedule", {})
    codes = issue(till, {"type": "amount", "amount_minor": 200}, "c", count)
    for discount in DISCOUNTS:
        issue(till, discount, "w", count, combinable=True)
    return codes


def issue(till: Till, discount: object, initial: str, count: int, **terms: object) -> dict[str, str]:
    """A new offer's coupons for so many customers: their codes."""
    body: dict[str, object] = {"terms": {"name": "Measured", "discount": discount, **terms}}
    offer_id = till.post("/v1/campaigns/measured/offers", body)["offer_id"]
    codes: dict[str, str] = {}
    for start in range(0, count, CUSTOMERS_PER_CALL):
        customer_ids = [f"{initial}{n}" for n in range(start, min(start + CUSTOMERS_PER_CALL, count))]
        body = {"offer_id": offer_id, "customer_ids": customer_ids}
        coupons = till.post("/v1/campaigns/measured/coupons", body)["coupons"]
        assert isinstance(coupons, list)
        codes |= {coupon["customer_id"]: coupon["code"] for coupon in coupons}
    return codes


def order(customer_id: str, **others: object) -> dict[str, object]:
    """An order of ten lines."""
    return {"order_id": f"order-of-{customer_id}", "customer_id": customer_id, "channel": "store", "store_id": "s1",
            "lines": LINES} | others  # fmt: skip


def sell(till: Till, codes: Mapping[str, str], number: int) -> None:
    """One customer of each kind, timed unless it is for warming up."""
    by_code, by_wallet, by_reservation = f"c{2 * number}", f"w{number}", f"c{2 * number + 1}"

    def timed(name: str) -> str | None:
        return name if number >= WARM_UP else None

    named = order(by_code, codes=[codes[by_code]])
    question = {name: value for name, value in named.items() if name != "order_id"}
    till.post("/v1/validations", question, name=timed("validation"))
    redeemed = till.post("/v1/redemptions", named, name=timed("code"))
    till.post("/v1/redemptions", order(by_wallet, wallet=True), name=timed("wallet"))
    request = order(by_reservation, codes=[codes[by_reservation]])
    reserved = till.post("/v1/reservations", request, name=timed("reservation"))
    own = order(by_reservation, reservation_id=reserved["reservation_id"])
    till.post("/v1/redemptions", own, name=timed("reserved"))
    till.post(f"/v1/redemptions/{redeemed['redemption_id']}/rollback", {}, name=timed("rollback"))


def measure(folder: Path, redis_url: str, database_urls: Mapping[str, str | None], calls: int) -> dict[str, object]:
    """Quantiles of every step on every engine, and the medians' ratios to the empty endpoint."""
    with ExitStack() as stack:
        tills, codes = {}, {}
        for engine, database_url in database_urls.items():
            environment = {"ENDCAP_REDIS_URL": redis_url, "ENDCAP_DATA_DIR": str(folder)}
            if database_url is not None:
                environment["ENDCAP_DATABASE_URL"] = database_url
            tills[engine] = Till(stack.enter_context(python_server(SERVE_ENDCAP, environment)))
            codes[engine] = open_shop(tills[engine], 2 * (calls + WARM_UP))
        tills["sqlite"].reconnect()
        sample = tills["sqlite"].post("/v1/redemptions", order("w0", wallet=True))
        body = {"EMPTY_BODY": orjson.dumps(sample).decode()}
        empty = Till(stack.enter_context(python_server(SERVE_EMPTY, body)))
        for start in range(1, calls + WARM_UP, BLOCK):
            numbers = range(start, min(start + BLOCK, calls + WARM_UP))
            for engine, till in tills.items():
                till.reconnect()
                for number in numbers:
                    sell(till, codes[engine], number)
            empty.reconnect()
            for number in numbers:
                name = "empty" if number >= WARM_UP else None
                empty.post("/v1/redemptions", order(f"w{number}", wallet=True), name=name)
        floor_s = statistics.median(empty.taken_s["empty"])
        return {
            "calls_each": calls,
            "empty": summary(empty.taken_s["empty"], floor_s),
            **{
                engine: {name: summary(taken_s, floor_s) for name, taken_s in till.taken_s.items()}
                for engine, till in tills.items()
            },
        }


def summary(taken_s: Sequence[float], floor_s: float) -> dict[str, float]:
    """Milliseconds, and how many empty answers the median is."""
    cuts = statistics.quantiles(taken_s, n=100)
    return {
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "max_ms": round(max(taken_s) * 1000, 1),
        "ratio_to_empty": round(cuts[49] / floor_s, 1),
    }


@contextmanager
def databases() -> Iterator[Mapping[str, str | None]]:
    """SQLite in the data directory, and PostgreSQL where it is installed."""
    programs = binaries()
    if programs is None:
        yield {"sqlite": None}
        return
    with running_postgres(programs) as server, server.database() as url:
        yield {"sqlite": None, "postgresql": url}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="where the SQLite file is to lie; default: a temporary folder")
    given = parser.parse_args()
    facts = machine.facts()
    with TemporaryDirectory(dir=given.folder) as name, databases() as database_urls:
        settings = Settings.load(data_dir=Path(name))
        # A server of another installation, or its database, is nothing to measure on.
        os.environ.pop("ENDCAP_DATABASE_URL", None)
        with redis_for(settings) as redis_url:
            found = measure(Path(name), redis_url, database_urls, given.calls)
    machine.show({"benchmark": "redemption", **facts, **found})


if __name__ == "__main__":
    main()
