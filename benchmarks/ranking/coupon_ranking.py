"""How well a campaign's coupons are ranked: the Complete Journey, campaigns later than those learned from.

    python -m benchmarks.ranking.coupon_ranking

Measured is every pair of a household and a campaign with some of its coupons redeemed and some not: the AUC of ranking
all coupons of the campaign, the mean over pairs, with what was known when the campaign began. For each origin the
model learns from the campaigns that ended by then, and ranks those that began from then until the next origin. Columns
and penalty were chosen on campaigns before CHOSEN_BEFORE; one model of what ended by then ranks all later ones.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.coupons.features import COLUMNS
from app.history import History
from app.imports.sources.complete_journey import data_folder, import_complete_journey
from app.settings import Settings
from benchmarks.support import machine
from training.coupons.examples import CouponExamples, CouponWorld, coupon_examples
from training.coupons.history import CouponHistory, checked_history
from training.coupons.model import CouponEvaluation, evaluate_coupons, fit_coupon_model
from training.data.dataset import load_interactions, product_table
from training.learners.bundle_contents import Hyperparameters, learn_contents
from training.learners.factors import AlsSettings
from training.ranking.blend import default_blend
from training.release.assemble import bundle_of
from training.release.publish import Facts

CHOSEN_BEFORE = datetime(2017, 9, 1, tzinfo=UTC)
ORIGINS = tuple(datetime(2017, *day, tzinfo=UTC) for day in ((5, 8), (6, 26), (8, 8), (9, 1), (10, 15), (11, 15)))
DAY_S = 86_400


def journey_coupons() -> CouponHistory:
    """The package's campaigns: a coupon of two campaigns is two offers; the last day counts whole."""
    folder = data_folder()
    read = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("campaigns", "coupons")}
    ends = pl.read_parquet(folder / "campaign_descriptions.parquet")
    redeemed = pl.read_parquet(folder / "coupon_redemptions.parquet")
    offer_id = pl.format("{}-{}", "campaign_id", "coupon_upc").alias("offer_id")
    campaign_id = pl.col("campaign_id").cast(pl.String)
    customer_id = pl.col("household_id").cast(pl.String).alias("customer_id")
    offers = read["coupons"].unique().select(offer_id, campaign_id, pl.col("product_id").cast(pl.String))
    assigned = (
        read["campaigns"]
        .join(ends, on="campaign_id")
        .select(
            customer_id,
            campaign_id,
            _instant("start_date").alias("assigned_at"),
            _instant("end_date").dt.offset_by("1d").alias("expires_at"),
        )
    )
    return checked_history(
        offers, assigned, redeemed.select(customer_id, offer_id, _instant("redemption_date").alias("redeemed_at"))
    )


def _instant(name: str) -> pl.Expr:
    return pl.col(name).dt.cast_time_unit("us").dt.replace_time_zone("UTC")


def journey_world(folder: Path) -> CouponWorld:
    """The Journey's purchases imported, and a bundle of them; only its products are looked at."""
    settings = Settings.load(data_dir=folder / "var")
    settings.data_dir.mkdir()
    import_complete_journey(settings, shift_to_now=False, now=datetime.now(UTC), progress=lambda *_: None)
    history, products = History(settings.history_dir).scan(), product_table(settings)
    dataset = load_interactions(history, None if products is None else products.collect())
    hyperparameters = Hyperparameters(
        AlsSettings(factors=8, iterations=1), None, default_blend(()), excludes_purchased=False
    )
    facts = Facts(datetime.now(UTC))
    bundle = bundle_of(folder, facts, learn_contents(dataset, hyperparameters, seed=0))
    return CouponWorld(journey_coupons(), dataset, history, products, bundle)


def split(examples: CouponExamples, origin: datetime, until: datetime | None) -> CouponEvaluation:
    """A model of the campaigns that ended by `origin`, tested on those that began from then on, before `until`."""
    day = origin.timestamp() / DAY_S
    model = fit_coupon_model(examples.only(examples.ended_day <= day))
    is_later = examples.started_day >= day
    if until is not None:
        is_later &= examples.started_day < until.timestamp() / DAY_S
    return evaluate_coupons(model, examples.only(is_later))


def measure(folder: Path) -> dict[str, object]:
    """Every origin, the campaigns kept for the end, and what the columns weigh in the model of them."""
    world = journey_world(folder)
    started = perf_counter()
    examples = coupon_examples(world, seed=0)
    examples_s = perf_counter() - started
    started = perf_counter()
    kept = split(examples, CHOSEN_BEFORE, None)
    fit_s = perf_counter() - started
    origins, evaluations = [], []
    for origin, until in zip(ORIGINS, (*ORIGINS[1:], None), strict=True):
        evaluation = split(examples, origin, until)
        evaluations.append(evaluation)
        use = "choosing columns" if origin < CHOSEN_BEFORE else "testing"
        campaigns = sorted(set(evaluation.campaign.tolist()), key=int)
        origins.append(
            {"origin": f"{origin:%Y-%m-%d}", "used_for": use, "campaigns": campaigns} | evaluation.figures(seed=0)
        )
    everything = fit_coupon_model(examples)
    return {
        "rows": len(examples.weight),
        "redemptions": int(examples.is_redeemed.sum()),
        "pairs_with_history": len(evaluate_coupons(everything, examples).auc),
        "one_model_from_2017-09-01": kept.figures(seed=0),
        "by_campaign": {
            name: round(float(np.mean(kept.auc[kept.campaign == name])), 4)
            for name in np.unique(kept.campaign).tolist()
        },
        "all_origins": _pooled(evaluations),
        "origins": origins,
        "weights": dict(zip(COLUMNS, everything.weights.astype(np.float64).round(3).tolist(), strict=True)),
        "seconds": {"examples": round(examples_s, 1), "fit_and_evaluate": round(fit_s, 1)},
    }


def _pooled(evaluations: Sequence[CouponEvaluation]) -> dict[str, float]:
    """The figures over the pairs of all of them."""
    parts = {
        name: np.concatenate([getattr(one, name) for one in evaluations])
        for name in ("campaign", "auc", "own_auc", "breadth_auc")
    }
    expected, redeemed = (sum(getattr(one, name) for one in evaluations) for name in ("expected", "redeemed"))
    return CouponEvaluation(**parts, expected=expected, redeemed=redeemed).figures(seed=0)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with TemporaryDirectory(prefix="endcap-coupons-") as folder, threadpool_limits(1):
        found = measure(Path(folder))
    machine.show({"benchmark": "coupon_ranking", **machine.facts(), **found})


if __name__ == "__main__":
    main()
