"""The demo's two steps with one product each: sold out and gone from the next answer; put aside and given back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import uuid4

from app.commands.demo.client import DECISIONS, Client, DemoFailure
from app.domain import JsonObject

GONE_WITHIN = timedelta(seconds=10)
IN_A_ROW = 8
"""Answers without the product one after the other, so that every process of the API has given some."""
MS = timedelta(milliseconds=1)
COUNTED = ("accepted", None)


@dataclass(frozen=True, slots=True)
class SoldOut:
    """A product that stood in an answer for a store, and when its last pieces were sold and it was gone."""

    store_id: str
    product_id: str
    name: str
    pieces: int
    sold_at: datetime
    gone_at: datetime

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"Selling out (SIMULATED stock): the last {self.pieces} of {self.name} in store {self.store_id}"
        yield f"  {_clock(self.sold_at)} the till reports the sale"
        yield f"  {_clock(self.gone_at)} first answer without it, {(self.gone_at - self.sold_at) / MS:.0f} ms later"


def sell_out(
    client: Client, question: Mapping[str, object], store_id: str, *, gone_within: timedelta = GONE_WITHIN
) -> SoldOut:
    """Sells the last pieces of the product that is nearest to it among the answer's, and waits until it is gone.

    Raises DemoFailure when the answer shows none, the sale does not count, or it is still shown after so long.
    """
    shown = client.post(DECISIONS, question)["propositions"]
    if not shown:
        raise DemoFailure(f"nothing is shown for store {store_id}, so nothing can sell out")
    one = min(shown, key=lambda proposition: _left(proposition, store_id))
    product_id = one["product_id"]
    available = stock_in(client, store_id, product_id).available
    sold_at = datetime.now(UTC)
    refused = report(client, [(store_id, product_id, -available)], source=f"demo/{uuid4().hex}", at=sold_at)
    if refused:
        raise DemoFailure(f"the sale of product {product_id} in store {store_id} does not count: {refused[0]}")
    gone_at = _gone(client, question, product_id, until=sold_at + gone_within)
    return SoldOut(store_id, product_id, one["name"] or product_id, round(available), sold_at, gone_at)


def report(
    client: Client, changes: Sequence[tuple[str, str, float]], *, source: str, at: datetime, first: int = 0
) -> Sequence[str]:
    """Reports changes of stock, by store and product, of one sender; why some do not count, where that is so.

    Their ids are numbers from `first` on: sent again they count once.
    """
    events = [
        {
            "id": str(number),
            "source": source,
            "type": "inventory_changed",
            "time": at.isoformat(),
            "store_id": store_id,
            "product_id": product_id,
            "change": change,
        }
        for number, (store_id, product_id, change) in enumerate(changes, start=first)
    ]
    results = client.post("/v1/events", {"events": events})["results"]
    return [result["code"] or result["status"] for result in results if (result["status"], result["code"]) != COUNTED]


class StockThere(NamedTuple):
    """What one store has of a product."""

    quantity: float
    reserved: float
    available: float


def stock_in(client: Client, store_id: str, product_id: str) -> StockThere:
    """What the database says; raises DemoFailure where nobody knows."""
    for row in client.get(f"/v1/stock/{product_id}")["stores"]:
        if row["store_id"] == store_id and row["quantity"] is not None:
            return StockThere(row["quantity"], row["reserved"], row["available"])
    raise DemoFailure(f"nobody knows how much of product {product_id} store {store_id} has")


@dataclass(frozen=True, slots=True)
class PutAside:
    """A piece that was put aside for pickup and given back: what the store had before, meanwhile and after."""

    store_id: str
    name: str
    ready_at: str
    before: StockThere
    held: StockThere
    after: StockThere

    def check(self) -> None:
        """Raises DemoFailure unless just this piece was not available meanwhile, and is again."""
        expected = StockThere(self.before.quantity, self.before.reserved + 1, self.before.available - 1)
        if self.held != expected or self.after != self.before:
            states = f"before {self.before}, held {self.held}, after {self.after}"
            raise DemoFailure(f"the quantities around a reservation do not add up: {states}")

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"Pickup (SIMULATED stock): 1 of {self.name} in store {self.store_id}, ready {self.ready_at} UTC"
        yield f"  before: {self.before.available:g} available"
        yield f"  reserved: {self.held.available:g} available, {self.held.reserved:g} put aside"
        yield f"  released: {self.after.available:g} available, {self.after.reserved:g} put aside"


def put_aside(client: Client, question: Mapping[str, object], *, but_not: str) -> PutAside:
    """Puts a piece of some product of the answer but that one aside where it can be picked up, and gives it back.

    Raises DemoFailure where the answer shows none, or the quantities do not add up.
    """
    for proposition in client.post(DECISIONS, question)["propositions"]:
        pickup = next((one for one in proposition.get("options") or () if one["way"] == "pickup"), None)
        if pickup is not None and proposition["product_id"] != but_not:
            break
    else:
        raise DemoFailure("nothing can be picked up, so nothing can be put aside")
    store_id, product_id = pickup["store_id"], proposition["product_id"]
    name, order_id = proposition["name"] or product_id, f"demo-{uuid4().hex}"
    before = stock_in(client, store_id, product_id)
    body = {"store_id": store_id, "order_id": order_id, "lines": [{"product_id": product_id, "quantity": 1}]}
    made = client.post("/v1/stock-reservations", body, key=order_id)
    held = stock_in(client, store_id, product_id)
    client.delete(f"/v1/stock-reservations/{made['reservation_id']}")
    found = PutAside(
        store_id, name, instant_text(pickup["available_from"]), before, held, stock_in(client, store_id, product_id)
    )
    found.check()
    return found


def instant_text(instant: str) -> str:
    """An instant of an answer to the minute, for people."""
    return f"{datetime.fromisoformat(instant).astimezone(UTC):%d %b %H:%M}"


def _left(proposition: JsonObject, store_id: str) -> float:
    """What is left of it in the store; many where the answer does not say."""
    left = [one["quantity_left"] for one in proposition.get("options") or () if one["store_id"] == store_id]
    return min((float(one) for one in left if one is not None), default=float("inf"))


def _gone(client: Client, question: Mapping[str, object], product_id: str, *, until: datetime) -> datetime:
    """When the first of some answers in a row came that do not show the product."""
    gone_at = datetime.now(UTC)
    in_a_row = 0
    while in_a_row < IN_A_ROW:
        answer = client.post(DECISIONS, question)
        if any(one["product_id"] == product_id for one in answer["propositions"]):
            in_a_row = 0
            if datetime.now(UTC) > until:
                raise DemoFailure(f"product {product_id} is sold out, and still shown")
        else:
            gone_at = gone_at if in_a_row else datetime.now(UTC)
            in_a_row += 1
    return gone_at


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}.{at.microsecond // 1000:03} UTC"
