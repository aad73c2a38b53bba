"""What every server process holds of stock and prices: a bit per store and product, and the few numbers that differ.

Rows are stores and columns products, in the order in which they became known; both only ever grow. A bundle numbers its
products in another way, so `app.places.views` maps once per bundle.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from app.domain import Ints, Mask

FEW_MILLI = 5_000
"""Up to so many thousandths of a unit a quantity is kept, and shown: customers act on "only 3 left"."""
ABSENT = -1
MERGE_COUNT = 512
"""Changes next to a row's sorted arrays before they join: a copy of some thousand numbers."""
GROWTH = 1.25

Bits = npt.NDArray[np.uint8]
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

    columns: npt.NDArray[np.int32]
    values: npt.NDArray[np.unsignedinteger[Any]]
    changed: dict[int, int]

    @classmethod
    def empty(cls) -> "SparseRow":
        """A row without values."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.uint16), {})

    def put(self, column: int, value: int) -> None:
        """Sets one value; ABSENT takes it away."""
        if value != ABSENT or column in self.changed or self._stored(column):
            self.changed[column] = value
            if len(self.changed) > MERGE_COUNT:
                self._merge()

    def put_many(self, columns: Ints, values: Wide) -> None:
        """Sets the values of many columns, each once, none of them ABSENT."""
        self.changed |= dict(zip(columns.tolist(), values.tolist(), strict=True))
        if len(self.changed) > MERGE_COUNT:
            self._merge()

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

    def merged(self) -> tuple[npt.NDArray[np.int32], Wide]:
        """All of it as sorted columns and their values."""
        new = np.fromiter(self.changed, np.int32, len(self.changed))
        kept = ~np.isin(self.columns, new)
        values = np.fromiter(self.changed.values(), np.int64, len(self.changed))
        columns = np.concatenate([self.columns[kept], new[values != ABSENT]])
        values = np.concatenate([self.values[kept].astype(np.int64), values[values != ABSENT]])
        order = columns.argsort(kind="stable")
        return columns[order], values[order]

    def _stored(self, column: int) -> bool:
        at = int(self.columns.searchsorted(column))
        return at < len(self.columns) and int(self.columns[at]) == column

    def _merge(self) -> None:
        columns, values = self.merged()
        self.columns, self.values, self.changed = columns, narrowed(values), {}


def narrowed(values: Wide) -> npt.NDArray[np.unsignedinteger[Any]]:
    """The same numbers, none below 0, in as few bytes as hold the largest."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


class LiveTables:
    """Stock and prices of every store as this process knows them. Whoever changes it lets nobody read meanwhile."""

    def __init__(self, store_ids: Iterable[str] = (), product_ids: Iterable[str] = ()) -> None:
        self.row_of: dict[str, int] = {name: row for row, name in enumerate(store_ids)}
        self.column_of: dict[str, int] = {name: column for column, name in enumerate(product_ids)}
        store_count, product_count = len(self.row_of), len(self.column_of)
        self.bits: Bits = np.zeros((store_count, -(-product_count // 8)), np.uint8)
        self.few = [SparseRow.empty() for _ in range(store_count)]
        self.prices = [SparseRow.empty() for _ in range(store_count)]
        self.references = [SparseRow.empty() for _ in range(store_count)]
        self.keeps_stock = [False] * store_count
        self.has_prices = False

    def row(self, store_id: str) -> int:
        """The store's row, made where it has none."""
        row = self.row_of.get(store_id)
        if row is None:
            row = self.row_of[store_id] = len(self.row_of)
            if row >= len(self.bits):
                self._grow(rows=int(row * GROWTH) + 1)
            for sparse in (self.few, self.prices, self.references):
                sparse.append(SparseRow.empty())
            self.keeps_stock.append(False)
        return row

    def column(self, product_id: str) -> int:
        """The product's column, made where it has none."""
        column = self.column_of.get(product_id)
        if column is None:
            column = self.column_of[product_id] = len(self.column_of)
            if column >= 8 * self.bits.shape[1]:
                self._grow(width=int(self.bits.shape[1] * GROWTH) + 1)
        return column

    def columns(self, product_ids: Sequence[str]) -> Ints:
        """The columns of these products, made where they have none."""
        return np.fromiter(map(self.column, product_ids), np.int32, len(product_ids))

    def put_stock(self, level: StockLevel) -> tuple[int, int]:
        """Takes a level over; gives the row and column that it changed."""
        row, column = self.row(level.store_id), self.column(level.product_id)
        self.keeps_stock[row] = True
        available = level.available_milli or 0
        # The highest bit of a byte comes first, as np.unpackbits has it.
        bit = 128 >> (column & 7)
        if available > 0:
            self.bits[row, column >> 3] |= bit
        else:
            self.bits[row, column >> 3] &= ~bit & 255
        self.few[row].put(column, available if 0 < available <= FEW_MILLI else ABSENT)
        return row, column

    def put_levels(self, store_id: str, columns: Ints, available_milli: Wide) -> None:
        """Takes over what can be had of many products of one store that had no level yet."""
        row, can = self.row(store_id), available_milli > 0
        self.keeps_stock[row] = True
        here = columns[can]
        np.bitwise_or.at(self.bits[row], here >> 3, (128 >> (here & 7)).astype(np.uint8))
        few = can & (available_milli <= FEW_MILLI)
        self.few[row].put_many(columns[few], available_milli[few])

    def put_price(self, price: StorePrice) -> None:
        """Takes a price over."""
        row, column = self.row(price.store_id), self.column(price.product_id)
        self.prices[row].put(column, price.price_minor)
        self.references[row].put(column, price.reference_minor)
        self.has_prices = True

    def has(self, rows: Numbers, columns: Numbers) -> Mask:
        """Which of the products can be had in which of the stores, (rows, columns)."""
        bits = self.bits[rows[:, None], columns >> 3]
        found: Mask = (bits << (columns & 7).astype(np.uint8)) & 128 != 0
        return found

    def has_anywhere(self, rows: Numbers) -> Mask:
        """Which products can be had in one of the stores at least, by column."""
        joined = self.bits[rows[0]] if len(rows) == 1 else np.bitwise_or.reduce(self.bits[rows])
        return np.unpackbits(joined, count=len(self.column_of)).view(np.bool_)

    def _grow(self, *, rows: int | None = None, width: int | None = None) -> None:
        old = self.bits
        self.bits = np.zeros((rows or len(old), width or old.shape[1]), np.uint8)
        self.bits[: len(old), : old.shape[1]] = old

    def product_ids(self) -> Sequence[str]:
        """By column."""
        return list(self.column_of)

    def store_ids(self) -> Sequence[str]:
        """By row."""
        return list(self.row_of)

    def price_of(self, rows: Sequence[int], columns: Ints) -> tuple[Wide, Wide]:
        """Price and reference price of these products by the first of the rows that has one, ABSENT where none has."""
        price: Wide = np.full(len(columns), ABSENT, np.int64)
        reference = price.copy()
        for row in rows:
            missing = (price == ABSENT).nonzero()[0]
            if not len(missing):
                break
            of_row = self.prices[row].of(columns[missing])
            is_known = of_row != ABSENT
            price[missing[is_known]] = of_row[is_known]
            reference[missing[is_known]] = self.references[row].of(columns[missing[is_known]])
        return price, reference


def known_rows(tables: LiveTables, store_ids: Iterable[str]) -> Mapping[str, int]:
    """The rows of those stores that have one."""
    return {name: row for name in store_ids if (row := tables.row_of.get(name)) is not None}
