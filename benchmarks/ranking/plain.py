"""Plain rankings that the product is measured next to: each a rule or a textbook's method on the same lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import implicit
import numpy as np
import polars as pl
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from benchmarks.ranking.protocols import Protocol
from benchmarks.ranking.ranked import Lists

HALF_LIFE_DAYS = 112
EASE_PENALTY = 1000.0
NEAREST_COUNT, COMPARED_COUNT = 100, 1000
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Baskets:
    """Who has what: `matrix` float32 (customers, products) counts lines; `row_of` and `column_of` find names."""

    matrix: csr_matrix
    products: Sequence[str]
    row_of: Mapping[str, int]
    column_of: Mapping[str, int]


def plain_lists(protocol: Protocol) -> dict[str, Lists]:
    """The lists of popularity, of ALS and of the plain rankings that the protocol names, by the ranking's name.

    A ranking that knows nobody of those queried, as ALS no anonymous visitor, is left out.
    """
    chosen = ("popularity", "plain ALS", *protocol.plain)
    made = {name: RANKINGS[name](protocol) for name in chosen}
    return {name: lists for name, lists in made.items() if lists}


def popular(protocol: Protocol) -> Lists:
    """The products with the most lines, for everybody, less what each customer is not to see."""
    counted = protocol.lines.group_by("product_id").len().sort("len", "product_id", descending=[True, False])
    hidden = known_products(protocol)
    ranking = counted["product_id"].head(protocol.k + max(map(len, hidden.values()), default=0)).to_list()
    return {
        name: [product for product in ranking if product not in hidden.get(name, ())][: protocol.k]
        for name in protocol.truth
    }


def frequent(protocol: Protocol) -> Lists:
    """Each customer's own products by purchases decayed with a half-life of 112 days, then popular ones."""
    age_s = (pl.col("timestamp").max() - pl.col("timestamp")).dt.total_seconds()
    weighed = (
        protocol.lines.with_columns(weight=pl.lit(2.0).pow(-age_s / (DAY_S * HALF_LIFE_DAYS)))
        .group_by("customer_id", "product_id")
        .agg(pl.col("weight").sum())
        .sort("customer_id", "weight", "product_id", descending=[False, True, False])
    )
    own = dict(weighed.group_by("customer_id", maintain_order=True).agg("product_id").iter_rows())
    return {
        name: list(dict.fromkeys([*own.get(name, ()), *others]))[: protocol.k]
        for name, others in popular(protocol).items()
    }


def plain_als(protocol: Protocol) -> Lists:
    """`implicit`'s ALS with 64 factors, alpha 1 and otherwise its defaults, on how many lines each pair has."""
    baskets = _baskets(protocol.lines)
    queried = [name for name in protocol.truth if name in baskets.row_of]
    if not queried:
        return {}
    rows = [baskets.row_of[name] for name in queried]
    with threadpool_limits(1):
        model = implicit.als.AlternatingLeastSquares(factors=64, alpha=1.0, random_state=0)
        model.fit(baskets.matrix, show_progress=False)
        is_hidden = protocol.exclude_known
        found, _ = model.recommend(rows, baskets.matrix[rows], N=protocol.k, filter_already_liked_items=is_hidden)
    return {name: [baskets.products[item] for item in row] for name, row in zip(queried, found.tolist(), strict=True)}


def ease(protocol: Protocol) -> Lists:
    """EASE (Steck 2019) on who has what: B = I − P / diag(P), P = (XᵀX + λI)⁻¹; cubic in the number of products."""
    baskets = _baskets(protocol.lines)
    has = (baskets.matrix > 0).astype(np.float64)
    weights = np.linalg.inv((has.T @ has).toarray() + EASE_PENALTY * np.eye(len(baskets.products)))
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0)
    queried = [name for name in protocol.truth if name in baskets.row_of]
    theirs = has[[baskets.row_of[name] for name in queried]]
    scores = theirs @ weights
    if protocol.exclude_known:
        scores[theirs.nonzero()] = -np.inf
    best = np.argsort(-scores, axis=1, kind="stable")[:, : protocol.k]
    # In a small catalogue the best of a row reach down to what is hidden.
    return {
        name: [baskets.products[item] for item in items.tolist() if np.isfinite(row[item])]
        for name, items, row in zip(queried, best, scores, strict=True)
    }


def nearest_sessions(protocol: Protocol) -> Lists:
    """V-SKNN (Ludewig and Jannach 2018): products of the sessions most like what was viewed so far.

    The j-th of n products viewed weighs j / n. Of the latest 1,000 sessions with any of them, the 100 with the
    largest sum of weights over √length vote with it, divided by how many steps ago the latest shared product was. A
    customer's lines are a session, and what is viewed where the protocol names nothing.
    """
    baskets = _baskets(protocol.lines)
    sessions = (baskets.matrix > 0).astype(np.float32)
    with_product, length = sessions.T.tocsr(), np.sqrt(np.diff(sessions.indptr))
    own = dict(protocol.lines.group_by("customer_id").agg("product_id").iter_rows())
    hidden, lists = known_products(protocol), {}
    column_of, row_of = baskets.column_of, baskets.row_of
    for name in protocol.truth:
        # From the first to the last; the place of a product is that of its last view.
        viewed = protocol.recent[name][::-1] if protocol.recent else own[name]
        place_of = {column_of[product]: place for place, product in enumerate(viewed, start=1) if product in column_of}
        items = np.array(sorted(place_of), np.intp)
        place = np.zeros(len(column_of), np.float32)
        place[items] = [place_of[item] for item in items.tolist()]
        candidates = np.unique(with_product[items].indices)
        candidates = candidates[candidates != row_of.get(name, -1)][-COMPARED_COUNT:]
        alike = sessions[candidates] @ place / length[candidates]
        nearest = np.argsort(-alike, kind="stable")[:NEAREST_COUNT]
        voters = sessions[candidates[nearest]]
        latest = voters.multiply(place).max(axis=1).toarray().ravel()
        scores = voters.T @ (alike[nearest] / (len(viewed) - latest + 1))
        order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        best = (baskets.products[item] for item in order.tolist())
        lists[name] = [product for product in best if product not in hidden.get(name, ())][: protocol.k]
    return lists


RANKINGS: Mapping[str, Callable[[Protocol], Lists]] = {
    "popularity": popular,
    "plain ALS": plain_als,
    "personal frequency": frequent,
    "EASE": ease,
    "nearest sessions": nearest_sessions,
}


def known_products(protocol: Protocol) -> dict[str, frozenset[str]]:
    """What each customer is not to be shown: the products that they have, or nothing."""
    if not protocol.exclude_known:
        return {}
    queried = protocol.lines.filter(pl.col("customer_id").is_in(list(protocol.truth)))
    return {
        name: frozenset(products) for name, products in queried.group_by("customer_id").agg("product_id").iter_rows()
    }


def _baskets(lines: pl.DataFrame) -> Baskets:
    """Customers in the order in which the lines first name them, so that the latest sessions have the largest rows."""
    customers = lines["customer_id"].unique(maintain_order=True).to_list()
    products = lines["product_id"].unique().sort().to_list()
    rows = lines["customer_id"].cast(pl.Enum(customers)).to_physical().to_numpy()
    columns = lines["product_id"].cast(pl.Enum(products)).to_physical().to_numpy()
    # What stands twice at a place is summed.
    matrix = csr_matrix((np.ones(lines.height, np.float32), (rows, columns)))
    return Baskets(
        matrix, products, *({name: place for place, name in enumerate(names)} for names in (customers, products))
    )
