"""The linear item-item part: which products' strengths, summed, foretell a product; the `linear` source's weights."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg.lapack import spotrf, spotri

from app.decision.linear import strength
from app.domain import Floats, Ints
from training.dataset import Dataset, Pairs, purchase_pairs
from training.factors import TUNING_CUTOFF, best_new, task_of
from training.metrics import rank_metrics
from training.split import Split

MAX_ITEMS = 5000
"""The most bought products; the inverse costs the cube of their number (5,000: 3 s and 100 MB)."""
KEPT_COUNT = 200
"""Weights kept per product. On ML-1M all 3,043 give Recall@20 .2755, 200 give .2719, and .2792 beside ALS."""
PENALTIES = (300.0, 1000.0, 3000.0)
DEFAULT_PENALTY = 1000.0
DENSE_GAIN = 30
"""A dense product does so many multiplications in the time of one sparse one."""
CUSTOMER_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class Linear:
    """`index` int32 and `weight` float32, both (m, K): row i says what having product i adds to which products' scores.

    m ≤ 5,000 most bought products, K ≤ 200; padded with index 0 and weight 0.
    """

    index: Ints
    weight: Floats


def fit_linear(dataset: Dataset, *, penalty: float) -> Linear:
    """EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data") on the strengths of purchases.

    B = I - P · diag(1 / P), P = (XᵀX + penalty · I)⁻¹, X the customers' strengths; of a row the 200 largest |weight|.
    """
    pairs = purchase_pairs(dataset)
    count = min(dataset.bought_item_count, MAX_ITEMS)
    return kept(full_weights(gram_of(strengths(pairs, len(dataset.customer_ids), count)), penalty=penalty))


def strengths(pairs: Pairs, customer_count: int, item_count: int) -> sparse.csr_array:
    """What each customer (row) has of the first `item_count` products (column), as serving weighs it."""
    known = pairs.item < item_count
    values = strength(pairs.weight_112d[known])
    places = (pairs.customer[known], pairs.item[known])
    return sparse.csr_array((values, places), shape=(customer_count, item_count))


def gram_of(matrix: sparse.csr_array) -> Floats:
    """XᵀX, dense float32 (m, m); by dense blocks where rows are long."""
    count = matrix.shape[1]
    sparse_cost = float((np.diff(matrix.indptr).astype(np.float64) ** 2).sum())
    if sparse_cost * DENSE_GAIN < matrix.shape[0] * float(count) ** 2:
        return np.asarray((matrix.T @ matrix).toarray(), np.float32)
    gram = np.zeros((count, count), np.float32)
    for start in range(0, matrix.shape[0], CUSTOMER_BLOCK):
        block = matrix[start : start + CUSTOMER_BLOCK].toarray().astype(np.float32)
        gram += block.T @ block
    return gram


def full_weights(gram: Floats, *, penalty: float) -> Floats:
    """B, float32 (m, m), zero on its diagonal."""
    system = gram.copy()
    system[np.diag_indices(len(gram))] += np.float32(penalty)
    factor, _ = spotrf(system, lower=1, overwrite_a=1)
    inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ValueError(f"the item-item system of {len(gram)} products is singular at penalty {penalty}")
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: Floats = (-inverse / np.diag(inverse)).astype(np.float32)
    weights[np.diag_indices(len(gram))] = 0
    return weights


def kept(weights: Floats, *, count: int = KEPT_COUNT) -> Linear:
    """The largest |weight| of each row, in the order of the products."""
    count = min(count, weights.shape[1])
    largest = np.argpartition(-np.abs(weights), max(count - 1, 0), axis=1)[:, :count]
    index = np.sort(largest, axis=1).astype(np.int32)
    return Linear(index, np.take_along_axis(weights, index, 1))


def tune_penalty(split: Split, *, seed: int, penalties: Sequence[float] = PENALTIES) -> float | None:
    """The penalty that foretells products new to the customers best (NDCG@20); the default where nobody can be asked.

    None where there is nothing to sum: fewer than two products were bought.
    """
    task = task_of(split, seed=seed)
    count = min(split.train.bought_item_count, MAX_ITEMS)
    if count < 2:
        return None
    if not len(task.customers):
        return DEFAULT_PENALTY if DEFAULT_PENALTY in penalties else penalties[0]
    matrix = strengths(task.pairs, task.shape[0], count)
    gram = gram_of(matrix)
    ndcg = {}
    for penalty in penalties:
        scores = scores_of(kept(full_weights(gram, penalty=penalty)), matrix, task.customers.tolist())
        ndcg[penalty] = rank_metrics(best_new(task, scores), task.wanted, k=TUNING_CUTOFF)["ndcg"]
    return max(penalties, key=lambda penalty: ndcg[penalty])


def scores_of(linear: Linear, matrix: sparse.csr_array, customers: Sequence[int]) -> Floats:
    """Scores float32 (customers, m) by the kept weights; what serving computes one customer at a time."""
    count = len(linear.index)
    rows = np.repeat(np.arange(count), linear.index.shape[1])
    weights = sparse.csr_array((linear.weight.ravel(), (rows, linear.index.ravel())), shape=(count, count))
    scores: npt.NDArray[np.float32] = (matrix[list(customers)] @ weights).toarray().astype(np.float32)
    return scores
