"""Live stock in one bundle's numbering: a mask over its items for each set of stores that a question reaches."""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from app.domain import Ints, Mask
from app.places.tables import LEVEL, LiveTables

MASK_BYTES = 16 * 2**20
"""All masks of a bundle together; of 66,000 products 250."""

Rows = tuple[int, ...]


class BundleView:
    """Masks of what can be had, each made once and then kept up to date, the ones not used for longest forgotten.

    `pickup_only` (n,): items that are not sent; None where all may be.
    """

    def __init__(self, tables: LiveTables, column_of_item: Ints, pickup_only: Mask | None = None) -> None:
        self.tables = tables
        self.pickup_only = pickup_only
        self.column_of_item = column_of_item
        self._item_of_column: Ints = np.full(int(column_of_item.max(initial=-1)) + 1, -1, np.int32)
        self._item_of_column[column_of_item] = np.arange(len(column_of_item), dtype=np.int32)
        self._most = max(4, MASK_BYTES // max(len(column_of_item), 1))
        self._masks: OrderedDict[Rows, Mask] = OrderedDict()

    def allowed(self, rows: Rows | None, pickup_rows: Rows | None) -> Mask | None:
        """Which items (n,) can be had in one of these stores at least, or where they are not sent in one of the second.

        None in place of stores: anything may be there; None as the answer: all items. It is not the caller's to change.
        """
        mask = None if rows is None else self.available(rows)
        if self.pickup_only is None or pickup_rows == rows:
            return mask
        to_pick_up = True if pickup_rows is None else self.available(pickup_rows)
        joined: Mask = np.where(self.pickup_only, to_pick_up, True if mask is None else mask)
        return joined

    def available(self, rows: Rows) -> Mask:
        """Which items can be had in one of these stores at least (n,); the mask is not the caller's to change."""
        if not rows:
            return np.zeros(len(self.column_of_item), np.bool_)
        found = self._masks.get(rows)
        if found is None:
            found = self._masks[rows] = self.tables.has_anywhere(np.array(rows, np.intp)).take(self.column_of_item)
            if len(self._masks) > self._most:
                self._masks.popitem(last=False)
        else:
            self._masks.move_to_end(rows)
        return found

    def refresh(self, rows: set[int], columns: Iterable[int]) -> None:
        """Takes over what changed in these stores and products."""
        if not self._masks:
            return
        changed = np.unique(np.fromiter(columns, np.int32))
        # Products that no bundle had yet are none of this one's.
        changed = changed[changed < len(self._item_of_column)]
        items = self._item_of_column[changed]
        changed, items = changed[items >= 0], items[items >= 0]
        if not len(items):
            return
        for key, mask in self._masks.items():
            if not rows.isdisjoint(key):
                codes = self.tables.codes(np.array(key, np.intp)[:, None], changed)
                mask[items] = (codes & LEVEL != 0).any(axis=0)
