"""What a question may have is exactly what is feasible: nothing that is not, and nothing of it missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import numpy as np
import pytest

from app.domain import ItemIdx, Mask, Option
from app.model.bundle import Attribute, Bundle, current_version, load_bundle
from app.places import live
from app.places.feasible import NEARBY_KM, Wanted
from app.places.live import LivePlaces, Place
from app.places.promises import promise
from app.places.stores import EVERYWHERE, Fulfilment, Store, Way, distance_km
from app.places.tables import LiveTables, StockLevel, StorePrice
from tests.support.world import World
from tests.unit.places.worlds import NOW, PRODUCTS, random_levels, random_position, random_stores

WORLDS = 1_000
NOT_SENT = PRODUCTS[:3]
SENT = (Way.SHIP, Way.DELIVER)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    """The small retailer's, its first products by the names of these tests."""
    folder = trained_world.settings.bundles_dir
    found = load_bundle(folder / current_version(folder))
    attribute = Attribute(np.where(np.arange(found.item_count) < 3, 0, -1).astype(np.int32), ("yes",), {"yes": 0})
    attributes = {**found.catalogue.attributes, "pickup_only": attribute}
    ids = [*PRODUCTS, *found.catalogue.product_ids[len(PRODUCTS) :]]
    item_of = {name: ItemIdx(item) for item, name in enumerate(ids)}
    catalogue = replace(found.catalogue, product_ids=ids, item_of=item_of, attributes=attributes)
    return replace(found, catalogue=catalogue)


def places_of(stores: Mapping[str, Store], levels: Sequence[StockLevel], bundle: Bundle) -> LivePlaces:
    places = LivePlaces(clock=lambda: 0.0, currency="EUR", checked_s=0.0)
    places.replace_stores(stores)
    places.change_stock(levels)
    places.prepare(bundle)
    return places


def random_wanted(random: np.random.Generator, stores: Mapping[str, Store]) -> Wanted:
    names = [name for name, store in stores.items() if Way.IN_STORE in store.ways]
    return Wanted(
        store_id=str(random.choice(names)) if random.random() < 0.6 else None,
        pickup_store_id=str(random.choice(names)) if random.random() < 0.2 else None,
        position=random_position(random) if random.random() < 0.4 else None,
        ways=frozenset(way for way in Way if random.random() < 0.5) if random.random() < 0.3 else frozenset(),
        by_at=NOW + timedelta(hours=float(random.uniform(0, 120))) if random.random() < 0.3 else None,
    )


# The reference: every rule of docs/places.md as one plain loop over stores, for one product at a time.


def expected_options(
    stores: Mapping[str, Store], stock: Mapping[tuple[str, str], int], wanted: Wanted, product_id: str
) -> Iterator[tuple[str, str, datetime]]:
    chosen = wanted.pickup_store_id or wanted.store_id
    here = wanted.position or (stores[chosen].position if chosen else None)
    nobody_sends = not any(way in store.ways for store in stores.values() for way in SENT)
    for way in ways_of(wanted):
        if way in SENT and product_id in NOT_SENT:
            continue
        best: list[tuple[Any, ...]] = []
        first: tuple[Any, ...] | None = None
        for store in stores.values():
            if way not in store.ways or (made := promise(store, way, now=NOW)) is None:
                continue
            until = made.available_until_at or made.available_from_at
            if wanted.by_at is not None and until > wanted.by_at:
                continue
            away = distance_km(here, store.position) if here and store.position else float("inf")
            is_own = store.store_id == wanted.store_id
            if way in SENT:
                radius = store.ways[way].radius_km
                if radius is not None and away > radius:
                    continue
                key: tuple[Any, ...] = (away, store.store_id) if here else (until, store.store_id)
            elif way == Way.PICKUP and wanted.pickup_store_id is not None:
                if store.store_id != wanted.pickup_store_id:
                    continue
                key = (0,)
            elif way == Way.IN_STORE and wanted.store_id is not None:
                if not is_own:
                    continue
                key = (0,)
            elif here is not None:
                if not is_own and away > (store.ways[way].radius_km or NEARBY_KM):
                    continue
                key = (not is_own, away, store.store_id)
            elif is_own or (chosen is None and nobody_sends):
                key = (not is_own, store.store_id)
            else:
                continue
            first = min(first or (key,), (key,))
            best.append((key, store.store_id, made.available_from_at))
        for key, store_id, from_at in sorted(best):
            keeps = any(of == store_id for of, _ in stock)
            if not keeps and (key,) != first:
                continue
            if not keeps or stock.get((store_id, product_id), 0) > 0:
                yield way.value, store_id, from_at
                break


def may_be_in_any_store(stores: Mapping[str, Store], levels: Sequence[StockLevel], wanted: Wanted) -> bool:
    """Whether the question names no place, nothing is sent, and a store that would do keeps no stock."""
    named = (wanted.store_id, wanted.pickup_store_id, wanted.position)
    sends = any(way in store.ways for store in stores.values() for way in SENT)
    keeping = {level.store_id for level in levels}
    return (not sends and all(place is None for place in named)) and any(
        store_id not in keeping
        and (made := promise(store, way, now=NOW)) is not None
        and (wanted.by_at is None or (made.available_until_at or made.available_from_at) <= wanted.by_at)
        for store_id, store in stores.items()
        for way in ways_of(wanted)
        if way in store.ways
    )


def ways_of(wanted: Wanted) -> list[Way]:
    if wanted.ways:
        return [way for way in Way if way in wanted.ways]
    if wanted.pickup_store_id is None and wanted.by_at is None:
        return list(Way)
    ways = {Way.PICKUP} if wanted.pickup_store_id else set()
    return [way for way in Way if way in ways | (set(SENT) if wanted.by_at else set())]


def found_options(place: Place, item_count: int) -> list[list[tuple[str, str, datetime]]]:
    items = np.arange(item_count, dtype=np.int32)
    options = place.options(items, np.full(item_count, -1, np.int64))
    return [
        [(source.way, source.store_id, source.available_from_at) for source, _, _ in of_item] for of_item in options
    ]


def test_options_are_the_feasible_set_and_so_are_the_products(bundle: Bundle) -> None:
    kinds, unknown = set(), 0
    for seed in range(WORLDS):
        random = np.random.default_rng(seed)
        stores = random_stores(random)
        levels = random_levels(random, stores)
        wanted = random_wanted(random, stores)
        place = places_of(stores, levels, bundle).place(wanted, bundle, now=NOW)
        assert place is not None
        if not place.has_options:
            unknown += 1
            assert may_be_in_any_store(stores, levels, wanted), seed
            assert place.allowed is None
            continue
        assert not may_be_in_any_store(stores, levels, wanted), seed
        stock = {(level.store_id, level.product_id): level.available_milli or 0 for level in levels}
        expected = [list(expected_options(stores, stock, wanted, product_id)) for product_id in PRODUCTS]
        assert found_options(place, len(PRODUCTS)) == expected, seed
        allowed = [True] * len(PRODUCTS) if place.allowed is None else place.allowed[: len(PRODUCTS)].tolist()
        assert allowed == [bool(options) for options in expected], seed
        kinds |= {(len(options), tuple(way for way, _, _ in options)) for options in expected}
    # Every number of ways turned up, so nothing above was true for want of cases.
    assert {count for count, _ in kinds} == {0, 1, 2, 3, 4}
    assert unknown


def test_a_change_of_stock_reaches_masks_that_were_made_before(bundle: Bundle) -> None:
    for seed in range(100):
        random = np.random.default_rng(seed)
        stores = random_stores(random)
        levels = random_levels(random, stores)
        places = places_of(stores, levels, bundle)
        questions = [random_wanted(random, stores) for _ in range(5)]
        for wanted in questions:
            places.place(wanted, bundle, now=NOW)
        later = random_levels(random, stores)
        places.change_stock(later)
        fresh = places_of(stores, [*levels, *later], bundle)
        for wanted in questions:
            kept, made = places.place(wanted, bundle, now=NOW), fresh.place(wanted, bundle, now=NOW)
            assert kept is not None
            assert made is not None
            assert (kept.allowed is None) == (made.allowed is None)
            if kept.allowed is not None and made.allowed is not None:
                assert (kept.allowed == made.allowed).all()


def test_stock_that_changes_while_another_thread_makes_a_mask_is_in_that_mask(bundle: Bundle) -> None:
    # Bundles warm up in a thread, and a shadow ranks in one.
    stores = {"s0": replace(random_stores(np.random.default_rng(0))["s0"], hours=None)}
    places = places_of(stores, [StockLevel("s0", "p0", 1_000)], bundle)
    change = Thread(target=places.change_stock, args=([StockLevel("s0", "p0", 0)],))

    class Interrupted(LiveTables):
        def has_anywhere(self, rows: Any) -> Mask:
            found = super().has_anywhere(rows)
            change.start()
            # Where the change waits for its turn, it comes after this.
            change.join(0.2)
            return found

    places.tables.__class__ = Interrupted
    wanted = Wanted("s0", ways=frozenset({Way.IN_STORE}))
    assert places.place(wanted, bundle, now=NOW) is not None
    change.join()
    place = places.place(wanted, bundle, now=NOW)
    assert place is not None
    assert place.allowed is not None
    assert not place.allowed.any()


def test_a_bundle_that_is_numbered_while_the_tables_are_replaced_is_numbered_by_the_new_ones(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "NUMBERED_AT_ONCE", 10)
    stores = {"s0": replace(random_stores(np.random.default_rng(0))["s0"], hours=None)}
    places = places_of(stores, [StockLevel("s0", "p0", 1_000)], bundle)
    other = LiveTables(["s0"], ["of-nobody"])
    other.put_stock(StockLevel("s0", "p1", 1_000))
    replacing = Thread(target=places.replace_tables, args=(other,))

    class Interrupted(list[str]):
        def __getitem__(self, index: Any) -> Any:
            if isinstance(index, slice) and index.start == 20 and not replacing.ident:
                replacing.start()
                replacing.join(0.2)
            return super().__getitem__(index)

    names = Interrupted(bundle.catalogue.product_ids)
    second = replace(bundle, catalogue=replace(bundle.catalogue, product_ids=names))
    places.prepare(second)
    replacing.join()
    for one in (bundle, second):
        place = places.place(Wanted("s0", ways=frozenset({Way.IN_STORE})), one, now=NOW)
        assert place is not None
        assert place.allowed is not None
        assert place.allowed.nonzero()[0].tolist() == [1]


def test_a_version_that_is_loaded_again_serves_next_to_the_first(bundle: Bundle) -> None:
    stores = random_stores(np.random.default_rng(0))
    places = places_of(stores, [], bundle)
    again = replace(bundle, gram=bundle.gram.copy())
    places.prepare(again)
    for one in (bundle, again):
        assert places.place(Wanted("s0"), one, now=NOW) is not None


def test_nothing_is_restricted_where_nobody_keeps_stock(bundle: Bundle) -> None:
    stores = {"s0": Store("s0", ways=random_stores(np.random.default_rng(0))["s0"].ways)}
    place = places_of(stores, [], bundle).place(Wanted("s0"), bundle, now=NOW)
    assert place is not None
    assert place.allowed is None


def test_an_unknown_store_restricts_nothing(bundle: Bundle) -> None:
    assert LivePlaces(clock=lambda: 0.0, currency="EUR").place(Wanted("s0"), bundle, now=NOW) is None
    stores = random_stores(np.random.default_rng(0))
    assert places_of(stores, [], bundle).place(Wanted("nowhere"), bundle, now=NOW) is None


def test_static_lists_lose_what_cannot_be_had(bundle: Bundle) -> None:
    for seed in range(200):
        random = np.random.default_rng(seed)
        stores = random_stores(random)
        places = places_of(stores, random_levels(random, stores), bundle)
        wanted = random_wanted(random, stores)
        place = places.place(wanted, bundle, now=NOW)
        assert place is not None
        allowed = np.ones(len(PRODUCTS), np.bool_) if place.allowed is None else place.allowed[: len(PRODUCTS)]
        # Which products are not sent only a bundle knows.
        sent = PRODUCTS[len(NOT_SENT) :]
        expected = np.array(sent)[allowed[len(NOT_SENT) :]].tolist()
        assert list(places.available(wanted, sent, now=NOW)) == expected


def test_prices_are_those_of_the_store_then_of_everywhere_then_of_the_table(bundle: Bundle) -> None:
    stores = {name: replace(random_stores(np.random.default_rng(0))["s0"], store_id=name) for name in ("s0", "s1")}
    levels = [StockLevel(store_id, product_id, 9_000) for store_id in stores for product_id in PRODUCTS]
    places = places_of(stores, levels, bundle)
    places.change_prices([StorePrice("s0", "p0", 199, 249), StorePrice(EVERYWHERE, "p1", 399, -1)])
    items = np.array([0, 1, 2], np.int32)
    for store_id, expected in (("s0", [199, 399, -1]), ("s1", [-1, 399, -1])):
        place = places.place(Wanted(store_id), bundle, now=NOW)
        assert place is not None
        prices = place.prices(items)
        assert prices is not None
        assert prices.minor.tolist() == expected
        options = place.options(items, np.array([500, 500, 500], np.int64))
        assert [of_item[0][1] for of_item in options] == [500 if one == -1 else one for one in expected]
    first = places.place(Wanted("s0"), bundle, now=NOW)
    assert first is not None
    named = first.prices(items)
    assert named is not None
    assert named.reference_minor.tolist() == [249, -1, -1]


def test_few_left_is_a_number_and_many_are_none(bundle: Bundle) -> None:
    stores = {"s0": replace(random_stores(np.random.default_rng(0))["s0"], hours=None)}
    levels = [StockLevel("s0", name, milli) for name, milli in (("p0", 3_000), ("p1", 5_001), ("p2", 400))]
    place = places_of(stores, levels, bundle).place(Wanted("s0", ways=frozenset({Way.IN_STORE})), bundle, now=NOW)
    assert place is not None
    options: list[tuple[Option, ...]] = place.options(np.arange(3, dtype=np.int32), np.full(3, -1, np.int64))
    assert [of_item[0][2] for of_item in options] == [3_000, None, 400]


@pytest.mark.parametrize(
    ("own", "expected", "currency"),
    [
        # The product table is in dollars, ENDCAP_CURRENCY and so what counts everywhere in euros.
        ("USD", [199, 500, 500], None),
        ("EUR", [199, 399, None], "EUR"),
        ("CHF", [199, None, None], "CHF"),
        (None, [500, 500, 500], None),
    ],
)
def test_prices_in_other_money_than_the_store_s_are_not_shown(
    bundle: Bundle, own: str | None, expected: list[int | None], currency: str | None
) -> None:
    table = replace(bundle, catalogue=replace(bundle.catalogue, currency="USD"))
    stores = {
        "s0": replace(random_stores(np.random.default_rng(0))["s0"], hours=None, ways={Way.IN_STORE: Fulfilment()})
    }
    stores["s0"] = replace(stores["s0"], currency=own)
    places = places_of(stores, [StockLevel("s0", product_id, 9_000) for product_id in PRODUCTS], table)
    places.change_prices([StorePrice("s0", "p0", 199, -1), StorePrice(EVERYWHERE, "p1", 399, -1)])
    place = places.place(Wanted("s0"), table, now=NOW)
    assert place is not None
    assert place.currency == currency
    items = np.array([0, 1, 2], np.int32)
    options = place.options(items, np.array([500, 500, 500], np.int64))
    assert [of_item[0][1] for of_item in options] == expected
    prices = place.prices(items)
    assert prices is not None
    listed = -1 if currency else 500
    shown = [listed if minor == -1 else minor for minor in prices.minor.tolist()]
    assert [None if minor == -1 else minor for minor in shown] == expected
