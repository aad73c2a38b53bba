"""Candidates of several past windows become the ranking: linear weights, and trees where they rank better."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.decision.candidates.gather import find_candidates
from app.decision.customer.context import make_context
from app.decision.eligibility.products import all_allowed, eligibility_rules, keep_eligible
from app.decision.ranking.features import BLEND_ROW, COLUMNS, TABLE_COLUMNS, feature_table, table_columns
from app.decision.ranking.scoring import best_positions
from app.domain import Floats, Mask
from app.model.bundle import Bundle
from training.queries.evaluation_queries import OPTIONS, EvaluationQueries
from training.ranking.blend import Blend, calibrations_by_kind, fit_blend
from training.ranking.leaks import check_columns, check_times
from training.ranking.trees import Tables, Trees, fit_trees, ndcg_of

HELD_BACK_SHARE = 0.3
"""Of a single window's queries, those that decide about the trees."""

OPTIONAL = ("linear", "following")
"""Columns that cost time in every decision and that a bundle can do without."""
MIN_GAIN = 1.005
"""They stay where the blend ranks half a per cent better with them."""


@dataclass(frozen=True, slots=True)
class Window:
    """The queries of one past window. Per query: `rows` (c, names) of all candidates with no blend yet,
    `labels` (c,) which were bought, `truth_counts` how many products were, `kinds` what kind of question it is."""

    rows: Sequence[Floats]
    labels: Sequence[Mask]
    truth_counts: Sequence[int]
    names: Sequence[str] = TABLE_COLUMNS
    kinds: Sequence[str] = ()

    @property
    def columns(self) -> Sequence[Floats]:
        """What the blend weighs, per query (c, COLUMNS)."""
        return [rows[:, :BLEND_ROW] for rows in self.rows]

    def only(self, positions: Sequence[int]) -> "Window":
        """Those at these positions."""
        return Window(
            [self.rows[position] for position in positions],
            [self.labels[position] for position in positions],
            [self.truth_counts[position] for position in positions],
            self.names,
            [self.kinds[position] for position in positions] if self.kinds else (),
        )


@dataclass(frozen=True, slots=True)
class Ranking:
    """A blend and, where they rank better, trees; `figures` = NDCG@10 of both on the window that decided.

    `dropped`: the columns that the bundle does without.
    """

    blend: Blend
    trees: Trees | None
    figures: dict[str, float]
    dropped: Sequence[str] = ()


def candidate_window(bundle: Bundle, queries: EvaluationQueries) -> Window:
    """What the pipeline would look at for each query, by its own functions."""
    check_times(queries)
    rows, labels = [], []
    for query, state, truth in queries:
        context = make_context(query, bundle, state, stale_after_s=OPTIONS.stale_after_s)
        rules = eligibility_rules(context)
        items, _ = keep_eligible(find_candidates(context, all_allowed(rules)), rules)
        rows.append(feature_table(context, items).T)
        labels.append(np.isin(items, truth))
    truth_counts = [len(truth) for truth in queries.truth]
    return Window(rows, labels, truth_counts, table_columns(bundle), queries.kinds())


def not_needed(newest: Window, *, seed: int) -> Sequence[str]:
    """Of the optional columns those without which a blend ranks the newest window as well: older ones need none."""
    blend = _fit_blend(newest, seed=seed)
    return tuple(name for name in OPTIONAL if not _needs(name, blend, newest))


def fit_ranking(
    windows: list[Window], *, seed: int, dropped: Sequence[str] = (), may_have_trees: bool = True
) -> Ranking:
    """The ranking that the windows (newest first) teach; the newest decides whether trees are worth having.

    The list is empty then: windows hold hundreds of megabytes, and trees need a half of that. The ranking makes no use
    of the columns that are `dropped`, which are emptied. A single window is shared: most of its queries teach, the
    others decide. Raises LeakFound when a column knows what was bought.
    """
    every = merged(windows)
    check_columns(every.names, every.rows, every.labels)
    _empty(dropped, every)
    kept = list(windows)
    windows.clear()
    older, newest = (merged(kept[1:]), kept[0]) if len(kept) > 1 else _shared(kept[0], seed=seed)
    blend = _fit_blend(merged([older, newest]), seed=seed)
    # A column without values keeps its default weight, and a server would fill it.
    blend = replace(blend, weights={**blend.weights, **dict.fromkeys(dropped, 0.0)})
    learned, test = _tables(older, blend), _tables(newest, blend)
    del every, kept, older, newest
    # The blend's weights have seen the newest window and the trees have not: the comparison favours the blend.
    trees = fit_trees(learned, test, seed=seed) if may_have_trees else None
    if trees is None:
        return Ranking(_by_kind(blend, learned, test), None, {"blend": blend.ndcg}, dropped)
    figures = {"blend": trees.blend_ndcg, "trees": trees.ndcg}
    return Ranking(replace(blend, calibration=trees.calibration, by_kind=trees.by_kind), trees, figures, dropped)


def _by_kind(blend: Blend, *tables: Tables) -> Blend:
    scores = [rows[:, BLEND_ROW] for one in tables for rows in one.rows]
    labels = [hits for one in tables for hits in one.labels]
    return replace(blend, by_kind=calibrations_by_kind(scores, labels, [kind for one in tables for kind in one.kinds]))


def _needs(name: str, blend: Blend, window: Window) -> bool:
    """True when the blend ranks the window better by MIN_GAIN with this column, which costs every decision."""
    position = COLUMNS.index(name)
    weights = np.array([blend.weights[column] for column in COLUMNS], np.float32)
    reduced = weights.copy()
    reduced[position] = 0
    with_it, without = (
        ndcg_of(
            [table @ chosen for table in window.columns], Tables(window.columns, window.labels, window.truth_counts)
        )
        for chosen in (weights, reduced)
    )
    return bool(with_it.sum() > MIN_GAIN * without.sum())


def _empty(names: Sequence[str], window: Window) -> None:
    positions = [COLUMNS.index(name) for name in names]
    for table in window.rows:
        table[:, positions] = 0


def _fit_blend(window: Window, *, seed: int) -> Blend:
    return fit_blend(window.columns, window.labels, names=COLUMNS, seed=seed, truth_counts=window.truth_counts)


def merged(windows: Sequence[Window]) -> Window:
    """One window with the queries of all, in their order."""
    return Window(
        [table for window in windows for table in window.rows],
        [hits for window in windows for hits in window.labels],
        [count for window in windows for count in window.truth_counts],
        windows[0].names,
        [kind for window in windows for kind in window.kinds],
    )


def _shared(window: Window, *, seed: int) -> tuple[Window, Window]:
    positions = np.random.default_rng(seed).permutation(len(window.labels))
    test_count = round(HELD_BACK_SHARE * len(positions))
    return window.only(positions[test_count:].tolist()), window.only(positions[:test_count].tolist())


def _tables(window: Window, blend: Blend) -> Tables:
    """The trees' rows of each query: its best candidates by the blend, as serving makes them."""
    weights = np.array([blend.weights[name] for name in COLUMNS], np.float32)
    rows, labels = [], []
    for table, hits in zip(window.rows, window.labels, strict=True):
        blended = table[:, :BLEND_ROW] @ weights
        best = best_positions(blended)
        # Indexing by positions copies, so the window's own rows keep their empty blend column.
        rows.append(table[best])
        rows[-1][:, BLEND_ROW] = blended[best]
        labels.append(hits[best])
    return Tables(rows, labels, window.truth_counts, window.names, window.kinds)
