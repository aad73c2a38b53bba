"""Import till lines and orders: from a canonical table to new rows of the history, in one commit."""

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

import polars as pl

from app.domain import PURCHASE, REFUND
from app.history.rows import (
    AMOUNT_MINOR,
    ANONYMOUS_ID,
    BASKET_ID,
    CHANNEL,
    COUPON_ID,
    CURRENCY,
    CUSTOMER_ID,
    DISCOUNT_MINOR,
    PRODUCT_ID,
    QUANTITY,
    SESSION_ID,
    STORE_ID,
    TIME,
    TYPE,
)
from app.imports import values
from app.imports.checked import CheckedRows, check, columns_of, without_ignored
from app.imports.journal.history_imports import check_early, store
from app.imports.journal.records import BY_NOBODY, Intake, new_record
from app.imports.journal.reports import report_of
from app.imports.mapping.apply import KIND, TIMES, WORD
from app.imports.plan import Plan, as_read, opened, plan_of, zones_of_stores
from app.imports.quality.erased import reported, without_erased
from app.imports.quality.warnings import Facts, warnings
from app.imports.reading.block import Block, TableFile
from app.imports.report import ImportReport, Rejects
from app.imports.staging import LINE, LineStaging
from app.imports.values import ParsedColumn
from app.ports import StageProgress
from app.settings import Settings

TABLE = "transactions"
COMPULSORY = ("customer_id", "product_id")
# Further columns of a file by which its rows are known to be no purchases, or to be from one visit.
OPTIONAL = (
    "anonymous_id",
    "basket_id",
    "timestamp",
    "quantity",
    "amount",
    "discount",
    "coupon_id",
    "store_id",
    "channel",
    "currency",
    "session_id",
)


def import_transactions(
    settings: Settings,
    path: Path,
    *,
    shift_to_now: bool,
    now: datetime,
    progress: StageProgress,
    plan: Plan | None = None,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Add the rows of `path` that the history lacks; the same file again adds nothing.

    Raises BadInput when the file as a whole is unusable; faulty rows are listed in the report's rejects file.
    """
    zones = zones_of_stores(settings.tables_dir)
    plan = plan or plan_of(path, TABLE, time_zone=settings.time_zone, store_zones=zones)
    return import_lines(
        settings,
        opened(plan),
        source=TABLE,
        shift_to_now=shift_to_now,
        now=now,
        progress=progress,
        intake=as_read(plan, intake),
    )


def import_lines(
    settings: Settings,
    file: TableFile,
    *,
    source: str,
    shift_to_now: bool,
    now: datetime,
    progress: StageProgress,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """The same for an open table; `source` names what keeps one time shift for all its files."""
    begun_s = perf_counter()
    refused = Rejects(settings.rejects_dir, table=TABLE, source=file.path)
    with closing(file), refused as rejects, LineStaging(settings.data_dir) as staging:
        record = new_record(TABLE, file, rejects.content, intake, currency=settings.currency, now=now)
        left_out: Counter[str] = Counter()
        guest_count = erased_count = 0
        facts = Facts((), has_kinds=False)
        for block in file.blocks:
            facts = facts_of(block)
            if not staging.rows + rejects.rows:
                check_early(settings, record, intake)
            block, erased_here = without_erased(block, intake.is_erased)
            erased_count += erased_here
            rows, ignored_here = without_ignored(block)
            left_out += ignored_here
            # Also of a file that is moved: one row of the year 2099 would move all others into the past.
            checked = check_lines(rows, default_currency=settings.currency, latest=now)
            staging.add(checked.frame)
            guest_count += checked.frame.select(pl.coalesce(CUSTOMER_ID, ANONYMOUS_ID).null_count()).item()
            rejects.add(checked.rejects)
            progress(block.done, file.total)
        # Only now, because equal rows may be in different blocks.
        staging.number_rows()
        found = tuple(warnings(staging.query, facts))
        refused_count = rejects.rows + erased_count
        record = replace(record, rows_read=staging.rows + refused_count, rows_rejected=refused_count)
        stored = store(settings, staging, record, intake, shift=source if shift_to_now else None, now=now)
        record = replace(record, rows_rejected=refused_count + stored.erased_count)
        report = report_of(record, rejects, file, added=stored.added, begun_s=begun_s, left_out=left_out)
        return replace(
            reported(report, erased_count + stored.erased_count),
            import_id=stored.import_id,
            shift_days=stored.shift_days,
            guest_rows=guest_count,
            warnings=found,
        )


def facts_of(block: Block) -> Facts:
    """What a block says of its whole file: which columns there are, and whether one says what a row is."""
    named = {
        "customer_id": "customer",
        "timestamp": "time",
        "amount": "amount",
        "store_id": "store",
        "basket_id": "basket",
    }
    return Facts(
        tuple(what for name, what in named.items() if name in block.frame.columns), KIND in block.frame.columns
    )


def check_lines(block: Block, *, default_currency: str, latest: datetime) -> CheckedRows:
    """The block's sound rows as the history names and types them, with their line; `time` still naive.

    Nothing is later than `latest`. A row without a customer is a guest's, whose basket stands for the customer.
    """
    column = columns_of(block)
    currency = values.currencies(column("currency"), default=default_currency)
    basket = values.identifiers(column("basket_id"))
    anonymous = values.identifiers(column("anonymous_id"))
    is_nobody = basket.values.is_null() & anonymous.values.is_null()
    parsed = {
        "customer_id": values.customers(column("customer_id"), without_is_fault=is_nobody),
        "anonymous_id": anonymous,
        "product_id": values.identifiers(column("product_id"), compulsory=True),
        "basket_id": basket,
        "timestamp": values.happened(column("timestamp"), now=latest),
        "quantity": values.quantities(column("quantity")),
        "amount": _amount(column, currency.values),
        "discount": values.money(column("discount"), currency.values),
        "coupon_id": values.identifiers(column("coupon_id")),
        "store_id": values.identifiers(column("store_id")),
        "channel": values.channels(column("channel")),
        "currency": currency,
        "session_id": values.identifiers(column("session_id")),
    }
    if KIND in block.frame.columns:
        unknown = ("nobody knows whether this is a purchase: say so in a mapping", column(WORD).is_not_null())
        parsed |= {KIND: ParsedColumn(column(KIND)), WORD: ParsedColumn(column(WORD), [unknown])}
    checked = check(block, parsed)
    lines = pl.Series(LINE, block.lines).filter(checked.sound)
    return CheckedRows(_as_history(checked.frame, lines), checked.sound, checked.rejects)


def _amount(column: Callable[[str], pl.Series], currency: pl.Series) -> ParsedColumn:
    """The amount of each row, or a price times its quantity, 1 where that is absent."""
    raw, factor = column("amount"), column("amount" + TIMES)
    if factor.null_count() == factor.len():
        return values.money(raw, currency)
    return values.product(raw, factor, currency)


def _as_history(frame: pl.DataFrame, lines: pl.Series) -> pl.DataFrame:
    """A negative quantity or amount marks a refund; the history keeps both positive, as GA4 does."""
    back = (pl.col("quantity") < 0) | (pl.col("amount") < 0).fill_null(False)
    kind = pl.col(KIND) if KIND in frame.columns else pl.lit(PURCHASE)
    if KIND in frame.columns:
        # What a product costs that is looked at is nobody's spending.
        bought = kind.is_in([PURCHASE, REFUND])
        frame = frame.with_columns(pl.when(bought).then(pl.col(name)).alias(name) for name in ("amount", "discount"))
    paid = pl.col("amount").is_not_null() | pl.col("discount").is_not_null()
    return frame.select(
        lines,
        pl.when(back & (kind == PURCHASE)).then(pl.lit(REFUND)).otherwise(kind).alias(TYPE),
        pl.col("timestamp").alias(TIME),
        pl.col("customer_id").alias(CUSTOMER_ID),
        pl.col("product_id").alias(PRODUCT_ID),
        pl.col("basket_id").alias(BASKET_ID),
        pl.col("quantity").abs().alias(QUANTITY),
        pl.col("amount").abs().alias(AMOUNT_MINOR),
        pl.when(paid).then(pl.col("currency")).alias(CURRENCY),
        pl.col("store_id").alias(STORE_ID),
        pl.col("channel").alias(CHANNEL),
        pl.col("discount").abs().alias(DISCOUNT_MINOR),
        pl.col("coupon_id").alias(COUPON_ID),
        pl.col("session_id").alias(SESSION_ID),
        pl.col("anonymous_id").alias(ANONYMOUS_ID),
    )
