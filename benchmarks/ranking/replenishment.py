"""How well the replenishment answer predicts what is bought again: the Complete Journey, at the cut of its protocol.

    python -m benchmarks.ranking.replenishment [--budget-minutes 0]

`endcap import` and `endcap train` with defaults on all goods before 2017-12-04, then the serving function for every
customer. Measured are all pairs of a customer with a product, or a category, bought in at least two (three) baskets
before the cut; true is what was bought within 7 (28) days after it. A pair that the answer leaves out has probability
0. Times are those of the serving function, for answers of 50 and of all rows.
"""

import argparse
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.replenishment.answer import Replenishment, ReplenishmentQuery, replenishment
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.settings import Settings
from benchmarks.ranking.protocols import CUT_AT, journey_goods, write_journey
from benchmarks.support import machine
from benchmarks.support.commands import endcap, import_files
from training.data.dataset import load_interactions, product_table
from training.features.tables import customer_tables
from training.learners.replenishment import learn_replenishment
from training.metrics.calibration import reliability
from training.metrics.ranking import auc
from training.queries.states import states_from_tables

HORIZONS_DAYS = (7, 28)
LEVELS = {"product": "product_id", "category": "category"}
ROWS, ALL_ROWS = 50, 5000
STALE_AFTER_S = 7 * 86_400.0


Answers = Mapping[str, Replenishment]


def ask_all(
    bundle: Bundle, states: Mapping[str, CustomerState], *, level: str, days: int, limit: int
) -> tuple[Answers, dict[str, float]]:
    """The answer for every customer at the cut, and the milliseconds that one takes."""
    answers, taken_ms = {}, []
    for name, state in states.items():
        query = ReplenishmentQuery(name, CUT_AT, days, level, limit, allows_age_restricted=True)
        started = perf_counter()
        answers[name] = replenishment(query, bundle, state, stale_after_s=STALE_AFTER_S)
        taken_ms.append((perf_counter() - started) * 1000)
    p50, p99 = np.quantile(taken_ms, (0.5, 0.99)).round(1).tolist()
    return answers, {"p50": p50, "p99": p99}


def pairs_with_truth(before: pl.DataFrame, after: pl.DataFrame, key: str, *, days: int) -> pl.DataFrame:
    """Customers and `key`s of two baskets or more: `count`, `ratio` of time since to mean gap, bought again or not."""
    baskets = before.drop_nulls(key).group_by("customer_id", key, "basket_id").agg(pl.col("timestamp").min())
    first, last = pl.col("timestamp").min(), pl.col("timestamp").max()
    pairs = baskets.group_by("customer_id", key).agg(
        count=pl.len(), since_s=_seconds(pl.lit(CUT_AT) - last), span_s=_seconds(last - first)
    )
    week = after.filter(pl.col("timestamp") < CUT_AT + timedelta(days=days))
    bought = week.select("customer_id", key).unique().with_columns(is_bought=pl.lit(True))
    gap_s = pl.max_horizontal(pl.col("span_s") / (pl.col("count") - 1), 1.0)
    return (
        pairs.filter(pl.col("count") >= 2)
        .with_columns(ratio=pl.col("since_s") / gap_s)
        .join(bought, on=["customer_id", key], how="left")
        .with_columns(pl.col("is_bought").fill_null(False))
    )


def _seconds(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / 1e6


def with_chances(pairs: pl.DataFrame, answers: Answers, key: str) -> pl.DataFrame:
    """The pairs with the answers' probability, 0 where an answer leaves one out."""
    predicted = [
        (name, row.product_id if key == "product_id" else row.category, row.probability)
        for name, answer in answers.items()
        for row in answer.purchases
    ]
    chances = pl.DataFrame(
        predicted, schema={"customer_id": pl.String, key: pl.String, "chance": pl.Float64}, orient="row"
    )
    return pairs.join(chances, on=["customer_id", key], how="left").with_columns(pl.col("chance").fill_null(0.0))


def figures_of(pairs: pl.DataFrame) -> dict[str, object]:
    """Ranking and calibration of the probabilities, next to the ranking of the naive ratio."""
    bought, chance = pairs["is_bought"].to_numpy(), pairs["chance"].to_numpy()
    owner = pairs["customer_id"].rank("dense").to_numpy().astype(np.intp)
    predicted = reliability(chance, bought, owner, seed=0)
    return {
        "pairs": pairs.height,
        "bought": round(predicted.bought, 4),
        "mean_probability": round(predicted.mean_probability, 4),
        "auc": round(auc(chance, bought), 4),
        "ece": round(predicted.ece, 4),
        "ece_equal_count": round(predicted.ece_equal_count, 4),
        "auc_of_ratio": round(auc(pairs["ratio"].to_numpy(), bought), 4),
    }


def measure(folder: Path, *, budget_minutes: float) -> dict[str, object]:
    """Import, training, answers, figures."""
    products, before, after = journey_goods()
    settings = Settings.load(data_dir=folder / "var")
    import_s = import_files(settings.data_dir, write_journey(folder, products, before))
    _, train_s = endcap(settings.data_dir, ["train", "--budget-minutes", str(budget_minutes)])
    seconds = {"import": round(import_s, 1), "train": round(train_s, 1)}
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    history, table = History(settings.history_dir).scan(), product_table(settings)
    states = states_from_tables(customer_tables(history, as_of=CUT_AT, products=table))
    started = perf_counter()
    learn_replenishment(load_interactions(history, None if table is None else table.collect()), seed=0)
    seconds["learn_replenishment"] = round(perf_counter() - started, 1)
    categories = products.select("product_id", "category")
    past, future = (part.join(categories, on="product_id") for part in (before, after))
    results, answer_ms = [], {}
    for level, key in LEVELS.items():
        _, answer_ms[f"{level}, {ROWS} rows"] = ask_all(bundle, states, level=level, days=7, limit=ROWS)
        for days in HORIZONS_DAYS:
            answers, answer_ms[f"{level}, all rows"] = ask_all(bundle, states, level=level, days=days, limit=ALL_ROWS)
            pairs = with_chances(pairs_with_truth(past, future, key, days=days), answers, key)
            for at_least in (2, 3):
                conditions = {"level": level, "horizon_days": days, "at_least": at_least}
                results.append(conditions | figures_of(pairs.filter(pl.col("count") >= at_least)))
    return {"customers": len(states), "results": results, "seconds": seconds, "answer_ms": answer_ms}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=0.0, help="for the ranking's tuning: no matter here")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-replenishment-") as folder, threadpool_limits(1):
        found = measure(Path(folder), budget_minutes=given.budget_minutes)
    machine.show({"benchmark": "replenishment", **machine.facts(), **found})


if __name__ == "__main__":
    main()
