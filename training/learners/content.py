"""The map from what a product table says to item factors: it lets a bundle rank products listed after its training."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import sparse

from app.domain import Floats
from app.model.content import LISTED_AT, ContentMap, Layout, ProductContent, content_matrix
from training.data.dataset import Dataset
from training.release.assemble import BundleContents

TOKEN_COUNT = 8192
PRICE_BAND_COUNT = 10
RIDGE = 10.0
LENGTH_POWER = 0.75
"""Targets are y / |y|^0.75. Lengths of factors say how much a product sells, which its content does not: with y itself
recall@20 of hidden products was .115, with y/|y| .115, with this .123 (grocer's year)."""
MAX_STEPS = 40
TOLERANCE = 1e-3


def with_content(contents: BundleContents, dataset: Dataset, products: pl.LazyFrame | None) -> BundleContents:
    """`contents` with the content map of `dataset`, or as they are where the table `products` says nothing."""
    factors = np.asarray(contents.arrays["item_factors"], np.float32)
    fitted = learn_content(dataset, factors)
    if fitted is None:
        return contents
    layout = fitted.layout
    listed_at = None if products is None else last_listed(dataset, products)
    document = {
        "columns": dict(layout.column_sizes),
        "price_edges": list(layout.price_edges),
        "token_count": layout.token_count,
        "listed_at": None if listed_at is None else listed_at.isoformat(),
    }
    return replace(
        contents,
        arrays={**contents.arrays, "content_weights": fitted.weights},
        documents={**contents.documents, "content": document},
    )


def learn_content(dataset: Dataset, item_factors: Floats) -> ContentMap | None:
    """The ridge regression of factors on content over all products bought; None without attributes and names.

    Minimizes Σ w |x B - y/|y|^0.75|² + λ|B|², w = log(1 + buyers) scaled to mean 1, x the product's content features.
    Then B is scaled so that a placement is as long as the factor of what a buyer buys, in the mean.
    """
    catalogue = dataset.catalogue
    length = np.linalg.norm(item_factors, axis=1)
    # A factor of zeros, that of a product nobody bought, has no direction to learn.
    able = np.flatnonzero(length > 0)
    if not len(able) or not (catalogue.attributes or any(catalogue.names)):
        return None
    described = described_products(dataset)
    layout = _layout(described, {name: len(column.vocabulary) for name, column in catalogue.attributes.items()})
    features = content_matrix(layout, described)[able]
    buyers = _buyers(dataset)[able]
    weight = np.log1p(buyers).astype(np.float32)
    # With a mean of 1 the ridge means the same whatever the number of customers.
    weight /= max(float(weight.mean()), 1e-9)
    target = item_factors[able] / (length[able, None] ** LENGTH_POWER)
    fitted = _ridge(features, target.astype(np.float32), weight)
    reached = float(buyers @ np.linalg.norm(features @ fitted, axis=1))
    fitted *= np.float32(float(buyers @ length[able]) / max(reached, 1e-9))
    return ContentMap(layout, fitted)


def last_listed(dataset: Dataset, products: pl.LazyFrame) -> datetime | None:
    """When the last of the products that nobody bought was listed; None where all were there from the beginning."""
    if LISTED_AT not in products.collect_schema():
        return None
    # A training alone does not end a product's newness: while nobody buys it, servers place it by its content.
    unsold = pl.col("product_id").is_in(dataset.product_ids[dataset.bought_item_count :])
    last: datetime | None = products.filter(unsold).select(pl.col(LISTED_AT).max()).collect().item()
    return last


def described_products(dataset: Dataset) -> ProductContent:
    """The catalogue of a dataset as the content map looks at it."""
    catalogue = dataset.catalogue
    codes = {name: column.codes for name, column in catalogue.attributes.items()}
    return ProductContent(catalogue.names, codes, catalogue.price_minor)


def _buyers(dataset: Dataset) -> npt.NDArray[np.int64]:
    # There is a line for each basket, and a customer with ten of them is still one buyer.
    pairs = np.unique(np.stack([dataset.item, dataset.customer]), axis=1)
    return np.bincount(pairs[0], minlength=len(dataset.product_ids))


def _layout(described: ProductContent, column_sizes: dict[str, int]) -> Layout:
    """Price bands hold equally many products; equal edges fall together."""
    prices = described.price_minor[described.price_minor > 0]
    # Inner edges alone: the outer bands are open, so that a price training never saw still falls into one.
    inner = np.linspace(0, 1, PRICE_BAND_COUNT + 1)[1:-1]
    edges = np.unique(np.quantile(prices, inner)).tolist() if len(prices) else []
    return Layout(column_sizes, edges, TOKEN_COUNT)


def _ridge(features: sparse.csr_array, target: Floats, weight: Floats) -> Floats:
    """B of (XᵀWX + λI) B = XᵀWY, float32, by conjugate gradients with the diagonal as preconditioner.

    All columns at once, so that each step is two products of a sparse with a thin matrix (Hestenes, Stiefel 1952).
    """
    transposed = features.T.tocsr()
    diagonal = (features.multiply(features).T @ weight + np.float32(RIDGE))[:, None]
    left = transposed @ (weight[:, None] * target)
    solution = np.zeros_like(left)
    direction = left / diagonal
    strength = _dots(left, direction)
    goal = TOLERANCE * float(np.linalg.norm(left))
    for _ in range(MAX_STEPS):
        image = transposed @ (weight[:, None] * (features @ direction)) + np.float32(RIDGE) * direction
        step = strength / np.maximum(_dots(direction, image), _TINY)
        solution += step * direction
        left -= step * image
        if np.linalg.norm(left) <= goal:
            break
        scaled = left / diagonal
        before, strength = strength, _dots(left, scaled)
        direction = scaled + strength / np.maximum(before, _TINY) * direction
    return np.asarray(solution, np.float32)


# A column that is solved before the others then takes steps of 0 / tiny, where 0 / 0 would spread NaN.
_TINY = np.float32(1e-30)


def _dots(one: Floats, other: Floats) -> Floats:
    """The inner product of every column with its counterpart."""
    product: Floats = np.einsum("fk,fk->k", one, other)
    return product
