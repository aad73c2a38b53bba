"""SIMULATED places in the ledger: written once, and afterwards what became of them."""

from datetime import UTC, datetime

from sqlalchemy import delete, select

from app.commands.demo.places import put_simulated_places, with_present_stock
from app.commands.terminal import progress_bar
from app.composition.stores import opened_ledger
from app.places.simulation.places import SimulatedPlaces
from app.settings import Settings
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.place_tables import prices, stock
from app.stores.sql.places.stores import stored_stores
from tests.support.world import World


def put(settings: Settings) -> tuple[SimulatedPlaces, int]:
    with progress_bar() as progress:
        return put_simulated_places(settings, now=datetime.now(UTC), progress=progress)


def stock_of(ledger: Ledger) -> dict[tuple[str, str], int]:
    """Pieces by store and product."""
    query = select(stock.c.store_id, stock.c.product_id, stock.c.quantity_milli)
    rows = ledger.read(lambda connection: connection.execute(query).all())
    return {(store_id, product_id): milli // 1000 for store_id, product_id, milli in rows}


def test_ledger_has_what_was_simulated_and_a_second_run_leaves_it(own_world: World) -> None:
    places, count = put(own_world.settings)
    assert count == len(places.stores)
    with opened_ledger(own_world.settings) as ledger:
        expected = {(store, product): pieces for store, product, pieces, _ in places.stock_table().iter_rows()}
        assert stock_of(ledger) == expected
        rows = ledger.read(lambda c: c.execute(select(prices.c.store_id, prices.c.product_id, prices.c.price_minor)))
        known = places.prices_table().select("store_id", "product_id", "price").iter_rows()
        assert {tuple(row) for row in rows} == {(store, product, round(100 * price)) for store, product, price in known}
        assert set(ledger.read(stored_stores)) == {store.store_id for store in places.stores}

        [first, *_] = expected
        ledger.write(lambda c: c.execute(stock.update().where(stock.c.store_id == first[0]).values(quantity_milli=-1)))
        again, count = put(own_world.settings)
        assert count == 0
        assert stock_of(ledger)[first] == -1
        present = with_present_stock(again, ledger).stock_table().iter_rows()
        assert {(store, product): pieces for store, product, pieces, _ in present} == {
            cell: 0 if cell[0] == first[0] else pieces for cell, pieces in expected.items()
        }


def test_run_that_broke_off_goes_on_with_the_stores_that_it_left(own_world: World) -> None:
    places, _ = put(own_world.settings)
    last = places.stores[-1].store_id
    with opened_ledger(own_world.settings) as ledger:
        before = stock_of(ledger)
        ledger.write(lambda connection: connection.execute(delete(stock).where(stock.c.store_id == last)))
        assert put(own_world.settings)[1] == 1
        assert stock_of(ledger) == before
