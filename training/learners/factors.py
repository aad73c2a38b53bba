"""Purchases become item factors by implicit ALS, its settings found within a time budget."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from threadpoolctl import threadpool_limits

from app.decision.customer.foldin import confidence
from app.domain import Floats, Ints
from training.data.dataset import Dataset, Pairs, purchase_pairs
from training.data.split import Split
from training.metrics.ranking import rank_metrics

TUNING_CUTOFF = 20
TUNING_CUSTOMERS = 1000
"""Customers asked per trial: enough to tell two settings apart, few enough for many trials."""
MIN_GAIN = 1.01
"""A trial must be one per cent better to be taken: less is noise at 1,000 customers."""
MIN_GAIN_WIDER = 1.03
"""Twice the factors cost every decision time, so they must earn it."""
MAX_FACTORS = 256
SCORE_BLOCK = 128

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class AlsSettings:
    """All that shapes the factors; `weighting` and `alpha` as in `app.decision.customer.foldin.confidence`.

    The defaults stood best or within 3 % of it on a grocer's tills and on film ratings alike.
    """

    factors: int = 64
    alpha: float = 2.0
    regularization: float = 30.0
    weighting: str = "decayed"
    iterations: int = 15


@dataclass(frozen=True, slots=True)
class Start:
    """Item factors float32 (n, k) to go on from, and how many rounds of least squares follow."""

    item_factors: Floats
    iterations: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One tried setting; `ndcg` at 20 over products new to the customer."""

    settings: AlsSettings
    ndcg: float
    seconds: float

    def document(self) -> dict[str, object]:
        """The trial for a manifest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Tuned:
    """The settings that won, and everything that was tried, in order."""

    settings: AlsSettings
    trials: Sequence[Trial]


@dataclass(frozen=True, slots=True)
class Task:
    """What a trial needs of a split: pairs, customers to ask, what they own, what is new in their truth."""

    pairs: Pairs
    shape: tuple[int, int]
    customers: Ints
    owned: sparse.csr_array
    wanted: Sequence[Ints]


def fit_item_factors(dataset: Dataset, settings: AlsSettings, *, seed: int, start: Start | None = None) -> Floats:
    """Item factors float32 (n, k), zeros for products that nobody bought; the same for the same seed.

    It goes on from `start`, or begins with chance. Hu, Koren, Volinsky 2008, eq. 4 and 5, solved by conjugate gradients
    (Takács, Pilászy, Tikk 2011).
    """
    shape = (len(dataset.customer_ids), len(dataset.product_ids))
    if dataset.line_count == 0:
        return np.zeros((shape[1], settings.factors), np.float32)
    return _fit(purchase_pairs(dataset), shape, settings, seed=seed, start=start)[1]


def tune(
    split: Split,
    *,
    budget_s: float,
    seed: int,
    progress: Callable[[Trial], None] = lambda trial: None,
    start: AlsSettings | None = None,
    max_factors: int = MAX_FACTORS,
) -> Tuned:
    """The best settings of a fixed walk from `start`, stopped by the clock; `progress` hears every trial.

    Judged by products new to the customer: what was bought before, other columns of the ranking know better.
    The walk is the same for the same data and seed; a slower machine gets less far along it. The first trial
    always runs, unless the split has nobody to ask: then `start` wins untried.
    """
    began_s = time.monotonic()
    task = task_of(split, seed=seed)
    trials: list[Trial] = []
    taken: list[Trial] = []
    for settings, min_gain in _walk(start or AlsSettings(), taken, max_factors, has_time=split.train.has_time):
        if not len(task.customers) or (taken and time.monotonic() - began_s + taken[-1].seconds > budget_s):
            break
        trials.append(_try(task, settings, seed=seed))
        progress(trials[-1])
        if not taken or trials[-1].ndcg > min_gain * taken[-1].ndcg:
            taken.append(trials[-1])
    return Tuned(_best(taken, start or AlsSettings()), trials)


def _walk(
    start: AlsSettings, taken: Sequence[Trial], max_factors: int, *, has_time: bool
) -> Iterator[tuple[AlsSettings, float]]:
    """Whether old purchases count as much, far steps, near ones around the last taken trial, more factors; none twice.

    Yields each setting with the gain it must bring.
    """
    tried = {start}
    yield start, 1.0
    if has_time and start.weighting == "decayed":
        undecayed = replace(start, weighting="count")
        tried.add(undecayed)
        yield undecayed, MIN_GAIN
    for alpha, regularization in ((1, 1 / 3), (1, 3), (5, 1), (0.5, 1 / 3), (15, 3), (2, 1), (1, 0.6), (1, 1.7)):
        here = _best(taken, start)
        step = replace(here, alpha=here.alpha * alpha, regularization=here.regularization * regularization)
        if step not in tried:
            tried.add(step)
            yield step, MIN_GAIN
    wider = replace(_best(taken, start), factors=2 * start.factors)
    while wider not in tried and wider.factors <= max_factors:
        tried.add(wider)
        yield wider, MIN_GAIN_WIDER
        wider = replace(wider, factors=2 * _best(taken, start).factors)


def _best(taken: Sequence[Trial], otherwise: AlsSettings) -> AlsSettings:
    return taken[-1].settings if taken else otherwise


def task_of(split: Split, *, seed: int) -> Task:
    """What to ask of a setting: customers who own something and went on to buy something new, at most 1,000."""
    pairs = purchase_pairs(split.train)
    shape = (len(split.train.customer_ids), len(split.train.product_ids))
    owned = sparse.csr_array((np.ones(len(pairs.item), np.bool_), (pairs.customer, pairs.item)), shape=shape)
    new = {code: np.setdiff1d(items, _row(owned, code)) for code, items in split.truth.items()}
    able = np.array(sorted(code for code, items in new.items() if len(items) and len(_row(owned, code))), np.int32)
    if len(able) > TUNING_CUSTOMERS:
        able = np.sort(np.random.default_rng(seed).choice(able, TUNING_CUSTOMERS, replace=False))
    return Task(pairs, shape, able, owned, [new[int(code)] for code in able])


def _row(matrix: sparse.csr_array, row: int) -> Ints:
    columns: Ints = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def _try(task: Task, settings: AlsSettings, *, seed: int) -> Trial:
    began_s = time.monotonic()
    users, items = _fit(task.pairs, task.shape, settings, seed=seed)
    ndcg = rank_metrics(ranked_new(task, lambda asked: users[asked] @ items.T), task.wanted, k=TUNING_CUTOFF)["ndcg"]
    return Trial(settings, ndcg, time.monotonic() - began_s)


def ranked_new(task: Task, score: Callable[[Ints], Floats]) -> list[Ints]:
    """The 20 strongest items that each of the task's customers does not own.

    `score` gives float32 (customers, m) for some of them, and may be written to.
    """
    ranked: list[Ints] = []
    for start in range(0, len(task.customers), SCORE_BLOCK):
        asked = task.customers[start : start + SCORE_BLOCK]
        scores = score(asked)
        scores[task.owned[asked][:, : scores.shape[1]].nonzero()] = -np.inf
        count = min(TUNING_CUTOFF, scores.shape[1])
        top: Places = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-scores[np.arange(len(asked))[:, None], top], axis=1, kind="stable")
        ranked.extend(top[np.arange(len(asked))[:, None], order])
    return ranked


def _fit(
    pairs: Pairs, shape: tuple[int, int], settings: AlsSettings, *, seed: int, start: Start | None = None
) -> tuple[Floats, Floats]:
    # implicit loads slowly and only training needs it.
    from implicit.cpu.als import AlternatingLeastSquares

    weight = confidence(pairs.count, pairs.weight_112d, weighting=settings.weighting, alpha=settings.alpha)
    matrix = sparse.csr_matrix((weight, (pairs.customer, pairs.item)), shape=shape)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            alpha=1.0,
            regularization=settings.regularization,
            iterations=settings.iterations if start is None else start.iterations,
            num_threads=2,
            random_state=seed,
        )
        if start is not None:
            # fit() writes into what it is given; customers follow from the items in its first half round.
            model.item_factors = start.item_factors.copy()
        model.fit(matrix, show_progress=False)
    return _finite(model.user_factors), _finite(model.item_factors)


def _finite(factors: npt.NDArray[np.float32]) -> Floats:
    return np.ascontiguousarray(np.nan_to_num(factors, posinf=0.0, neginf=0.0), np.float32)
