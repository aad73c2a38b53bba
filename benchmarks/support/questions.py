"""Questions and events as real customers would send them, made from the history of a data directory."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from uuid import uuid4

import orjson
import polars as pl

from app.history import History
from app.history.rows import CUSTOMER_ID, PRODUCT_ID, STORE_ID
from app.settings import Settings


@dataclass(frozen=True, slots=True)
class Known:
    """A customer of the history: the store and some of the products they know."""

    customer_id: str
    store_id: str | None
    product_ids: Sequence[str]


def known_customers(settings: Settings) -> list[Known]:
    """Every customer with a purchase, by id; raises SystemExit when there is none."""
    rows = (
        History(settings.history_dir)
        .scan()
        .filter(pl.col(CUSTOMER_ID).is_not_null() & pl.col(PRODUCT_ID).is_not_null())
        .group_by(CUSTOMER_ID)
        .agg(pl.col(STORE_ID).drop_nulls().first(), pl.col(PRODUCT_ID).unique().sort().head(20))
        .sort(CUSTOMER_ID)
        .collect(engine="streaming")
    )
    if rows.is_empty():
        raise SystemExit(f"{settings.history_dir} holds no purchase; run `endcap demo --check` first")
    return [Known(*row) for row in rows.iter_rows()]


def full_questions(customers: Sequence[Known], count: int) -> list[bytes]:
    """`count` bodies, customers in turn: a store, a basket of one product, two recent products, 20 places."""
    return [orjson.dumps(_full_question(customers[number % len(customers)])) for number in range(count)]


def _full_question(known: Known) -> dict[str, object]:
    first, *others = known.product_ids[:3]
    basket = [{"product_id": first}]
    context = {"channel": "app", "store_id": known.store_id, "recent": others, "basket": basket}
    return {"customer_id": known.customer_id, "placement": "app_home", "size": 20, "context": context}


def an_event(known: Known, chance: random.Random, *, event_type: str = "view_item") -> dict[str, object]:
    """One event of a customer, happening now, with an id of its own."""
    return {
        "id": uuid4().hex,
        "type": event_type,
        "time": datetime.now(UTC).isoformat(),
        "customer_id": known.customer_id,
        "channel": "app",
        "product_id": chance.choice(known.product_ids),
    }


def mixed_traffic(customers: Sequence[Known], seed: int) -> Iterator[tuple[str, bytes]]:
    """Path and body without end: 60 % known customers, 10 % unknown ones, 10 % anonymous, 20 % events."""
    chance = random.Random(seed)
    while True:
        known, draw = chance.choice(customers), chance.random()
        if draw < 0.2:
            yield "/v1/events", orjson.dumps({"events": [an_event(known, chance)]})
        elif draw < 0.3:
            yield "/v1/decisions", orjson.dumps({"customer_id": f"new-{chance.random()}", "placement": "web_home"})
        elif draw < 0.4:
            device = f"device-{chance.randrange(1000)}"
            recent = {"recent": known.product_ids[:2]}
            yield "/v1/decisions", orjson.dumps({"anonymous_id": device, "placement": "web_home", "context": recent})
        else:
            yield "/v1/decisions", orjson.dumps(_full_question(known))


if __name__ == "__main__":
    print(orjson.dumps([astuple(known) for known in known_customers(Settings.load())]).decode())
