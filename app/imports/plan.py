"""What becomes of a file: its mapping, stated, known or guessed, and how its values are read."""

import hashlib
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as ByName
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from app.errors import BadInput
from app.imports.columns.reading import AS_WRITTEN, Reading, Survey
from app.imports.journal.records import CANONICAL, PLACE_TABLES, Intake
from app.imports.mapping.apply import Lookup, mapped
from app.imports.mapping.guess import GUESSED, guess_mapping
from app.imports.mapping.load import shipped_mappings
from app.imports.mapping.lookups import lookups_of
from app.imports.mapping.model import ColumnRule, FileForm, Mapping
from app.imports.mapping.names import is_of_stores, named_columns
from app.imports.reading.block import Block, TableFile
from app.imports.reading.dialect import ReadOptions
from app.imports.reading.names import listed
from app.imports.reading.table_file import open_table
from app.offers.terms.time_zones import is_zone

WHO = ("anonymous_id", "basket_id")
"""What stands for a customer that a file does not name."""
COMPULSORY: dict[str, tuple[str, ...]] = {
    "transactions": ("customer_id", "product_id"),
    "products": ("product_id",),
    "stores": ("store_id",),
    "stock": ("store_id", "product_id", "quantity"),
    "prices": ("product_id", "price"),
    "promotions": ("product_id", "starts_at"),
    "campaigns": ("campaign_id",),
    "offers": ("offer_id", "campaign_id", "product_id"),
    "audience": ("campaign_id", "customer_id"),
    "redemptions": ("offer_id", "customer_id", "timestamp"),
}
TABLES = (
    "redemptions",
    "offers",
    "audience",
    "promotions",
    "transactions",
    "stock",
    "prices",
    "products",
    "stores",
    "campaigns",
    "events",
)
"""In the order in which a file is taken for one of them."""
EVENTS = "events"
OWN_EVENT_COLUMNS = {"id", "type", "time"}
"""What each of Endcap's own events has, as the API takes them."""
OWN_EVENTS = Mapping(mapping=1, name="events", table=EVENTS)
KEEPS_ALL = ("products", "stores")
"""Tables that keep columns nobody knows."""

AS_FOUND = FileForm()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file comes in; `ignored` are its columns that nobody reads."""

    path: Path
    table: str
    mapping: Mapping
    reading: Reading
    ignored: tuple[str, ...] = ()
    lookups: tuple[Lookup, ...] = ()

    def identity(self) -> str:
        """`CANONICAL` where the file has Endcap's own columns, else the mapping's name and a hash of all that it says.

        The same file read in another way is another import.
        """
        own = all(rule == ColumnRule(column=(name,)) for name, rule in self.mapping.columns.items())
        # Names that are stated for columns may be stated otherwise the next time.
        own = own and self.mapping.file.columns is None
        if self.mapping.name == GUESSED and own and not self.mapping.rows and self.reading.is_plain():
            return CANONICAL
        # Without what is for people: a guess and the file that is saved of it say the same.
        said = self.mapping.model_dump_json(exclude={"title", "detect", "notes"}) + repr(self.reading)
        return f"{self.mapping.name} {hashlib.blake2b(said.encode(), digest_size=3).hexdigest()}"

    def in_zones(self, store_zones: ByName[str, str]) -> "Plan":
        """The plan with these zones of stores, where none is stated for all times."""
        if self.reading.store_zones is None:
            return self
        return replace(self, reading=replace(self.reading, store_zones=store_zones))

    def options(self) -> ReadOptions:
        """How the file is opened."""
        return _options(self.mapping.file)


def zones_of_stores(tables_dir: Path) -> dict[str, str]:
    """The time zone of each store that the table of stores gives one."""
    file = tables_dir / "stores.parquet"
    if not file.exists() or "time_zone" not in pl.read_parquet_schema(file):
        return {}
    rows = pl.read_parquet(file, columns=["store_id", "time_zone"]).drop_nulls().rows()
    return {store: zone for store, zone in rows if is_zone(zone)}


def plan_of(
    path: Path,
    table: str | None,
    *,
    time_zone: str,
    store_zones: ByName[str, str] | None = None,
    stated: FileForm = AS_FOUND,
    mapping: Mapping | None = None,
) -> Plan:
    """How the file comes in as `table`: by `mapping`, else as a known source with its columns, else by their names.

    Without a table it is found in the same way. Raises BadInput where the file does not say enough, naming the option
    that does.
    """
    if table == EVENTS:
        return Plan(path, EVENTS, OWN_EVENTS, AS_WRITTEN)
    options = _options(_form(mapping, stated))
    file = open_table(path, compulsory=(), wanted=(), options=options)
    columns = file.columns
    if not columns:
        # Which raises, and says that the first line holds no names.
        open_table(path, compulsory=COMPULSORY[table or "transactions"], options=options)
    if mapping is None:
        mapping = known_source(columns, table)
    if mapping is None and table is None and set(columns) >= OWN_EVENT_COLUMNS:
        return Plan(path, EVENTS, OWN_EVENTS, AS_WRITTEN)
    if mapping is None:
        table = table or _table_of(path, columns)
        mapping = _guessed(file, table, options)
    if table is not None and mapping.table != table:
        raise BadInput(f"{path}: {mapping.name} is a mapping of {mapping.table}; give the file as --{mapping.table}")
    table = mapping.table
    if mapping.refuse is not None:
        raise BadInput(f"{path}: {mapping.refuse}")
    usual = mapping.file
    mapping = mapping.model_copy(update={"file": _form(mapping, stated)})
    if not (file.is_ragged and mapping.name != GUESSED):
        _check_compulsory(path, columns, mapping)
    lookups = lookups_of(path, columns, mapping)
    survey = survey_of(path, mapping, lookups)
    reading = survey.decide(stated, usual, path, time_zone=time_zone, store_zones=store_zones)
    read = mapping.sources()
    ignored = () if table in KEEPS_ALL else tuple(name for name in columns if name not in read)
    return Plan(path, table, mapping, reading, ignored, lookups)


def as_read(plan: Plan, intake: Intake) -> Intake:
    """The intake with how the file is read, unless it says so already."""
    return intake if intake.mapping != CANONICAL else replace(intake, mapping=plan.identity())


def opened(plan: Plan) -> TableFile:
    """The file as its mapping makes it."""
    file = _open(plan.path, plan.mapping, plan.lookups)

    def plain() -> Iterator[Block]:
        with closing(file):
            yield from map(plan.reading.plain, file.blocks)

    return replace(file, blocks=plain(), ignored=plan.ignored)


def known_source(columns: Sequence[str], table: str | None) -> Mapping | None:
    """The shipped mapping for files with these columns; of several the one that knows most of them."""
    there = set(columns)
    fitting = [
        (len(signature), mapping)
        for mapping in shipped_mappings().values()
        if table in (None, mapping.table)
        for signature in mapping.detect
        if {name.lower() for name in signature} <= there
    ]
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def _table_of(path: Path, columns: Sequence[str]) -> str:
    """The first table of which all compulsory columns are there."""
    for table in TABLES:
        guess = named_columns(columns, table)
        there = {name for name, source in guess.items() if source}
        if table == "transactions" and "basket_id" in there and there & {"timestamp", "quantity"}:
            there.add("customer_id")
        if table in COMPULSORY and there.issuperset(COMPULSORY[table]):
            if table in PLACE_TABLES and not is_of_stores(columns, table):
                continue
            if table == "products":
                _check_no_sales(path, columns)
            return table
    raise BadInput(
        f"{path}: nobody knows what its columns mean ({listed(columns)}); say what it is, as --transactions, "
        "--products or --stock, or write a mapping, see docs/mapping.md"
    )


def _check_no_sales(path: Path, columns: Sequence[str]) -> None:
    """Raises BadInput for lines that were sold, or stand in single stores, without anybody who bought them."""
    sold = named_columns(columns, "transactions")
    amount, store = sold["amount"], sold["store_id"]
    if amount is not None:
        lacks = f"has money that was taken ({amount}) but nobody who bought: a customer or an order number"
    elif store is not None and any(name in store for name in ("store", "shop", "outlet", "branch")):
        lacks = f"has rows of single stores ({store}), which a table of products has no place for"
    else:
        return
    raise BadInput(
        f"{path}: {lacks}; say what it is with --products, --transactions or --stock, or write a mapping, see "
        "docs/mapping.md"
    )


def _check_compulsory(path: Path, columns: Sequence[str], mapping: Mapping) -> None:
    there = {name for name, rule in mapping.columns.items() if _has(columns, rule)}
    if there & set(WHO):
        there.add("customer_id")
    for name in COMPULSORY[mapping.table]:
        if name not in there:
            what = "" if mapping.name == GUESSED else f" for the mapping {mapping.name}"
            raise BadInput(
                f"{path}: no column {name!r}{what} in the header ({listed(columns)}); rename or add it, or write a "
                "mapping, see docs/mapping.md"
            )


def _has(columns: Sequence[str], rule: ColumnRule) -> bool:
    return rule.constant is not None or any(name.lower() in columns for name in rule.sources())


def _guessed(file: TableFile, table: str, options: ReadOptions) -> Mapping:
    first = next(iter(open_table(file.path, compulsory=(), options=options).blocks), None) if file.columns else None
    sample = pl.DataFrame() if first is None else first.frame
    return guess_mapping(file.path, file.columns, table, sample, lists=file.lists)


def survey_of(path: Path, mapping: Mapping, lookups: Sequence[Lookup]) -> Survey:
    """What the first block says of how the file is written where that is plain, else what all say."""
    survey = Survey()
    for position, block in enumerate(_open(path, mapping, lookups).blocks):
        survey.add(block)
        if position == 0 and survey.is_plain():
            break
    return survey


def _open(path: Path, mapping: Mapping, lookups: Sequence[Lookup]) -> TableFile:
    keeps = mapping.table in KEEPS_ALL
    file = open_table(path, compulsory=(), wanted=None if keeps else mapping.sources(), options=_options(mapping.file))
    return mapped(file, mapping, keeps=keeps, lookups=lookups)


def _form(mapping: Mapping | None, stated: FileForm) -> FileForm:
    """How the file is written: what the caller states goes before what the mapping does."""
    return stated if mapping is None else mapping.file.model_copy(update=stated.model_dump(exclude_none=True))


def _options(form: FileForm) -> ReadOptions:
    return ReadOptions(form.encoding, form.separator, form.columns, form.skip_lines, form.sheet, form.explode)
