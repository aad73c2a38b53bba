"""Item-item weights are EASE's or scaled neighbours', and serving sums them as training does."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from app.decision.customer.linear import MAX_ITEM_COUNT, linear_scores
from app.domain import Floats
from app.history import History
from app.model.bundle import Bundle, load_bundle
from tests.support.world import World
from training.data.dataset import load_interactions, product_table
from training.learners.linear import (
    Linear,
    LinearSettings,
    fit_linear,
    full_weights,
    gram_of,
    kept,
    neighbour_weights,
    strongest,
    weights_of,
)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    """The test world's bundle with linear weights of its own, whether its training found them worth having or not."""
    settings = trained_world.settings
    live = load_bundle(settings.bundles_dir / (settings.bundles_dir / "current").read_text())
    products = product_table(settings)
    dataset = load_interactions(History(settings.history_dir).scan(), None if products is None else products.collect())
    linear = fit_linear(dataset, LinearSettings("ease", 50.0))
    return replace(live, linear_idx=linear.index, linear_weight=linear.weight)


def test_weights_are_those_of_the_closed_form() -> None:
    gram = gram_of(sparse.csr_array(np.array([[1, 1, 0], [1, 1, 1], [0, 1, 1]], np.float32)))
    inverse = np.linalg.inv(gram + 2 * np.diag(np.diag(gram)) + 10 * np.eye(3))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    assert full_weights(gram, penalty=10) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("share", [0.02, 0.9])
def test_gram_is_the_same_by_sparse_and_by_dense_blocks(share: float) -> None:
    matrix = some_strengths(200, 40, share=share)
    dense = matrix.toarray()
    count = (dense > 0).sum(axis=1, keepdims=True)
    dense /= (np.maximum(count, 1) / count.mean()) ** 0.25
    assert gram_of(matrix) == pytest.approx(dense.T @ dense, rel=1e-5)


def test_product_that_is_bought_with_another_pulls_it_more_than_an_unrelated_one() -> None:
    baskets = np.zeros((60, 4), np.float32)
    baskets[:30, :2] = 1
    baskets[30:, 2:] = 1
    weights = full_weights(gram_of(sparse.csr_array(baskets)), penalty=5)
    assert weights[0, 1] > 0.3
    assert weights[0, 1] > 10 * abs(weights[0, 2])


def test_only_the_largest_weights_of_a_row_are_kept() -> None:
    linear = kept(np.array([[0, 3, -5, 1], [1, 0, 2, 4], [9, 8, 0, 7], [1, 2, 3, 0]], np.float32), count=2)
    assert linear.index.tolist() == [[1, 2], [2, 3], [0, 1], [1, 2]]
    assert linear.weight.tolist() == [[3, -5], [2, 4], [9, 8], [2, 3]]


def test_neighbours_are_those_of_the_formula() -> None:
    dense = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]], np.float32)
    weights = neighbour_weights(sparse.csr_array(dense), evenness=0.5).toarray()
    even = dense / np.sqrt(dense.sum(axis=1, keepdims=True))
    together = even.T @ even
    expected = together / (np.diag(together)[:, None] + 3)
    np.fill_diagonal(expected, 0)
    summed = dense @ expected
    expected *= (dense * summed).sum() / ((summed**2).sum() + 1)
    assert weights == pytest.approx(expected, abs=1e-6)


def test_only_the_nearest_by_cosine_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.learners.linear.KEPT_COUNT", 5)
    matrix = some_strengths(300, 50, share=0.2)
    weights = neighbour_weights(matrix, evenness=0.0).toarray()
    dense = matrix.toarray()
    cosine = dense.T @ dense / np.outer(*[np.linalg.norm(dense, axis=0)] * 2)
    np.fill_diagonal(cosine, -1)
    for target in range(50):
        assert set(np.flatnonzero(weights[:, target])) == set(np.argsort(-cosine[:, target])[:5])


def test_same_purchases_give_the_same_neighbours() -> None:
    """Two threads search for them."""
    matrix = some_strengths(300, 50, share=0.1)
    first, second = (neighbour_weights(matrix, evenness=0.25).toarray() for _ in range(2))
    assert np.array_equal(first, second)
    assert np.count_nonzero(first) > 1000


def test_neighbours_are_padded_with_nothing() -> None:
    linear = strongest(sparse.csr_array(np.array([[0, 0, 2], [1, 0, -3], [0, 0, 0]], np.float32)))
    assert linear.index.tolist() == [[2, 0], [0, 2], [0, 0]]
    assert linear.weight.tolist() == [[2, 0], [1, -3], [0, 0]]


def test_serving_scores_a_customer_as_training_does(bundle: Bundle) -> None:
    count = len(bundle.linear_idx)
    assert count
    items = np.array([0, 3, 5], np.int32)
    strength = np.array([1.0, 0.25, 7.5], np.float32)
    matrix = sparse.csr_array((strength, ([0, 0, 0], items)), shape=(1, count))
    linear = Linear(bundle.linear_idx, bundle.linear_weight)
    served = linear_scores(bundle, items, strength)
    assert served is not None
    assert served == pytest.approx((matrix @ weights_of(linear)).toarray()[0], abs=1e-5)


def test_person_without_a_known_product_has_no_linear_scores(bundle: Bundle) -> None:
    beyond = np.array([len(bundle.linear_idx)], np.int32)
    assert linear_scores(bundle, beyond, np.ones(1, np.float32)) is None
    assert MAX_ITEM_COUNT >= 100


def some_strengths(customers: int, items: int, *, share: float) -> sparse.csr_array:
    random = np.random.default_rng(3)
    values: Floats = random.random((customers, items), np.float32)
    values[random.random((customers, items)) > share] = 0
    return sparse.csr_array(values)
