"""What every trial of a tuning shares: for whom it predicts, what they own, and how good a ranking is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse

from app.domain import Floats, Ints
from training.data.dataset import Pairs, purchase_pairs
from training.data.split import Split
from training.metrics.ranking import rank_metrics

CUTOFF = 20
CUSTOMERS = 1000
"""Customers per trial: enough to tell two settings apart, few enough for many trials."""
SCORE_BLOCK = 128
"""Customers whose scores of all products are held at once."""

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class TuningProblem:
    """What all trials share: pairs, customers to predict for, what they own, what is new in their truth.

    `shape` = customers, products, of which the first `bought_count` were bought; `has_time`: purchases are dated.
    """

    pairs: Pairs
    shape: tuple[int, int]
    bought_count: int
    has_time: bool
    customers: Ints
    owned: sparse.csr_array
    targets: Sequence[Ints]

    def sample(self, share: float, *, seed: int) -> "TuningProblem":
        """The same with this share of the customers to learn from, and with all those to predict for."""
        if share >= 1:
            return self
        is_kept = np.random.default_rng(seed).random(self.shape[0]) < share
        is_kept[self.customers] = True
        lines = is_kept[self.pairs.customer]
        columns = (getattr(self.pairs, column.name)[lines] for column in fields(Pairs))
        return replace(self, pairs=Pairs(*columns))


def tuning_problem(split: Split, *, seed: int) -> TuningProblem:
    """The customers who own something and went on to buy something new, at most 1,000, and what trials need of them."""
    pairs = purchase_pairs(split.train)
    shape = (len(split.train.customer_ids), len(split.train.product_ids))
    owned = sparse.csr_array((np.ones(len(pairs.item), np.bool_), (pairs.customer, pairs.item)), shape=shape)
    new = {code: np.setdiff1d(items, _row(owned, code)) for code, items in split.truth.items()}
    # Sorted, because the seed draws positions: another order would give other customers.
    able = np.array(sorted(code for code, items in new.items() if len(items) and len(_row(owned, code))), np.int32)
    if len(able) > CUSTOMERS:
        able = np.sort(np.random.default_rng(seed).choice(able, CUSTOMERS, replace=False))
    targets = [new[int(code)] for code in able]
    return TuningProblem(pairs, shape, split.train.bought_item_count, split.train.has_time, able, owned, targets)


def _row(matrix: sparse.csr_array, row: int) -> Ints:
    columns: Ints = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def ndcg_of_new(problem: TuningProblem, score: Callable[[Ints], Floats]) -> float:
    """NDCG@20 among what the problem's customers do not own: what was bought before, other columns know better.

    `score` gives float32 (customers, m) for some of them, and may be written to.
    """
    ranked: list[Ints] = []
    for start in range(0, len(problem.customers), SCORE_BLOCK):
        customers = problem.customers[start : start + SCORE_BLOCK]
        scores = score(customers)
        # The linear part scores the most bought products alone, so there may be fewer columns than products.
        scores[problem.owned[customers][:, : scores.shape[1]].nonzero()] = -np.inf
        count = min(CUTOFF, scores.shape[1])
        top: Positions = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-scores[np.arange(len(customers))[:, None], top], axis=1, kind="stable")
        ranked.extend(top[np.arange(len(customers))[:, None], order])
    return rank_metrics(ranked, problem.targets, k=CUTOFF)["ndcg"]
