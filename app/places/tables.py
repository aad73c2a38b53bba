"""What every server process holds of stock and prices: four bits per store and product, and the prices that differ.

Rows are stores and columns products, in the order in which they became known; both only ever grow. A bundle numbers its
products in another way, so `app.places.views` maps once per bundle.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.domain import Ints, Mask

FEW_MILLI = 5_000
"""Up to so many thousandths of a unit a quantity is kept, and shown: customers act on "only 3 left"."""
MILLI = 1_000
NONE, PART, MANY = 0, 6, 7
"""A level is what is left: none, 1 to 5 whole units, few that are not whole, or many."""
LEVEL, HAS_PRICE = 7, 8
"""Of the four bits three are the level, and one says that the store has a price of its own, or had one."""
ABSENT = -1
MERGE_COUNT = 512
"""Changes next to a row's sorted arrays before they join: a copy of some thousand numbers."""
GROWTH = 1.25

Cells = npt.NDArray[np.uint8]
WholeNumbers = npt.NDArray[np.integer[Any]]
Values = npt.NDArray[np.unsignedinteger[Any]]
Numbers = npt.NDArray[np.signedinteger[Any]]
Wide = npt.NDArray[np.int64]


class StockLevel(NamedTuple):
    """What can still be had of a product in a store, in thousandths of its unit; None: nobody knows any more."""

    store_id: str
    product_id: str
    available_milli: int | None


class StorePrice(NamedTuple):
    """What a product costs in a store, ABSENT: nothing of its own; the price that a reduction may name, or ABSENT."""

    store_id: str
    product_id: str
    price_minor: int
    reference_minor: int


@dataclass(slots=True)
class SparseRow:
    """Whole numbers from 0 on for a few columns: sorted arrays, and the last changes next to them."""

    columns: Ints
    values: Values
    changed: dict[int, int]

    @classmethod
    def empty(cls) -> "SparseRow":
        """A row without values."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.uint16), {})

    def put(self, column: int, value: int) -> None:
        """Sets one value; ABSENT takes it away."""
        if value != self.get(column):
            self.changed[column] = value
            if len(self.changed) > MERGE_COUNT:
                self._merge()

    def put_many(self, columns: Ints, values: Wide) -> None:
        """Sets the values of many columns, each once, none of them ABSENT."""
        self.changed |= dict(zip(columns.tolist(), values.tolist(), strict=True))
        if len(self.changed) > MERGE_COUNT:
            self._merge()

    def get(self, column: int) -> int:
        """The value of one column, ABSENT where there is none: a fifth of the time of `of`."""
        value = self.changed.get(column)
        if value is not None:
            return value
        # In the array's own type: it would be copied for any other one.
        at = int(self.columns.searchsorted(np.int32(column)))
        is_there = at < len(self.columns) and self.columns.item(at) == column
        return int(self.values.item(at)) if is_there else ABSENT

    def of(self, columns: Ints) -> Wide:
        """The values of these columns, ABSENT where there is none."""
        found: Wide = np.full(len(columns), ABSENT, np.int64)
        if len(self.columns):
            at = self.columns.searchsorted(columns)
            is_stored = self.columns.take(at, mode="clip") == columns
            found[is_stored] = self.values[at[is_stored]]
        if self.changed:
            get = self.changed.get
            for place, column in enumerate(columns.tolist()):
                value = get(column)
                if value is not None:
                    found[place] = value
        return found

    def merged(self) -> tuple[Ints, WholeNumbers]:
        """All of it as sorted columns and their values."""
        if not self.changed:
            return self.columns, self.values
        new = np.fromiter(self.changed, np.int32, len(self.changed))
        kept = ~np.isin(self.columns, new)
        values = np.fromiter(self.changed.values(), np.int64, len(self.changed))
        columns = np.concatenate([self.columns[kept], new[values != ABSENT]])
        values = np.concatenate([self.values[kept].astype(np.int64), values[values != ABSENT]])
        order = columns.argsort(kind="stable")
        return columns[order], values[order]

    def copy(self) -> "SparseRow":
        """The same in a row of its own; the arrays, which nobody changes in place, are those of this one."""
        return SparseRow(self.columns, self.values, dict(self.changed))

    def _merge(self) -> None:
        columns, values = self.merged()
        self.columns, self.values, self.changed = columns, narrowed(values), {}


def narrowed(values: WholeNumbers) -> Values:
    """The same numbers, none below 0, in as few bytes as hold the largest."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


class LiveTables:
    """Stock and prices of every store as this process knows them. Whoever changes it lets nobody read meanwhile.

    `cells` has two products to a byte, the first of them in the low four bits.
    """

    def __init__(self, store_ids: Iterable[str] = (), product_ids: Iterable[str] = ()) -> None:
        self.row_of: dict[str, int] = {name: row for row, name in enumerate(store_ids)}
        self.column_of: dict[str, int] = {name: column for column, name in enumerate(product_ids)}
        store_count, product_count = len(self.row_of), len(self.column_of)
        self.cells: Cells = np.zeros((store_count, -(-product_count // 2)), np.uint8)
        self.parts = [SparseRow.empty() for _ in range(store_count)]
        self.prices = [SparseRow.empty() for _ in range(store_count)]
        self.references = [SparseRow.empty() for _ in range(store_count)]
        self.keeps_stock = [False] * store_count
        self.has_prices = False

    def row(self, store_id: str) -> int:
        """The store's row, made where it has none."""
        row = self.row_of.get(store_id)
        if row is None:
            row = len(self.row_of)
            if row >= len(self.cells):
                self._grow(rows=int(row * GROWTH) + 1)
            for sparse in (self.parts, self.prices, self.references):
                sparse.append(SparseRow.empty())
            self.keeps_stock.append(False)
            # Last: who reads meanwhile finds a row only when all of it is there.
            self.row_of[store_id] = row
        return row

    def column(self, product_id: str) -> int:
        """The product's column, made where it has none."""
        column = self.column_of.get(product_id)
        if column is None:
            column = len(self.column_of)
            if column >= 2 * self.cells.shape[1]:
                self._grow(width=int(self.cells.shape[1] * GROWTH) + 1)
            self.column_of[product_id] = column
        return column

    def columns(self, product_ids: Iterable[str]) -> Ints:
        """The columns of these products, made where they have none."""
        return np.fromiter(map(self.column, product_ids), np.int32)

    def put_stock(self, level: StockLevel) -> tuple[int, int]:
        """Takes a level over; gives the row and column that it changed."""
        row, column = self.row(level.store_id), self.column(level.product_id)
        self.keeps_stock[row] = True
        milli = level.available_milli or 0
        code = _level(milli)
        if code == PART or self.parts[row].changed or len(self.parts[row].columns):
            self.parts[row].put(column, milli if code == PART else ABSENT)
        self._put(row, column, LEVEL, code)
        return row, column

    def put_levels(self, store_id: str, columns: Ints, available_milli: Wide) -> None:
        """Takes over what can be had of many products of one store that had no level yet."""
        row = self.row(store_id)
        self.keeps_stock[row] = True
        codes = np.where(available_milli > FEW_MILLI, MANY, np.maximum(available_milli // MILLI, NONE))
        is_part = (available_milli > 0) & (available_milli < FEW_MILLI) & (available_milli % MILLI != 0)
        codes[is_part] = PART
        np.bitwise_or.at(self.cells[row], columns >> 1, (codes << _shift(columns)).astype(np.uint8))
        self.parts[row].put_many(columns[is_part], available_milli[is_part])

    def put_price(self, price: StorePrice) -> None:
        """Takes a price over."""
        row, column = self.row(price.store_id), self.column(price.product_id)
        self.prices[row].put(column, price.price_minor)
        self.references[row].put(column, price.reference_minor)
        self._put(row, column, HAS_PRICE, HAS_PRICE)
        self.has_prices = True

    def codes(self, rows: Numbers | int, columns: Numbers) -> Cells:
        """The four bits of these products in these stores, the two arrays broadcast."""
        # Taken from one long row: two thirds of the time of pairs of indices.
        at = np.asarray(rows, np.intp) * self.cells.shape[1] + (columns >> 1)
        found: Cells = self.cells.reshape(-1).take(at) >> _shift(columns) & 15
        return found

    def left_milli(self, row: int, column: int, code: int) -> int | None:
        """What is left of a product in thousandths of its unit, by its four bits; None unless that is little."""
        level = code & LEVEL
        if level == PART:
            return self.parts[row].get(column)
        return None if level in (NONE, MANY) else level * MILLI

    def has_anywhere(self, rows: Numbers) -> Mask:
        """Which products can be had in one of the stores at least, by column."""
        joined = self.cells[rows[0]] if len(rows) == 1 else np.bitwise_or.reduce(self.cells[rows])
        found = np.empty((len(joined), 2), np.bool_)
        found[:, 0] = joined & LEVEL
        found[:, 1] = joined & LEVEL << 4
        mask: Mask = found.ravel()[: len(self.column_of)]
        return mask

    def price_of(self, rows: Sequence[int], columns: Ints) -> tuple[Wide, Wide]:
        """Price and reference price of these products by the first of the rows that has one, ABSENT where none has.

        No reference either where an earlier row had a price once: customers there may have paid less than it says.
        """
        price: Wide = np.full(len(columns), ABSENT, np.int64)
        reference, had_price = price.copy(), set[int]()
        for row in rows:
            for place in (self.codes(row, columns) & HAS_PRICE).nonzero()[0].tolist():
                if price[place] != ABSENT:
                    continue
                column = columns.item(place)
                price[place] = minor = self.prices[row].get(column)
                if minor != ABSENT and place not in had_price:
                    reference[place] = self.references[row].get(column)
                had_price.add(place)
        return price, reference

    def copy(self) -> "LiveTables":
        """Tables of their own with the same content: some 10 ms for 500 stores of 100,000 products."""
        copied = LiveTables()
        copied.row_of, copied.column_of, copied.cells = dict(self.row_of), dict(self.column_of), self.cells.copy()
        copied.parts, copied.prices, copied.references = (
            [row.copy() for row in rows] for rows in (self.parts, self.prices, self.references)
        )
        copied.keeps_stock, copied.has_prices = list(self.keeps_stock), self.has_prices
        return copied

    def price_minor(self, store_ids: Iterable[str], product_id: str) -> int | None:
        """What a product costs by the first of the stores that has a price of its own; None where none has."""
        column = self.column_of.get(product_id)
        if column is None:
            return None
        found = (self.prices[row].get(column) for name in store_ids if (row := self.row_of.get(name)) is not None)
        return next((price for price in found if price != ABSENT), None)

    def store_ids(self) -> Sequence[str]:
        """By row."""
        return list(self.row_of)

    def product_ids(self) -> Sequence[str]:
        """By column."""
        return list(self.column_of)

    def _put(self, row: int, column: int, mask: int, code: int) -> None:
        shift = (column & 1) << 2
        self.cells[row, column >> 1] = int(self.cells[row, column >> 1]) & ~(mask << shift) | code << shift

    def _grow(self, *, rows: int | None = None, width: int | None = None) -> None:
        grown: Cells = np.zeros((rows or len(self.cells), width or self.cells.shape[1]), np.uint8)
        grown[: len(self.cells), : self.cells.shape[1]] = self.cells
        self.cells = grown


def _level(milli: int) -> int:
    if milli > FEW_MILLI:
        return MANY
    return max(milli, 0) // MILLI if milli <= 0 or milli % MILLI == 0 else PART


def _shift(columns: Numbers) -> Cells:
    return ((columns & 1) << 2).astype(np.uint8)
