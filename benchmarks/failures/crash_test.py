"""Orders that are paid while servers are killed, and the audit afterwards: one answer for each key, and every cent.

Two servers share one ledger. Each kill hits one of them amid a burst of orders; clients go to the next server with the
same key until they are answered.
"""

import http.client
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Condition
from time import monotonic, sleep
from types import TracebackType
from zlib import crc32

import orjson
from sqlalchemy import select

from app.offers.terms.terms import Amount, CampaignTerms, Limit, OfferTerms
from app.stores.redis.server.embedded import free_port
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.campaigns.campaigns import act_on_campaign, create_campaign, create_offer
from app.stores.sql.coupons.issuing import issue
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import campaigns, idempotency, redemptions, reservations
from benchmarks.support.tills import BASKET

SERVER_COUNT = 2
CLIENT_COUNT = 8
DISCOUNT_MINOR = 101
RESERVING_RATIO, RETURNING_RATIO, REPEATING_RATIO = 0.3, 0.15, 0.3
SHARED_RATIO = 0.3
"""Orders with a code that everybody has; the others have a coupon of their own."""
PAID_RATIO = 0.75
"""So much of all orders the budget covers."""
PAUSE_S = 0.02
PATIENCE_S = 120.0
LATEST_S = 0.015
"""A kill comes so long after the order that it was drawn for, at most: before, amid or after its transaction."""


@dataclass(frozen=True, slots=True)
class Order:
    """One order and what its client does with it."""

    number: int
    customer_id: str
    code: str
    reserves: bool
    returns: bool
    repeats: bool


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `is_replay` when the server says so, `is_first` when this client had none before."""

    status: int
    body: bytes
    is_replay: bool
    is_first: bool


@dataclass(slots=True)
class Log:
    """Every answer to every key, and how often a request was cut off."""

    responses: dict[str, list[Response]] = field(default_factory=lambda: defaultdict(list))
    cut_off_count: int = 0

    def replayed_first_count(self) -> int:
        """Keys whose write was committed before any answer came through: the first answer was a repeated one."""
        return sum(answers[0].is_replay for answers in self.responses.values())


class Servers:
    """Servers on one ledger, each on a port of its own; one that is killed is started again at once."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], *, log_path: Path) -> None:
        self._words, self._environment, self._log_path = words, environment, log_path
        self.ports = [free_port() for _ in range(SERVER_COUNT)]
        self._processes = [self._started(port) for port in self.ports]

    def __enter__(self) -> "Servers":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for process in self._processes:
            process.kill()
            process.wait()

    def kill(self, position: int) -> None:
        """kill -9, and a new one."""
        self._processes[position].kill()
        self._processes[position].wait()
        self._processes[position] = self._started(self.ports[position])

    def wait_until_ready(self, position: int) -> None:
        """Returns once this server answers; raises RuntimeError when that takes too long."""
        deadline = monotonic() + PATIENCE_S
        while monotonic() < deadline and self._processes[position].poll() is None:
            try:
                if exchange(self.ports[position], "GET", "/healthz")[0] == 200:
                    return
            except (OSError, http.client.HTTPException):
                sleep(PAUSE_S)
        raise RuntimeError(
            f"the server on port {self.ports[position]} did not start: {self._log_path.read_text()[-3000:]}"
        )

    def _started(self, port: int) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), *self._words]
        with self._log_path.open("ab") as log:
            return subprocess.Popen(command, env=dict(self._environment), stderr=log)


class Gate:
    """Lets orders through up to a number, and counts how many came."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._allowed = self._passed = 0

    def pass_through(self) -> None:
        """Waits until one more is allowed."""
        with self._changed:
            self._changed.wait_for(lambda: self._passed < self._allowed)
            self._passed += 1
            self._changed.notify_all()

    def open_to(self, allowed: int) -> None:
        """So many may pass from now on."""
        with self._changed:
            self._allowed = allowed
            self._changed.notify_all()

    def wait_for(self, passed: int) -> None:
        """Returns once so many passed."""
        with self._changed:
            self._changed.wait_for(lambda: self._passed >= passed)


def prepare_orders(ledger: Ledger, *, order_count: int, seed: int) -> list[Order]:
    """A running campaign whose budget covers most of these orders."""
    chance = random.Random(seed)
    now = datetime.now(UTC)
    terms = CampaignTerms(
        name="crashes",
        currency=BASKET.currency,
        budget_minor=round(order_count * PAID_RATIO) * DISCOUNT_MINOR + DISCOUNT_MINOR // 2,
        limits=(Limit(scope="customer", count=1), Limit(scope="campaign", count=order_count, period="day")),
    )
    off = Amount(type="amount", amount_minor=DISCOUNT_MINOR)
    own = OfferTerms(name="own", discount=off)
    shared = OfferTerms(name="shared", discount=off, uses_per_code=None)
    customers = [f"customer-{number}" for number in range(order_count)]
    campaign = ledger.write(lambda connection: create_campaign(connection, None, terms, now=now))
    campaign = ledger.write(lambda connection: act_on_campaign(connection, campaign.campaign_id, "schedule", now=now))
    offers = [
        ledger.write(lambda connection, of=of: create_offer(connection, campaign.campaign_id, None, of, now=now))  # type: ignore[misc]
        for of in (own, shared)
    ]
    coupons = ledger.write(
        lambda connection: issue(connection, offers[0], campaign, customers, issued_by="audience", now=now)
    )
    (everybodys,) = ledger.write(
        lambda connection: issue(connection, offers[1], campaign, [None], issued_by="audience", now=now)
    )
    return [
        Order(
            number,
            customers[number],
            everybodys.code if chance.random() < SHARED_RATIO else coupons[number].code,
            chance.random() < RESERVING_RATIO,
            chance.random() < RETURNING_RATIO,
            chance.random() < REPEATING_RATIO,
        )
        for number in range(order_count)
    ]


def pay_while_killing(
    servers: Servers, orders: Sequence[Order], *, kill_count: int, seed: int, faults: Mapping[int, Callable[[], None]]
) -> Log:
    """All answers to all orders; `faults` are also done, each after as many kills."""
    chance, gate, log = random.Random(seed), Gate(), Log()
    burst = len(orders) // kill_count

    def kill_repeatedly() -> None:
        try:
            for number in range(kill_count):
                position = number % SERVER_COUNT
                servers.wait_until_ready(position)
                gate.open_to((number + 1) * burst)
                gate.wait_for(number * burst + chance.randrange(1, burst))
                sleep(chance.uniform(0, LATEST_S))
                servers.kill(position)
                faults.get(number, lambda: None)()
        finally:
            gate.open_to(len(orders))

    with ThreadPoolExecutor(1) as killer, ThreadPoolExecutor(CLIENT_COUNT) as clients:
        killing = killer.submit(kill_repeatedly)
        for one in [clients.submit(_serve, Client(servers, log), order, gate) for order in orders]:
            one.result()
        killing.result()
    return log


def _serve(client: "Client", order: Order, gate: Gate) -> None:
    gate.pass_through()
    client.place(order)


@dataclass(frozen=True, slots=True)
class Client:
    """Sends each write with its key until it is answered, to one server after the other."""

    servers: Servers
    log: Log

    def place(self, order: Order) -> None:
        """Reserves, pays, pays again with the same key, and brings back, as the order says."""
        named: dict[str, object] = {"codes": [order.code]}
        if order.reserves:
            held = self.send("/v1/reservations", f"reserve-{order.number}", _body(order, named | {"ttl_s": 3600}))
            if held.status != 201:
                return
            named = {"reservation_id": orjson.loads(held.body)["reservation_id"]}
        body = _body(order, named | {"order_id": str(order.number)})
        paid = self.send("/v1/redemptions", f"redeem-{order.number}", body)
        if order.repeats:
            self.send("/v1/redemptions", f"redeem-{order.number}", body)
        if order.returns and paid.status == 201:
            redemption_id = orjson.loads(paid.body)["redemption_id"]
            self.send(f"/v1/redemptions/{redemption_id}/rollback", f"return-{order.number}", b"{}")

    def send(self, path: str, key: str, body: bytes) -> Response:
        """The first answer that is one: not that a server is gone, busy, or at work on the same key."""
        deadline = monotonic() + PATIENCE_S
        position = crc32(key.encode())
        while monotonic() < deadline:
            position += 1
            try:
                status, answer, is_replay = exchange(
                    self.servers.ports[position % SERVER_COUNT], "POST", path, key, body
                )
            except ConnectionRefusedError:
                sleep(PAUSE_S)
                continue
            except (OSError, http.client.HTTPException):
                self.log.cut_off_count += 1
                continue
            if status in (429, 503) or (status == 409 and orjson.loads(answer)["code"] == "request_in_flight"):
                sleep(PAUSE_S)
                continue
            response = Response(status, answer, is_replay, key not in self.log.responses)
            self.log.responses[key].append(response)
            return response
        raise RuntimeError(f"{path} had no answer in {PATIENCE_S} s")


def exchange(
    port: int, method: str, path: str, key: str | None = None, body: bytes | None = None
) -> tuple[int, bytes, bool]:
    """Status, body, and whether it was sent before, of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        headers = {"Content-Type": "application/json"} | ({} if key is None else {"Idempotency-Key": key})
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("Idempotent-Replayed") == "true"
    finally:
        connection.close()


def _body(order: Order, named: Mapping[str, object]) -> bytes:
    lines = [
        {"line_id": line.line_id, "product_id": line.product_id, "amount_minor": line.amount_minor}
        for line in BASKET.lines
    ]
    basket = {"customer_id": order.customer_id, "channel": "store", "currency": BASKET.currency, "lines": lines}
    return orjson.dumps(basket | dict(named))


def faults_of(ledger: Ledger, servers: Servers, log: Log) -> list[str]:
    """Everything that is wrong after all orders were answered; empty where the ledger is sound."""
    faults = [f"{one.what} {one.subject}: {one.found}, not {one.expected}" for one in ledger.read(reconcile)]
    kept = dict(ledger.read(lambda c: [(row.key, (row.status, row.body)) for row in c.execute(select(idempotency))]))
    for key, answers in log.responses.items():
        if {(one.status, one.body) for one in answers} != {kept.get(key)}:
            faults.append(f"{key} was answered otherwise than the ledger has it")
        if any(not one.is_first and not one.is_replay for one in answers):
            faults.append(f"{key} had its effect twice")
    if kept.keys() != log.responses.keys():
        faults.append(f"{len(kept.keys() ^ log.responses.keys())} keys are in the ledger or were answered, not both")
    paid, held = _ids(log, "redeem", "redemption_id"), _ids(log, "reserve", "reservation_id")
    returned = _ids(log, "return", "redemption_id")
    in_ledger = ledger.read(lambda c: {row.redemption_id: row.status for row in c.execute(select(redemptions))})
    if in_ledger != {one: "rolled_back" if one in returned else "redeemed" for one in paid}:
        faults.append(f"{len(in_ledger)} redemptions in the ledger, {len(paid)} answered")
    if held != ledger.read(lambda c: set(c.execute(select(reservations.c.reservation_id)).scalars())):
        faults.append("other reservations in the ledger than were answered")
    for redemption_id in paid:
        status, body, _ = exchange(servers.ports[0], "GET", f"/v1/redemptions/{redemption_id}")
        if status != 200 or orjson.loads(body)["status"] != in_ledger[redemption_id]:
            faults.append(f"{redemption_id} is shown as something else")
    campaign = ledger.read(lambda c: c.execute(select(campaigns)).one())
    if campaign.spent_minor != (len(paid) - len(returned)) * DISCOUNT_MINOR:
        faults.append(f"{campaign.spent_minor} spent for {len(paid)} redemptions, {len(returned)} of them returned")
    return faults


def _ids(log: Log, step: str, name: str) -> set[str]:
    """What the keys of one step were answered with 200 or 201."""
    first = [responses[0] for key, responses in log.responses.items() if key.startswith(f"{step}-")]
    return {orjson.loads(one.body)[name] for one in first if one.status in (200, 201)}
