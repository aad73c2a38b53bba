"""How good ranked lists are against what was really bought, and how true the probabilities that stand next to them."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

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
