"""Random stores and stock for tests: small enough that every case turns up, drawn from a seed."""

from datetime import UTC, datetime, time, timedelta

import numpy as np

from app.places.stores import DeliverySlot, Fulfilment, OpeningHours, Position, Store, StoreKind, Way
from app.places.tables import StockLevel

NOW = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)
PRODUCTS = [f"p{number}" for number in range(12)]
WEEK = (((time(8), time(20)),),) * 6 + ((),)


def random_stores(random: np.random.Generator) -> dict[str, Store]:
    """One to seven stores and up to two warehouses around one town, some without a position."""
    stores = [_store(random, f"s{number}", StoreKind.STORE) for number in range(int(random.integers(1, 8)))]
    stores += [_store(random, f"w{number}", StoreKind.WAREHOUSE) for number in range(int(random.integers(0, 3)))]
    return {store.store_id: store for store in stores}


def _store(random: np.random.Generator, store_id: str, kind: StoreKind) -> Store:
    possible = [Way.PICKUP, Way.SHIP, Way.DELIVER] if kind == StoreKind.STORE else [Way.SHIP, Way.DELIVER]
    ways = {way: _fulfilment(random, way) for way in possible if random.random() < 0.5}
    if kind == StoreKind.STORE:
        ways[Way.IN_STORE] = Fulfilment()
    at = random_position(random) if random.random() < 0.85 else None
    hours = OpeningHours(WEEK) if random.random() < 0.7 else None
    return Store(store_id, kind, None, at, "Europe/Berlin", "DE-BE", hours, ways)


def _fulfilment(random: np.random.Generator, way: Way) -> Fulfilment:
    radius = float(random.uniform(5, 80)) if random.random() < 0.5 else None
    slots = [
        DeliverySlot(f"d{number}", at, at + timedelta(hours=2), at - timedelta(hours=1), int(random.integers(0, 2)))
        for number, at in enumerate(NOW + timedelta(hours=float(hours)) for hours in random.uniform(0, 60, 3))
    ]
    return Fulfilment(
        lead_minutes=int(random.integers(0, 300)),
        lead_working_days=int(random.integers(0, 4)),
        cut_off=time(int(random.integers(9, 20))) if random.random() < 0.5 else None,
        radius_km=radius,
        slots=slots if way == Way.DELIVER else (),
    )


def random_position(random: np.random.Generator) -> Position:
    """Within some 60 km of Berlin."""
    return Position(52.5 + float(random.normal(0, 0.3)), 13.4 + float(random.normal(0, 0.4)))


def random_levels(random: np.random.Generator, stores: dict[str, Store]) -> list[StockLevel]:
    """Stock of most stores; two products in five are not there, and some stores keep no stock at all."""
    kept = [store_id for store_id in stores if random.random() < 0.8]
    return [
        StockLevel(store_id, product_id, int(random.choice([0, 0, 1_000, 4_000, 250_000])))
        for store_id in kept
        for product_id in PRODUCTS
        if random.random() < 0.9
    ]
