"""Hazards of buying again, learned from intervals that are known."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from app.decision.customer.context import make_context
from app.decision.replenishment.hazards import (
    CATEGORY,
    COLUMNS,
    PRODUCT,
    chance_within,
    daily_hazards,
    has_repeated,
    people_of,
    product_pairs,
    rebuy_columns,
)
from app.domain import Query
from app.history import History
from app.model.bundle import current_version, load_bundle
from tests.support.rows import after, history_of
from tests.support.world import World
from training.data.dataset import Dataset, load_interactions
from training.learners.replenishment import (
    MIN_EVENTS,
    SPAN_ENDS_DAYS,
    Examples,
    RebuyLines,
    cut_days,
    fit_hazards,
    group_habits,
    learn_replenishment,
    pairs_as_of,
    rebuy_lines,
)
from training.metrics.ranking import auc
from training.queries.states import as_of_instant, states_as_of

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 200
CUSTOMERS, PRODUCTS = 80, 12
CATEGORIES = {f"p{number}": f"offer_index {number % 4}" for number in range(PRODUCTS)}
Line = tuple[str, str, float | None]


def dataset(lines: Iterable[Line], categories: dict[str, str] | None = None) -> Dataset:
    """Lines of (customer, product, day); a day is a basket."""
    rows = (
        {
            "customer_id": who,
            "product_id": what,
            "time": after(START, day),
            "basket_id": f"{who} {number if day is None else int(day)}",
        }
        for number, (who, what, day) in enumerate(lines)
    )
    table = (
        pl.DataFrame({"product_id": list(categories), "category": list(categories.values())}) if categories else None
    )
    return load_interactions(history_of(rows, type="purchase"), table)


def intervals(*, days: int = DAYS, seed: int = 0) -> list[Line]:
    """Customers who buy each product at an interval of their own, 5 to 60 days give or take a fifth."""
    random = np.random.default_rng(seed)
    lines: list[Line] = []
    for customer in range(CUSTOMERS):
        for number in range(PRODUCTS):
            interval = float(random.uniform(5, 60))
            day = float(random.uniform(0, interval))
            while day < days:
                lines.append((f"c{customer}", f"p{number}", day))
                day += interval * float(random.uniform(0.8, 1.2))
    return lines


@pytest.fixture(scope="module")
def regulars() -> Dataset:
    return dataset(intervals(), CATEGORIES)


def by_product(data: Dataset) -> RebuyLines:
    count = len(data.product_ids)
    return rebuy_lines(data, np.arange(count, dtype=np.int32), count)


def test_chances_of_the_held_out_week_are_sharp_and_true(regulars: Dataset) -> None:
    cut = regulars.as_of_day - 7
    model = learn_replenishment(regulars.only(regulars.day < cut, as_of_day=cut), seed=0)[PRODUCT]
    products = pairs_as_of(by_product(regulars), cut)
    pairs = products.only(has_repeated(products))
    columns = rebuy_columns(pairs, people_of(products, CUSTOMERS), model.habits, now_day=cut)
    chance = chance_within(daily_hazards(model, columns), model.span_ends_days, days=7)
    ahead = regulars.day >= cut
    is_bought = np.isin(pairs.person * PRODUCTS + pairs.group, (regulars.customer * PRODUCTS + regulars.item)[ahead])
    assert auc(chance, is_bought) > 0.85
    assert abs(chance.mean() - is_bought.mean()) < 0.03


def test_a_category_has_a_model_where_the_catalogue_knows_it(regulars: Dataset) -> None:
    models = learn_replenishment(regulars, seed=0)
    assert set(models) == {PRODUCT, CATEGORY}
    assert models[CATEGORY].habits.shape == (4 + 1, 3)
    assert set(learn_replenishment(dataset(intervals()), seed=0)) == {PRODUCT}


def test_same_seed_gives_the_same_model(regulars: Dataset) -> None:
    one, other = (learn_replenishment(regulars, seed=3)[PRODUCT] for _ in range(2))
    assert one.document() == other.document()


def test_nothing_is_learned_without_times_or_from_ten_days_or_where_nobody_returns() -> None:
    untimed: list[Line] = [(who, what, None) for who, what, _ in intervals()]
    assert learn_replenishment(dataset(untimed), seed=0) == {}
    assert learn_replenishment(dataset(intervals(days=10)), seed=0) == {}
    once = {(who, what): (who, what, day) for who, what, day in intervals()}
    assert learn_replenishment(dataset(once.values()), seed=0) == {}
    assert learn_replenishment(dataset([]), seed=0) == {}


def test_cuts_leave_a_week_after_them_and_half_the_history_before(regulars: Dataset) -> None:
    cuts = np.array(cut_days(regulars))
    assert len(cuts) == 10
    assert (regulars.as_of_day - cuts >= 7).all()
    assert (cuts - regulars.day.min() >= np.ptp(regulars.day) / 2).all()
    assert len({int(cut) % 7 for cut in cuts}) == 7


def test_no_purchase_at_or_after_the_cut_is_seen(regulars: Dataset) -> None:
    cut = regulars.as_of_day - 30
    whole = pairs_as_of(by_product(regulars), cut)
    past = pairs_as_of(by_product(regulars.only(regulars.day < cut, as_of_day=cut)), cut)
    for name in ("person", "group", "count", "weight_28d", "weight_112d", "first_day", "last_day"):
        assert np.array_equal(getattr(whole, name), getattr(past, name)), name


def test_training_sees_the_columns_that_serving_sees(trained_world: World) -> None:
    settings = trained_world.settings
    history = History(settings.history_dir).scan()
    whole = load_interactions(history, None)
    cut = whole.as_of_day - 40.3
    known = whole.only(whole.day < cut, as_of_day=cut)
    products = pairs_as_of(by_product(whole), cut)
    people = people_of(products, len(whole.customer_ids))
    habits = group_habits(products, len(whole.product_ids))
    offline = rebuy_columns(products, people, habits, now_day=cut)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    states = states_as_of(history, None, known, range(len(whole.customer_ids)))
    for code in range(0, len(whole.customer_ids), 7):
        query = Query("x", 1, as_of_instant(known), customer_id=whole.customer_ids[code])
        bought = make_context(query, bundle, states[whole.customer_ids[code]], stale_after_s=1e9).bought
        items = [whole.product_ids.index(bundle.catalogue.product_ids[item]) for item in bought.items]
        own = product_pairs(np.zeros(len(items), np.int32), replace(bought, items=np.array(items, np.int32)))
        online = rebuy_columns(own, people_of(own, 1), habits, now_day=cut)
        rows = np.flatnonzero(products.person == code)
        assert products.group[rows].tolist() == sorted(items)
        assert offline[rows] == pytest.approx(online[np.argsort(items)], abs=1e-5)


def test_a_span_with_few_purchases_is_joined_with_the_next() -> None:
    random = np.random.default_rng(0)
    count = 4000
    waits = np.where(random.random(count) < 0.3, random.uniform(10, 56, count), np.inf)
    columns = random.normal(size=(count, len(COLUMNS))).astype(np.float32)
    watched = np.full(count, 60.0)
    model = fit_hazards(Examples(columns, waits, watched), np.zeros((1, 3), np.float32))
    assert model is not None
    assert model.span_ends_days.tolist() == [28, 56]
    hazards = daily_hazards(model, columns)
    for days in (28, 56):
        assert chance_within(hazards, model.span_ends_days, days=days).mean() == pytest.approx(
            (waits < days).mean(), abs=0.01
        )


def test_pairs_watched_too_short_do_not_count_for_long_spans() -> None:
    random = np.random.default_rng(0)
    count = 6000
    waits = random.exponential(20, count)
    watched = np.where(np.arange(count) < count // 2, 7.5, 60.0)
    seen = np.where(waits < watched, waits, np.inf)
    columns = random.normal(size=(count, len(COLUMNS))).astype(np.float32)
    model = fit_hazards(Examples(columns, seen, watched), np.zeros((1, 3), np.float32))
    assert model is not None
    assert model.span_ends_days.tolist() == list(SPAN_ENDS_DAYS)
    chance = chance_within(daily_hazards(model, columns), model.span_ends_days, days=28).mean()
    assert chance == pytest.approx(1 - np.exp(-28 / 20), abs=0.02)


def test_too_few_purchases_give_no_model() -> None:
    waits = np.where(np.arange(2000) < MIN_EVENTS - 1, 5.0, np.inf)
    columns = np.zeros((2000, len(COLUMNS)), np.float32)
    assert fit_hazards(Examples(columns, waits, np.full(2000, 60.0)), np.zeros((1, 3), np.float32)) is None


def test_habits_are_pulled_towards_those_of_all_products() -> None:
    lines: list[Line] = [("a", "tea", 0), ("a", "tea", 10), ("a", "tea", 20), ("b", "salt", 0), ("b", "salt", 50)]
    data = dataset(lines)
    pairs = pairs_as_of(by_product(data), data.as_of_day)
    habits = group_habits(pairs, 2)
    tea, salt = (data.product_ids.index(name) for name in ("tea", "salt"))
    overall = (20 + 50) / (2 + 1)
    assert np.exp(habits[tea, 0]) == pytest.approx((20 + 10 * overall) / (2 + 10), rel=1e-4)
    assert np.exp(habits[salt, 0]) == pytest.approx((50 + 10 * overall) / (1 + 10), rel=1e-4)
    assert np.exp(habits[2]).tolist() == pytest.approx([overall, 1, 1], rel=1e-4)
    assert habits[salt, 2] == pytest.approx(np.log1p(1 + 2 ** (-50 / 112)), rel=1e-4)
