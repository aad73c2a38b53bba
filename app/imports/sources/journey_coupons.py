"""The Complete Journey's campaigns, coupons and redemptions as the tables that any retailer gives."""

from functools import partial
from pathlib import Path

import polars as pl

from app.imports.campaigns import CampaignFiles
from app.imports.reading.table_file import frame_table
from app.imports.sources.journey_abbreviations import readable

FUNDER = "manufacturer"
"""Whose money a coupon takes off: coupon_disc is the manufacturer's, coupon_match_disc what the retailer adds."""
OFFER = (pl.col("campaign_id").cast(pl.String) + "-" + pl.col("coupon_upc").cast(pl.String)).alias("offer_id")


def campaign_files(folder: Path) -> CampaignFiles:
    """The data set's four coupon tables, each in the columns of `app.imports.campaigns.COLUMNS`."""
    coupons = pl.read_parquet(folder / "coupons.parquet").with_columns(OFFER)
    redeemed = pl.read_parquet(folder / "coupon_redemptions.parquet").with_columns(OFFER)
    redeemed = _with_discounts(redeemed, coupons, folder)
    return CampaignFiles(
        campaigns=partial(frame_table, folder / "campaign_descriptions.parquet", _campaigns(folder)),
        offers=partial(frame_table, folder / "coupons.parquet", _offers(folder, coupons, redeemed)),
        audience=partial(frame_table, folder / "campaigns.parquet", _audience(folder)),
        redemptions=partial(frame_table, folder / "coupon_redemptions.parquet", _redemptions(redeemed)),
    )


def _campaigns(folder: Path) -> pl.DataFrame:
    # Coupons were redeemed on the last day too.
    return pl.read_parquet(folder / "campaign_descriptions.parquet").select(
        "campaign_id",
        pl.format("Campaign {} ({})", "campaign_id", "campaign_type").alias("name"),
        pl.lit(FUNDER).alias("funder"),
        pl.lit("USD").alias("currency"),
        pl.col("start_date").alias("starts_at"),
        pl.col("end_date").dt.offset_by("1d").alias("ends_at"),
    )


def _audience(folder: Path) -> pl.DataFrame:
    given = pl.read_parquet(folder / "campaigns.parquet")
    return given.select("campaign_id", pl.col("household_id").alias("customer_id"))


def _redemptions(redeemed: pl.DataFrame) -> pl.DataFrame:
    return redeemed.select(
        "offer_id",
        pl.col("household_id").alias("customer_id"),
        pl.col("redemption_date").alias("timestamp"),
        "discount",
        pl.lit("store").alias("channel"),
    )


def _with_discounts(redeemed: pl.DataFrame, coupons: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """Redemptions with the `discount` that the till shows, null where it shows none.

    That is the median coupon_disc of the lines that the household bought that day of the coupon's products.
    """
    lines = (
        pl.scan_parquet(folder / "transactions.parquet")
        .filter(pl.col("coupon_disc") > 0)
        .select(
            "household_id",
            "product_id",
            "coupon_disc",
            pl.col("transaction_timestamp").dt.truncate("1d").alias("redemption_date"),
        )
        .collect()
    )
    keys = ["household_id", "offer_id", "redemption_date"]
    products = coupons.select("offer_id", "product_id").unique()
    of_coupon = redeemed.select(keys).join(products, on="offer_id").join(
        lines, on=["household_id", "product_id", "redemption_date"]
    )  # fmt: skip
    each = of_coupon.group_by(keys).agg(pl.col("coupon_disc").median().round(2).alias("discount"))
    return redeemed.join(each, on=keys, how="left", maintain_order="left")


def _offers(folder: Path, coupons: pl.DataFrame, redeemed: pl.DataFrame) -> pl.DataFrame:
    """A coupon takes off what it took off in the median of its redemptions, else of all coupons' redemptions."""
    overall = redeemed["discount"].median()
    each = redeemed.group_by("offer_id").agg(pl.col("discount").median().round(2).alias("amount"))
    rows = coupons.join(each, on="offer_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("amount").fill_null(overall)).join(
        _names(folder, coupons), on="offer_id", maintain_order="left"
    )  # fmt: skip
    dollars = (pl.col("amount") * 100).round().cast(pl.Int64)
    amount = pl.format("${}.{}", dollars // 100, (dollars % 100).cast(pl.String).str.zfill(2))
    return rows.select(
        "offer_id", "campaign_id", "product_id", pl.format("{} off {}", amount, "products").alias("name"), "amount"
    )


def _names(folder: Path, coupons: pl.DataFrame) -> pl.DataFrame:
    """Per offer what most of its products are, in words."""
    catalogue = pl.read_parquet(folder / "products.parquet", columns=["product_id", "product_category"])
    categories = catalogue.select("product_id", readable(pl.col("product_category")).alias("category"))
    counted = coupons.join(categories, on="product_id", how="left").group_by("offer_id", "category").len()
    # Within a group Polars keeps the order of rows, so the first category is the most frequent.
    most = counted.sort("len", "category", descending=[True, False], nulls_last=True).group_by("offer_id")
    named = most.agg(pl.col("category").first(), pl.len().alias("count"))
    words = pl.col("category").fill_null("selected products")
    several = pl.when(pl.col("count") > 1).then(words + " and more").otherwise(words)
    return named.select("offer_id", several.alias("products"))
