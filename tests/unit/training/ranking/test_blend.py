"""Weights and calibration in worlds where the right column is known."""

import numpy as np
import pytest

from app.domain import Floats, Mask
from training.metrics.calibration import Reliability
from training.ranking.blend import (
    MIN_CUSTOMERS,
    Blend,
    Calibration,
    as_bought,
    calibration_of,
    calibrations_by_kind,
    default_weights,
    fit_blend,
    fit_calibration,
)

NAMES = ("als", "frequent_28d", "frequent_112d", "frequent_all", "repeat", "together", "trending", "popular")
CANDIDATES = 40


def world(telling: str, *, owned_count: int, customer_count: int = 200) -> tuple[list[Floats], list[Mask]]:
    """Random columns, of which `telling` alone decides the two products bought; some candidates are owned."""
    random = np.random.default_rng(5)
    personal = [NAMES.index(name) for name in NAMES if name.startswith("frequent") or name == "repeat"]
    columns, labels = [], []
    for _ in range(customer_count):
        values = random.random((CANDIDATES, len(NAMES))).astype(np.float32)
        values[owned_count:, personal] = 0
        columns.append(values)
        labels.append(values[:, NAMES.index(telling)] >= np.sort(values[:, NAMES.index(telling)])[-2])
    return columns, labels


@pytest.mark.parametrize("telling", ["frequent_28d", "frequent_all"])
def test_column_that_decides_outweighs_its_siblings(telling: str) -> None:
    columns, labels = world(telling, owned_count=20)
    blend = fit_blend(columns, labels, names=NAMES, seed=1)
    others = [blend.weights[name] for name in NAMES if name != telling]
    assert blend.weights[telling] > max(others)
    assert blend.ndcg > 0.9


def test_discovery_column_that_decides_among_new_products_gains_weight() -> None:
    columns, labels = world("popular", owned_count=10)
    before = dict(zip(NAMES, default_weights(NAMES), strict=True))
    blend = fit_blend(columns, labels, names=NAMES, seed=1)
    assert blend.weights["popular"] / blend.weights["als"] > before["popular"] / before["als"]


def test_owned_products_go_below_new_ones_where_nothing_is_bought_twice() -> None:
    columns, labels = world("als", owned_count=10)
    labels = [hits & (np.arange(CANDIDATES) >= 10) for hits in labels]
    blend = fit_blend(columns, labels, names=NAMES, seed=1)
    assert blend.weights["frequent_all"] < 0
    assert blend.weights["frequent_28d"] == 0


def test_unknown_customers_can_still_be_ranked_where_regulars_need_no_discovery() -> None:
    columns, labels = world("frequent_28d", owned_count=20)
    blend = fit_blend(columns, labels, names=NAMES, seed=1)
    assert min(blend.weights[name] for name in ("als", "together", "trending", "popular")) > 0


def test_too_few_customers_keep_the_defaults() -> None:
    columns, labels = world("popular", owned_count=5, customer_count=MIN_CUSTOMERS - 1)
    blend = fit_blend(columns, labels, names=NAMES, seed=1)
    assert list(blend.weights.values()) == default_weights(NAMES).tolist()


def test_no_customers_give_the_defaults() -> None:
    blend = fit_blend([], [], names=NAMES, seed=1)
    assert list(blend.weights.values()) == default_weights(NAMES).tolist()


def test_same_seed_gives_the_same_blend() -> None:
    columns, labels = world("als", owned_count=20)
    assert fit_blend(columns, labels, names=NAMES, seed=1) == fit_blend(columns, labels, names=NAMES, seed=1)


def test_slates_of_different_lengths_are_ranked_within_themselves() -> None:
    columns, labels = world("frequent_28d", owned_count=20)
    cut = [3 + position % 30 for position in range(len(columns))]
    short = fit_blend(
        [c[:n] for c, n in zip(columns, cut, strict=True)],
        [h[:n] for h, n in zip(labels, cut, strict=True)],
        names=NAMES,
        seed=1,
    )
    assert 0 < short.ndcg <= 1


def test_calibration_finds_the_curve_that_made_the_labels() -> None:
    random = np.random.default_rng(2)
    scores = random.normal(size=200_000)
    labels = random.random(200_000) < 1 / (1 + np.exp(-(2.0 * scores - 3.0)))
    found = fit_calibration(scores, labels)
    assert (found.slope, found.intercept) == pytest.approx((2.0, -3.0), abs=0.05)


def test_calibration_without_hits_gives_a_small_probability() -> None:
    found = fit_calibration(np.linspace(0, 1, 98), np.zeros(98, np.bool_))
    assert found.slope == 1.0
    assert 1 / (1 + np.exp(-found.intercept)) == pytest.approx(0.01)


def test_probability_counts_queries_without_a_hit() -> None:
    """One candidate in five queries is bought; far below it lie hundreds that nobody would be shown."""
    random = np.random.default_rng(2)
    scores = [np.concatenate([[3.0], random.random(300) - 100]).astype(np.float32) for _ in range(500)]
    labels = [np.arange(301) == (0 if number % 5 == 0 else -1) for number in range(500)]
    calibration = calibration_of(scores, labels)
    assert 1 / (1 + np.exp(-(calibration.slope * 3 + calibration.intercept))) == pytest.approx(0.2, abs=0.01)


def test_kinds_of_question_are_calibrated_apart_where_enough_was_bought_for_them() -> None:
    random = np.random.default_rng(4)
    share = {"no_basket": 0.2, "basket_begun": 0.05, "session": 0.2, "after_purchase": 0.5}
    kinds = [*["no_basket", "basket_begun", "after_purchase"] * 200, "session"]
    scores = [random.random(40).astype(np.float32) for _ in kinds]
    labels = [random.random(40) < share[kind] for kind in kinds]
    found = calibrations_by_kind(scores, labels, kinds)
    assert set(found) == {"no_basket", "basket_begun"}
    for kind, calibration in found.items():
        chances = [
            1 / (1 + np.exp(-(calibration.slope * one + calibration.intercept)))
            for one, other in zip(scores, kinds, strict=True)
            if other == kind
        ]
        assert np.mean(chances) == pytest.approx(share[kind], abs=0.01)


def test_probabilities_move_to_what_was_bought_of_what_was_shown() -> None:
    blend = Blend({"als": 1.0}, Calibration(2.0, -1.0), 0.1, {"session": Calibration(3.0, 1.0)})
    moved = as_bought(blend, shown(predicted=0.1, bought=0.16), growth=1.25)
    by = np.log(0.2 / 0.8) - np.log(0.1 / 0.9)
    assert moved.calibration.slope == 2.0
    assert moved.calibration.intercept == pytest.approx(by - 1)
    assert moved.by_kind["session"].intercept == pytest.approx(by + 1)


@pytest.mark.parametrize("count", [0, 999])
def test_few_purchases_move_no_probability(count: int) -> None:
    blend = Blend({"als": 1.0}, Calibration(2.0, -1.0), 0.1)
    assert as_bought(blend, shown(predicted=0.1, bought=0.2, count=count), growth=1.0) == blend


def shown(*, predicted: float, bought: float, count: int = 2000) -> Reliability:
    """What was shown, bought so often; with `count` 2,000 enough to tell."""
    return Reliability(count, 0.0, 0.0, 0.0, mean_probability=predicted, bought=bought, bins=[])
