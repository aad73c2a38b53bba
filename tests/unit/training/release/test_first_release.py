"""The first release of a retailer: few customers get a simple rule, and a sentence that says why."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from app.commands.figures import training_outcome
from app.commands.recommend import recommend
from app.imports.run import Sources, run_imports
from app.model.bundle import load_bundle
from app.model.ranker import RANKER_FILE
from app.settings import Settings
from tests.support.world import no_progress
from training.metrics.rule_comparison import FREQUENCY
from training.report.summary import TrainReport
from training.run import evaluate, train

NOW = datetime(2026, 10, 1, tzinfo=UTC)
WEEKS = 26
TASTES = 6
PRODUCTS = 90


def sales(customer_count: int, *, renumbered_since: int = WEEKS) -> pl.DataFrame:
    """Weekly baskets: three products of one's taste, and one that sells well everywhere.

    From week `renumbered_since` on, customers have each other's numbers, as after a wrong migration of the tills.
    """
    random = np.random.default_rng(0)
    rows = []
    for week in range(WEEKS):
        numbers = np.arange(customer_count) if week < renumbered_since else np.roll(np.arange(customer_count), 1)
        at = NOW - timedelta(days=7 * (WEEKS - week) - 1)
        for person in range(customer_count):
            own = person % TASTES + TASTES * random.choice(PRODUCTS // TASTES, 3, replace=False)
            basket = {*own.tolist(), PRODUCTS + int(random.geometric(0.3))}
            rows += [
                (f"c{numbers[person]}", f"p{item}", f"{person}w{week}", at + timedelta(minutes=person))
                for item in basket
            ]
    return pl.DataFrame(rows, schema=["customer_id", "product_id", "basket_id", "timestamp"], orient="row")


def imported(folder: Path, redis_url: str, lines: pl.DataFrame) -> Settings:
    settings = Settings.load(data_dir=folder / "var", redis_url=redis_url)
    lines.write_parquet(folder / "lines.parquet")
    sources = Sources(transactions=folder / "lines.parquet")
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    return settings


def trained(settings: Settings, redis_url: str, *, publish: bool = True) -> TrainReport:
    return train(settings, redis_url, budget_s=0, seed=0, publish=publish, progress=no_progress)


def shown(settings: Settings, redis_url: str, folder: Path, **body: object) -> list[Mapping[str, object]]:
    source, target = folder / "ask.jsonl", folder / "answer.jsonl"
    source.write_bytes(orjson.dumps({"placement": "app_home"} | body))
    asyncio.run(recommend(settings, redis_url, source, target, progress=no_progress))
    propositions: list[Mapping[str, object]] = orjson.loads(target.read_bytes())["propositions"]
    return propositions


def test_forty_customers_get_a_simple_rule_and_a_sentence_on_what_to_do(tmp_path: Path, valkey: str) -> None:
    lines = sales(40)
    settings = imported(tmp_path, valkey, lines)
    report = trained(settings, valkey)
    assert report.published
    (note,) = report.notes
    assert "personal frequency: each customer's own products, then what is popular" in note
    assert "50 held-out customers" in note
    assert "of 40 did. The history has 40 customers and 1,040 baskets" in note
    assert f"note: {note}" in training_outcome(report)
    bundle = load_bundle(settings.bundles_dir / report.version)
    assert bundle.manifest["config"]["simple_rules"]["served"] == FREQUENCY
    assert not (settings.bundles_dir / report.version / RANKER_FILE).exists()
    assert evaluate(settings, seed=0, progress=no_progress).report == report.report
    assert "Its ranking was not learned" in report.report.read_text()
    age_days = (NOW - pl.col("timestamp")).dt.total_seconds() / 86_400
    weight = (-age_days / 112 * np.log(2)).exp().sum().alias("weight")
    mine = lines.filter(pl.col("customer_id") == "c7").group_by("product_id").agg(weight)
    most = mine.sort("weight", descending=True)["product_id"].head(5).to_list()
    assert [one["product_id"] for one in shown(settings, valkey, tmp_path, customer_id="c7")][:5] == most
    sold = lines.group_by("product_id").agg(pl.col("customer_id").n_unique()).sort("customer_id", descending=True)
    unknown = [one["product_id"] for one in shown(settings, valkey, tmp_path, anonymous_id="nobody", size=3)]
    assert set(unknown) <= set(sold["product_id"].head(5))
