"""The chance of a redemption, learned from campaigns whose outcome is known beforehand."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.decision.coupons.features import COLUMNS, CouponHabit, coupon_table
from app.decision.customer.context import make_context
from app.domain import Query
from app.errors import BadInput, BundleRefused
from app.model.bundle import load_bundle
from app.model.coupons import CouponModel, coupon_model
from app.model.offer_items import offer_items
from app.settings import Settings
from tests.support.bundles import copied
from tests.support.coupon_world import CUSTOMERS, PRODUCTS, START, coupon_world, coupons
from tests.support.world import (
    CUSTOMERS_PER_TASTE,
    END,
    PRODUCTS_PER_TASTE,
    TASTES,
    World,
    customer,
    product,
    train_unpublished,
)
from training.config import ModelConfig
from training.coupons import examples as examples_module
from training.coupons.examples import STALE_AFTER_S, CouponWorld, coupon_examples
from training.coupons.history import (
    AUDIENCE,
    OFFERS,
    REDEMPTIONS,
    CouponHistory,
    checked_history,
    coupon_history,
)
from training.coupons.model import MIN_REDEMPTIONS, evaluate_coupons, fit_coupon_model, fit_coupons
from training.features.tables import customer_tables
from training.queries.states import states_from_tables


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> CouponWorld:
    return coupon_world(tmp_path_factory.mktemp("coupons"))


def write_history(settings: Settings, history: CouponHistory) -> None:
    settings.tables_dir.mkdir(parents=True, exist_ok=True)
    for name, frame in ((OFFERS, history.offers), (AUDIENCE, history.assigned), (REDEMPTIONS, history.redeemed)):
        frame.write_parquet(settings.tables_dir / f"{name}.parquet")


def test_customers_who_redeem_what_they_buy_are_predicted_without_error(world: CouponWorld) -> None:
    fit = fit_coupons(world, seed=0)
    assert fit.model is not None
    assert fit.figures["auc"] == 1
    assert fit.figures["pairs"] >= CUSTOMERS
    assert fit.model.measured == fit.figures


def test_chances_add_up_to_the_redemptions_they_were_learned_from(world: CouponWorld) -> None:
    examples = coupon_examples(world, seed=0)
    evaluation = evaluate_coupons(fit_coupon_model(examples), examples)
    assert evaluation.expected == pytest.approx(evaluation.redeemed, rel=1e-3)
    assert evaluation.redeemed == CUSTOMERS * 6


def test_thinning_leaves_the_chances_as_they_were(world: CouponWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    few = world.history.redeemed.filter(pl.col("customer_id").is_in(["u1", "u2", "u3"]))
    world = replace(world, history=replace(world.history, redeemed=few))
    whole = coupon_examples(world, seed=0)
    monkeypatch.setattr(examples_module, "MAX_PLAIN_ROWS", len(whole.weight) // 3)
    thin = coupon_examples(world, seed=0)
    assert len(thin.weight) < len(whole.weight) / 2
    assert thin.is_redeemed.sum() == whole.is_redeemed.sum()
    expected = [evaluate_coupons(fit_coupon_model(part), whole).expected for part in (thin, whole)]
    assert expected[0] == pytest.approx(expected[1], rel=0.2)


def test_too_few_redemptions_give_no_model_and_a_reason(tmp_path: Path) -> None:
    fit = fit_coupons(coupon_world(tmp_path, campaigns=2), seed=0)
    assert fit.model is None
    assert fit.reason == f"{2 * CUSTOMERS} redemptions of ended campaigns; {MIN_REDEMPTIONS} are needed"
    assert fit.config() == {"coupons": fit.reason}


def test_campaign_that_still_runs_is_not_learned_from(world: CouponWorld) -> None:
    far = world.history.assigned.with_columns(pl.col("expires_at") + timedelta(days=400))
    fit = fit_coupons(replace(world, history=replace(world.history, assigned=far)), seed=0)
    assert fit.reason is not None
    assert fit.reason.startswith("0 redemptions")


def test_nothing_after_a_campaigns_start_is_seen_in_its_rows(world: CouponWorld) -> None:
    history = world.history
    first = START + timedelta(days=20)
    first_day = first.timestamp() / 86_400
    earlier = world.lines.filter(pl.col("time") < first)
    only_first = replace(history, assigned=history.assigned.filter(pl.col("assigned_at") == first))
    before = world.dataset.only(world.dataset.day < first_day, as_of_day=first_day)
    whole = coupon_examples(replace(world, history=only_first), seed=0)
    blind = coupon_examples(replace(world, history=only_first, lines=earlier, dataset=before), seed=0)
    np.testing.assert_array_equal(whole.table, blind.table)


def test_serving_makes_the_rows_that_training_saw(world: CouponWorld) -> None:
    examples = coupon_examples(world, seed=0)
    cut_at = START + timedelta(days=20)
    states = states_from_tables(customer_tables(world.lines, as_of=cut_at, products=world.products))
    context = make_context(
        Query("app_home", 5, cut_at, customer_id="u5"), world.bundle, states["u5"], stale_after_s=STALE_AFTER_S
    )
    names = sorted(f"p{item}" for item in range(PRODUCTS))
    siblings = np.full(PRODUCTS, PRODUCTS, np.float32)
    offers = offer_items(world.bundle, [world.bundle.catalogue.known([name]) for name in names], sibling_count=siblings)
    served = coupon_table(context, offers, habit=CouponHabit(0, 0))
    customers = sorted(f"u{who}" for who in range(CUSTOMERS))
    trained = examples.table[examples.assignment == customers.index("u5")]
    popular = COLUMNS.index("popular")
    others = [position for position in range(len(COLUMNS)) if position != popular]
    np.testing.assert_allclose(served[:, others], trained[:, others], rtol=1e-6)


def test_model_survives_its_document() -> None:
    model = some_model()
    table = np.array([[1.0, 2.0], [np.nan, 900.0]], np.float32)
    again = coupon_model(model.document())
    assert again.chances(table, ("one", "two")).tolist() == model.chances(table, ("one", "two")).tolist()
    assert again.measured == model.measured


def test_unknown_column_counts_as_the_mean_and_far_ones_are_held_back() -> None:
    model = some_model()
    table = np.array([[np.nan, 3.0], [1.0, 3.0], [1.0, 1e9]], np.float32)
    odds = model.log_odds(table, ("one", "two")).tolist()
    assert odds == pytest.approx([-1.0, -1.0, -1.0 + 0.5 * 5])


def test_columns_are_found_by_name() -> None:
    model = some_model()
    table = np.array([[3.0, 7.0, 2.0]], np.float32)
    swapped = model.log_odds(table, ("two", "other", "one"))
    assert swapped.tolist() == model.log_odds(table[:, [2, 0]], ("one", "two")).tolist()
    with pytest.raises(BundleRefused, match="wants the column 'two'"):
        model.log_odds(table[:, :1], ("one",))


def some_model() -> CouponModel:
    mean, scale, weights = (np.array(values, np.float32) for values in ([1, 3], [2, 1], [0.25, 0.5]))
    return CouponModel(("one", "two"), mean, scale, weights, -1.0, {"auc": 0.9})


def staple_coupons() -> CouponHistory:
    """Five campaigns of one coupon per product among the trained world's customers, who redeem their staple's."""
    starts = {f"k{number}": END - timedelta(days=140 - 25 * number) for number in range(5)}
    people = [(taste, number) for taste in TASTES for number in range(CUSTOMERS_PER_TASTE)]
    all_products = [product(taste, number) for taste in TASTES for number in range(PRODUCTS_PER_TASTE)]
    offers = [(f"{name} {item}", name, item) for name in starts for item in all_products]
    assigned = [(customer(*who), name, at, at + timedelta(days=20)) for name, at in starts.items() for who in people]
    redeemed = [
        (customer(taste, number), f"{name} {product(taste, number % PRODUCTS_PER_TASTE)}", at + timedelta(days=1))
        for name, at in starts.items()
        for taste, number in people
    ]
    return checked_history(
        pl.DataFrame(offers, schema=["offer_id", "campaign_id", "product_id"], orient="row"),
        pl.DataFrame(assigned, schema=["customer_id", "campaign_id", "assigned_at", "expires_at"], orient="row"),
        pl.DataFrame(redeemed, schema=["customer_id", "offer_id", "redeemed_at"], orient="row"),
    )


def test_training_keeps_the_model_in_the_bundle_and_its_figures_in_the_manifest(own_world: World) -> None:
    settings = own_world.settings
    imported = settings.tables_dir.resolve()
    settings.tables_dir.unlink()
    shutil.copytree(imported, settings.tables_dir)
    write_history(settings, staple_coupons())
    report = train_unpublished(own_world, ModelConfig())
    bundle = load_bundle(settings.bundles_dir / report.version)
    assert bundle.coupons is not None
    assert bundle.coupons.columns == COLUMNS
    assert bundle.manifest["metrics"]["coupons"] == bundle.coupons.measured == report.metrics["coupons"]
    assert bundle.coupons.measured["auc"] > 0.99


def test_bundle_without_coupons_loads_and_one_with_them_brings_the_model(own_world: World) -> None:
    folder = own_world.settings.bundles_dir
    live = (folder / "current").read_text()
    assert load_bundle(folder / live).coupons is None
    version = copied(folder, "coupons", documents={"coupons.json": some_model().document()})
    found = load_bundle(folder / version).coupons
    assert found is not None
    assert found.columns == ("one", "two")
    broken = copied(folder, "broken", documents={"coupons.json": {"columns": ["one"]}})
    with pytest.raises(BundleRefused, match=r"coupons.json does not hold what it should"):
        load_bundle(folder / broken)


def test_tables_are_read_when_all_three_are_there(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    assert coupon_history(settings) is None
    write_history(settings, coupons())
    found = coupon_history(settings)
    assert found is not None
    assert found.offers.equals(coupons().offers)
    (settings.tables_dir / f"{OFFERS}.parquet").unlink()
    assert coupon_history(settings) is None


def test_audience_without_expiry_is_read_as_unknown(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    write_history(settings, coupons())
    path = settings.tables_dir / f"{AUDIENCE}.parquet"
    pl.read_parquet(path).drop("expires_at").write_parquet(path)
    found = coupon_history(settings)
    assert found is not None
    assert found.assigned["expires_at"].null_count() == len(found.assigned)


def test_table_without_a_column_is_refused_by_name(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path)
    write_history(settings, coupons())
    path = settings.tables_dir / f"{REDEMPTIONS}.parquet"
    pl.read_parquet(path).drop("redeemed_at").write_parquet(path)
    with pytest.raises(BadInput, match=r"coupon_redemptions.parquet: column 'redeemed_at'"):
        coupon_history(settings)
