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
"""Customers per trial: enough to tell two settings apart, few enough for many trials."""
MIN_GAIN = 1.01
"""A trial must be one per cent better to be accepted: less is noise at 1,000 customers."""
MIN_GAIN_WIDER = 1.03
"""Twice the factors cost every decision time, so they must earn it."""
MAX_FACTORS = 256
SCORE_BLOCK = 128
"""Customers whose scores of all products are held at once."""

Positions = npt.NDArray[np.intp]


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
    """Item factors float32 (n, k) to continue from, and how many rounds of least squares follow."""

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
class TuningResult:
    """The settings that won, and everything that was tried, in order."""

    settings: AlsSettings
    trials: Sequence[Trial]


@dataclass(frozen=True, slots=True)
class TuningProblem:
    """What all trials share: pairs, customers to predict for, what they own, what is new in their truth."""

    pairs: Pairs
    shape: tuple[int, int]
    customers: Ints
    owned: sparse.csr_array
    targets: Sequence[Ints]


def fit_item_factors(dataset: Dataset, settings: AlsSettings, *, seed: int, start: Start | None = None) -> Floats:
    """Item factors float32 (n, k), zeros for products that nobody bought; the same for the same seed.

    It continues from `start`, or begins at random. Hu, Koren, Volinsky 2008, eq. 4 and 5, solved by conjugate gradients
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
    on_trial: Callable[[Trial], None] = lambda trial: None,
    start: AlsSettings | None = None,
    max_factors: int = MAX_FACTORS,
) -> TuningResult:
    """The best settings of a fixed search from `start`, stopped by the clock; `on_trial` is called after every trial.

    Measured on products new to the customer: what was bought before, other columns of the ranking know better.
    The search is the same for the same data and seed; a slower machine gets less far in it. The first trial
    always runs, unless the split has nobody to predict for: then `start` wins untried.
    """
    began_s = time.monotonic()
    problem = tuning_problem(split, seed=seed)
    trials: list[Trial] = []
    accepted: list[Trial] = []
    for settings, min_gain in _search(start or AlsSettings(), accepted, max_factors, has_time=split.train.has_time):
        # The last accepted trial says how long one takes: none is begun that would end beyond the budget.
        if not len(problem.customers) or (accepted and time.monotonic() - began_s + accepted[-1].seconds > budget_s):
            break
        trials.append(_try(problem, settings, seed=seed))
        on_trial(trials[-1])
        if not accepted or trials[-1].ndcg > min_gain * accepted[-1].ndcg:
            accepted.append(trials[-1])
    return TuningResult(_best(accepted, start or AlsSettings()), trials)


def _search(
    start: AlsSettings, accepted: Sequence[Trial], max_factors: int, *, has_time: bool
) -> Iterator[tuple[AlsSettings, float]]:
    """Whether old purchases count as much, far steps, near ones around the last accepted, more factors; none twice.

    Yields each setting with the gain it must bring.
    """
    # The caller adds to `accepted` between two yields, so each step starts from the best so far.
    tried = {start}
    yield start, 1.0
    # Without times decayed weights equal counts, and this trial would repeat the first.
    if has_time and start.weighting == "decayed":
        undecayed = replace(start, weighting="count")
        tried.add(undecayed)
        yield undecayed, MIN_GAIN
    for alpha, regularization in ((1, 1 / 3), (1, 3), (5, 1), (0.5, 1 / 3), (15, 3), (2, 1), (1, 0.6), (1, 1.7)):
        here = _best(accepted, start)
        step = replace(here, alpha=here.alpha * alpha, regularization=here.regularization * regularization)
        if step not in tried:
            tried.add(step)
            yield step, MIN_GAIN
    wider = replace(_best(accepted, start), factors=2 * start.factors)
    while wider not in tried and wider.factors <= max_factors:
        tried.add(wider)
        yield wider, MIN_GAIN_WIDER
        # After a doubling that was not accepted this is the same setting again, which ends the loop.
        wider = replace(wider, factors=2 * _best(accepted, start).factors)


def _best(accepted: Sequence[Trial], otherwise: AlsSettings) -> AlsSettings:
    return accepted[-1].settings if accepted else otherwise


def tuning_problem(split: Split, *, seed: int) -> TuningProblem:
    """The customers who own something and went on to buy something new, at most 1,000, and what trials need of them."""
    pairs = purchase_pairs(split.train)
    shape = (len(split.train.customer_ids), len(split.train.product_ids))
    owned = sparse.csr_array((np.ones(len(pairs.item), np.bool_), (pairs.customer, pairs.item)), shape=shape)
    new = {code: np.setdiff1d(items, _row(owned, code)) for code, items in split.truth.items()}
    # Sorted, because the seed draws positions: another order would give other customers.
    able = np.array(sorted(code for code, items in new.items() if len(items) and len(_row(owned, code))), np.int32)
    if len(able) > TUNING_CUSTOMERS:
        able = np.sort(np.random.default_rng(seed).choice(able, TUNING_CUSTOMERS, replace=False))
    return TuningProblem(pairs, shape, able, owned, [new[int(code)] for code in able])


def _row(matrix: sparse.csr_array, row: int) -> Ints:
    columns: Ints = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
    return columns


def _try(problem: TuningProblem, settings: AlsSettings, *, seed: int) -> Trial:
    began_s = time.monotonic()
    users, items = _fit(problem.pairs, problem.shape, settings, seed=seed)
    ranked = ranked_new(problem, lambda customers: users[customers] @ items.T)
    ndcg = rank_metrics(ranked, problem.targets, k=TUNING_CUTOFF)["ndcg"]
    return Trial(settings, ndcg, time.monotonic() - began_s)


def ranked_new(problem: TuningProblem, score: Callable[[Ints], Floats]) -> list[Ints]:
    """The 20 strongest items that each of the problem's customers does not own.

    `score` gives float32 (customers, m) for some of them, and may be written to.
    """
    ranked: list[Ints] = []
    for start in range(0, len(problem.customers), SCORE_BLOCK):
        customers = problem.customers[start : start + SCORE_BLOCK]
        scores = score(customers)
        # The linear part scores the most bought products alone, so there may be fewer columns than products.
        scores[problem.owned[customers][:, : scores.shape[1]].nonzero()] = -np.inf
        count = min(TUNING_CUTOFF, scores.shape[1])
        top: Positions = np.argpartition(-scores, count - 1, axis=1)[:, :count]
        order = np.argsort(-scores[np.arange(len(customers))[:, None], top], axis=1, kind="stable")
        ranked.extend(top[np.arange(len(customers))[:, None], order])
    return ranked


def _fit(
    pairs: Pairs, shape: tuple[int, int], settings: AlsSettings, *, seed: int, start: Start | None = None
) -> tuple[Floats, Floats]:
    # implicit loads slowly and only training needs it.
    from implicit.cpu.als import AlternatingLeastSquares

    weight = confidence(pairs.count, pairs.weight_112d, weighting=settings.weighting, alpha=settings.alpha)
    # implicit wants a csr_matrix: it warns of anything else, a csr_array too, and converts it.
    matrix = sparse.csr_matrix((weight, (pairs.customer, pairs.item)), shape=shape)
    # implicit runs threads of its own, and warns that BLAS threads under them cost more than they bring.
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=settings.factors,
            # `weight` is the whole confidence already; implicit would multiply it by alpha.
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
