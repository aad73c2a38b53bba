"""Import till lines and orders: from a canonical table to new rows of the history, in one commit."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from time import perf_counter

import polars as pl

from app.composition.history import history_of
from app.domain import PURCHASE, REFUND
from app.history import (
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
from app.imports.mapping.apply import KIND, TIMES, WORD
from app.imports.plan import Plan, opened, plan_of
from app.imports.reading.block import Block, TableFile
from app.imports.report import ImportReport, Rejects
from app.imports.shift import days_to_shift, forget_shift, remember_shift
from app.imports.staging import LINE, Staging
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
) -> ImportReport:
    """Add the rows of `path` that the history lacks; the same file again adds nothing.

    Raises BadInput when the file as a whole is unusable; faulty rows are listed in the report's rejects file.
    """
    plan = plan or plan_of(path, TABLE, time_zone=settings.time_zone)
    return import_lines(
        settings,
        opened(plan),
        source=TABLE,
        ignored=plan.ignored,
        shift_to_now=shift_to_now,
        now=now,
        progress=progress,
    )


def import_lines(
    settings: Settings,
    file: TableFile,
    *,
    source: str,
    ignored: tuple[str, ...],
    shift_to_now: bool,
    now: datetime,
    progress: StageProgress,
) -> ImportReport:
    """The same for an open table; `source` names what keeps one time shift for all its files."""
    begun_s = perf_counter()
    refused = Rejects(settings.rejects_dir, table=TABLE, source=file.path)
    with refused as rejects, Staging(settings.data_dir) as staging:
        left_out: Counter[str] = Counter()
        guest_count = 0
        for block in file.blocks:
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
        shift_days = days_to_shift(settings.tables_dir, source, staging.last_at(), now=now) if shift_to_now else None
        history = history_of(settings)
        is_first = shift_days is not None and days_to_shift(settings.tables_dir, source, last_at=None, now=now) is None
        # Before the rows that have it: however an import ends, what it left in the history binds later files.
        if shift_days is not None and is_first:
            remember_shift(settings.tables_dir, source, shift_days)
        added = 0
        try:
            added = history.append_absent(lambda files: staging.absent(files, shift_days=shift_days or 0))
        finally:
            if is_first and not added:
                forget_shift(settings.tables_dir, source)
        return ImportReport(
            table=TABLE,
            rows_read=staging.rows + rejects.rows + left_out.total(),
            rows_added=added,
            rows_known=staging.rows - added,
            rows_rejected=rejects.rows,
            rejects_path=rejects.finish(),
            seconds=perf_counter() - begun_s,
            ignored_columns=ignored,
            shift_days=shift_days,
            left_out=dict(left_out),
            guest_rows=guest_count,
            notes=file.notes,
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
