"""A guard between queries and learning: no row may know what happened after the instant of its query."""

from collections.abc import Sequence

import numpy as np

from app.domain import Floats, Mask
from app.errors import LeakFound
from training.metrics.ranking import auc
from training.queries.evaluation_queries import EvaluationQueries

TOO_GOOD_AUC = 0.995
"""No honest column separates bought from not bought this well; the best of a grocer's has .87."""
MIN_HITS = 200


def check_times(queries: EvaluationQueries) -> None:
    """Raises LeakFound when a customer's features or events are later than the query."""
    for query, state, _ in queries:
        now_s = query.now_at.timestamp()
        # Features hold what lies before their instant, so that of the query itself is right; an event then is too late.
        if state.features is not None and state.features.as_of_at > now_s:
            raise LeakFound(
                f"features of customer {query.customer_id!r} are as of {state.features.as_of_at:.0f} s, the query "
                f"is of {now_s:.0f} s: build them as of the query"
            )
        late = [event.event_id for event in state.events if event.time_s >= now_s]
        if late:
            raise LeakFound(f"event {late[0]!r} happens after the query at {now_s:.0f} s: leave it out")


def check_columns(names: Sequence[str], columns: Sequence[Floats], labels: Sequence[Mask]) -> None:
    """Raises LeakFound when one column alone gives away what was bought, almost without error (AUC > .995, either way).

    Per query `columns` (c, names) and `labels` (c,). Fewer than 200 products bought prove nothing.
    """
    filled = [row for row, hits in enumerate(labels) if hits.any()]
    if sum(int(labels[row].sum()) for row in filled) < MIN_HITS:
        return
    bought = np.concatenate([labels[row] for row in filled])
    for position, name in enumerate(names):
        # One after the other: all of them again at once are hundreds of megabytes.
        values = np.concatenate([columns[row][:, position] for row in filled])
        ranked = auc(values.astype(np.float64), bought)
        if max(ranked, 1 - ranked) > TOO_GOOD_AUC:
            raise LeakFound(
                f"column {name!r} alone gives away what was bought next (AUC {ranked:.4f}): it must have seen it; "
                "build it from what was known at the query"
            )
