"""A product in one store is a cell of stock and of prices; many of them are named in one parameter of a statement."""

from collections.abc import Iterable

from sqlalchemy import JSON, ColumnElement, Connection, Table, column, func, literal, select, tuple_

Cell = tuple[str, str]
"""A store and a product."""


def is_in(connection: Connection, table: Table, cells: Iterable[Cell]) -> ColumnElement[bool]:
    """The row of the table is of one of the cells; both databases find it by the primary key."""
    rows = literal(sorted(cells), JSON)
    elements = func.json_array_elements(rows) if connection.dialect.name == "postgresql" else func.json_each(rows)
    cell = elements.table_valued(column("value", JSON)).c.value
    # SQLite reads the whole table for a list of pairs, and for pairs without a type.
    wanted = select(cell[0].as_string(), cell[1].as_string())
    return tuple_(table.c.store_id, table.c.product_id).in_(wanted)
