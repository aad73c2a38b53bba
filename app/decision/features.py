"""The one feature function: candidate columns for scoring, the same when serving, evaluating and training."""

import numpy as np
import numpy.typing as npt

from app.decision.context import Context
from app.domain import Floats, Ints

COLUMNS = ("als", "frequent_28d", "frequent_112d", "frequent_all", "repeat", "together", "trending", "popular")
"""The columns of `candidate_columns`, in order; docs/ranking.md explains each."""

# A sum of purchases w becomes w / (w + half): the tenth purchase tells less than the second. Of 1, 3 and 5 these
# ranked best on the validation windows of a grocer (NDCG@10 .2626; with 1, 1, 2: .2609).
HALF_WEIGHT = 3.0
HALF_COUNT = 5.0

Places = npt.NDArray[np.intp]


def candidate_columns(context: Context, items: Ints) -> Floats:
    """One row per item (ascending, distinct), one column per name in COLUMNS, each roughly in [0, 1]."""
    bundle, bought = context.bundle, context.bought
    columns = np.zeros((len(items), len(COLUMNS)), np.float32)
    if context.user is not None:
        columns[:, 0] = bundle.item_factors[items] @ context.user
    place, known = _places(items, bought.items)
    columns[place, 1] = _saturated(bought.weight_28d[known], HALF_WEIGHT)
    columns[place, 2] = _saturated(bought.weight_112d[known], HALF_WEIGHT)
    columns[place, 3] = _saturated(bought.count[known], HALF_COUNT)
    columns[place, 4] = bundle.repeat_rate[items[place]]
    columns[:, 5] = together_scores(context, items)
    group_items, group_scores = trending_group(context)
    place, known = _places(items, group_items)
    columns[place, 6] = group_scores[known]
    columns[:, 7] = bundle.popularity[items]
    return columns


def _saturated(weight: Floats, half_at: float) -> Floats:
    return weight / (weight + np.float32(half_at))


def _places(items: Ints, looked_up: Ints) -> tuple[Places, Places]:
    """Where in `items` (ascending) each of `looked_up` stands, and which of them stand there at all."""
    if not len(items):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    place = items.searchsorted(looked_up)
    found = (items.take(place, mode="clip") == looked_up).nonzero()[0]
    return place[found], found


def together_scores(context: Context, items: Ints) -> Floats:
    """1 - Π(1 - s) over the anchors' co-purchase scores s: the chance that at least one of them pulls the item."""
    neighbours = context.bundle.neighbours_idx[context.anchors].ravel()
    scores = context.bundle.neighbours_score[context.anchors].ravel()
    place, known = _places(items, neighbours)
    missed = np.bincount(place, np.log1p(-np.minimum(scores[known], 0.999)), minlength=len(items))
    return (-np.expm1(missed)).astype(np.float32)


def trending_group(context: Context) -> tuple[Ints, Floats]:
    """Items and scores that trend in the customer's store, else in the favourite department, else everywhere."""
    bundle = context.bundle
    row = bundle.group_of.get(group_name(context), bundle.group_of.get("all", 0))
    count = bundle.trending_count[row]
    return bundle.trending_idx[row, :count], bundle.trending_score[row, :count]


def group_name(context: Context) -> str:
    """The most particular group of the context that the bundle knows."""
    favourites = context.features.scalars.get("favourite_departments", ()) if context.features else ()
    names = [f"store:{context.query.store_id}"]
    if isinstance(favourites, tuple) and favourites:
        names.append(f"segment:{favourites[0]}")
    return next((name for name in names if name in context.bundle.group_of), "all")
