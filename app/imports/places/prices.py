"""Import prices: a list of what products cost in single stores or everywhere, each price from its own day on."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from time import perf_counter

import polars as pl

from app.bounds import CLOCK_SKEW
from app.composition.stores import opened_ledger, price_rules_of
from app.imports import values
from app.imports.checked import check, columns_of
from app.imports.columns.words import without_missing
from app.imports.journal.applied import journal_of
from app.imports.journal.records import BY_NOBODY, REPEATED_WITHIN, Intake, new_record, ongoing
from app.imports.journal.reports import report_of
from app.imports.places.cells import LINE, NUMBER, StagedFile
from app.imports.places.instants import aware, naive, sequence_of
from app.imports.places.known import known_stores, unknown_store
from app.imports.plan import Plan, as_read, opened, plan_of, zones_of_stores
from app.imports.reading.block import Block
from app.imports.report import ImportReport, Reject, Rejects
from app.imports.values import Fault, ParsedColumn
from app.places.prices import PriceReport
from app.places.reports import HORIZON
from app.places.stores import EVERYWHERE
from app.ports import Progress, StageProgress
from app.settings import Settings
from app.stores.sql.database.chunks import CHUNK_ROWS
from app.stores.sql.database.engine import Ledger
from app.stores.sql.places.prices import apply_price_list
from app.stores.tables.facts import product_facts

TABLE = "prices"
SENDER = "price list"
"""No client's, whose names hold no space."""
OLDEST = HORIZON - REPEATED_WITHIN
"""A price that has counted for longer is reported as of so long before its list came: reports may be no older."""
SEVERAL = "several prices of this product: name the store, or the day from which on each counts (valid_from)"
AGAIN = "the same price again"
EARLIER = "an earlier price of the same product"


def import_prices(
    settings: Settings,
    path: Path,
    *,
    now: datetime,
    progress: Progress,
    plan: Plan | None = None,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Reports the prices of `path`; raises BadInput when the file is unusable, StoreUnavailable.

    They go in by many transactions: a file that was interrupted is imported again.
    """
    begun_s = perf_counter()
    zones = zones_of_stores(settings.tables_dir)
    plan = plan or plan_of(path, TABLE, time_zone=settings.time_zone, store_zones=zones)
    with (
        closing(opened(plan)) as file,
        Rejects(settings.rejects_dir, table=TABLE, source=file.path) as rejects,
        opened_ledger(settings) as ledger,
        StagedPrices(settings.data_dir, known_stores(ledger, settings), currency=settings.currency) as staged,
    ):
        left_out = staged.take_in(file, rejects, now=now, progress=partial(progress, TABLE))
        left_out += staged.without_earlier(now)
        record = new_record(TABLE, file, rejects.content, as_read(plan, intake), currency=settings.currency, now=now)
        record = replace(record, rows_read=staged.count() + rejects.rows, rows_rejected=rejects.rows)
        with ongoing(journal_of(settings), record, now=now) as import_:
            at, place = datetime.fromisoformat(import_.record.at), import_.record.position
            telling = partial(progress, "prices reported")
            done = staged.reported(ledger, settings, at=at, place=place, now=now, progress=telling)
            first_at, last_at = (None if each is None else each.isoformat() for each in staged.instants(at))
            import_.record = replace(import_.record, rows_added=done.changed, first_at=first_at, last_at=last_at)
        report = report_of(record, rejects, file, added=done.changed, begun_s=begun_s, left_out=left_out)
        newer = f"of {done.superseded:,} products a newer price is known, which counts"
        return replace(report, notes=(*report.notes, newer) if done.superseded else report.notes)


@dataclass(frozen=True, slots=True)
class Reported:
    """How many prices or references are other than before, and how many count for less than newer ones."""

    changed: int
    superseded: int


class StagedPrices(StagedFile):
    """The sound rows of one list, of stores with these currencies; `currency` is that of prices everywhere."""

    def __init__(self, room: Path | None, stores: Mapping[str, str], *, currency: str) -> None:
        facts = {"valid_from": pl.Datetime("us"), "price_minor": pl.Int64(), "currency": pl.String()}
        super().__init__(room, facts)
        self._currencies = {**stores, EVERYWHERE: currency}

    def add(self, block: Block, *, now: datetime) -> Sequence[Reject]:
        """Takes the block's sound rows; returns what is wrong with the others."""
        checked = check(block, _parsed(block, self._currencies, now=now))
        rows = checked.frame.rename({"price": "price_minor"})
        self._cells.add(rows, pl.Series(LINE, block.lines).filter(checked.sound))
        return checked.rejects

    def contradictions(self) -> Iterator[Reject]:
        """Takes out all rows that give a product several prices from one instant on."""
        several = "from staged group by all having count(distinct price_minor) > 1"
        numbers = (
            f"select {NUMBER} from staged join (select store_id, product_id, valid_from {several}) as several"
            " on staged.store_id = several.store_id and staged.product_id = several.product_id"
            " and staged.valid_from is not distinct from several.valid_from"
        )
        shown = "store_id: store_id, product_id: product_id, price_minor: price_minor, valid_from: valid_from"
        yield from self._cells.taken_out(numbers, shown=shown, reason=SEVERAL)

    def without_earlier(self, now: datetime) -> Counter[str]:
        """Takes repetitions out, and of prices that have counted for long all but the latest; how many those are."""
        count = self.count()
        key = "store_id, product_id, valid_from"
        self._cells.run(f"delete from staged where {NUMBER} not in (select min({NUMBER}) from staged group by {key})")
        again = count - self.count()
        self._cells.run(
            "delete from staged using (select store_id, product_id, max(valid_from) as latest from staged"
            " where valid_from < $oldest group by all) as old where staged.store_id = old.store_id"
            " and staged.product_id = old.product_id and valid_from < latest",
            oldest=naive(now - OLDEST),
        )
        return Counter({AGAIN: again, EARLIER: count - again - self.count()}) + Counter()

    def reported(
        self, ledger: Ledger, settings: Settings, *, at: datetime, place: int, now: datetime, progress: StageProgress
    ) -> Reported:
        """What became of the prices; `at` where none says from when on, `place` among lists of one instant."""
        ordered = f"select store_id, product_id, {_COUNTS}, price_minor, currency from staged order by all"
        rows = self._cells.rows(ordered, otherwise=naive(at), oldest=naive(at - OLDEST))
        changed = superseded = done = 0
        rules = price_rules_of(settings)
        while batch := [_report(row, place=place) for row in islice(rows, CHUNK_ROWS)]:
            named = [product_id for _, product_id, _ in batch]
            facts = product_facts(settings.tables_dir, named) if rules.has_exceptions else {}
            work = partial(apply_price_list, reports=batch, rules=rules, now=now, facts=facts)
            changed_here, superseded_here = ledger.write(work)
            changed, superseded, done = changed + changed_here, superseded + superseded_here, done + len(batch)
            progress(done, self.count())
        return Reported(changed, superseded)

    def instants(self, at: datetime) -> tuple[datetime | None, datetime | None]:
        """From when on the first and the last of them count, as they are reported."""
        query = f"select min({_COUNTS}), max({_COUNTS}) from staged"
        first, last = self._cells.run(query, otherwise=naive(at), oldest=naive(at - OLDEST))[0]
        return aware(first), aware(last)


_COUNTS = "greatest(coalesce(valid_from, $otherwise), $oldest)"
"""The instant from which on a staged price is reported to count."""


def _report(row: tuple[object, ...], *, place: int) -> tuple[str, str, PriceReport]:
    store_id, product_id, counts_at, price_minor, currency = row
    at = aware(counts_at)
    assert at is not None
    assert isinstance(price_minor, int)
    report = PriceReport(SENDER, SENDER, at, sequence_of(at, place=place), price_minor, str(currency))
    return str(store_id), str(product_id), report


def _parsed(block: Block, currencies: Mapping[str, str], *, now: datetime) -> dict[str, ParsedColumn]:
    column = columns_of(block)
    given = values.identifiers(column("store_id"))
    store_id = given.values.fill_null(EVERYWHERE)
    own = store_id.replace_strict(currencies, default=None, return_dtype=pl.String)
    stated = values.currencies(column("currency"), default="")
    price = values.money(column("price"), own.fill_null(currencies[EVERYWHERE]))
    is_missing = without_missing(values.text(column("price"))).is_null()
    valid_from = values.instants(column("valid_from"))
    ahead = valid_from.values > naive(now + CLOCK_SKEW)
    return {
        "store_id": ParsedColumn(store_id, [*given.faults, unknown_store(store_id, currencies)]),
        "product_id": values.identifiers(column("product_id"), compulsory=True),
        "price": ParsedColumn(
            price.values,
            [*price.faults, ("negative", price.values < 0), ("missing", is_missing)],
        ),
        "currency": ParsedColumn(own, [*stated.faults, *_mismatches(stated, own, store_id)]),
        "valid_from": ParsedColumn(
            valid_from.values, [*valid_from.faults, ("in the future: import the price when it counts", ahead)]
        ),
    }


def _mismatches(given: ParsedColumn, own: pl.Series, store_id: pl.Series) -> Iterator[Fault]:
    """The faults of prices in another currency than that of their store, by both."""
    stated = given.values
    everywhere = store_id == EVERYWHERE
    whose = {True: "the retailer's own (ENDCAP_CURRENCY)", False: "the currency of the store"}
    is_other = (stated != "") & (stated != own)
    for _, is_no_currency in given.faults:
        is_other &= ~is_no_currency
    rows = pl.DataFrame([stated.alias("stated"), own.alias("own"), everywhere.alias("everywhere")])
    for one, other, is_own in rows.filter(is_other).unique(maintain_order=True).iter_rows():
        mask = is_other & (stated == one) & (own == other) & (everywhere == is_own)
        yield f"currency_mismatch: {one} is not {other}, {whose[is_own]}", mask
