"""Tills that redeem: straight at a ledger, or over HTTP at any of several servers."""

import http.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import cycle
from time import sleep
from typing import Protocol

import orjson

from app.api.till.responses import redemption_response, reservation_response
from app.errors import StoreUnavailable
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest, StoredResponse
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve

PRICES_MINOR = (333, 667, 1001)
BASKET = Basket(
    tuple(BasketLine(f"line-{minor}", f"product-{minor}", 1.0, minor) for minor in PRICES_MINOR), currency="EUR"
)
HOLD = timedelta(hours=1)
ATTEMPT_COUNT = 200
TIMEOUT_S = 30.0
PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class TillOrder:
    """One order: who pays it with which code. One that `reserves` holds the coupon first, and pays when it `pays`."""

    key: str
    customer_id: str
    code: str
    reserves: bool = False
    pays: bool = True


class Till(Protocol):
    """Sends one step of an order, again and again under the same key until it has an answer: status and body.

    Raises TimeoutError when it may wait `patience_s` only and that was too short.
    """

    def reserve(self, order: TillOrder, *, patience_s: float | None) -> tuple[int, bytes]:
        """Holds what the code gives."""

    def redeem(self, order: TillOrder, *, reservation_id: str | None, patience_s: float | None) -> tuple[int, bytes]:
        """Redeems the code, or what the reservation holds."""

    def close(self) -> None:
        """Ends its connections."""


def till_at(addresses: Sequence[str]) -> Till:
    """A till at one ledger's address, or at the servers of some HTTP addresses."""
    return HttpTill(addresses) if addresses[0].startswith("http://") else LedgerTill(open_ledger(addresses[0]))


class LedgerTill:
    """Calls the ledger's functions in this process; nobody can hang up on those, so patience counts for nothing."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def reserve(self, order: TillOrder, *, patience_s: float | None) -> tuple[int, bytes]:
        """Holds what the code gives."""
        question = Question(BASKET, _situation(order), (order.code,))
        return _insist(
            lambda: reserve(
                self._ledger,
                question,
                order_id=order.key,
                ttl=HOLD,
                request=_request(order, "reserve"),
                render=reservation_response,
            )
        )

    def redeem(self, order: TillOrder, *, reservation_id: str | None, patience_s: float | None) -> tuple[int, bytes]:
        """Redeems the code, or what the reservation holds."""
        codes = () if reservation_id else (order.code,)
        question = Question(BASKET, _situation(order), codes, reservation_id=reservation_id)
        return _insist(
            lambda: redeem(
                self._ledger, question, Order(order.key), _request(order, "redeem"), render=redemption_response
            )
        )

    def close(self) -> None:
        """Ends its connections."""
        self._ledger.close()


class HttpTill:
    """Asks the servers in turn; one that is down, busy or at work on the same key is not the last word."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._hosts = cycle([address.removeprefix("http://") for address in addresses])

    def reserve(self, order: TillOrder, *, patience_s: float | None) -> tuple[int, bytes]:
        """Holds what the code gives."""
        body = _body(order, {"codes": [order.code], "ttl_s": round(HOLD.total_seconds())})
        return self._post("/v1/reservations", f"reserve-{order.key}", body, patience_s)

    def redeem(self, order: TillOrder, *, reservation_id: str | None, patience_s: float | None) -> tuple[int, bytes]:
        """Redeems the code, or what the reservation holds."""
        named: dict[str, object] = {"reservation_id": reservation_id} if reservation_id else {"codes": [order.code]}
        return self._post("/v1/redemptions", f"redeem-{order.key}", _body(order, named), patience_s)

    def close(self) -> None:
        """Holds nothing: each request has its own connection."""

    def _post(self, path: str, key: str, body: bytes, patience_s: float | None) -> tuple[int, bytes]:
        for _ in range(ATTEMPT_COUNT):
            try:
                status, answer = _exchange(next(self._hosts), path, key, body, patience_s or TIMEOUT_S)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException):
                sleep(PAUSE_S)
                continue
            if status in (429, 503) or (status == 409 and orjson.loads(answer)["code"] == "request_in_flight"):
                sleep(PAUSE_S)
                continue
            return status, answer
        raise RuntimeError(f"{path} had no answer in {ATTEMPT_COUNT} attempts")


def _exchange(host: str, path: str, key: str, body: bytes, timeout_s: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, timeout=timeout_s)
    try:
        connection.request("POST", path, body, {"Idempotency-Key": key, "Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _body(order: TillOrder, named: dict[str, object]) -> bytes:
    lines = [
        {"line_id": line.line_id, "product_id": line.product_id, "amount_minor": line.amount_minor}
        for line in BASKET.lines
    ]
    document = {
        "customer_id": order.customer_id,
        "order_id": order.key,
        "channel": "store",
        "currency": BASKET.currency,
    }
    return orjson.dumps(document | {"lines": lines} | named)


def _situation(order: TillOrder) -> Situation:
    return Situation(datetime.now(UTC), order.customer_id, channel="store")


def _request(order: TillOrder, step: str) -> IdempotentRequest:
    fingerprint = sha256(f"{step} {order}".encode()).hexdigest()
    return IdempotentRequest("till", f"{step}-{order.key}", fingerprint, datetime.now(UTC))


def _insist(send: Callable[[], StoredResponse]) -> tuple[int, bytes]:
    for _ in range(ATTEMPT_COUNT):
        try:
            response = send()
        except StoreUnavailable:
            continue
        return response.status, response.body
    raise RuntimeError(f"the ledger had no answer in {ATTEMPT_COUNT} attempts")
