"""The one feature function: candidate columns for scoring, the same when serving, evaluating and training."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from app.decision.customer.context import DAY_S, Context
from app.decision.customer.promotions import Promotions
from app.decision.customer.trending import trending_group
from app.domain import Floats, Ints
from app.model.bundle import Bundle
from app.model.ranker import BLEND

COLUMNS = (
    "als",
    "linear",
    "together",
    "next",
    "following",
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
    "interval_ratio",
    "basket_share",
    "visit_rate",
    "basket_size",
    "repeat_rate",
    "next_of_last",
    "anchor_count",
    "following_of_last",
    "view_count",
    "repeat_view_share",
)
"""What the trees look at in addition to COLUMNS and the blend's own score."""

PROMOTION_COLUMNS = (
    "promoted",
    "on_display",
    "in_flyer",
    "promoted_share",
    "display_share",
    "flyer_share",
    "promotion_lift",
    "promoted_before",
)
"""What the trees look at as well where promotions were imported; last, so that trees without them read the others."""

TABLE_COLUMNS = (*COLUMNS, BLEND, *RANKER_COLUMNS)
"""All that is known of a candidate where there are no promotions."""
ALL_COLUMNS = (*TABLE_COLUMNS, *PROMOTION_COLUMNS)
"""The same where there are."""
BLEND_ROW = len(COLUMNS)
ROW = {name: row for row, name in enumerate(ALL_COLUMNS)}

# A sum of purchases w becomes w / (w + half): the tenth purchase says less than the second. Of 1, 3 and 5 these
# ranked best on the validation windows of a grocer (NDCG@10 .2626; with 1, 1, 2: .2609).
HALF_WEIGHT = 3.0
HALF_COUNT = 5.0
# What lies one step further back among the things looked at counts so much less; best of .7, .8, .9 on sessions.
PLACE_DECAY = 0.8
# Outside what occurs, so that one split of a tree sets "never" apart; the blend does not weigh these columns.
NEVER_DAYS = 9999.0
NO_INTERVAL = -1.0

Positions = npt.NDArray[np.intp]
PositionOf = npt.NDArray[np.signedinteger[Any]]


def feature_table(context: Context, items: Ints) -> Floats:
    """One row per name in `table_columns`, one column per item (ascending, distinct); the blend's row is yet zero.

    Days, and shares in [0, 1]. One pass for all, because most of the time goes into finding the items' positions, and
    with the axes in the order that filling and trees like.
    """
    table = np.zeros((len(table_columns(context.bundle)), len(items)), np.float32)
    bundle, bought, anchors = context.bundle, context.bought, context.anchors
    position_of = _position_of(bundle.item_count, items)
    if context.user is not None:
        table[ROW["als"]] = bundle.item_factors.take(items, axis=0) @ context.user
    if context.linear is not None:
        # There are scores for the most bought products, which have the lowest numbers.
        scored = items.searchsorted(len(context.linear))
        table[ROW["linear"], :scored] = context.linear.take(items[:scored])
    if len(anchors):
        weight = anchor_weights(context)[:, None]
        table[ROW["together"]] = _pulled(context.near, context.near_score * weight, position_of, len(items))
        followers, often = bundle.next_idx.take(anchors, axis=0), bundle.next_score.take(anchors, axis=0)
        table[ROW["next"]] = _pulled(followers, often * weight, position_of, len(items))
        position, known = _positions(position_of, anchors)
        table[ROW["seen"], position] = weight[known, 0]
        table[ROW["view_count"], position] = context.views.take(known)
        table[ROW["repeat_view_share"]] = _repeat_view_share(context.views)
        position, known = _positions(position_of, followers[0])
        # The cap of `_pulled`: for a single anchor this column and `next` are the same.
        table[ROW["next_of_last"], position] = np.minimum(often[0].take(known), 0.999)
        table[ROW["anchor_count"]] = len(anchors)
    if context.followers is not None:
        followers, often = context.followers.items, context.followers.chance
        table[ROW["following"]] = _pulled(followers, often, position_of, len(items))
        last = slice(context.followers.latest)
        table[ROW["following_of_last"]] = _pulled(followers[last], often[last], position_of, len(items))
    group_items, group_scores = trending_group(context)
    position, known = _positions(position_of, group_items)
    table[ROW["trending"], position] = group_scores.take(known)
    table[ROW["popular"]] = bundle.popularity.take(items)
    repeat_rate = bundle.repeat_rate.take(items)
    position, known = _positions(position_of, bought.items)
    baskets_with = bought.count.take(known)
    table[ROW["frequent_28d"], position] = _saturated(bought.weight_28d.take(known), HALF_WEIGHT)
    table[ROW["frequent_112d"], position] = _saturated(bought.weight_112d.take(known), HALF_WEIGHT)
    table[ROW["frequent_all"], position] = _saturated(baskets_with, HALF_COUNT)
    table[ROW["repeat"], position] = repeat_rate.take(position)
    baskets, rate, size = _habits(context)
    last_day = bought.last_day.take(known)
    # Some 20,000 days after 1970 single precision still resolves three minutes.
    since = np.maximum(np.float32(context.query.now_at.timestamp() / DAY_S) - last_day, 0)
    gap = (last_day - bought.first_day.take(known)) / np.maximum(baskets_with - 1, 1)
    table[ROW["days_since"]] = NEVER_DAYS
    # Day 0 stands for an unknown time.
    table[ROW["days_since"], position] = since * (last_day > 0)
    table[ROW["interval_ratio"]] = NO_INTERVAL
    table[ROW["interval_ratio"], position] = np.where(gap > 0, since / np.maximum(gap, 1), NO_INTERVAL)
    table[ROW["basket_share"], position] = baskets_with / max(baskets, 1.0)
    table[ROW["visit_rate"]], table[ROW["basket_size"]] = rate, size
    table[ROW["repeat_rate"]] = repeat_rate
    if context.promotions is not None:
        _fill_promotions(table, context.promotions, items)
    return table


def table_columns(bundle: Bundle) -> Sequence[str]:
    """The names of a feature table's rows: with promotions where the bundle, or what ranks in it, knows any."""
    ranks_promotions = bundle.ranker is not None and PROMOTION_COLUMNS[0] in bundle.ranker.columns
    return ALL_COLUMNS if ranks_promotions or bundle.promotions is not None else TABLE_COLUMNS


@lru_cache(maxsize=32)
def rows_of(columns: tuple[str, ...]) -> slice | list[int]:
    """Where a table holds these columns: trees of an earlier version know fewer. KeyError for one it does not hold."""
    rows = [ROW[name] for name in columns]
    # Mostly they are its first rows, which a slice reads where they lie.
    return slice(len(rows)) if rows == list(range(len(rows))) else rows


def _fill_promotions(table: Floats, promotions: Promotions, items: Ints) -> None:
    here, before = promotions.here, promotions.before
    first = ROW["promoted"]
    table[first : first + 3] = here.flags.take(here.places_of(items), axis=1)
    table[first + 3 : first + 6] = promotions.everywhere.shares.take(items, axis=1)
    table[ROW["promotion_lift"]] = promotions.lift.take(items)
    table[ROW["promoted_before"]] = before.flags[0].take(before.places_of(items))


def _repeat_view_share(views: Floats) -> float:
    """The share of views that were of a product viewed before; 0 without any."""
    total = float(views.sum())
    return 1 - float((views > 0).sum()) / total if total else 0.0


def _habits(context: Context) -> tuple[float, float, float]:
    """Baskets, baskets a day since the first one, lines a basket; zeros for a person without a feature row."""
    if context.features is None:
        return 0.0, 0.0, 0.0
    scalars = context.features.scalars
    baskets = context.features.number("basket_count")
    first_s = scalars.get("first_purchase_at")
    days = (context.features.as_of_at - first_s) / DAY_S if isinstance(first_s, float) else 0.0
    lines = context.features.number("line_count")
    return baskets, baskets / max(days, 1.0) if days else 0.0, lines / max(baskets, 1.0)


def _saturated(weight: Floats, half_at: float) -> Floats:
    return weight / (weight + np.float32(half_at))


def _position_of(item_count: int, items: Ints) -> PositionOf:
    """For every item where it stands in `items`, -1 for all others and for item -1: found by reading, not searching."""
    # Short numbers where they suffice: 180 KB for 90,000 products, which the nearest cache holds.
    position_of: PositionOf = np.full(item_count + 1, -1, np.int16 if len(items) < 1 << 15 else np.int32)
    position_of[items] = np.arange(len(items))
    return position_of


def _positions(position_of: PositionOf, items: Ints) -> tuple[Positions, Positions]:
    """Where each of `items` stands, and which of them stand there at all."""
    position = position_of.take(items, mode="wrap")
    known = (position >= 0).nonzero()[0]
    return position.take(known).astype(np.intp), known


def anchor_weights(context: Context) -> Floats:
    """How much each anchor says of what comes next: 1 in the basket, 0.8^place of what was looked at, latest first."""
    basket, looked_at = set(context.basket.tolist()), count()
    anchors = context.anchors.tolist()
    return np.array([1.0 if item in basket else PLACE_DECAY ** next(looked_at) for item in anchors], np.float32)


def _pulled(pulled: Ints, chances: Floats, position_of: PositionOf, item_count: int) -> Floats:
    """1 - Π(1 - c) for each item over the chances c with which others (rows) pull it: at least one of them does."""
    chance = chances.ravel()
    position, known = _positions(position_of, pulled.ravel())
    # Capped below 1: the logarithm of a certain purchase would be minus infinity.
    missed = np.bincount(position, np.log1p(-np.minimum(chance.take(known), 0.999)), minlength=item_count)
    result: Floats = (-np.expm1(missed)).astype(np.float32)
    return result
