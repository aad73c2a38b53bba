"""Whether thousands of wrong requests cost the service nothing: no failure, no pause, no accepted row, no cent.

    python -m benchmarks.failures.hostility --data-dir var --count 5000 --seed 0
    python -m benchmarks.failures.hostility --data-dir var --count 5000 --seed 0 --without-redis

It writes into the data directory (and the ledger of ENDCAP_DATABASE_URL): use a copy, made while nothing runs on the
original.
"""

import argparse
import http.client
import socket
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import select

from app.composition.stores import opened_ledger
from app.history import History
from app.history.rows import ROW_ID
from app.ingest.sessions import LOGIN, LOGOUT
from app.settings import Settings
from app.stores.redis.server.embedded import free_port
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.database.tables import redemptions
from benchmarks.failures.hostile_requests import HostileRequest, hostile_requests
from benchmarks.support import machine
from benchmarks.support.servers import SERVE_ENDCAP, endcap_up, python_server

PORTION = 250
"""After so many requests whatever they refer to is made again: some withdraw it."""
PATIENCE_S = 30.0
DRAIN_S = 60.0
_numbers = count(1)


@dataclass(slots=True)
class Answers:
    """What came of the requests; `faults` is empty when each was answered as it may be."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest_s: float = 0.0
    accepted: set[str] = field(default_factory=set)
    redeemed: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def note(self, request: HostileRequest, status: int, media_type: str, body: bytes, *, is_away: bool) -> None:
        """Takes one answer; with a store away, 503 is an answer too."""
        self.statuses[status] += 1
        if status >= 500 and not (is_away and status == 503):
            self.faults.append(_fault(request, f"{status} {body[:200]!r}"))
        document: Any = {}
        if media_type in ("application/json", "application/problem+json"):
            try:
                document = orjson.loads(body)
            except orjson.JSONDecodeError as error:
                self.faults.append(_fault(request, f"{status} with a body that is no JSON: {error}"))
        if status >= 400 and (media_type != "application/problem+json" or "code" not in document):
            self.faults.append(_fault(request, f"{status} without a problem document: {body[:200]!r}"))
        if status == 202:
            results = {row["id"] for row in document.get("results", ()) if row["status"] == "accepted"}
            self.accepted |= results - _sessions_in(request)
        if status == 201 and "redeemed_at" in document:
            self.redeemed.add(document["redemption_id"])


def _sessions_in(request: HostileRequest) -> set[str]:
    """The ids of logins and logouts, which say who is who and are no rows of the history."""
    try:
        rows = orjson.loads(request.body or b"{}")["events"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return set()
    return {str(row["id"]).strip() for row in rows if isinstance(row, dict) and row.get("type") in (LOGIN, LOGOUT)}


def main() -> None:
    """Prints one JSON object; ends with 1 when anything was answered or kept otherwise than it should."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--count", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--without-redis", action="store_true", help="the API alone, on a Redis that is away")
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    answers = Answers()
    if given.without_redis:
        environment = {"ENDCAP_DATA_DIR": str(given.data_dir), "ENDCAP_REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
        with python_server(SERVE_ENDCAP, environment) as server:
            ask_everything(server.port, answers, count=given.count, seed=given.seed, is_away=True)
    else:
        with endcap_up(settings.data_dir, ready_at="/healthz") as service:
            ask_everything(service.server.port, answers, count=given.count, seed=given.seed)
            deadline = monotonic() + DRAIN_S
            while lost(settings, answers) and monotonic() < deadline:
                sleep(1)
    faults = [*answers.faults, *lost(settings, answers)]
    facts = {
        "requests": given.count,
        "statuses": {str(status): count for status, count in sorted(answers.statuses.items())},
        "slowest_s": round(answers.slowest_s, 2),
        "accepted_events": len(answers.accepted),
        "redemptions": len(answers.redeemed),
        "faults": faults,
    }
    machine.show({"benchmark": "hostility", **machine.facts(), **facts})
    if faults:
        raise SystemExit(1)


def ask_everything(port: int, answers: Answers, *, count: int, seed: int, is_away: bool = False) -> None:
    """Sends so many requests and notes how each was answered."""
    document = orjson.loads(_get(port, "/openapi.json"))
    for start in range(0, count, PORTION):
        known = _prepared(port)
        portion = min(PORTION, count - start)
        for request in hostile_requests(document, known, count=portion, seed=seed + start):
            started = monotonic()
            try:
                answers.note(request, *_answer(port, request), is_away=is_away)
            except (OSError, http.client.HTTPException) as error:
                answers.faults.append(_fault(request, f"no answer: {error!r}"))
            answers.slowest_s = max(answers.slowest_s, monotonic() - started)


def lost(settings: Settings, answers: Answers) -> list[str]:
    """What was answered as done and is in neither history nor ledger, and what in the ledger does not add up."""
    ids = History(settings.history_dir).scan().select(ROW_ID).collect()[ROW_ID]
    # An event's key is `<sender> <id> <item> <time>`, and the id may hold spaces.
    kept = set(ids.str.extract(r"(?s)^\S+ (.*) \S+ \S+$"))
    with opened_ledger(settings) as ledger:
        booked = ledger.read(lambda one: set(one.scalars(select(redemptions.c.redemption_id))))
        discrepancies = ledger.read(reconcile)
    return [
        *(f"event {one!r} was accepted and is not in the history" for one in answers.accepted - kept),
        *(f"redemption {one} was answered and is not in the ledger" for one in answers.redeemed - booked),
        *map(str, discrepancies),
    ]


def _prepared(port: int) -> dict[str, list[str]]:
    """What requests may refer to: a running campaign with an offer, coupons, a hold, a redemption."""
    name = f"h{next(_numbers)}-{uuid4().hex[:8]}"
    customers = [f"{name}-{number}" for number in range(4)]
    terms = {"name": "Hostile", "currency": "EUR", "budget_minor": 50_000}
    campaign = _post(port, "/v1/campaigns", {"campaign_id": name, "terms": terms})["campaign_id"]
    _post(port, f"/v1/campaigns/{name}/schedule", None)
    offers = []
    for way in ("audience", "decision"):
        terms = {"name": "2 off", "discount": {"type": "amount", "amount_minor": 200}, "issue": {"by": way}}
        offers.append(_post(port, f"/v1/campaigns/{campaign}/offers", {"terms": terms})["offer_id"])
    whom = {"offer_id": offers[0], "customer_ids": customers}
    coupons = _post(port, f"/v1/campaigns/{campaign}/coupons", whom)["coupons"]
    order = {"customer_id": customers[0], "wallet": True, "lines": [{"product_id": "p", "amount_minor": 900}]}
    redemption = _post(port, "/v1/redemptions", order | {"order_id": name})
    reservation = _post(port, "/v1/reservations", order | {"customer_id": customers[1]})
    return {
        "campaign_id": [campaign],
        "time_zone": ["UTC", "Europe/Berlin"],
        "placement": ["app_home"],
        "offer_id": offers,
        "customer_id": customers,
        "codes": [one["code"] for one in coupons[1:]],
        "coupon_id": [one["coupon_id"] for one in coupons[1:]],
        "redemption_id": [redemption["redemption_id"]],
        "reservation_id": [reservation["reservation_id"]],
    }


def _post(port: int, path: str, body: object) -> dict[str, Any]:
    headers = {b"Content-Type": b"application/json", b"Idempotency-Key": uuid4().hex.encode()}
    status, _, answer = _answer(port, HostileRequest("POST", path.encode(), headers, orjson.dumps(body)))
    if status >= 300:
        raise SystemExit(f"POST {path} was answered {status}: {answer.decode()}")
    document: dict[str, Any] = orjson.loads(answer)
    return document


def _get(port: int, path: str) -> bytes:
    return _answer(port, HostileRequest("GET", path.encode(), {}, None))[2]


def _answer(port: int, request: HostileRequest) -> tuple[int, str, bytes]:
    """Status, media type and body; on bare sockets, because clients refuse to send what is wrong."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(request.head() + (request.body or b""))
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        return response.status, response.headers.get_content_type(), response.read()


def _fault(request: HostileRequest, what: str) -> str:
    where = f"{request.method} {request.target[:120].decode(errors='replace')}"
    return f"{where}, wrong in {', '.join(request.what)}: {what}; body {(request.body or b'')[:300]!r}"


if __name__ == "__main__":
    main()
