"""A small retailer whose right answers are known: two tastes, regular baskets, two stores, half a year."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from app.imports.run import Sources, run_imports
from app.settings import Settings
from training.config import ModelConfig
from training.report.summary import TrainReport
from training.run import train

CUSTOMERS_PER_TASTE = 40
PRODUCTS_PER_TASTE = 30
DAYS = 180
END = datetime(2026, 10, 1, tzinfo=UTC)
TASTES = ("tea", "coffee")


@dataclass(frozen=True, slots=True)
class World:
    """A data directory with history, features and a live bundle, and the Redis that holds the features."""

    settings: Settings
    redis_url: str


def product(taste: str, number: int) -> str:
    """The id of one product of a taste."""
    return f"{taste}-{number}"


def customer(taste: str, number: int) -> str:
    """The id of one customer of a taste."""
    return f"{taste}-lover-{number}"


def transactions(*, seed: int = 0) -> pl.DataFrame:
    """Weekly baskets: each customer has a staple that is in every basket, and adds four of their taste's products."""
    random = np.random.default_rng(seed)
    rows = []
    for taste in TASTES:
        for number in range(CUSTOMERS_PER_TASTE):
            start = END - timedelta(days=DAYS - int(random.integers(7)))
            for week in range(DAYS // 7):
                at = start + timedelta(days=7 * week, hours=int(random.integers(8, 20)))
                staple = number % PRODUCTS_PER_TASTE
                extra = random.choice(PRODUCTS_PER_TASTE, 4, replace=False)
                rows += [
                    (
                        customer(taste, number),
                        product(taste, int(item)),
                        f"{taste}{number}w{week}",
                        at,
                        2.5,
                        f"s{number % 2}",
                    )
                    for item in {staple, *extra.tolist()}
                ]
    columns = ["customer_id", "product_id", "basket_id", "timestamp", "amount", "store_id"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def products() -> pl.DataFrame:
    """The catalogue: department by taste, a price, what pages draw, and a product that nobody ever bought or drew."""
    ids = [product(taste, number) for taste in TASTES for number in range(PRODUCTS_PER_TASTE)]
    rows = [
        (name, f"The {name}", name.split("-")[0].upper(), 2.5, f"https://cdn.example/{name}.jpg", f"/p/{name}", 4.5, 12)
        for name in ids
    ]
    drawn = {"image_url": pl.String, "url": pl.String, "rating": pl.Float64, "rating_count": pl.Int64}
    schema = {"product_id": pl.String, "name": pl.String, "department": pl.String, "price": pl.Float64, **drawn}
    unsold = ("tea-unsold", "The unsold tea", "TEA", 9.99, None, None, None, None)
    return pl.DataFrame([*rows, unsold], schema=schema, orient="row")


def build_world(folder: Path, redis_url: str) -> World:
    """Imports and trains it through the product's own steps."""
    settings = Settings.load(data_dir=folder / "var", redis_url=redis_url)
    settings.data_dir.mkdir()
    transactions().write_parquet(folder / "transactions.parquet")
    products().write_csv(folder / "products.csv")
    sources = Sources(transactions=folder / "transactions.parquet", products=folder / "products.csv")
    run_imports(settings, sources, shift_to_now=False, now=END, progress=no_progress)
    train(settings, redis_url, budget_s=0, seed=0, publish=True, progress=no_progress)
    return World(settings, redis_url)


def train_unpublished(world: World, config: ModelConfig) -> TrainReport:
    """One more training of the world's data, which leaves its live bundle as it is."""
    settings, redis_url = world.settings, world.redis_url
    return train(settings, redis_url, budget_s=0, seed=0, publish=False, progress=no_progress, config=config)


def no_progress(_name: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""
