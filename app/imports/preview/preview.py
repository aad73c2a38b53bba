"""Look at a file before it comes in: what its columns mean and what becomes of its rows, with nothing written."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import polars as pl

from app.composition.stores import ledger_as_it_stands
from app.domain import LOCAL
from app.errors import BadInput
from app.history.rows import AMOUNT_MINOR, BASKET_ID, CURRENCY, CUSTOMER_ID, PRODUCT_ID, TIME, TYPE
from app.imports.catalogue import parse_rows
from app.imports.checked import check, without_ignored
from app.imports.events.event_file import checked_events
from app.imports.journal.records import PLACE_TABLES
from app.imports.mapping.guess import GUESSED
from app.imports.mapping.toml import to_toml
from app.imports.places.cells import StagedFile
from app.imports.places.instants import PLACES_MAX
from app.imports.places.known import known_stores
from app.imports.places.prices import StagedPrices
from app.imports.places.stock import StagedStock, differences_of
from app.imports.plan import Plan, opened
from app.imports.preview.columns import ColumnView, column_views
from app.imports.reading.block import Block, TableFile
from app.imports.reading.table_file import open_table
from app.imports.report import EXAMPLE_LENGTH, Differences, Reject
from app.imports.transactions import check_lines
from app.ingest.schema import parse_event
from app.offers.terms.money import format_amount
from app.settings import Settings
from app.stores.tables.layers import REFERENCE_TABLES, STORES

SAMPLE_ROWS = 1000
LEFT_OUT = "left out: "
SWITCHED_OFF = {
    "timestamp": "without times all rankings are made without time: no intervals, no test on later purchases",
    "basket_id": "without baskets a customer's day is a basket",
    "amount": "without amounts there are no prices and no expected values but those of the product table",
    "quantity": "without quantities each row is one piece",
    "store_id": "without stores nothing is ranked by store",
}
"""By the column of transactions that a file may lack what that means."""


@dataclass(slots=True)
class Preview:
    """What a file looks like and what an import would make of it."""

    path: Path
    table: str = ""
    source: str = ""
    """The mapping: of a known source, stated, or guessed."""
    notes: list[str] = field(default_factory=list)
    columns: list[ColumnView] = field(default_factory=list)
    kind_columns: list[str] = field(default_factory=list)
    """The columns that say what a row is."""
    rows: Counter[str] = field(default_factory=Counter)
    """Rows by what they are: purchase, refund, view_item ... or why they are left out or refused."""
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """By the reason of a refusal a row for which it was."""
    first_at: datetime | None = None
    last_at: datetime | None = None
    totals: Counter[str] = field(default_factory=Counter)
    """What was paid by currency, in minor units, refunds taken off."""
    counts: dict[str, int] = field(default_factory=dict)
    """How many customers, products and baskets there are, and rows of guests."""
    missing: list[str] = field(default_factory=list)
    question: str = ""
    """What has to be stated before the file can come in; nothing where all is clear."""
    command: str = ""
    mapping: str = ""
    """The mapping as a file, to be changed where the guess is wrong."""
    differences: Differences | None = None
    """Of a file of stock: how it differs from what is known."""

    def is_refused_whole(self) -> bool:
        """Whether no row would come in, for faults."""
        # Of a table of products that is refused whole there are no rows of products, which are counted as 0.
        return bool(self.refused) and not any(
            count for kind, count in self.rows.items() if not kind.startswith(LEFT_OUT)
        )

    def to_dict(self) -> dict[str, object]:
        """The same in plain JSON types."""
        money = {code: format_amount(total, code) for code, total in self.totals.items()}
        times = {name: None if at is None else at.isoformat() for name, at in self._times()}
        # asdict() makes counters of pairs.
        counters = {"rows": dict(self.rows), "refused": dict(self.refused), "totals": money}
        return asdict(self) | counters | {"path": str(self.path)} | times

    def _times(self) -> tuple[tuple[str, datetime | None], ...]:
        return ("first_at", self.first_at), ("last_at", self.last_at)


@dataclass(frozen=True, slots=True)
class PlacesToCome:
    """The currencies of stores that come in with the files, and whether files of stock have all products of theirs."""

    stores: Mapping[str, str] = field(default_factory=dict)
    is_stock_complete: bool = True


def coming_stores(settings: Settings, plans: Sequence[Plan]) -> Mapping[str, str]:
    """The currencies of the stores that these plans bring."""
    found: dict[str, str] = {}
    for plan in plans:
        for block in opened(plan).blocks if plan.table == STORES.table else ():
            rows = check(block, parse_rows(block, STORES, default_currency=settings.currency)).frame
            stated = rows["currency"] if "currency" in rows.columns else [None] * rows.height
            pairs = zip(rows[STORES.key], stated, strict=True)
            found |= {store_id: currency or settings.currency for store_id, currency in pairs}
    return found


def preview_of(
    settings: Settings, path: Path, plan: Plan, *, now: datetime, command: str, places: PlacesToCome | None = None
) -> Preview:
    """What an import of the planned file would do, counted over all of its rows."""
    file = opened(plan)
    mapping = plan.mapping
    source = mapping.title or mapping.name
    found = Preview(path, plan.table, source, notes=[*file.notes, *mapping.notes], command=command)
    if plan.table == "events":
        found.notes.append("Endcap's own events: each is checked as the API does")
        _count_events(found, path, now=now)
        return found
    found.columns = column_views(_raw_sample(path, plan), plan)
    found.kind_columns = [rule.column for rule in mapping.rows]
    found.mapping = to_toml(mapping) if mapping.name == GUESSED else ""
    if plan.table in PLACE_TABLES:
        _count_places(found, file, settings, places or PlacesToCome(), now=now)
        return found
    ids: dict[str, pl.Series] = {}
    for block in file.blocks:
        kept, left_out = without_ignored(block)
        found.rows.update({f"{LEFT_OUT}{reason}": count for reason, count in left_out.items()})
        _count(found, kept, plan, settings, now=now, ids=ids)
    found.counts |= {name: series.len() for name, series in ids.items()}
    if plan.table == "transactions":
        found.missing = [words for name, words in SWITCHED_OFF.items() if name not in mapping.columns]
    return found


def preview_of_unclear(path: Path, error: BadInput, *, command: str) -> Preview:
    """What can be seen of a file that does not come in as it is, and what is open."""
    found = Preview(path, question=error.message, command=command)
    try:
        file = open_table(path, compulsory=())
    except BadInput:
        return found
    found.notes = list(file.notes)
    first = next(file.blocks, None)
    if first is not None:
        found.columns = column_views(first.frame.head(SAMPLE_ROWS), None)
    return found


def _raw_sample(path: Path, plan: Plan) -> pl.DataFrame:
    block = next(open_table(path, compulsory=(), options=plan.options()).blocks, None)
    return pl.DataFrame() if block is None else block.frame.head(SAMPLE_ROWS)


def _count(
    found: Preview, block: Block, plan: Plan, settings: Settings, *, now: datetime, ids: dict[str, pl.Series]
) -> None:
    if plan.table != "transactions":
        table = REFERENCE_TABLES.get(plan.table)
        # What campaigns name has to be looked up in the ledger, and is checked when they come in.
        parsed = {} if table is None else parse_rows(block, table, default_currency=settings.currency)
        checked = check(block, parsed)
        found.rows[plan.table] += block.frame.height if table is None else checked.frame.height
        _count_refused(found, checked.rejects)
        return
    checked = check_lines(block, default_currency=settings.currency, latest=now)
    _count_refused(found, checked.rejects)
    _count_rows(found, checked.frame, ids)


def _count_places(found: Preview, file: TableFile, settings: Settings, places: PlacesToCome, *, now: datetime) -> None:
    with ledger_as_it_stands(settings) as ledger:
        stores = {**places.stores, **known_stores(ledger, settings)}
        if found.table == "prices":
            with StagedPrices(None, stores, currency=settings.currency) as prices:
                _count_staged(found, file, prices, now=now)
            return
        with StagedStock(None, stores, is_complete=places.is_stock_complete) as stock:
            _count_staged(found, file, stock, now=now)
            at_last = PLACES_MAX - 1
            reconciled = stock.reconciled(ledger, at=now, place=at_last, now=now, dry_run=True)
            found.differences = differences_of(reconciled)
            found.notes += stock.notes()


def _count_staged(found: Preview, file: TableFile, staged: StagedFile, *, now: datetime) -> None:
    for block in file.blocks:
        kept, left_out = without_ignored(block)
        found.rows.update({f"{LEFT_OUT}{reason}": count for reason, count in left_out.items()})
        _count_refused(found, staged.add(kept, now=now))
    _count_refused(found, staged.contradictions())
    found.rows[found.table] += staged.count()


def _count_events(found: Preview, path: Path, *, now: datetime) -> None:
    ids: dict[str, pl.Series] = {}
    for frame, refused, *_ in checked_events(path, partial(parse_event, client=LOCAL, now=now), now=now):
        _count_refused(found, refused)
        _count_rows(found, frame.with_columns(pl.col(TIME).dt.replace_time_zone(None)), ids)
    found.counts |= {name: series.len() for name, series in ids.items()}


def _count_rows(found: Preview, frame: pl.DataFrame, ids: dict[str, pl.Series]) -> None:
    """Counts rows of the history, with naive times; `ids` are those seen so far."""
    found.rows.update(dict(frame[TYPE].value_counts().rows()))
    times = frame[TIME].drop_nulls()
    if times.len():
        first, last = times.min(), times.max()
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        found.first_at = min(first, found.first_at or first)
        found.last_at = max(last, found.last_at or last)
    signed = pl.when(pl.col(TYPE) == "refund").then(-pl.col(AMOUNT_MINOR)).otherwise(AMOUNT_MINOR)
    paid = frame.filter(pl.col(AMOUNT_MINOR).is_not_null()).group_by(CURRENCY).agg(signed.sum())
    found.totals.update({str(currency): int(total) for currency, total in paid.rows()})
    for name, column in (("customers", CUSTOMER_ID), ("products", PRODUCT_ID), ("baskets", BASKET_ID)):
        seen = frame[column].drop_nulls().unique()
        ids[name] = seen if name not in ids else pl.concat([ids[name], seen]).unique()
    found.counts["guest rows"] = found.counts.get("guest rows", 0) + frame[CUSTOMER_ID].null_count()


def _count_refused(found: Preview, rejects: Iterable[Reject]) -> None:
    for reject in rejects:
        found.refused[reject.kind] += 1
        found.examples.setdefault(reject.kind, f"line {reject.line}: {reject.raw[:EXAMPLE_LENGTH]}")
