"""The linear item-item part: which products' strengths, summed, predict a product; the `linear` source's weights."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import spotrf, spotri

from app.decision.customer.foldin import strength
from app.domain import Floats, Ints
from training.data.dataset import Dataset, Pairs, purchase_pairs
from training.data.split import Split
from training.learners.factors import TUNING_CUTOFF, TuningProblem, ranked_new, tuning_problem
from training.learners.statistics import keep_strongest_of
from training.metrics.ranking import rank_metrics

LinearModel = Literal["ease", "neighbours"]

EASE_ITEMS = 5000
"""The most bought products; the inverse costs the cube of their number (5,000: 3 s and 100 MB)."""
NEIGHBOUR_ITEMS = (100_000, 50_000, 25_000, 12_500, EASE_ITEMS)
"""The first of these counts of most bought products whose co-purchases are at most MAX_COPURCHASES."""
MAX_COPURCHASES = 100_000_000
KEPT_COUNT = 200
"""Weights kept per product. On ML-1M all 3,043 of EASE give Recall@20 .2755, 200 give .2719, with ALS .2792."""
KEPT_OF_MANY = (20_000, 100)
"""From so many products on fewer weights are kept: 80 MB for 100,000 products."""
PENALTIES = (300.0, 1000.0, 3000.0)
EVENNESSES = (0.25, 0.5)
SHRINKAGE = 3.0
"""Co-purchases that a product must have above it before they count for much."""
# Products whose co-purchases with all others are held at once; bounds memory.
TARGET_BLOCK = 256
DENSE_GAIN = 30
"""A dense product does so many multiplications in the time of one sparse one."""
# Customers whose rows are dense at once: 164 MB for 5,000 products in single precision.
CUSTOMER_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """How the weights are learned: "ease" with `value` = penalty, or "neighbours" with `value` = evenness."""

    kind: LinearModel = "ease"
    value: float = 1000.0


@dataclass(frozen=True, slots=True)
class Linear:
    """`index` int32 and `weight` float32, both (m, K): row i says what having product i adds to which products' scores.

    m most bought products, K ≤ 200; padded with index 0 and weight 0.
    """

    index: Ints
    weight: Floats


NO_LINEAR = Linear(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32))


def fit_linear(dataset: Dataset, settings: LinearSettings, *, weighting: str) -> Linear:
    """Weights learned from the strengths of purchases (`weighting` as in customer.foldin), the largest of each row.

    "ease": Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data": B = I - P · diag(1 / P),
    P = (XᵀX + penalty · I)⁻¹, X the customers' strengths of the most bought products.

    "neighbours", for catalogues whose tail matters: w_ij = α_j · C_ij / (C_ii + 3) for the 200 products i of largest
    cosine with j, where C = X̂ᵀX̂ and X̂ is X with each row divided by (products of the customer)^evenness; α_j scales
    the sum to what was bought, by least squares.
    """
    matrix = strengths(purchase_pairs(dataset), _shape(dataset), settings.kind, weighting=weighting)
    if settings.kind == "ease":
        return kept(full_weights(gram_of(matrix), penalty=settings.value))
    return strongest(neighbour_weights(matrix, evenness=settings.value))


def strengths(pairs: Pairs, shape: tuple[int, int], kind: LinearModel, *, weighting: str) -> sparse.csr_array:
    """What each customer (row) has of the products (column) that this kind reaches, as serving weighs it.

    `shape` = customers, bought products.
    """
    values = strength(pairs.count, pairs.weight_112d, weighting=weighting)
    whole = sparse.csr_array((values, (pairs.customer, pairs.item)), shape=shape)
    # Products are numbered by falling buyers, so the first columns are the most bought ones.
    for count in NEIGHBOUR_ITEMS if kind == "neighbours" else ():
        reached = whole[:, :count]
        # A customer of p products adds p² terms to XᵀX. In double precision, because int32 would overflow.
        if float((np.diff(reached.indptr).astype(np.float64) ** 2).sum()) <= MAX_COPURCHASES:
            return reached
    return whole[:, :EASE_ITEMS]


def _shape(dataset: Dataset) -> tuple[int, int]:
    return len(dataset.customer_ids), dataset.bought_item_count


def neighbour_weights(matrix: sparse.csr_array, *, evenness: float) -> sparse.csr_array:
    """w_ij of "neighbours" (`fit_linear`), sparse float32 (m, m), zero on its diagonal."""
    products = np.maximum(np.diff(matrix.indptr), 1).astype(np.float32)
    # By columns, because blocks of products are cut from it.
    even = (sparse.diags_array(products**-evenness) @ matrix).tocsc()
    ours = even.T.tocsr()
    own = np.asarray(even.power(2).sum(axis=0), np.float32)
    wanted = matrix.tocsc()
    columns = []
    for start in range(0, matrix.shape[1], TARGET_BLOCK):
        block = slice(start, start + TARGET_BLOCK)
        together = _nearest((ours @ even[:, block]).tocsc(), own, first=start)
        together.data /= own[together.indices] + SHRINKAGE
        summed = matrix @ together
        hit = wanted[:, block].multiply(summed).sum(axis=0)
        # The 1 is a small ridge: a product that nothing predicts gets scale 0 instead of 0 / 0.
        scale = hit / (summed.power(2).sum(axis=0) + 1)
        columns.append((together @ sparse.diags_array(scale.astype(np.float32))).tocsc())
    return sparse.hstack(columns, format="csr", dtype=np.float32)


def _nearest(together: sparse.csc_array, own: Floats, *, first: int) -> sparse.csc_array:
    """Of each column the 200 rows of largest cosine, itself left out; column c is product `first` + c."""
    # The length of the column's own product is left out: it is the same for all rows and changes no order.
    cosine = together.data / np.sqrt(np.maximum(own[together.indices], np.float32(1e-9)))
    count = np.diff(together.indptr)
    is_kept = together.indices != np.repeat(np.arange(first, first + len(count)), count)
    # Below every cosine of two different products, which is never negative here: it is cut first.
    cosine[~is_kept] = -1
    for column in (count > KEPT_COUNT).nonzero()[0]:
        start, end = together.indptr[column : column + 2]
        is_kept[start + np.argpartition(-cosine[start:end], KEPT_COUNT)[KEPT_COUNT:]] = False
    pointer = np.concatenate([[0], np.cumsum(is_kept)])[together.indptr]
    return sparse.csc_array((together.data[is_kept], together.indices[is_kept], pointer), shape=together.shape)


def strongest(weights: sparse.csr_array) -> Linear:
    """The largest weights of each row, largest first, padded."""
    many, fewer = KEPT_OF_MANY
    at_most = fewer if weights.shape[0] >= many else KEPT_COUNT
    width = int(np.clip(np.diff(weights.indptr).max(initial=0), 1, at_most))
    shape = weights.shape[0], width
    # Padding is product 0 with weight 0: serving sums whole rows and need not look for their end.
    linear = Linear(np.zeros(shape, np.int32), np.zeros(shape, np.float32))
    keep_strongest_of(linear.index, linear.weight, weights)
    return linear


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
    # LAPACK works in place, and tuning solves one gram for several penalties.
    system = gram.copy()
    system[np.diag_indices(len(gram))] += np.float32(penalty)
    # The system is symmetric and positive definite: by Cholesky its inverse costs half of a general one.
    factor, _ = spotrf(system, lower=1, overwrite_a=1)
    inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ValueError(f"the item-item system of {len(gram)} products is singular at penalty {penalty}")
    # LAPACK fills the lower half alone.
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


def tune_linear(
    split: Split,
    *,
    weighting: str,
    seed: int,
    penalties: Sequence[float] = PENALTIES,
    evennesses: Sequence[float] = EVENNESSES,
) -> LinearSettings | None:
    """What predicts products new to the customers best (NDCG@20); the default where there is nobody to predict for.

    None where there is nothing to sum: fewer than two products were bought.
    """
    problem = tuning_problem(split, seed=seed)
    if split.train.bought_item_count < 2:
        return None
    if not len(problem.customers):
        default = LinearSettings()
        return default if default.value in penalties else replace(default, value=penalties[0])
    ndcg = {}
    reached = strengths(problem.pairs, _shape(split.train), "ease", weighting=weighting)
    gram = gram_of(reached)
    for penalty in penalties:
        ndcg[LinearSettings("ease", penalty)] = _ndcg(problem, kept(full_weights(gram, penalty=penalty)), reached)
    reached = strengths(problem.pairs, _shape(split.train), "neighbours", weighting=weighting)
    for evenness in evennesses:
        linear = strongest(neighbour_weights(reached, evenness=evenness))
        ndcg[LinearSettings("neighbours", evenness)] = _ndcg(problem, linear, reached)
    return max(ndcg, key=lambda settings: ndcg[settings])


def _ndcg(problem: TuningProblem, linear: Linear, matrix: sparse.csr_array) -> float:
    """NDCG@20 of what the weights predict for the problem's customers, among what they do not own."""
    weights = weights_of(linear)
    ranked = ranked_new(problem, lambda customers: (matrix[customers] @ weights).toarray())
    return rank_metrics(ranked, problem.targets, k=TUNING_CUTOFF)["ndcg"]


def weights_of(linear: Linear) -> sparse.csr_array:
    """The kept weights as a matrix (m, m): strengths times it are the scores that serving computes one by one."""
    count = len(linear.index)
    rows = np.repeat(np.arange(count), linear.index.shape[1])
    return sparse.csr_array((linear.weight.ravel(), (rows, linear.index.ravel())), shape=(count, count))
