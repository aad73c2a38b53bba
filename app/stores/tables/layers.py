"""Tables of one row per key that files overrule, file by file: each import is a layer, the table their fold.

The footer of the table's Parquet file names its layers, so putting the file in place is the one step that changes both.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import orjson
import polars as pl

from app.errors import BadInput
from app.files import replace_whole_durably, turn
from app.model.content import LISTED_AT

FROM_API = "api"
"""Stands for an import where a layer holds what came through the API: cells, not whole columns."""
GIVEN = "endcap given"
"""The column of such a layer that names those columns which a row sets."""
ARRIVED_AT = "endcap arrived at"
"""And the one that says when a row's key came to the table; null where it was there already, or is no news."""
MAX_LAYER_COUNT = 20
"""Imports of a table that can be taken back; older ones are one layer."""
FOOTER = "endcap_layers"
BEFORE = "\x1fbefore"
"""Behind the name of a column: what was stored in it."""


@dataclass(frozen=True, slots=True)
class ReferenceTable:
    """A table of its own file, one row per `key`."""

    table: str
    key: str
    notes_arrival: bool


PRODUCTS = ReferenceTable("products", "product_id", notes_arrival=True)
STORES = ReferenceTable("stores", "store_id", notes_arrival=False)
REFERENCE_TABLES = {kind.table: kind for kind in (PRODUCTS, STORES)}


@dataclass(frozen=True, slots=True)
class Layer:
    """The rows that one import brought at an instant; of the lowest layer nobody knows the import any more."""

    number: int
    import_id: str | None
    at: str


FROM_BEFORE = Layer(0, None, "1970-01-01T00:00:00+00:00")
"""A table that was there before there were layers."""


@dataclass(frozen=True, slots=True)
class Layers:
    """From the lowest to the highest, and the imports that are in the lowest, which cannot go any more."""

    stack: tuple[Layer, ...] = ()
    folded: tuple[str, ...] = ()

    def import_ids(self) -> set[str]:
        """Every import that is in the table."""
        return {*self.folded, *(one.import_id for one in self.stack if one.import_id is not None)}


class LayeredTable:
    """One such table below `tables_dir`. Whoever writes holds it; what was written is on disk."""

    def __init__(self, tables_dir: Path, kind: ReferenceTable) -> None:
        self.kind = kind
        self.path = tables_dir / f"{kind.table}.parquet"
        self._folder = tables_dir / kind.table

    @contextmanager
    def held(self) -> Iterator[None]:
        """One writer after the other, in whatever process, from looking at the table to its replacement."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with turn(self._folder / "lock"):
            yield

    def layers(self) -> Layers:
        """What the table is made of; a file from before there were layers is one of its own."""
        if not self.path.exists():
            return Layers()
        footer = pl.read_parquet_metadata(self.path).get(FOOTER)
        if footer is None:
            return Layers((FROM_BEFORE,))
        found = orjson.loads(footer)
        return Layers(tuple(Layer(**one) for one in found["stack"]), tuple(found["folded"]))

    def stored(self) -> pl.DataFrame:
        """The table as it is."""
        return pl.read_parquet(self.path) if self.path.exists() else self._empty()

    def put(self, rows: pl.DataFrame, import_id: str, *, now: datetime) -> None:
        """Lays the rows, one for each key, over all others."""
        before, stored = self.layers(), self.stored()
        layers = self._with(before, rows, Layer(_next_number(before), import_id, now.isoformat()))
        self._write(upserted(stored, rows, self.kind, now=now), self._bounded(layers))

    def put_cells(self, rows: pl.DataFrame, *, now: datetime) -> None:
        """Lays over all others, of each row, the columns that its list GIVEN names; null clears one.

        What comes in a row without an import in between is one layer, however many calls it takes.
        """
        before, stored = self.layers(), self.stored()
        is_news = bool(stored.height) & ~pl.col(self.kind.key).is_in(stored[self.kind.key].implode())
        rows = rows.with_columns(pl.when(is_news).then(pl.lit(now, pl.Datetime("us", "UTC"))).alias(ARRIVED_AT))
        layers = self._with(before, rows, Layer(_next_number(before), FROM_API, now.isoformat()))
        self._write(upserted(stored, rows, self.kind, now=now), self._bounded(self._joined(layers)))

    def put_in_place(self, rows: pl.DataFrame, import_id: str, *, of: str) -> None:
        """Puts the rows where the import `of` lies, as if they had come then; without any it only goes."""
        before = self.layers()
        check_takeable(self.kind, before, of)
        old = [one for one in before.stack if one.import_id == of][-1]
        new = replace(old, number=_next_number(before), import_id=import_id)
        self._write_layer(new, rows)
        stack = (new if one == old else one for one in before.stack if one.import_id != of or one == old)
        self._refold(replace(before, stack=tuple(stack)))

    def remove_import(self, import_id: str) -> None:
        """The table as if the import had never come; none at all when it was the only one."""
        before = self.layers()
        check_takeable(self.kind, before, import_id)
        self._refold(replace(before, stack=tuple(one for one in before.stack if one.import_id != import_id)))

    def _refold(self, layers: Layers) -> None:
        if layers.stack:
            layers = self._joined(layers)
            self._write(self._fold(layers.stack), layers)
        else:
            self.path.unlink()

    def _with(self, before: Layers, rows: pl.DataFrame, new: Layer) -> Layers:
        if before.stack == (FROM_BEFORE,):
            # From before there were layers: the file as it is becomes one.
            self._write_layer(before.stack[0], self.stored())
        self._write_layer(new, rows)
        return replace(before, stack=(*before.stack, new))

    def _joined(self, layers: Layers) -> Layers:
        """Of layers of the API that lie on each other only one."""
        stack: list[Layer] = []
        for layer in layers.stack:
            if stack and stack[-1].import_id == layer.import_id == FROM_API:
                both = _with_cells(self._read_layer(stack.pop()), self._read_layer(layer), self.kind.key)
                layer = replace(layer, number=_next_number(layers))
                self._write_layer(layer, both)
                layers = replace(layers, stack=(*layers.stack, layer))
            stack.append(layer)
        return replace(layers, stack=tuple(stack))

    def _bounded(self, layers: Layers) -> Layers:
        imports = [place for place, one in enumerate(layers.stack) if one.import_id not in (None, FROM_API)]
        surplus = len(imports) - MAX_LAYER_COUNT
        if surplus <= 0:
            return layers
        end = imports[surplus]
        lowest, others = layers.stack[:end], layers.stack[end:]
        base = Layer(_next_number(layers), None, lowest[-1].at)
        self._write_layer(base, self._fold(lowest))
        upper = {one.import_id for one in others}
        gone = [layers.stack[place].import_id or "" for place in imports if place < end]
        gone = [import_id for import_id in gone if import_id not in upper]
        return Layers((base, *others), (*layers.folded, *gone))

    def _fold(self, stack: Iterable[Layer]) -> pl.DataFrame:
        table = self._empty()
        for layer in stack:
            rows = self._read_layer(layer)
            table = upserted(table, rows, self.kind, now=datetime.fromisoformat(layer.at))
        return table

    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema={self.kind.key: pl.String})

    def _layer_path(self, layer: Layer) -> Path:
        return self._folder / f"{layer.number:06}.parquet"

    def _read_layer(self, layer: Layer) -> pl.DataFrame:
        path = self._layer_path(layer)
        if not path.exists():
            remedy = f"import the {self.kind.table} again on top, which counts over all others"
            raise BadInput(f"{path} is missing, so no import of {self.kind.table} can be taken back; {remedy}")
        return pl.read_parquet(path)

    def _write_layer(self, layer: Layer, rows: pl.DataFrame) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        replace_whole_durably(self._layer_path(layer), rows.write_parquet)

    def _write(self, table: pl.DataFrame, layers: Layers) -> None:
        footer = {"stack": [asdict(one) for one in layers.stack], "folded": layers.folded}
        metadata = {FOOTER: orjson.dumps(footer).decode()}
        replace_whole_durably(self.path, lambda unfinished: table.write_parquet(unfinished, metadata=metadata))
        named = {self._layer_path(one) for one in layers.stack}
        for path in self._folder.glob("*.parquet"):
            if path not in named:
                path.unlink()


def check_takeable(kind: ReferenceTable, layers: Layers, import_id: str) -> None:
    """Raises BadInput for an import that lies too low to be taken out."""
    if import_id in layers.folded:
        raise BadInput(
            f"import {import_id} is too old to be taken back: only the last {MAX_LAYER_COUNT} imports of {kind.table}"
            f" can be; import the right {kind.table} on top of it, which counts over all others"
        )


def upserted(stored: pl.DataFrame, rows: pl.DataFrame, kind: ReferenceTable, *, now: datetime) -> pl.DataFrame:
    """The table with the rows in it. A column that they lack keeps its values; sorted by key."""
    merged = merged_rows(stored, rows, kind.key)
    if kind.notes_arrival and (stored.height or ARRIVED_AT in merged.columns):
        arrived_at = pl.col(ARRIVED_AT) if ARRIVED_AT in merged.columns else pl.lit(now, pl.Datetime("us", "UTC"))
        merged = _dated(merged, stored[kind.key], arrived_at)
    others = stored.join(merged, on=kind.key, how="anti")
    return pl.concat([others, merged.drop(GIVEN, ARRIVED_AT, strict=False)], how="diagonal").sort(kind.key)


def merged_rows(stored: pl.DataFrame, rows: pl.DataFrame, key: str) -> pl.DataFrame:
    """The rows with what is stored in the columns, or cells, that they lack."""
    kept = [name for name in stored.columns if name not in rows.columns]
    merged = rows.join(stored.select(key, *kept), on=key, how="left")
    return _kept_cells(stored, merged, key) if GIVEN in rows.columns else merged


def _kept_cells(stored: pl.DataFrame, rows: pl.DataFrame, key: str) -> pl.DataFrame:
    shared = [name for name in rows.columns if name in stored.columns and name not in (key, GIVEN, ARRIVED_AT)]
    before = stored.select(key, *(pl.col(name).alias(f"{name}{BEFORE}") for name in shared))
    is_given = {name: pl.col(GIVEN).list.contains(name) for name in shared}
    cells = [pl.when(is_given[name]).then(name).otherwise(f"{name}{BEFORE}").alias(name) for name in shared]
    return rows.join(before, on=key, how="left").with_columns(cells).select(rows.columns)


def _with_cells(lower: pl.DataFrame, upper: pl.DataFrame, key: str) -> pl.DataFrame:
    """One layer of cells that does what the two do, one after the other."""
    marks = lower.select(
        key, pl.col(GIVEN).alias(f"{GIVEN}{BEFORE}"), pl.col(ARRIVED_AT).alias(f"{ARRIVED_AT}{BEFORE}")
    )
    was_there = pl.col(f"{GIVEN}{BEFORE}").is_not_null()
    merged = merged_rows(lower, upper, key).join(marks, on=key, how="left")
    merged = merged.with_columns(
        pl.when(was_there).then(pl.col(GIVEN).list.set_union(f"{GIVEN}{BEFORE}")).otherwise(GIVEN).alias(GIVEN),
        pl.when(was_there).then(f"{ARRIVED_AT}{BEFORE}").otherwise(ARRIVED_AT).alias(ARRIVED_AT),
    ).drop(f"{GIVEN}{BEFORE}", f"{ARRIVED_AT}{BEFORE}")
    return pl.concat([lower.join(merged, on=key, how="anti"), merged], how="diagonal").sort(key)


def _dated(merged: pl.DataFrame, known: pl.Series, arrived_at: pl.Expr) -> pl.DataFrame:
    """The rows, those that join a table with `known` keys dated; what came with the first file is no news."""
    is_new = ~merged[known.name].is_in(known.implode())
    if not is_new.any():
        return merged
    before = pl.col(LISTED_AT) if LISTED_AT in merged.columns else pl.lit(None, pl.Datetime("us", "UTC"))
    return merged.with_columns(pl.when(is_new).then(arrived_at).otherwise(before).alias(LISTED_AT))


def _next_number(layers: Layers) -> int:
    return max((one.number for one in layers.stack), default=0) + 1
