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
    """Masks of what can be had, each made once and then kept up to date, the ones not used for longest forgotten."""

    def __init__(self, tables: LiveTables, column_of_item: Ints) -> None:
        self.tables = tables
        self.column_of_item = column_of_item
        self._item_of_column: Ints = np.full(int(column_of_item.max(initial=-1)) + 1, -1, np.int32)
        self._item_of_column[column_of_item] = np.arange(len(column_of_item), dtype=np.int32)
        self._most = max(4, MASK_BYTES // max(len(column_of_item), 1))
        self._masks: OrderedDict[Rows, Mask] = OrderedDict()

    def available(self, rows: Rows) -> Mask:
        """Which items can be had in one of these stores at least (n,); the mask is not the caller's to change."""
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
