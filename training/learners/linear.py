"""The linear item-item part: which products' strengths, summed, predict a product; the `linear` source's weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.linalg.lapack import spotrf, spotri
from threadpoolctl import threadpool_limits

from app.decision.customer.foldin import strength
from app.domain import Floats, Ints
from training.data.dataset import Dataset, Pairs, purchase_pairs
from training.learners.statistics import keep_strongest_of

LinearModel = Literal["ease", "neighbours"]
TINY = 1e-9

EASE_ITEMS = 5000
"""The most bought products; the inverse costs the cube of their number (5,000: 3 s and 100 MB)."""
EASE_EVENNESS = 0.25
EASE_DENOISING = 2.0
"""Both lifted EASE alone on film ratings from NDCG@20 .175 to .182, at every penalty tried."""
NEIGHBOUR_ITEMS = (100_000, 50_000, 25_000, 12_500, EASE_ITEMS)
"""The first of these counts of most bought products whose co-purchases are at most MAX_COPURCHASES."""
MAX_COPURCHASES = 200_000_000
"""They take some two seconds of CPU."""
KEPT_COUNT = 200
"""Weights kept per product. On ML-1M all 3,043 of EASE give Recall@20 .2755, 200 give .2719, with ALS .2792."""
KEPT_OF_MANY = (20_000, 100)
"""From so many products on fewer weights are kept: 80 MB for 100,000 products."""
KEPT_OF_FEW = (4_000, 1_000)
"""Up to so many products more are kept: of films, 1,000 give NDCG@20 .2721 and 400 .2714. Someone with 165 films then
costs .30 instead of .12 ms."""
SHRINKAGE = 3.0
"""Co-purchases that a product must have above it before they count for much."""
SCALED_BY = 1000
"""Customers whose sums give the neighbours' scale."""
DENSE_GAIN = 30
"""A dense product does so many multiplications in the time of one sparse one."""
# Customers whose rows are dense at once: 164 MB for 5,000 products in single precision.
CUSTOMER_BLOCK = 8192


@dataclass(frozen=True, slots=True)
class LinearSettings:
    """How the weights are learned: "ease" with `value` = penalty, or "neighbours" with `value` = evenness.

    `weighting` of the strengths that are summed, as in `app.decision.customer.foldin.strength`.
    """

    kind: LinearModel = "ease"
    value: float = 300.0
    weighting: str = "decayed"


@dataclass(frozen=True, slots=True)
class Linear:
    """`index` int32 and `weight` float32, both (m, K): row i says what having product i adds to which products' scores.

    m most bought products, K ≤ 1,000; padded with index 0 and weight 0.
    """

    index: Ints
    weight: Floats


NO_LINEAR = Linear(np.zeros((0, 0), np.int32), np.zeros((0, 0), np.float32))


def fit_linear(dataset: Dataset, settings: LinearSettings) -> Linear:
    """Weights learned from the strengths of purchases, the largest of each row.

    "ease": Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data": B = I - P · diag(1 / P),
    P = (G + 2 · diag(G) + penalty · I)⁻¹, G = X̂ᵀX̂. The part twice its diagonal takes what a product says of itself for
    uncertain (Steck 2020, "Autoencoders that don't overfit towards the Identity"). X̂ is X, the customers' strengths of
    the most bought products, with each row divided by (products of the customer ÷ their mean)^¼.

    "neighbours", for catalogues whose tail matters: w_ij = α · C_ij / (C_ii + 3) for the 200 products i of largest
    cosine with j, where C = X̂ᵀX̂ with rows divided by (products of the customer)^evenness; α scales the sums to what
    was bought, by least squares.
    """
    shape = len(dataset.customer_ids), dataset.bought_item_count
    matrix = strengths(purchase_pairs(dataset), shape, settings)
    return next(learned(matrix, settings.kind, [settings.value]))


def learned(matrix: sparse.csr_array, kind: LinearModel, values: Sequence[float]) -> Iterator[Linear]:
    """The weights of `fit_linear` for each of these values in turn, from the same `strengths` of that kind."""
    if kind == "ease":
        # The same for all penalties.
        gram = gram_of(matrix)
        yield from (kept(full_weights(gram, penalty=penalty)) for penalty in values)
    else:
        yield from (strongest(neighbour_weights(matrix, evenness=evenness)) for evenness in values)


def strengths(pairs: Pairs, shape: tuple[int, int], settings: LinearSettings) -> sparse.csr_array:
    """What each customer (row) has of the products (column) that this kind reaches, as serving weighs it.

    `shape` = customers, bought products.
    """
    values = strength(pairs.count, pairs.weight_112d, weighting=settings.weighting)
    whole = sparse.csr_array((values, (pairs.customer, pairs.item)), shape=shape)
    # Products are numbered by falling buyers, so the first columns are the most bought ones.
    for count in NEIGHBOUR_ITEMS if settings.kind == "neighbours" else ():
        reached = whole[:, :count]
        # A customer of p products adds p² terms to XᵀX. In double precision, because int32 would overflow.
        if float((np.diff(reached.indptr).astype(np.float64) ** 2).sum()) <= MAX_COPURCHASES:
            return reached
    return whole[:, :EASE_ITEMS]


def neighbour_weights(matrix: sparse.csr_array, *, evenness: float) -> sparse.csr_array:
    """w_ij of "neighbours" (`fit_linear`), sparse float32 (m, m), zero on its diagonal."""
    # implicit loads slowly and only training needs it.
    from implicit.nearest_neighbours import ItemItemRecommender

    even = _evened(matrix, evenness, unit=1.0)
    own = np.asarray(even.power(2).sum(axis=0), np.float64)
    length = np.sqrt(np.maximum(own, TINY))
    # Both are what implicit's compiled search takes. It finds a product itself as the nearest: one more.
    unit = sparse.csr_matrix(even @ sparse.diags_array(1 / length), dtype=np.float64)
    search = ItemItemRecommender(K=KEPT_COUNT + 1, num_threads=2)
    search.fit(unit, show_progress=False)
    found = search.similarity.tocoo()
    target, source, cosine = found.row, found.col, found.data
    is_other = (target != source) & (cosine > 0)
    target, source = target[is_other], source[is_other]
    together = cosine[is_other] * length[source] * length[target]
    weights = sparse.csr_array(
        ((together / (own[source] + SHRINKAGE)).astype(np.float32), (source, target)), shape=(matrix.shape[1],) * 2
    )
    return weights * np.float32(_scale(matrix, weights))


def _scale(matrix: sparse.csr_array, weights: sparse.csr_array) -> float:
    """By least squares, what the sums of the weights are to be multiplied with to be nearest to what was bought."""
    some = matrix[:: max(1, matrix.shape[0] // SCALED_BY)]
    summed = some @ weights
    # The 1 is a small ridge: where nothing predicts anything the scale is 0 instead of 0 / 0.
    return float(some.multiply(summed).sum() / (float(summed.data @ summed.data) + 1))


def _evened(matrix: sparse.csr_array, evenness: float, *, unit: float) -> sparse.csr_array:
    """Each row divided by (its products ÷ `unit`)^evenness, float32."""
    products = np.maximum(np.diff(matrix.indptr), 1) / unit
    return sparse.csr_array(sparse.diags_array((products**-evenness).astype(np.float32)) @ matrix)


def strongest(weights: sparse.csr_array) -> Linear:
    """The largest weights of each row, largest first, padded."""
    count = weights.shape[0]
    width = int(np.clip(np.diff(weights.indptr).max(initial=0), 1, min(kept_count(count), KEPT_COUNT)))
    # Padding is product 0 with weight 0: serving sums whole rows and need not look for their end.
    linear = Linear(np.zeros((count, width), np.int32), np.zeros((count, width), np.float32))
    keep_strongest_of(linear.index, linear.weight, weights)
    return linear


def kept_count(product_count: int) -> int:
    """How many weights a product keeps, by how many products there are."""
    if product_count >= KEPT_OF_MANY[0]:
        return KEPT_OF_MANY[1]
    return KEPT_OF_FEW[1] if product_count <= KEPT_OF_FEW[0] else KEPT_COUNT


def gram_of(matrix: sparse.csr_array) -> Floats:
    """G of "ease" (`fit_linear`), dense float32 (m, m); by dense blocks where rows are long."""
    matrix = _evened(matrix, EASE_EVENNESS, unit=matrix.nnz / max(matrix.shape[0], 1))
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
    system[np.diag_indices(len(gram))] += EASE_DENOISING * gram.diagonal() + np.float32(penalty)
    # The system is symmetric and positive definite: by Cholesky its inverse costs half of a general one. It is large
    # enough for two threads, whatever the caller allows.
    with threadpool_limits(2, "blas"):
        factor, _ = spotrf(system, lower=1, overwrite_a=1)
        inverse, failed = spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise ValueError(f"the item-item system of {len(gram)} products is singular at penalty {penalty}")
    # LAPACK fills the lower half alone.
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights: Floats = (-inverse / np.diag(inverse)).astype(np.float32)
    weights[np.diag_indices(len(gram))] = 0
    return weights


def kept(weights: Floats, *, count: int | None = None) -> Linear:
    """The largest |weight| of each row, in the order of the products; by default as many as `kept_count` says."""
    count = min(count or kept_count(len(weights)), weights.shape[1])
    largest = np.argpartition(-np.abs(weights), max(count - 1, 0), axis=1)[:, :count]
    index = np.sort(largest, axis=1).astype(np.int32)
    return Linear(index, np.take_along_axis(weights, index, 1))


def weights_of(linear: Linear) -> sparse.csr_array:
    """The kept weights as a matrix (m, m): strengths times it are the scores that serving computes one by one."""
    count = len(linear.index)
    rows = np.repeat(np.arange(count), linear.index.shape[1])
    return sparse.csr_array((linear.weight.ravel(), (rows, linear.index.ravel())), shape=(count, count))
