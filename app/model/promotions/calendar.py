"""What is on promotion where and when, as a bundle holds it: read by each decision, without I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints
from app.model.verification.arrays import ITEMS, Form
from app.model.verification.documents import PROMOTIONS
from app.model.verification.parts import BundleParts

DOCUMENT = "promotions.json"
STORES = "promotion stores"
EVERYWHERE = -1
"""The store of a row that is of all stores."""
NO_ITEM = np.int32(np.iinfo(np.int32).max)
"""Behind all items, so that a search always ends within the array."""
LEADING_COUNT = 100
"""So many products of a store's promotions are looked at as candidates: those that sell best on promotion."""

_Places = npt.NDArray[np.intp]
_ROWS = "promotions"
FORMS: Mapping[str, Form] = {
    "promotion_item.npy": Form(np.int32, (_ROWS,), least=0, below=ITEMS),
    "promotion_store.npy": Form(np.int32, (_ROWS,), least=EVERYWHERE, below=STORES),
    "promotion_minutes.npy": Form(np.int32, (_ROWS, 2)),
    "promotion_shown.npy": Form(np.bool_, (_ROWS, 2)),
    "promotion_lift.npy": Form(np.float32, (ITEMS,)),
}


@dataclass(frozen=True, slots=True)
class Promoted:
    """A store's products on promotion, ascending, each once, and behind them NO_ITEM (m + 1).

    `flags` (3, m + 1): each is promoted, is on display, is in the flyer; a last column of zeros for all other products.
    `leading`: those of them that sell best on promotion, at most LEADING_COUNT.
    """

    bounded: Ints
    flags: Floats
    leading: Ints

    @property
    def items(self) -> Ints:
        """The products."""
        return self.bounded[:-1]

    def places_of(self, items: Ints) -> _Places:
        """The column of `flags` of each of `items` (any order), the last one for what is not on promotion."""
        place: _Places = self.bounded.searchsorted(items)
        place[self.bounded.take(place) != items] = len(self.bounded) - 1
        return place


NOTHING_PROMOTED = Promoted(np.array([NO_ITEM], np.int32), np.zeros((3, 1), np.float32), np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class InForce:
    """The promotions of one span of time, in which none begins or ends. `rows` by store, then item.

    `shares` (3, n): of the stores that promote anything, how many promote the item, display it, have it in the flyer.
    """

    first_minute: int
    end_minute: int
    shares: Floats
    _by_store: Mapping[int, tuple[Ints, npt.NDArray[np.bool_]]]
    _strength: Floats
    _made: dict[int, Promoted] = field(default_factory=dict)

    def of(self, store: int | None) -> Promoted:
        """What is on promotion in this store; in one that is not known, what is so everywhere."""
        place = EVERYWHERE if store is None else store
        made = self._made.get(place)
        if made is None:
            # Two threads may make it at once: both make the same.
            made = self._made[place] = self._of(place)
        return made

    def _of(self, place: int) -> Promoted:
        rows = [self._by_store[key] for key in {EVERYWHERE, place} if key in self._by_store]
        if not rows:
            return NOTHING_PROMOTED
        items, shown = _each_once(np.concatenate([row[0] for row in rows]), np.concatenate([row[1] for row in rows]))
        leading = items
        if len(items) > LEADING_COUNT:
            best = np.argpartition(-self._strength[items], LEADING_COUNT)[:LEADING_COUNT]
            leading = items[best]
        flags = np.zeros((3, len(items) + 1), np.float32)
        flags[0, :-1], flags[1:, :-1] = 1, shown.T
        return Promoted(np.append(items, NO_ITEM), flags, leading)


@dataclass(frozen=True, slots=True)
class PromotionCalendar:
    """All promotions that a bundle knows, one value per row, ordered by store, then item.

    `minutes` (r, 2) since 1970: the first in force, the first no more. `shown` (r, 2): on display, in the flyer.
    `lift` (n,): how many times as much of the item is sold on promotion. `strength` (n,): how much is.
    """

    item: Ints
    store: Ints
    minutes: Ints
    shown: npt.NDArray[np.bool_]
    lift: Floats
    strength: Floats
    store_of: Mapping[str, int]
    _spans: list[InForce] = field(default_factory=list)

    def at(self, unix_s: float) -> InForce:
        """What is in force at this instant. Made once for each span between two changes: 20 ms for 900,000 rows."""
        minute = int(unix_s // 60)
        for span in self._spans:
            if span.first_minute <= minute < span.end_minute:
                return span
        made = self._in_force(minute)
        # The last ones suffice: now, a week ago, and either across a change. Replaced, never changed while it is read.
        self._spans[:] = [made, *self._spans[:3]]
        return made

    def extended(self, item_count: int) -> "PromotionCalendar":
        """The same for a catalogue with later products, of which no promotion is known."""
        more = item_count - len(self.lift)
        lift, strength = (np.concatenate([one, np.zeros(more, np.float32)]) for one in (self.lift, self.strength))
        return replace(self, lift=lift, strength=strength, _spans=[])

    def with_rows(self, item: Ints, store: Ints, minutes: Ints, shown: npt.NDArray[np.bool_]) -> "PromotionCalendar":
        """The same with the promotions of another time."""
        order = _order(item, store, minutes, shown)
        return replace(
            self, item=item[order], store=store[order], minutes=minutes[order], shown=shown[order], _spans=[]
        )

    def _in_force(self, minute: int) -> InForce:
        start, end = self.minutes[:, 0], self.minutes[:, 1]
        rows = ((start <= minute) & (minute < end)).nonzero()[0]
        store, item, shown = self.store[rows], self.item[rows], self.shown[rows]
        stores, firsts = np.unique(store, return_index=True)
        bounds = [*firsts.tolist(), len(rows)]
        by_store = {
            place: (item[first:last], shown[first:last])
            for place, first, last in zip(stores.tolist(), bounds[:-1], bounds[1:], strict=True)
        }
        return InForce(
            int(max(start[start <= minute].max(initial=0), end[end <= minute].max(initial=0))),
            int(min(_least(start[start > minute]), _least(end[end > minute]))),
            self._shares(by_store),
            by_store,
            self.strength,
        )

    def _shares(self, by_store: Mapping[int, tuple[Ints, npt.NDArray[np.bool_]]]) -> Floats:
        count = len(self.lift)
        total = np.zeros((3, count), np.float32)
        store_count = max(1, len(by_store.keys() - {EVERYWHERE}))
        for place, (items, shown) in by_store.items():
            worth = store_count if place == EVERYWHERE else 1
            for row, chosen in enumerate((items, items[shown[:, 0]], items[shown[:, 1]])):
                total[row, chosen] += worth
        shares: Floats = np.minimum(total / np.float32(store_count), 1)
        return shares


def read_calendar(parts: BundleParts, popularity: Floats) -> PromotionCalendar | None:
    """The calendar of a bundle that was trained with promotions; None for others."""
    if not parts.files.has(DOCUMENT):
        return None
    stores = parts.document(DOCUMENT, PROMOTIONS).stores
    parts.sizes.state(STORES, len(stores), DOCUMENT)
    item, store, minutes, shown, lift = (parts.array(name, form) for name, form in FORMS.items())
    return PromotionCalendar(
        item,
        store,
        minutes,
        shown,
        lift,
        popularity * lift,
        {name: place for place, name in enumerate(stores)},
    )


def _each_once(items: Ints, shown: npt.NDArray[np.bool_]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Ascending items; of several rows of one item, what any of them says."""
    order = items.argsort(kind="stable")
    items, shown = items[order], shown[order]
    firsts: _Places = np.flatnonzero(np.diff(items, prepend=-1))
    return items[firsts], np.logical_or.reduceat(shown, firsts, axis=0)


def _least(minutes: Ints) -> int:
    return int(minutes.min(initial=np.iinfo(np.int32).max))


def _order(item: Ints, store: Ints, minutes: Ints, shown: npt.NDArray[np.bool_]) -> _Places:
    # By all that tells rows apart, so that the same promotions in another order give the same bytes.
    return np.lexsort((*shown.T, *minutes.T, item, store))


def calendar_arrays(
    item: Ints, store: Ints, minutes: Ints, shown: npt.NDArray[np.bool_], lift: Floats
) -> dict[str, npt.NDArray[np.generic]]:
    """The arrays of a bundle, by the names of their files, in the order that serving relies on."""
    order = _order(item, store, minutes, shown)
    values: Sequence[npt.NDArray[np.generic]] = (item[order], store[order], minutes[order], shown[order], lift)
    return {name.removesuffix(".npy"): value for name, value in zip(FORMS, values, strict=True)}
