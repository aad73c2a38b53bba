"""SIMULATED tills and trucks report what happens as it happens, and the stock is what they made of it."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count, islice

import numpy as np
import pytest

from app.commands.demo.client import Client, DemoFailure
from app.commands.demo.sold_out import stock_in
from app.commands.demo.tills import AT_ONCE, first_sale, run_tills
from app.composition.stores import opened_ledger
from app.places.simulation.places import SimulatedPlaces
from app.places.simulation.sales import StockChange
from app.stores.redis.server.embedded import free_port
from app.stores.sql.places.overview import quantities_of_store
from tests.unit.commands.demo.conftest import Demo


class Clock:
    """A clock that runs only while somebody waits, a minute for each second, until `minutes` are over.

    Events may be some minutes ahead, as those of a sender whose clock is.
    """

    def __init__(self, *, minutes: float) -> None:
        self.at = datetime.now(UTC)
        self.end = self.at + timedelta(minutes=minutes)

    def now(self) -> datetime:
        return self.at

    def wait(self, seconds: float) -> bool:
        self.at += timedelta(minutes=seconds)
        return self.at >= self.end


def drawn(places: SimulatedPlaces, *, begins_at: datetime) -> Iterator[StockChange]:
    """Sales and deliveries without end, four a second: the real ones pause while all stores are closed."""
    random = np.random.default_rng(3)
    for number in count():
        [store_id, product_id, _, _] = places.stock_table().row(int(random.integers(len(places.stock.level))))
        at = begins_at + timedelta(seconds=number / 4)
        yield StockChange(store_id, product_id, int(random.choice([-2, -1, 12])), at)


def quantities(demo: Demo) -> Counter[tuple[str, str]]:
    """Pieces in the ledger by store and product, below zero where more was sold than there was."""
    with opened_ledger(demo.settings) as ledger:
        return Counter(
            {
                (store.store_id, product_id): milli // 1000
                for store in demo.places.stores
                for product_id, milli in ledger.read(partial(quantities_of_store, store_id=store.store_id)).items()
            }
        )


def test_stock_after_the_first_sale_is_less_by_what_was_sold(demo: Demo) -> None:
    one = next(drawn(demo.places, begins_at=datetime.now(UTC)))
    before = stock_in(demo.client, one.store_id, one.product_id)
    text = first_sale(demo.client, iter([one]), source="till-1", now=datetime.now(UTC))
    assert stock_in(demo.client, one.store_id, one.product_id).quantity == before.quantity + one.change
    assert text.endswith(f"{before.quantity:g} → {before.quantity + one.change:g}")


def test_sale_that_counts_for_nothing_fails_the_demo(demo: Demo) -> None:
    one = next(drawn(demo.places, begins_at=datetime.now(UTC)))
    with pytest.raises(DemoFailure, match="too_late"):
        first_sale(demo.client, iter([one]), source="till-2", now=datetime.now(UTC) - timedelta(days=3))


def test_all_that_happened_until_the_end_is_in_the_stock(demo: Demo) -> None:
    clock = Clock(minutes=3)
    changes = list(islice(drawn(demo.places, begins_at=clock.at), 2_000))
    before = quantities(demo)
    sent = run_tills(demo.client, iter(changes), source="till-3", clock=clock.now, wait=clock.wait)
    # Until the clock was read last, half a minute before its end.
    assert sent == sum(one.at <= clock.end - timedelta(seconds=30) for one in changes) > 2 * AT_ONCE
    expected = before
    for one in changes[:sent]:
        expected[one.store_id, one.product_id] += one.change
    assert quantities(demo) == expected


def test_service_that_is_away_is_waited_for_until_the_end(demo: Demo) -> None:
    clock = Clock(minutes=3)
    nobody = Client(f"http://127.0.0.1:{free_port()}", None)
    changes = drawn(demo.places, begins_at=clock.at)
    assert run_tills(nobody, changes, source="till-4", clock=clock.now, wait=clock.wait) == 0
    assert clock.at >= clock.end
