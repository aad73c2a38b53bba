"""Trees are kept where they rank better, repeat byte for byte, and explain their scores."""

import json

import numpy as np
import pytest
from catboost import CatBoost

from app.decision.ranking.features import BLEND_ROW, TABLE_COLUMNS
from app.decision.ranking.scoring import best_positions
from app.domain import Floats, Mask
from app.model.ranker import TreeRanker
from training.ranking.trees import MIN_QUERIES, STRONG, WEAK, Tables, Trees, fit_trees, ndcg_of

SIGNAL = TABLE_COLUMNS.index("interval_ratio")


def tables(*, seed: int, signal: bool, queries: int = 400, candidates: int = 30) -> Tables:
    """Queries whose blend says a little; with `signal` a range of another column says much more."""
    random = np.random.default_rng(seed)
    rows: list[Floats] = []
    labels: list[Mask] = []
    for _ in range(queries):
        table = random.random((candidates, len(TABLE_COLUMNS)), np.float32)
        near = np.abs(table[:, SIGNAL] - 0.5) < 0.1
        logit = 2 * table[:, BLEND_ROW] - 3 + (4 * near if signal else 0)
        rows.append(table)
        labels.append(random.random(candidates) < 1 / (1 + np.exp(-logit)))
    return Tables(rows, labels, [int(hits.sum()) for hits in labels])


@pytest.fixture(scope="module")
def trees() -> Trees:
    found = fit_trees(tables(seed=1, signal=True), tables(seed=2, signal=True), seed=0)
    assert found is not None
    return found


def test_trees_that_rank_better_are_kept_and_calibrated(trees: Trees) -> None:
    assert trees.ndcg > trees.blend_ndcg + 0.1
    fresh = tables(seed=3, signal=True)
    ranker = TreeRanker(trees.content, TABLE_COLUMNS, slope=trees.base.slope, intercept=trees.base.intercept)
    log_odds = trees.calibration.slope * ranker.scores(np.concatenate(fresh.rows)) + trees.calibration.intercept
    assert (1 / (1 + np.exp(-log_odds))).mean() == pytest.approx(np.concatenate(fresh.labels).mean(), abs=0.02)


def test_trees_that_find_nothing_are_not_kept() -> None:
    assert fit_trees(tables(seed=1, signal=False), tables(seed=2, signal=False), seed=0) is None


def regularization_of(found: Trees | None) -> float:
    assert found is not None
    model = CatBoost()
    model.load_model(blob=found.content)
    return float(json.loads(model.get_metadata()["params"])["tree_learner_options"]["l2_leaf_reg"])


def test_weak_regularization_is_for_shops_where_strong_regularization_ranks_worse(
    trees: Trees, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert regularization_of(trees) == STRONG
    # So strong that nothing is learned.
    monkeypatch.setattr("training.ranking.trees.STRONG", 1e9)
    assert regularization_of(fit_trees(tables(seed=1, signal=True), tables(seed=2, signal=True), seed=0)) == WEAK


def test_few_queries_make_no_trees() -> None:
    few = tables(seed=1, signal=True, queries=MIN_QUERIES // 2 - 1)
    assert fit_trees(few, tables(seed=2, signal=True), seed=0) is None


def test_same_rows_and_seed_give_the_same_bytes(trees: Trees) -> None:
    again = fit_trees(tables(seed=1, signal=True), tables(seed=2, signal=True), seed=0)
    assert again is not None
    assert again.content == trees.content


def test_contributions_sum_up_to_the_score(trees: Trees) -> None:
    ranker = TreeRanker(trees.content, TABLE_COLUMNS, slope=trees.base.slope, intercept=trees.base.intercept)
    rows = np.ascontiguousarray(tables(seed=4, signal=True).rows[0])
    assert ranker.contributions(rows).sum(axis=1) == pytest.approx(ranker.scores(rows), abs=1e-4)


@pytest.mark.parametrize("count", [1, 30, 200, 201, 300])
def test_scores_do_not_depend_on_the_table_before_or_on_the_order_of_its_axes(trees: Trees, count: int) -> None:
    ranker = TreeRanker(trees.content, TABLE_COLUMNS, slope=trees.base.slope, intercept=trees.base.intercept)
    rows = np.concatenate(tables(seed=5, signal=True).rows)[:count]
    one_by_one = np.concatenate([ranker.scores(row[None]) for row in rows])
    assert ranker.scores(rows) == pytest.approx(one_by_one)
    assert ranker.scores(np.asfortranarray(rows)) == pytest.approx(one_by_one)


def test_best_rows_are_the_strongest_in_their_order() -> None:
    blend = np.arange(500, dtype=np.float32)[::-1].copy()
    assert best_positions(blend).tolist() == list(range(200))
    assert best_positions(blend[:3]).tolist() == [0, 1, 2]


def test_ndcg_of_a_hand_worked_case() -> None:
    one = Tables([np.zeros((3, 1), np.float32)], [np.array([False, True, False])], [2])
    found = ndcg_of([np.array([1.0, 2.0, 3.0], np.float32)], one)
    assert found[0] == pytest.approx((1 / np.log2(3)) / (1 + 1 / np.log2(3)))
