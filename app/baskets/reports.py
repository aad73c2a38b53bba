"""Which lines of a basket count where it was reported more than once: the one rule for profiles, features and coupons.

A basket's lines have one customer and one `basket_id`, and one store where they name one. They come in reports:

- An event with `items` is a report, and so are events whose ids are equal up to a last `:<number>`, if one has `items`.
- All other events of one sender are a report together. Of these, lines that are equal in product, time, quantity and
  amount are the same line sent again, unless their ids are equal up to a last `:<number>`.
- The lines of one import are a report.

Of each product counts the report with the most pieces, of several such reports the first by name; reports are never
summed. What came back counts in the same way, by itself. `app/history/counted.py` is the same rule by the column.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

PIECE_DIGITS = 3
"""Pieces are compared to a thousandth of the unit of sale: sums of floats are a little off."""

T = TypeVar("T")


class ReportedLine(NamedTuple):
    """What the rule looks at. `kind` is purchase or refund; `at` is an instant of any one form; `item` counts the lines
    of one event from 0."""

    kind: str
    product_id: str
    quantity: float
    amount_minor: int | None
    at: object
    sender: str
    event_id: str
    item: int = 0
    store_id: str | None = None


def counted_lines(lines: Sequence[T], described: Callable[[T], ReportedLine]) -> list[T]:
    """Those of one basket's lines that count, whatever their order and however often each was reported."""
    rows = [(described(line), line) for line in lines]
    # Mostly no product stands there twice, and then there is nothing to choose.
    if len({(row.kind, row.product_id) for row, _ in rows}) == len(rows):
        return list(lines)
    stores = sorted({row.store_id for row, _ in rows if row.store_id is not None})
    if len(stores) < 2:
        return _counted(rows)
    # One basket_id in two stores is two baskets; a line that names no store belongs to the first of them.
    parts = [[pair for pair in rows if (pair[0].store_id or stores[0]) == store] for store in stores]
    return [line for part in parts for line in _counted(part)]


def sending_of(sender: str, event_id: str) -> str:
    """What events of one sending have in common: the sender, and the id up to a last `:<number>`."""
    head, colon, number = event_id.rpartition(":")
    is_numbered = colon and number.isascii() and number.isdecimal()
    return f"{sender} {head if is_numbered else event_id}"


def _counted(rows: Sequence[tuple[ReportedLine, T]]) -> list[T]:
    named = [(sending_of(row.sender, row.event_id), row, line) for row, line in rows]
    named.sort(key=lambda one: (one[0], one[1].event_id, one[1].item))
    with_items = {sending for sending, row, _ in named if row.item}
    positions: Counter[object] = Counter()
    lines: dict[object, tuple[str, ReportedLine, T]] = {}
    for sending, row, line in named:
        report = sending if sending in with_items else row.sender
        content = (report, row.kind, row.product_id, row.at, row.quantity, row.amount_minor)
        lines.setdefault((content, positions[content, sending]), (report, row, line))
        positions[content, sending] += 1
    pieces: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for report, row, _ in lines.values():
        of_product = pieces[row.kind, row.product_id]
        of_product[report] = of_product.get(report, 0.0) + row.quantity
    chosen = {product: _most(reports) for product, reports in pieces.items()}
    return [line for report, row, line in lines.values() if chosen[row.kind, row.product_id] == report]


def _most(reports: Mapping[str, float]) -> str:
    return min(reports, key=lambda name: (-round(reports[name], PIECE_DIGITS), name))
