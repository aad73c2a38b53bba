"""A planted leak is caught: features that know the future, events after the query, a column that is the answer."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from app.decision.ranking.features import COLUMNS
from app.domain import LiveEvent
from app.errors import LeakFound
from app.history import History
from app.model.bundle import Bundle
from app.ports import CustomerState
from app.settings import Settings
from tests.support.world import World
from training.data.dataset import load_interactions, product_table
from training.data.split import Split, make_splits
from training.learners.bundle_contents import Hyperparameters, learn_contents
from training.learners.factors import AlsSettings
from training.learners.linear import LinearSettings
from training.metrics.ranking import auc
from training.queries.evaluation_queries import EvaluationQueries, build_queries
from training.queries.states import states_as_of
from training.ranking.blend import default_blend
from training.ranking.fit import Window, candidate_window, fit_ranking
from training.ranking.leaks import check_columns
from training.release.assemble import bundle_of
from training.release.publish import Facts


def test_features_of_after_the_cut_are_caught(trained_world: World, tmp_path: Path) -> None:
    split, bundle, history = newest_window(trained_world.settings, tmp_path)
    products = product_table(trained_world.settings)
    late = replace(split.train, as_of_day=split.train.as_of_day + 7)
    states = states_as_of(history, products, late, sorted(split.truth))
    with pytest.raises(LeakFound, match="build them as of the query"):
        candidate_window(bundle, build_queries(split, states, seed=0))


def test_event_of_after_the_query_is_caught(trained_world: World, tmp_path: Path) -> None:
    split, bundle, _ = newest_window(trained_world.settings, tmp_path)
    queries = build_queries(split, {}, seed=0)
    late = LiveEvent("late", "view_item", queries.queries[0].now_at.timestamp(), split.train.product_ids[0])
    leaking = EvaluationQueries([queries.queries[0]], [CustomerState(events=[late])], [queries.truth[0]])
    with pytest.raises(LeakFound, match="late"):
        candidate_window(bundle, leaking)


def test_column_that_is_the_answer_is_caught(trained_world: World, tmp_path: Path) -> None:
    honest = honest_window(trained_world.settings, tmp_path)
    fit_ranking([honest], seed=0)
    position = COLUMNS.index("trending")
    leaking = [table.copy() for table in honest.rows]
    for table, hits in zip(leaking, honest.labels, strict=True):
        table[:, position] = hits + np.linspace(0, 0.1, len(hits))
    with pytest.raises(LeakFound, match="'trending' alone"):
        fit_ranking([replace(honest, rows=leaking)], seed=0)


def test_rows_know_nothing_of_what_came_after_the_cut(trained_world: World, tmp_path: Path) -> None:
    """The same window from a history that ends at the cut gives the same numbers."""
    settings = trained_world.settings
    split, bundle, history = newest_window(settings, tmp_path / "whole")
    cut = datetime.fromtimestamp(split.train.as_of_day * 86_400, UTC)
    whole = window_of(settings, split, bundle, history)
    short = window_of(settings, split, bundle, history.filter(pl.col("time") < cut))
    assert all(np.array_equal(*pair) for pair in zip(whole.rows, short.rows, strict=True))
    assert split.train.day.max() < split.train.as_of_day


def test_auc_of_hand_worked_cases() -> None:
    labels = np.array([True, False, True, False])
    assert auc(np.array([4.0, 1.0, 3.0, 2.0]), labels) == 1
    assert auc(np.array([1.0, 4.0, 2.0, 3.0]), labels) == 0
    assert auc(np.array([1.0, 1.0, 1.0, 1.0]), labels) == 0.5
    assert auc(np.array([3.0, 1.0, 1.0, 2.0]), labels) == pytest.approx((1 + 1 + 0.5 + 0) / 4)


def test_few_purchases_prove_no_leak() -> None:
    table, hits = np.array([[0.0], [1.0]], np.float32), np.array([False, True])
    check_columns(["lucky"], [table] * 199, [hits] * 199)
    with pytest.raises(LeakFound, match="lucky"):
        check_columns(["lucky"], [table] * 200, [hits] * 200)


def newest_window(settings: Settings, folder: Path) -> tuple[Split, Bundle, pl.LazyFrame]:
    """The test split, a bundle of what was known at its cut, and the whole history."""
    history = History(settings.history_dir).scan()
    products = product_table(settings)
    dataset = load_interactions(history, None if products is None else products.collect())
    split = make_splits(dataset, seed=0)[0]
    linear = LinearSettings(value=100.0)
    hyperparameters = Hyperparameters(AlsSettings(factors=8), linear, default_blend(COLUMNS), excludes_purchased=False)
    facts = Facts(datetime.now(UTC) - timedelta(days=1))
    return split, bundle_of(folder, facts, learn_contents(split.train, hyperparameters, seed=0)), history


def honest_window(settings: Settings, folder: Path) -> Window:
    return window_of(settings, *newest_window(settings, folder))


def window_of(settings: Settings, split: Split, bundle: Bundle, history: pl.LazyFrame) -> Window:
    states = states_as_of(history, product_table(settings), split.train, sorted(split.truth))
    return candidate_window(bundle, build_queries(split, states, seed=0))
