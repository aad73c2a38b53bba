"""Import till lines and orders: from a canonical table to new rows of the history, in one commit."""

from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import perf_counter

import polars as pl

from app.domain import PURCHASE, REFUND
from app.history import (
    AMOUNT_MINOR,
    BASKET_ID,
    CHANNEL,
    COUPON_ID,
    CURRENCY,
    CUSTOMER_ID,
    DISCOUNT_MINOR,
    PRODUCT_ID,
    QUANTITY,
    STORE_ID,
    TIME,
    TYPE,
)
from app.imports import values
from app.imports.checked import CheckedRows, check, columns_of
from app.imports.journal.history_imports import check_early, store
from app.imports.journal.records import BY_NOBODY, Intake, new_record
from app.imports.reading.table_file import Block, TableFile, open_table
from app.imports.report import ImportReport, Rejects
from app.imports.staging import LINE, LineStaging
from app.ports import StageProgress
from app.settings import Settings

TABLE = "transactions"
COMPULSORY = ("customer_id", "product_id")
OPTIONAL = (
    "basket_id",
    "timestamp",
    "quantity",
    "amount",
    "discount",
    "coupon_id",
    "store_id",
    "channel",
    "currency",
)


def import_transactions(
    settings: Settings,
    path: Path,
    *,
    shift_to_now: bool,
    now: datetime,
    progress: StageProgress,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Add the rows of `path` that the history lacks; the same file again adds nothing.

    Raises BadInput when the file as a whole is unusable; faulty rows are listed in the report's rejects file.
    """
    columns = (*COMPULSORY, *OPTIONAL)
    file = open_table(path, compulsory=COMPULSORY, wanted=columns)
    ignored = tuple(name for name in file.columns if name not in columns)
    return import_lines(
        settings,
        file,
        source=TABLE,
        ignored=ignored,
        shift_to_now=shift_to_now,
        now=now,
        progress=progress,
        intake=intake,
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
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """The same for an open table; `source` names what keeps one time shift for all its files."""
    begun_s = perf_counter()
    refused = Rejects(settings.rejects_dir, table=TABLE, source=file.path)
    with closing(file), refused as rejects, LineStaging(settings.data_dir) as staging:
        record = new_record(TABLE, file, rejects.content, intake, currency=settings.currency, now=now)
        for block in file.blocks:
            if not staging.rows + rejects.rows:
                check_early(settings, record, intake)
            # A file that is moved to now may have any times.
            latest = None if shift_to_now else now
            checked = check_lines(block, default_currency=settings.currency, latest=latest)
            staging.add(checked.frame)
            rejects.add(checked.rejects)
            progress(block.done, file.total)
        # Only now, because equal rows may be in different blocks.
        staging.number_rows()
        record = replace(record, rows_read=staging.rows + rejects.rows, rows_rejected=rejects.rows)
        stored = store(settings, staging, record, intake, shift=source if shift_to_now else None, now=now)
        return ImportReport(
            table=TABLE,
            rows_read=record.rows_read,
            rows_added=stored.added,
            rows_known=staging.rows - stored.added,
            rows_rejected=rejects.rows,
            rejects_path=rejects.finish(),
            seconds=perf_counter() - begun_s,
            ignored_columns=ignored,
            shift_days=stored.shift_days,
            import_id=stored.import_id,
        )


def check_lines(block: Block, *, default_currency: str, latest: datetime | None) -> CheckedRows:
    """The block's sound rows as the history names and types them, with their line; `time` still naive.

    Nothing is later than `latest`, if that is given.
    """
    column = columns_of(block)
    currency = values.currencies(column("currency"), default=default_currency)
    raw_times = column("timestamp")
    times = values.instants(raw_times) if latest is None else values.happened(raw_times, now=latest)
    checked = check(
        block,
        {
            "customer_id": values.identifiers(column("customer_id"), compulsory=True),
            "product_id": values.identifiers(column("product_id"), compulsory=True),
            "basket_id": values.identifiers(column("basket_id")),
            "timestamp": times,
            "quantity": values.quantities(column("quantity")),
            "amount": values.money(column("amount"), currency.values),
            "discount": values.money(column("discount"), currency.values),
            "coupon_id": values.identifiers(column("coupon_id")),
            "store_id": values.identifiers(column("store_id")),
            "channel": values.channels(column("channel")),
            "currency": currency,
        },
    )
    lines = pl.Series(LINE, block.lines).filter(checked.sound)
    return CheckedRows(_as_history(checked.frame, lines), checked.sound, checked.rejects)


def _as_history(frame: pl.DataFrame, lines: pl.Series) -> pl.DataFrame:
    """A negative quantity or amount marks a refund; the history keeps both positive, as GA4 does."""
    back = (pl.col("quantity") < 0) | (pl.col("amount") < 0).fill_null(False)
    paid = pl.col("amount").is_not_null() | pl.col("discount").is_not_null()
    return frame.select(
        lines,
        pl.when(back).then(pl.lit(REFUND)).otherwise(pl.lit(PURCHASE)).alias(TYPE),
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
    )
