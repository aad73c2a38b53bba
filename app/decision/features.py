"""The one feature function: candidate columns for scoring, the same when serving, evaluating and training."""

import numpy as np
import numpy.typing as npt

from app.decision.context import Context
from app.domain import Floats, Ints

COLUMNS = ("als", "frequent_28d", "frequent_112d", "frequent_all", "together", "trending", "popular")
"""The columns of `candidate_columns`, in order; docs/ranking.md explains each."""

Places = npt.NDArray[np.intp]


def candidate_columns(context: Context, items: Ints) -> Floats:
    """One row per item (ascending, distinct), one column per name in COLUMNS, each roughly in [0, 1].

    A decayed sum of purchases w becomes w / (w + 1): the tenth purchase tells less than the second.
    """
    bundle = context.bundle
    columns = np.zeros((len(items), len(COLUMNS)), np.float32)
    if context.user is not None:
        columns[:, 0] = bundle.item_factors[items] @ context.user
    place, known = _places(items, context.bought.items)
    columns[place, 1] = _saturated(context.bought.weight_28d[known], 1.0)
    columns[place, 2] = _saturated(context.bought.weight_112d[known], 1.0)
    columns[place, 3] = _saturated(context.bought.count[known], 2.0)
    columns[:, 4] = together_scores(context, items)
    group_items, group_scores = trending_group(context)
    place, known = _places(items, group_items)
    columns[place, 5] = group_scores[known]
    columns[:, 6] = bundle.popularity[items]
    return columns


def _saturated(weight: Floats, half_at: float) -> Floats:
    return weight / (weight + np.float32(half_at))


def _places(items: Ints, looked_up: Ints) -> tuple[Places, Places]:
    """Where in `items` (ascending) each of `looked_up` stands, and which of them stand there at all."""
    if not len(items):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    place = np.searchsorted(items, looked_up)
    place[place == len(items)] = 0
    found = np.flatnonzero(items[place] == looked_up)
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
    items = bundle.trending_idx[row]
    return items[items >= 0], bundle.trending_score[row][items >= 0]


def group_name(context: Context) -> str:
    """The most particular group of the context that the bundle knows."""
    favourites = context.features.scalars.get("favourite_departments", ()) if context.features else ()
    names = [f"store:{context.query.store_id}"]
    if isinstance(favourites, tuple) and favourites:
        names.append(f"segment:{favourites[0]}")
    return next((name for name in names if name in context.bundle.group_of), "all")
