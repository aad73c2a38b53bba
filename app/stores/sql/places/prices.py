"""The tables of prices: reports go in by batches, every price is kept, and whoever follows reads what changed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from app.places.prices import (
    Price,
    PricePoint,
    PriceReport,
    PriceStatements,
    ProductFacts,
    ReferenceRules,
    changes_of,
    in_store,
    recorded,
    reference_minor,
    without_repetitions,
)
from app.places.reports import Outcome, check_age
from app.places.stores import EVERYWHERE
from app.stores.sql.database.chunks import chunks
from app.stores.sql.database.place_tables import price_history, prices
from app.stores.sql.database.projection_queue import insert
from app.stores.sql.places.cells import Cell, is_in
from app.stores.sql.places.changes import last_change, lock_changes, next_change

_History = Mapping[datetime, Price]
_ReferenceOf = Callable[[str, Sequence[PricePoint]], int | None]


class PriceChange(NamedTuple):
    """A price, and the earlier one that it may name, as of change `number`; None: what counts everywhere counts."""

    store_id: str
    product_id: str
    price_minor: int | None
    currency: str
    reference_minor: int | None
    number: int


@dataclass(frozen=True, slots=True)
class _Row:
    statements: PriceStatements
    price_minor: int | None
    currency: str
    reference_minor: int | None
    since: datetime
    changed: int = 0

    @property
    def shown(self) -> tuple[int | None, str, int | None]:
        """What followers are to know."""
        return self.price_minor, self.currency, self.reference_minor


_NO_FACTS = ProductFacts()


def apply_prices(
    connection: Connection,
    reports: Sequence[tuple[str, str, PriceReport]],
    *,
    rules: ReferenceRules,
    now: datetime,
    facts: Mapping[str, ProductFacts] | None = None,
) -> list[Outcome]:
    """What became of each report of a store (or EVERYWHERE) and a product, in their order.

    `too_late` ones are without effect. Only rows of which the price or its reference changed get a change number. The
    reference is found when a price is reported, by what is known of the product then.
    """

    def reference_of(product_id: str, history: Sequence[PricePoint]) -> int | None:
        known = (facts or {}).get(product_id, _NO_FACTS)
        return reference_minor(
            history,
            # A sender's clock may be ahead of ours.
            max(now, history[-1].effective_at),
            rules=rules,
            is_perishable=rules.is_perishable(known.shelf_life_days),
            listed_at=known.listed_at,
        )

    lock_changes(connection, "prices")
    outcomes: list[Outcome] = []
    for piece in chunks(reports):
        outcomes += _apply(connection, piece, reference_of=reference_of, now=now)
    return outcomes


def apply_price_list(
    connection: Connection,
    reports: Sequence[tuple[str, str, PriceReport]],
    *,
    rules: ReferenceRules,
    now: datetime,
    facts: Mapping[str, ProductFacts],
) -> tuple[int, int]:
    """How many prices or references that changed, and how many reports count for less than what is known already."""
    lock_changes(connection, "prices")
    before = last_change(connection, "prices")
    outcomes = apply_prices(connection, reports, rules=rules, now=now, facts=facts)
    return last_change(connection, "prices") - before, outcomes.count(Outcome.SUPERSEDED)


def _apply(
    connection: Connection,
    reports: Sequence[tuple[str, str, PriceReport]],
    *,
    reference_of: _ReferenceOf,
    now: datetime,
) -> list[Outcome]:
    cells = {(store_id, product_id) for store_id, product_id, _ in reports}
    rows = _read_rows(connection, cells)
    known = _read_histories(connection, cells | {(EVERYWHERE, product_id) for _, product_id in cells})
    statements = {cell: row.statements for cell, row in rows.items()}
    histories: dict[Cell, _History] = dict(known)
    outcomes: list[Outcome] = []
    for store_id, product_id, report in reports:
        cell = store_id, product_id
        outcome = check_age(report.at, now=now)
        if outcome is None:
            statements[cell], outcome = statements.get(cell, PriceStatements()).applied(report)
            histories[cell] = recorded(histories.get(cell, {}), report, after=statements[cell])
        outcomes.append(outcome)
    points = {cell: without_repetitions(_ascending(history), now=now) for cell, history in histories.items()}
    new = {
        cell: _row(cell, one.settled(now), points, reference_of=reference_of)
        for cell, one in sorted(statements.items())
        if cell not in rows or one != rows[cell].statements or histories[cell] != known[cell]
    }
    _write_rows(connection, rows, new)
    _write_histories(connection, known, points)
    return outcomes


def _row(
    cell: Cell,
    statements: PriceStatements,
    points: Mapping[Cell, Sequence[PricePoint]],
    *,
    reference_of: _ReferenceOf,
) -> _Row:
    product_id = cell[1]
    since, price = changes_of(points[cell])[-1]
    paid = in_store(points[cell], points[EVERYWHERE, product_id])
    reference = reference_of(product_id, paid) if price.is_set else None
    return _Row(statements, price.price_minor, price.currency, reference, since)


def _read_rows(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, _Row]:
    table = prices.c
    columns = (table.reports, table.price_minor, table.currency, table.reference_minor, table.since, table.changed)
    query = select(table.store_id, table.product_id, *columns).where(is_in(connection, prices, cells))
    return {
        (store_id, product_id): _Row(PriceStatements.of_document(reports), *rest)
        for store_id, product_id, reports, *rest in connection.execute(query)
    }


def _read_histories(connection: Connection, cells: Iterable[Cell]) -> dict[Cell, dict[datetime, Price]]:
    """The history of each cell, also of those without one."""
    histories: dict[Cell, dict[datetime, Price]] = {cell: {} for cell in cells}
    for row in connection.execute(select(price_history).where(is_in(connection, price_history, cells))):
        histories[row.store_id, row.product_id][row.effective_at] = Price.of(row.price_minor, row.currency)
    return histories


def _ascending(history: Mapping[datetime, Price]) -> list[PricePoint]:
    return [PricePoint(at, history[at]) for at in sorted(history)]


def _write_rows(connection: Connection, rows: Mapping[Cell, _Row], new: Mapping[Cell, _Row]) -> None:
    """Writes the rows, and numbers for those that show another price or reference."""
    changed = [cell for cell, row in new.items() if cell not in rows or row.shown != rows[cell].shown]
    first = next_change(connection, "prices", count=len(changed)) if changed else 0
    numbers = {cell: number for number, cell in enumerate(changed, start=first)}
    values = [
        {
            "store_id": cell[0],
            "product_id": cell[1],
            "price_minor": row.price_minor,
            "currency": row.currency,
            "reference_minor": row.reference_minor,
            "since": row.since,
            "reports": row.statements.document(),
            "changed": numbers[cell] if cell in numbers else rows[cell].changed,
        }
        for cell, row in new.items()
    ]
    if values:
        statement = insert(connection, prices)
        fresh = {name: statement.excluded[name] for name in list(values[0])[2:]}
        keys = ["store_id", "product_id"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh), values)


def _write_histories(
    connection: Connection, known: Mapping[Cell, _History], points: Mapping[Cell, Sequence[PricePoint]]
) -> None:
    written = [
        {
            "store_id": store_id,
            "product_id": product_id,
            "effective_at": point.effective_at,
            "price_minor": point.price.price_minor,
            "currency": point.price.currency,
        }
        for (store_id, product_id), own in points.items()
        for point in own
        if known[store_id, product_id].get(point.effective_at) != point.price
    ]
    gone = [
        {"of_store": store_id, "of_product": product_id, "at": at}
        for (store_id, product_id), history in known.items()
        for at in history.keys() - dict(points[store_id, product_id]).keys()
    ]
    if written:
        statement = insert(connection, price_history)
        fresh = {name: statement.excluded[name] for name in ("price_minor", "currency")}
        keys = ["store_id", "product_id", "effective_at"]
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=fresh), written)
    if gone:
        table = price_history.c
        is_cell = (table.store_id == bindparam("of_store")) & (table.product_id == bindparam("of_product"))
        connection.execute(delete(price_history).where(is_cell, table.effective_at == bindparam("at")), gone)


def changed_prices(connection: Connection, after: int, *, limit: int) -> Sequence[PriceChange]:
    """Rows whose last change has a number above `after`, in the order of the numbers, at most `limit`."""
    table = prices.c
    columns = (
        table.store_id,
        table.product_id,
        table.price_minor,
        table.currency,
        table.reference_minor,
        table.changed,
    )
    query = select(*columns).where(table.changed > after).order_by(table.changed).limit(limit)
    return [PriceChange(*row) for row in connection.execute(query)]


def price_history_of(connection: Connection, store_id: str, product_id: str) -> Sequence[PricePoint]:
    """Every price of its own of a product in a store (or EVERYWHERE), from its instant on; ascending."""
    cell = store_id, product_id
    return changes_of(_ascending(_read_histories(connection, [cell])[cell]))
