"""How well the replenishment answer tells what is bought again: the Complete Journey, asked at the cut of its protocol.

    python -m benchmarks.replenishment [--budget-minutes 0]

`endcap import` and `endcap train` with defaults on all goods before 2017-12-04, then the serving function for every
customer. Judged are all pairs of a customer with a product, or a category, bought in at least two (three) baskets
before the cut; true is what was bought within 7 days after it. A pair that the answer leaves out has probability 0.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from app.decision.due import DueQuery, Replenishment, replenishment
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.settings import Settings
from benchmarks import machine
from benchmarks.protocols import CUT_AT, journey_goods, write_journey
from training.dataset import load_interactions, product_table
from training.features import customer_tables
from training.reliability import reliability
from training.replenishment import learn_replenishment
from training.states import states_from_tables

HORIZON_DAYS = 7
LEVELS = ("product", "category")
ALL = 5000
STALE_AFTER_S = 7 * 86_400.0


def ask_all(bundle: Bundle, states: Mapping[str, CustomerState], level: str) -> tuple[dict[str, Replenishment], float]:
    """The whole answer for every customer at the cut, and the seconds of the slowest hundredth."""
    answers, taken = {}, []
    for name, state in states.items():
        query = DueQuery(name, CUT_AT, HORIZON_DAYS, level, ALL)
        started = perf_counter()
        answers[name] = replenishment(query, bundle, state, stale_after_s=STALE_AFTER_S)
        taken.append(perf_counter() - started)
    return answers, float(np.quantile(taken, 0.99))


def pairs_with_truth(before: pl.DataFrame, after: pl.DataFrame, key: str) -> pl.DataFrame:
    """Customers and `key`s of two baskets or more: `count`, `ratio` of time since to mean gap, bought again or not."""
    baskets = before.drop_nulls(key).group_by("customer_id", key, "basket_id").agg(pl.col("timestamp").min())
    first, last = pl.col("timestamp").min(), pl.col("timestamp").max()
    pairs = baskets.group_by("customer_id", key).agg(
        count=pl.len(), since_s=_seconds(pl.lit(CUT_AT) - last), span_s=_seconds(last - first)
    )
    week = after.filter(pl.col("timestamp") < CUT_AT + timedelta(days=HORIZON_DAYS))
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


def with_chances(pairs: pl.DataFrame, answers: Mapping[str, Replenishment], key: str) -> pl.DataFrame:
    """The pairs with the answers' probability, 0 where an answer leaves one out."""
    told = [
        (name, row.product_id if key == "product_id" else row.category, row.probability)
        for name, answer in answers.items()
        for row in answer.due
    ]
    chances = pl.DataFrame(told, schema={"customer_id": pl.String, key: pl.String, "chance": pl.Float64}, orient="row")
    return pairs.join(chances, on=["customer_id", key], how="left").with_columns(pl.col("chance").fill_null(0.0))


def judged(pairs: pl.DataFrame, *, level: str, at_least: int) -> dict[str, object]:
    """Ranking and calibration of the probabilities, beside the ranking of the naive ratio."""
    pairs = pairs.filter(pl.col("count") >= at_least)
    bought, chance = pairs["is_bought"].to_numpy(), pairs["chance"].to_numpy()
    owner = pairs["customer_id"].rank("dense").to_numpy().astype(np.intp)
    told = reliability(chance, bought, owner, seed=0)
    return {
        "level": level,
        "horizon_days": HORIZON_DAYS,
        "at_least": at_least,
        "pairs": pairs.height,
        "bought": round(told.bought, 4),
        "mean_probability": round(told.mean_probability, 4),
        "auc": round(auc(bought, chance), 4),
        "ece": round(told.ece, 4),
        "ece_equal_count": round(told.ece_equal_count, 4),
        "auc_of_ratio": round(auc(bought, pairs["ratio"].to_numpy()), 4),
    }


def auc(is_bought: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a pair bought again is scored above one that was not; ties count half (Mann and Whitney 1947)."""
    hits = int(is_bought.sum())
    return float((rankdata(scores)[is_bought].sum() - hits * (hits + 1) / 2) / (hits * (len(scores) - hits)))


def measure(folder: Path, *, budget_minutes: float) -> dict[str, object]:
    """Import, training, answers, figures."""
    products, before, after = journey_goods()
    words = [word for option in write_journey(folder, products, before).items() for word in map(str, option)]
    data_dir = ["--data-dir", str(folder / "var")]
    seconds = {
        "import": _endcap(["import", *words, *data_dir]),
        "train": _endcap(["train", "--budget-minutes", str(budget_minutes), *data_dir]),
    }
    settings = Settings.load(data_dir=folder / "var")
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    history, table = History(settings.history_dir).scan(), product_table(settings)
    states = states_from_tables(customer_tables(history, as_of=CUT_AT, products=table))
    started = perf_counter()
    learn_replenishment(load_interactions(history, None if table is None else table.collect()), seed=0)
    seconds["learn_replenishment"] = round(perf_counter() - started, 1)
    results, slowest_ms = [], {}
    categories = products.select("product_id", "category")
    for level, key in zip(LEVELS, ("product_id", "category"), strict=True):
        answers, slowest = ask_all(bundle, states, level)
        slowest_ms[level] = round(slowest * 1000, 1)
        past, future = (part.join(categories, on="product_id") for part in (before, after))
        pairs = with_chances(pairs_with_truth(past, future, key), answers, key)
        results += [judged(pairs, level=level, at_least=at_least) for at_least in (2, 3)]
    return {"customers": len(states), "results": results, "seconds": seconds, "answer_p99_ms": slowest_ms}


def _endcap(words: Iterable[str]) -> float:
    """Seconds that a command takes; ends the run when it fails."""
    started = perf_counter()
    command = [sys.executable, "-m", "app.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return round(perf_counter() - started, 1)


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
