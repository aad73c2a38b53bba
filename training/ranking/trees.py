"""The candidates of held-out baskets become trees: the learned part of the ranking, kept only where it helps."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from app.decision.ranking.features import BLEND_ROW, TABLE_COLUMNS
from app.domain import Floats, Mask
from app.model.ranker import TreeRanker
from training.metrics.ranking import METRIC_NAMES, Wide, paired_interval, per_customer
from training.ranking.blend import Calibration, calibration_of, calibrations_by_kind, fit_calibration

CUTOFF = 10
OWNED_PLACE = TABLE_COLUMNS.index("frequent_all")
MIN_QUERIES = 300
"""Fewer queries with a hit make trees of luck."""
MISS_SHARE = 0.2
"""Of the candidates that were not bought, this share is learned from, each weighing 1 / share."""
SETTINGS: Mapping[str, str | float] = {
    "loss_function": "Logloss",
    "iterations": 200,
    "depth": 5,
    "learning_rate": 0.1,
    "thread_count": 2,
    "verbose": False,
    "allow_writing_files": False,  # Else CatBoost leaves a folder catboost_info where it was started.
}
STRONG, WEAK = 66.0, 3.0
"""Regularization, CatBoost's `l2_leaf_reg`, which it multiplies by the rows' mean weight. Strong where seasons change
what column values mean: learned on four windows of a grocer, trees of depth 5 with it ranked the next two at NDCG@10
.2288 and .2216, of depth 4 with 3 at .2264 and .2216. Weak where they do not: on listening sessions MRR@20 rose from
.100 to .109."""
NOT_REPRODUCIBLE = ("train_finish_time", "model_guid")
"""What CatBoost writes into a model that differs between two runs on the same rows."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Held-out queries: per query the candidates' rows (c, t) by `names` and what was bought (c,).

    `truth_counts` = products of the basket, found among the candidates or not; `kinds` of question, where known.
    """

    rows: Sequence[Floats]
    labels: Sequence[Mask]
    truth_counts: Sequence[int]
    names: Sequence[str] = TABLE_COLUMNS
    kinds: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Trees:
    """A fitted ranker: `content` in CatBoost's own format, on top of the blend's log-odds (`base`).

    `columns` = what their rows hold. `calibration` of their sum; NDCG@10 of them and of the blend on the test baskets
    (0 = not measured). `ranks_new`: among products new to the customer they ranked no worse.
    """

    content: bytes
    base: Calibration
    calibration: Calibration
    _: KW_ONLY
    columns: Sequence[str]
    ranks_new: bool
    ndcg: float = 0.0
    blend_ndcg: float = 0.0
    by_kind: Mapping[str, Calibration] = field(default_factory=dict)


def fit_trees(tables: Tables, test: Tables, *, seed: int) -> Trees | None:
    """Trees learned from `tables` and then from both; None where on `test` they are not better than the blend.

    Better = by more than a standard error of the NDCG@10 difference over the queries: being wrong costs little, and
    trees are calibrated better. The calibration is fitted on `test` by trees that did not see it. Same rows, same
    seed: same bytes.
    """
    if min(_hit_count(tables), _hit_count(test)) < MIN_QUERIES // 2:
        return None
    base = fit_calibration(np.concatenate(_each_blend(tables)), np.concatenate(tables.labels))
    by_blend = ndcg_of(_each_blend(test), test)
    regularization, first, by_trees = _regularized(tables, test, base, seed=seed)
    if not _is_better(by_trees, by_blend, seed=seed):
        return None
    scores = _scores(first, test)
    calibration = calibration_of(scores, test.labels)
    new = _new_only(test)
    ranks_new = bool(ndcg_of(_scores(first, new), new).sum() >= ndcg_of(_each_blend(new), new).sum())
    both = Tables(
        [*tables.rows, *test.rows],
        [*tables.labels, *test.labels],
        [*tables.truth_counts, *test.truth_counts],
        tables.names,
    )
    return Trees(
        _fit(both, base, regularization, seed=seed),
        base,
        calibration,
        columns=tuple(tables.names),
        ranks_new=ranks_new,
        ndcg=float(by_trees.mean()),
        blend_ndcg=float(by_blend.mean()),
        by_kind=calibrations_by_kind(scores, test.labels, test.kinds),
    )


def _is_better(these: Wide, others: Wide, *, seed: int) -> bool:
    """By more than a standard error of the mean difference."""
    gain, _, high = paired_interval(these - others, seed=seed)
    # The end of a 95 % interval is two standard errors away from the mean.
    return gain > (high - gain) / 2


def _regularized(tables: Tables, test: Tables, base: Calibration, *, seed: int) -> tuple[float, TreeRanker, Wide]:
    """The regularization that suits `test`, and the trees of `tables` by it, as of `_tried`."""
    strong, by_strong = _tried(tables, test, base, STRONG, seed=seed)
    weak, by_weak = _tried(tables, test, base, WEAK, seed=seed)
    if _is_better(by_weak, by_strong, seed=seed):
        return WEAK, weak, by_weak
    return STRONG, strong, by_strong


def _tried(
    tables: Tables, test: Tables, base: Calibration, regularization: float, *, seed: int
) -> tuple[TreeRanker, Wide]:
    """The trees of `tables`, and the NDCG@10 by them of each query of `test`."""
    content = _fit(tables, base, regularization, seed=seed)
    ranker = TreeRanker(content, tables.names, slope=base.slope, intercept=base.intercept)
    return ranker, ndcg_of(_scores(ranker, test), test)


def _scores(ranker: TreeRanker, tables: Tables) -> list[Floats]:
    return [ranker.scores(np.ascontiguousarray(rows)) for rows in tables.rows]


def ndcg_of(scores: Sequence[Floats], tables: Tables) -> Wide:
    """NDCG@10 of each query with a product to predict, its candidates ranked by `scores`."""
    found = np.zeros((len(scores), CUTOFF), np.bool_)
    for row, (ranking, labels) in enumerate(zip(scores, tables.labels, strict=True)):
        top = np.argsort(-ranking, kind="stable")[:CUTOFF]
        found[row, : len(top)] = labels[top]
    # A query with nothing to predict has no hit either: 1 keeps its figure at 0 instead of 0 / 0.
    sizes = np.maximum(np.asarray(tables.truth_counts, np.int32), 1)
    return per_customer(found, sizes, k=CUTOFF)[:, METRIC_NAMES.index("ndcg")]


def _hit_count(tables: Tables) -> int:
    return sum(bool(labels.any()) for labels in tables.labels)


def _each_blend(tables: Tables) -> list[Floats]:
    return [rows[:, BLEND_ROW] for rows in tables.rows]


def _new_only(tables: Tables) -> Tables:
    """The same queries with the candidates that the customer never bought; hits among the others do not count."""
    # frequent_all is above 0 for exactly what was bought.
    new = [rows[:, OWNED_PLACE] <= 0 for rows in tables.rows]
    rows = [np.ascontiguousarray(one[kept]) for one, kept in zip(tables.rows, new, strict=True)]
    labels = [hits[kept] for hits, kept in zip(tables.labels, new, strict=True)]
    return Tables(rows, labels, [int(hits.sum()) for hits in labels], tables.names)


def _fit(tables: Tables, base: Calibration, regularization: float, *, seed: int) -> bytes:
    # CatBoost loads slowly and only training and bundles with trees need it.
    from catboost import CatBoost, Pool

    labels = np.concatenate(tables.labels)
    sampled = labels | (np.random.default_rng(seed).random(len(labels)) < MISS_SHARE)
    # Table by table: all rows at once are hundreds of megabytes.
    of_table = np.split(sampled, np.cumsum([len(hits) for hits in tables.labels])[:-1])
    rows = np.concatenate([table[chosen] for table, chosen in zip(tables.rows, of_table, strict=True)])
    labels = labels[sampled]
    weight = np.where(labels, 1.0, 1 / MISS_SHARE)
    model = CatBoost({**SETTINGS, "l2_leaf_reg": regularization, "random_seed": seed})
    # The trees learn what the baseline leaves. CatBoost does not save it with them: TreeRanker adds it again.
    baseline = base.slope * rows[:, BLEND_ROW] + base.intercept
    model.fit(Pool(rows, labels.astype(np.float32), weight=weight, baseline=baseline))
    metadata = model.get_metadata()
    for name in NOT_REPRODUCIBLE:
        if name in metadata:
            metadata[name] = ""
    with TemporaryDirectory(prefix="endcap-ranker-") as folder:
        # CatBoost's public interface writes a model to a path alone.
        path = Path(folder) / "ranker.cbm"
        model.save_model(str(path))
        return path.read_bytes()
