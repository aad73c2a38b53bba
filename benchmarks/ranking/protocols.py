"""Three protocols of ranking quality: which lines to learn from, whom to ask about what, and the truth."""

import gzip
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from app.imports.sources.complete_journey import NOT_GOODS, data_folder, journey_promotions
from benchmarks.ranking.ranked import Truth

CUT_AT = datetime(2017, 12, 4, tzinfo=UTC)
MIN_LINES = 10
PLACEMENTS = {"app_home": {"allow_age_restricted": True}}
"""The placement of all protocols: what is measured is the ranking of all goods, tobacco and alcohol as well."""
SESSIONS_FROM = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way to test the ranking. `lines` are the training part; `import_options` are those of `endcap import`.

    `plain`: the further rankings that suit it, by their names in `plain.RANKINGS`. `recent`: customer → what a query
    names as viewed, latest first.
    """

    name: str
    lines: pl.DataFrame
    truth: Truth
    k: int
    import_options: Mapping[str, Path]
    request: Callable[[str], dict[str, object]]
    exclude_known: bool
    plain: Sequence[str] = ()
    recent: Mapping[str, Sequence[str]] = field(default_factory=dict)


def journey_goods() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Products, lines before the cut and lines after it, of the Complete Journey's goods.

    Only products with at least ten lines before the cut count; a customer counts after it who bought some before.
    """
    products = pl.read_parquet(data_folder() / "products.parquet")
    products = products.filter(~pl.col("department").is_in(NOT_GOODS)).with_columns(
        pl.col("product_id").cast(pl.String)
    )
    lines = _journey_lines().join(products, on="product_id", how="semi")
    before, after = lines.filter(pl.col("timestamp") < CUT_AT), lines.filter(pl.col("timestamp") >= CUT_AT)
    sold = before.group_by("product_id").len().filter(pl.col("len") >= MIN_LINES)
    before, after = (part.join(sold, on="product_id", how="semi") for part in (before, after))
    described = products.select("product_id", "department", "brand", pl.col("product_category").alias("category"))
    return described.join(sold, on="product_id", how="semi"), before, after.join(before, on="customer_id", how="semi")


def write_journey(folder: Path, products: pl.DataFrame, lines: pl.DataFrame) -> dict[str, Path]:
    """The tables as files, as the options of `endcap import`."""
    options = {"--transactions": folder / "transactions.parquet", "--products": folder / "products.parquet"}
    lines.write_parquet(options["--transactions"])
    products.write_parquet(options["--products"])
    return options


def first_basket(folder: Path, *, with_promotions: bool) -> Protocol:
    """The Complete Journey: the first basket after the cut, from all goods bought before it.

    Of promotions those that have begun at the cut are known: the week of the question is the last.
    """
    products, before, after = journey_goods()
    options = write_journey(folder, products, before)
    if with_promotions:
        options["--promotions"] = folder / "promotions.parquet"
        begun = journey_promotions(data_folder()).filter(pl.col("starts_at") <= CUT_AT.replace(tzinfo=None))
        begun.sink_parquet(options["--promotions"])
    first = after.sort("timestamp").group_by("customer_id", maintain_order=True).agg(pl.col("basket_id").first())
    context = {"channel": "store", "now": CUT_AT.isoformat()}
    return Protocol(
        name=f"Complete Journey, first basket after 2017-12-04, {'with' if with_promotions else 'without'} promotions",
        lines=before,
        truth=truth_of(after.join(first, on=["customer_id", "basket_id"], how="semi")),
        k=10,
        import_options=options,
        request=lambda name: {"customer_id": name, "placement": "app_home", "size": 10, "context": context},
        exclude_known=False,
        plain=("personal frequency",),
    )


def _journey_lines() -> pl.DataFrame:
    lines = pl.read_parquet(data_folder() / "transactions.parquet")
    return lines.select(
        pl.col("household_id").cast(pl.String).alias("customer_id"),
        pl.col("product_id").cast(pl.String),
        pl.col("basket_id").cast(pl.String),
        pl.col("transaction_timestamp").dt.cast_time_unit("us").dt.replace_time_zone("UTC").alias("timestamp"),
        "quantity",
        pl.col("sales_value").alias("amount"),
        pl.col("store_id").cast(pl.String),
        pl.lit("store").alias("channel"),
        pl.lit("USD").alias("currency"),
    )


def all_unseen(folder: Path, source: Path) -> Protocol:
    """Pairs without time: `train.csv.gz` and `test.csv.gz` with customer_id and product_id; rank what is unseen."""
    train, test = (_pairs(source / f"{part}.csv.gz") for part in ("train", "test"))
    options = {"--transactions": folder / "transactions.csv"}
    with gzip.open(source / "train.csv.gz") as packed, options["--transactions"].open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    body: dict[str, object] = {"placement": "app_home", "size": 20, "exclude": ["purchased"]}
    return Protocol(
        name="ML-1M, all unseen",
        lines=train,
        truth=truth_of(test),
        k=20,
        import_options=options,
        request=lambda name: body | {"customer_id": name},
        exclude_known=True,
        plain=("EASE",),
    )


def next_view(folder: Path, source: Path, *, query_count: int = 6000, seed: int = 1) -> Protocol:
    """Anonymous sessions: `train.jsonl.gz` lists of product ids in order, `test.jsonl.gz` prefixes and what came next.

    The sessions become view events, one a minute apart; each prefix is a request of its own with `context.recent`.
    """
    options = {"--events": folder / "events.jsonl"}
    sessions = json_lines(source / "train.jsonl.gz")
    with options["--events"].open("wb") as file:
        for number, session in enumerate(sessions):
            for position, product in enumerate(session):
                at = SESSIONS_FROM + timedelta(minutes=number, seconds=position)
                event = {"id": f"{number}-{position}", "type": "view_item", "time": at, "anonymous_id": f"s{number}"}
                file.write(orjson.dumps(event | {"channel": "app", "product_id": str(product)}) + b"\n")
    tests = json_lines(source / "test.jsonl.gz")
    chosen = sorted(random.Random(seed).sample(range(len(tests)), min(query_count, len(tests))))
    recent = {f"t{row}": [str(product) for product in reversed(tests[row]["session"])] for row in chosen}
    body: dict[str, object] = {"placement": "app_home", "size": 20}
    rows = [(f"s{number}", str(product)) for number, session in enumerate(sessions) for product in session]
    return Protocol(
        name="nowplaying, next view of anonymous sessions",
        lines=pl.DataFrame(rows, schema=["customer_id", "product_id"], orient="row"),
        truth={f"t{row}": frozenset([str(tests[row]["next"])]) for row in chosen},
        k=20,
        import_options=options,
        request=lambda name: body | {"anonymous_id": name, "context": {"recent": recent[name][:200]}},
        exclude_known=False,
        plain=("nearest sessions",),
        recent=recent,
    )


def json_lines(path: Path) -> list[Any]:
    """The objects of a gzipped file with one in each line."""
    return [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def _pairs(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, columns=["customer_id", "product_id"], infer_schema=False)


def truth_of(lines: pl.DataFrame) -> Truth:
    """What each customer of these lines bought, by customer."""
    bought = lines.group_by("customer_id").agg(pl.col("product_id").unique()).sort("customer_id")
    return {customer_id: frozenset(products) for customer_id, products in bought.iter_rows()}
