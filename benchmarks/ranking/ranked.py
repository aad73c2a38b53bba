"""How good ranked lists are against what was really bought, and how true the probabilities that stand next to them."""

from collections.abc import Mapping, Sequence

import implicit
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

Lists = Mapping[str, Sequence[str]]
Truth = Mapping[str, frozenset[str]]
Wide = npt.NDArray[np.float64]

METRICS = ("recall", "ndcg", "hit", "mrr")
BIN_COUNT = 10


def mean_metrics(lists: Lists, truth: Truth, *, k: int) -> dict[str, float]:
    """Means over all customers of `truth`; one without a list counts as zero."""
    means = customer_figures(lists, truth, k=k).mean(axis=0).round(4).tolist()
    return dict(zip((f"{name}@{k}" for name in METRICS), means, strict=True))


def customer_figures(lists: Lists, truth: Truth, *, k: int) -> Wide:
    """A row per customer of `truth`, a column per name in METRICS; one without a list counts as zero.

    Recall@k = hits / |truth|. NDCG@k has binary gains, discount 1 / log2(rank + 1), and an ideal of min(k, |truth|)
    hits in front. hit@k = at least one hit. MRR@k = 1 / rank of the first hit.
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    figures = np.zeros((len(truth), len(METRICS)))
    for row, (customer_id, wanted) in enumerate(truth.items()):
        hits = np.array([product_id in wanted for product_id in lists.get(customer_id, ())[:k]], np.bool_)
        ideal = discount[: min(k, len(wanted))].sum()
        first = 1 / (1 + hits.argmax()) if hits.any() else 0.0
        figures[row] = hits.sum() / len(wanted), discount[: len(hits)][hits].sum() / ideal, hits.any(), first
    return figures


def calibration(lists: Lists, chances: Mapping[str, Sequence[float]], truth: Truth, *, k: int) -> dict[str, float]:
    """Of the first `k` propositions of all customers: mean probability, share bought, and the calibration error.

    ECE = Σ over ten equally wide bins of |bin| / n · |mean probability − share bought|; without propositions all are 0.
    """
    shown = [
        (chance, product_id in wanted)
        for customer_id, wanted in truth.items()
        for product_id, chance in list(zip(lists.get(customer_id, ()), chances.get(customer_id, ()), strict=True))[:k]
    ]
    if not shown:
        return {"predicted": 0.0, "bought": 0.0, "ece": 0.0}
    chance, is_bought = np.array(shown, np.float64).T
    bin_of = np.minimum((chance * BIN_COUNT).astype(np.intp), BIN_COUNT - 1)
    gap = np.bincount(bin_of, chance - is_bought)
    return {
        "predicted": round(float(chance.mean()), 4),
        "bought": round(float(is_bought.mean()), 4),
        "ece": round(float(np.abs(gap).sum() / len(chance)), 4),
    }


def popular(lines: pl.DataFrame, truth: Truth, *, k: int, exclude: Mapping[str, frozenset[str]]) -> Lists:
    """The products with the most lines, for everybody, less what each customer is not to see."""
    counted = lines.group_by("product_id").len().sort("len", "product_id", descending=[True, False])
    most = max((len(owned) for owned in exclude.values()), default=0)
    ranking = counted["product_id"].head(k + most).to_list()
    return {
        customer_id: [name for name in ranking if name not in exclude.get(customer_id, ())][:k] for customer_id in truth
    }


def plain_als(lines: pl.DataFrame, truth: Truth, *, k: int, exclude_known: bool) -> Lists:
    """`implicit`'s ALS with 64 factors, alpha 1 and otherwise its defaults, on how many lines each pair has."""
    pairs = lines.group_by("customer_id", "product_id").len().sort("customer_id", "product_id")
    customers, products = pairs["customer_id"].unique().sort(), pairs["product_id"].unique().sort()
    rows = customers.search_sorted(pairs["customer_id"]).to_numpy()
    columns = products.search_sorted(pairs["product_id"]).to_numpy()
    matrix = csr_matrix((pairs["len"].to_numpy().astype(np.float32), (rows, columns)))
    if not len(set(truth).intersection(customers)):
        return {}
    with threadpool_limits(1):
        model = implicit.als.AlternatingLeastSquares(factors=64, alpha=1.0, random_state=0)
        model.fit(matrix, show_progress=False)
        chosen = np.flatnonzero(customers.is_in(list(truth)).to_numpy())
        found, _ = model.recommend(chosen, matrix[chosen], N=k, filter_already_liked_items=exclude_known)
    names, ids = customers.to_list(), products.to_list()
    return {names[customer]: [ids[item] for item in items] for customer, items in zip(chosen, found, strict=True)}
