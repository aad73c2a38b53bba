"""From which stores a question can be served, by which way and by when: places and time alone, whatever the product."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, nan

import numpy as np
import numpy.typing as npt

from app.domain import Source
from app.places.stores import EARTH_RADIUS_KM, Position, Store, Way

NEARBY_KM = 50.0
"""So far a customer goes for a product, unless the store's own radius says otherwise."""
SENT = (Way.SHIP, Way.DELIVER)

SourceOf = Callable[[Store, Way], Source | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a question says of place and time; None and empty: nothing. `by_at`: no later than that."""

    store_id: str | None = None
    pickup_store_id: str | None = None
    position: Position | None = None
    ways: frozenset[Way] = frozenset()
    by_at: datetime | None = None


Feasible = Sequence[tuple[Way, Sequence[Source]]]
"""For each way that is possible the stores in the order of preference: the first that has the product serves it."""


@dataclass(frozen=True, slots=True)
class _Serving:
    """The n stores that serve one way, by id: where they are in degrees, and how far they serve; NaN where unknown."""

    stores: Sequence[Store]
    latitude: npt.NDArray[np.float64]
    longitude: npt.NDArray[np.float64]
    radius_km: npt.NDArray[np.float64]


class StoreMap:
    """All stores, and for each way those that serve it, made ready once for the questions to come."""

    def __init__(self, stores: Mapping[str, Store]) -> None:
        self.stores = stores
        self._serving = {way: _serving(stores, way) for way in Way}
        self._sends = any(self._serving[way].stores for way in SENT)

    def feasible(self, wanted: Wanted, source_of: SourceOf) -> Feasible:
        """What is feasible, nothing else; `wanted` names no store that is not on the map.

        In the store: where the customer is. Pickup: the store that was chosen, else the customer's own, then the
        nearest. Ship and deliver: from the nearest; without any position from where it comes soonest. A question
        without any place gets what is sent, and where nothing is sent what any store has.
        """
        found = []
        for way in wanted_ways(wanted):
            sources = [
                source
                for store in self._candidates(wanted, way)
                if (source := source_of(store, way)) is not None
                and (wanted.by_at is None or source.available_by_at <= wanted.by_at)
            ]
            if way in SENT and self._position(wanted) is None:
                sources.sort(key=lambda one: (one.available_by_at, one.store_id))
            if sources:
                found.append((way, tuple(sources)))
        return tuple(found)

    def _position(self, wanted: Wanted) -> Position | None:
        chosen = wanted.pickup_store_id or wanted.store_id
        return wanted.position or (None if chosen is None else self.stores[chosen].position)

    def _candidates(self, wanted: Wanted, way: Way) -> Sequence[Store]:
        """The stores that serve the way, in the order of preference."""
        serving, position = self._serving[way], self._position(wanted)
        if way in SENT:
            return _near(serving, position, within_km=inf)
        if way == Way.PICKUP and wanted.pickup_store_id is not None:
            return [store for store in serving.stores if store.store_id == wanted.pickup_store_id]
        own = [store for store in serving.stores if store.store_id == wanted.store_id]
        if way == Way.IN_STORE and wanted.store_id is not None:
            return own
        if position is not None:
            return own + [one for one in _near(serving, position, within_km=NEARBY_KM) if one not in own]
        return serving.stores if self.is_anywhere(wanted) else own

    def is_anywhere(self, wanted: Wanted) -> bool:
        """Whether any store will do: none is sent from, and the question names no place."""
        named = (wanted.store_id, wanted.pickup_store_id, wanted.position)
        return not self._sends and all(place is None for place in named)


def wanted_ways(wanted: Wanted) -> Sequence[Way]:
    """The ways that the question leaves open."""
    ways = wanted.ways
    if not ways and wanted.pickup_store_id is not None:
        ways |= {Way.PICKUP}
    if not wanted.ways and wanted.by_at is not None:
        ways |= set(SENT)
    return [way for way in Way if way in ways or not ways]


def _serving(stores: Mapping[str, Store], way: Way) -> _Serving:
    found = sorted((one for one in stores.values() if way in one.ways), key=lambda one: one.store_id)
    radii = [one.ways[way].radius_km for one in found]
    return _Serving(
        found,
        np.array([nan if one.position is None else one.position.latitude for one in found]),
        np.array([nan if one.position is None else one.position.longitude for one in found]),
        np.array([nan if radius is None else radius for radius in radii]),
    )


def _near(serving: _Serving, position: Position | None, *, within_km: float) -> Sequence[Store]:
    """Those in whose radius the customer is, the nearest first; `within_km` where a store states none.

    One whose place is unknown is in no bounded radius, and comes last.
    """
    radius_km = np.where(np.isnan(serving.radius_km), within_km, serving.radius_km)
    if position is None:
        return [serving.stores[number] for number in np.isinf(radius_km).nonzero()[0].tolist()]
    away_km = distances_km(position, serving.latitude, serving.longitude)
    away_km[np.isnan(away_km)] = inf
    nearest_first = away_km.argsort(kind="stable")
    return [serving.stores[number] for number in nearest_first[(away_km <= radius_km)[nearest_first]].tolist()]


def distances_km(
    position: Position, latitude: npt.NDArray[np.float64], longitude: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The great-circle distances to points in degrees (n,), as `distance_km` has them; NaN where one is NaN."""
    north = np.radians(latitude - position.latitude)
    east = np.radians(longitude - position.longitude)
    chord = (
        np.sin(north / 2) ** 2
        + np.cos(np.radians(position.latitude)) * np.cos(np.radians(latitude)) * np.sin(east / 2) ** 2
    )
    away: npt.NDArray[np.float64] = 2 * EARTH_RADIUS_KM * np.arcsin(np.minimum(1.0, np.sqrt(chord)))
    return away
