"""The one feature function: candidate columns for scoring, the same when serving, evaluating and training."""

import numpy as np
import numpy.typing as npt

from app.decision.context import DAY_S, Context
from app.domain import Floats, Ints

COLUMNS = (
    "als",
    "linear",
    "together",
    "next",
    "seen",
    "trending",
    "popular",
    "frequent_28d",
    "frequent_112d",
    "frequent_all",
    "repeat",
)
"""The columns that the linear blend weighs, each roughly in [0, 1]; docs/ranking.md explains each."""

RANKER_COLUMNS = (
    "days_since",
    "rhythm",
    "basket_share",
    "visit_rate",
    "basket_size",
    "repeat_rate",
    "next_of_last",
    "anchor_count",
)
"""What the trees look at besides COLUMNS and the blend's own score, in the order of `ranker_columns`."""

# A sum of purchases w becomes w / (w + half): the tenth purchase tells less than the second. Of 1, 3 and 5 these
# ranked best on the validation windows of a grocer (NDCG@10 .2626; with 1, 1, 2: .2609).
HALF_WEIGHT = 3.0
HALF_COUNT = 5.0
# What lies one place further back among the things looked at counts so much less; best of .7, .8, .9 on sessions.
PLACE_DECAY = 0.8
NEVER_DAYS = 9999.0
NO_RHYTHM = -1.0

Places = npt.NDArray[np.intp]


def candidate_columns(context: Context, items: Ints) -> Floats:
    """One row per item (ascending, distinct), one column per name in COLUMNS."""
    bundle, bought = context.bundle, context.bought
    columns = np.zeros((len(items), len(COLUMNS)), np.float32)
    if context.user is not None:
        columns[:, 0] = bundle.item_factors[items] @ context.user
    if context.linear is not None:
        scored = items.searchsorted(len(context.linear))
        columns[:scored, 1] = context.linear[items[:scored]]
    if len(context.anchors):
        weight = anchor_weights(context)
        columns[:, 2] = _pulled(context.near, context.near_score, weight, items)
        followers, chances = bundle.next_idx[context.anchors], bundle.next_score[context.anchors]
        columns[:, 3] = _pulled(followers, chances, weight, items)
        place, known = _places(items, context.anchors)
        columns[place, 4] = weight[known]
    group_items, group_scores = trending_group(context)
    place, known = _places(items, group_items)
    columns[place, 5] = group_scores[known]
    columns[:, 6] = bundle.popularity[items]
    place, known = _places(items, bought.items)
    columns[place, 7] = _saturated(bought.weight_28d[known], HALF_WEIGHT)
    columns[place, 8] = _saturated(bought.weight_112d[known], HALF_WEIGHT)
    columns[place, 9] = _saturated(bought.count[known], HALF_COUNT)
    columns[place, 10] = bundle.repeat_rate[items[place]]
    return columns


def ranker_columns(context: Context, items: Ints) -> Floats:
    """One row per item (ascending, distinct), one column per name in RANKER_COLUMNS; days, and shares in [0, 1]."""
    bundle, bought = context.bundle, context.bought
    columns = np.zeros((len(items), len(RANKER_COLUMNS)), np.float32)
    columns[:, 0] = NEVER_DAYS
    columns[:, 1] = NO_RHYTHM
    place, known = _places(items, bought.items)
    baskets, rate, size = _habits(context)
    if len(known):
        count, last_day = bought.count[known], bought.last_day[known]
        since = np.maximum(np.float32(context.query.now_at.timestamp() / DAY_S) - last_day, 0)
        columns[place, 0] = np.where(last_day > 0, since, 0)
        gap = (last_day - bought.first_day[known]) / np.maximum(count - 1, 1)
        columns[place, 1] = np.where(gap > 0, since / np.maximum(gap, 1), NO_RHYTHM)
        columns[place, 2] = count / max(baskets, 1.0)
    columns[:, 3] = rate
    columns[:, 4] = size
    columns[:, 5] = bundle.repeat_rate[items]
    if len(context.anchors):
        last = context.anchors[:1]
        columns[:, 6] = _pulled(bundle.next_idx[last], bundle.next_score[last], np.ones(1, np.float32), items)
        columns[:, 7] = len(context.anchors)
    return columns


def _habits(context: Context) -> tuple[float, float, float]:
    """Baskets, baskets a day since the first one, lines a basket; zeros for a person without a feature row."""
    if context.features is None:
        return 0.0, 0.0, 0.0
    scalars = context.features.scalars
    baskets = float(scalars.get("basket_count") or 0.0)  # type: ignore[arg-type]
    first_s = scalars.get("first_purchase_at")
    days = (context.features.as_of_at - first_s) / DAY_S if isinstance(first_s, float) else 0.0
    lines = float(scalars.get("line_count") or 0.0)  # type: ignore[arg-type]
    return baskets, baskets / max(days, 1.0) if days else 0.0, lines / max(baskets, 1.0)


def _saturated(weight: Floats, half_at: float) -> Floats:
    return weight / (weight + np.float32(half_at))


def _places(items: Ints, looked_up: Ints) -> tuple[Places, Places]:
    """Where in `items` (ascending) each of `looked_up` stands, and which of them stand there at all."""
    if not len(items):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    place = items.searchsorted(looked_up)
    found = (items.take(place, mode="clip") == looked_up).nonzero()[0]
    return place[found], found


def anchor_weights(context: Context) -> Floats:
    """How much each anchor says of what comes next: 1 in the basket, 0.8^place of what was looked at, latest first."""
    in_basket = (
        np.isin(context.anchors, context.basket) if len(context.basket) else np.zeros(len(context.anchors), bool)
    )
    place = np.cumsum(~in_basket) - 1
    return np.where(in_basket, 1.0, PLACE_DECAY**place).astype(np.float32)


def _pulled(pulled: Ints, scores: Floats, weight: Floats, items: Ints) -> Floats:
    """1 - Π(1 - w·s) for each item over the scores s with which anchors (rows) pull it: at least one of them does."""
    chance = (scores * weight[:, None]).ravel()
    place, known = _places(items, pulled.ravel())
    missed = np.bincount(place, np.log1p(-np.minimum(chance[known], 0.999)), minlength=len(items))
    result: Floats = (-np.expm1(missed)).astype(np.float32)
    return result


def trending_group(context: Context) -> tuple[Ints, Floats]:
    """Items and scores that trend in the customer's store, else in the favourite department, else everywhere."""
    bundle = context.bundle
    row = bundle.group_of.get(context.group, 0)
    count = bundle.trending_count[row]
    return bundle.trending_idx[row, :count], bundle.trending_score[row, :count]
