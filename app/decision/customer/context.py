"""From a question and a customer's state to arrays in one bundle's item space: the first stage of a decision."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.decision.customer.foldin import MAX_ITEM_COUNT, confidence, fold_in, strength
from app.decision.customer.linear import linear_scores
from app.decision.customer.live import LiveProfile, LivePurchase, live_profile
from app.decision.customer.past import Followers, followers_of_past
from app.decision.customer.promotions import Promotions, promotions_for
from app.domain import CustomerFeatures, Degraded, Floats, Ints, LiveEvent, Query, Selection, Wallet
from app.model.bundle import Bundle
from app.places.live import Place
from app.ports import CustomerState

DAY_S = 86_400.0
ANCHOR_ITEMS = 20
# A product that the request names as basket or recent counts like one that was looked at.
NAMED_INTEREST = 0.5


@dataclass(frozen=True, slots=True)
class Bought:
    """Every product a person bought, as parallel columns ordered by item; weights are decayed to the decision's now."""

    items: Ints
    count: Floats
    weight_28d: Floats
    weight_112d: Floats
    first_day: Floats
    last_day: Floats


_Rows = tuple[Ints, Floats]
"""Items (n,) and the other five fields of Bought as one array (5, n): cutting and sorting it costs as one column."""
_COUNT, _WEIGHT_28D, _WEIGHT_112D, _FIRST_DAY, _LAST_DAY = range(5)
_NO_ROWS: _Rows = (np.zeros(0, np.int32), np.zeros((5, 0), np.float32))


@dataclass(frozen=True, slots=True)
class Context:
    """All that the stages after it may look at; `anchors` are basket and recent items, latest first.

    `views` (a,) how often each anchor was viewed, 0 for what is only in the basket.
    `near` (a, m) holds the co-purchase neighbours of each anchor, -1 where there are fewer; `near_score` how near.
    `followers` are what usually comes after the last purchases; None where nothing is known of that.
    `group` is the most particular group of people that the bundle knows: whose trends are theirs.
    """

    query: Query
    bundle: Bundle
    features: CustomerFeatures | None
    live: LiveProfile
    bought: Bought
    basket: Ints
    anchors: Ints
    views: Floats
    near: Ints
    near_score: Floats
    followers: Followers | None
    group: str
    user: Floats | None
    linear: Floats | None
    promotions: Promotions | None
    degraded: tuple[Degraded, ...]
    wallet: Wallet | None = None
    events: Sequence[LiveEvent] = ()
    place: Place | None = None
    opted_out: Sequence[Selection] = ()


def make_context(
    query: Query, bundle: Bundle, state: CustomerState, *, stale_after_s: float, place: Place | None = None
) -> Context:
    """The context of one decision; unknown customers and products give empty arrays and a flag.

    `place`: what can be had where the customer is; None where nothing is known of that.
    """
    now_s = query.now_at.timestamp()
    features = state.features
    as_of_s = features.as_of_at if features else 0.0
    live = live_profile(state.events, since_s=as_of_s, now_s=now_s)
    # At least 0: for a query of the past weights would else grow.
    rows = _bought_rows(bundle, features, age_s=min(max(now_s - as_of_s, 0.0), stale_after_s))
    basket = bundle.catalogue.known([line.product_id for line in query.basket])
    anchors = _anchors(query, bundle, live)
    bought = _bought(rows, _live_rows(bundle, live.bought, now_s=now_s))
    return Context(
        query=query,
        bundle=bundle,
        features=features,
        live=live,
        bought=bought,
        basket=basket,
        anchors=anchors,
        views=_views(query, bundle, live, anchors),
        near=bundle.neighbours_idx.take(anchors, axis=0),
        near_score=bundle.neighbours_score.take(anchors, axis=0),
        followers=followers_of(bundle, bought),
        group=_group(query, bundle, features),
        user=user_vector(bundle, bought, live, anchors),
        linear=linear_of(bundle, bought, live, anchors),
        promotions=promotions_for(query, bundle, features),
        degraded=(
            *state.degraded,
            *_flags(query, state, live, bundle, stale=now_s - as_of_s > stale_after_s),
            *((Degraded.STOCK_STALE,) if place is not None and place.is_stale else ()),
        ),
        wallet=state.wallet,
        events=state.events,
        place=place,
        opted_out=state.opted_out,
    )


def _flags(query: Query, state: CustomerState, live: LiveProfile, bundle: Bundle, *, stale: bool) -> list[Degraded]:
    flags = []
    if state.features is None and not state.degraded and query.customer_id is not None and not live.event_count:
        flags.append(Degraded.CUSTOMER_UNKNOWN)
    if state.features is not None and stale and Degraded.FEATURES_STALE not in state.degraded:
        flags.append(Degraded.FEATURES_STALE)
    named = [*query.recent, *(line.product_id for line in query.basket)]
    if any(product_id not in bundle.catalogue.item_of for product_id in named):
        flags.append(Degraded.PRODUCTS_UNKNOWN)
    return flags


def _bought_rows(bundle: Bundle, features: CustomerFeatures | None, *, age_s: float) -> _Rows:
    """The features' purchases in this bundle's items, strongest first, decayed by the features' age.

    The age is capped by the caller: where knowledge stops, decay stops.
    """
    if features is None:
        return _NO_ROWS
    items = bundle.catalogue.keys.items_of(features.bought_keys.astype(np.int64))
    columns = np.array(
        [
            features.bought_count,
            features.bought_weight_28d,
            features.bought_weight_112d,
            features.bought_first_day,
            features.bought_last_day,
        ],
        np.float32,
    )
    is_known = items >= 0
    if not is_known.all():
        kept = is_known.nonzero()[0]
        items, columns = items.take(kept), columns.take(kept, axis=1)
    age_days = age_s / DAY_S
    columns[_WEIGHT_28D] *= np.float32(2.0 ** (-age_days / 28))
    columns[_WEIGHT_112D] *= np.float32(2.0 ** (-age_days / 112))
    return items, columns


def _live_rows(bundle: Bundle, purchases: Mapping[str, LivePurchase], *, now_s: float) -> _Rows:
    """The purchases of the last minutes in this bundle's items."""
    find = bundle.catalogue.item_of.get
    known = [(item, bought) for key, bought in purchases.items() if (item := find(key)) is not None]
    if not known:
        return _NO_ROWS
    items = np.array([item for item, _ in known], np.int32)
    count = np.array([purchase.count for _, purchase in known], np.float32)
    first_day, last_day = np.array([(one.first_at / DAY_S, one.last_at / DAY_S) for _, one in known], np.float32).T
    # What came back was bought a while ago: it takes one purchase off, undecayed and without a day of its own.
    age_days = np.maximum(np.where(count > 0, now_s / DAY_S - last_day, 0), 0)
    weights = count * 2 ** (-age_days / 28), count * 2 ** (-age_days / 112)
    return items, np.array([count, *weights, first_day, last_day])


def _bought(rows: _Rows, live_rows: _Rows) -> Bought:
    """The rows of the features and those of the last minutes, ordered by item, each item once."""
    items, columns = rows
    if len(live_rows[0]):
        items, columns = np.concatenate([items, live_rows[0]]), np.concatenate([columns, live_rows[1]], axis=1)
    order = items.argsort()
    items, columns = items.take(order), columns.take(order, axis=1)
    return Bought(items, *columns) if not len(live_rows[0]) else _each_once(items, columns)


def _each_once(items: Ints, columns: Floats) -> Bought:
    """Ordered rows in which an item may be repeated: bought before, and again in the last minutes."""
    # An item stands here twice at most, once from each side, so that comparing neighbours suffices.
    repeated = (items[1:] == items[:-1]).nonzero()[0]
    again = columns.take(repeated + 1, axis=1)
    columns[:_FIRST_DAY, repeated] += again[:_FIRST_DAY]
    columns[_FIRST_DAY, repeated] = np.minimum(columns[_FIRST_DAY, repeated], again[_FIRST_DAY])
    columns[_LAST_DAY, repeated] = np.maximum(columns[_LAST_DAY, repeated], again[_LAST_DAY])
    columns[_WEIGHT_28D : _WEIGHT_112D + 1] = np.maximum(columns[_WEIGHT_28D : _WEIGHT_112D + 1], 0)
    # What came back as often as it was bought is not bought, nor is what came back and was never known as bought.
    is_kept = columns[_COUNT] > 0
    is_kept[repeated + 1] = False
    kept = is_kept.nonzero()[0]
    return Bought(items.take(kept), *columns.take(kept, axis=1))


def _anchors(query: Query, bundle: Bundle, live: LiveProfile) -> Ints:
    """Distinct items of basket, request and live interest, in this order of nearness to the present."""
    # The last line of a basket was added last.
    named = [*(line.product_id for line in reversed(query.basket)), *query.recent, *live.recent]
    return bundle.catalogue.known(list(dict.fromkeys(named))[:ANCHOR_ITEMS])


def _views(query: Query, bundle: Bundle, live: LiveProfile, anchors: Ints) -> Floats:
    """How often the person viewed each anchor; what both the request and events tell of counts once."""
    named = Counter(query.recent)
    names = [bundle.catalogue.product_ids[item] for item in anchors.tolist()]
    return np.array([max(named[name], live.views.get(name, 0)) for name in names], np.float32)


def _group(query: Query, bundle: Bundle, features: CustomerFeatures | None) -> str:
    if f"store:{query.store_id}" in bundle.group_of:
        return f"store:{query.store_id}"
    favourites = features.scalars.get("favourite_departments", ()) if features else ()
    segment = f"segment:{favourites[0]}" if isinstance(favourites, tuple) and favourites else ""
    return segment if segment in bundle.group_of else "all"


def linear_of(bundle: Bundle, bought: Bought, live: LiveProfile, anchors: Ints) -> Floats | None:
    """Linear scores of purchases and of what was looked at but not bought; None when there is nothing to sum."""
    if not len(bundle.linear_idx):
        return None
    new = anchors
    if len(bought.items):
        new = anchors[bought.items.take(bought.items.searchsorted(anchors), mode="clip") != anchors]
    items, count, weight = bought.items, bought.count, bought.weight_112d
    if len(new):
        interest = interest_in(bundle, live, new)
        items = np.concatenate([items, new])
        count, weight = np.concatenate([count, interest]), np.concatenate([weight, interest])
    return linear_scores(bundle, items, strength(count, weight, weighting=bundle.linear_weighting))


def interest_in(bundle: Bundle, live: LiveProfile, items: Ints) -> Floats:
    """What looking at each of `items` is worth, where a purchase is 1; what was just bought is counted already."""
    names = (bundle.catalogue.product_ids[item] for item in items.tolist())
    worth = [0.0 if name in live.bought else live.recent.get(name, NAMED_INTEREST) for name in names]
    return np.array(worth, np.float32)


def followers_of(bundle: Bundle, bought: Bought) -> Followers | None:
    """What follows the last purchases; None as well where training found that it says nothing."""
    if not bundle.scoring["weights"].get("following"):
        return None
    return followers_of_past(bundle.next_idx, bundle.next_score, bought.items, bought.last_day)


def user_vector(bundle: Bundle, bought: Bought, live: LiveProfile, anchors: Ints) -> Floats | None:
    """The exact fold-in of the strongest purchases and the latest interest; None when nothing is known."""
    items, count, weight = bought.items, bought.count, bought.weight_112d
    if not len(items) and not len(anchors):
        return None
    if len(items) > MAX_ITEM_COUNT:
        strongest = np.argpartition(-weight, MAX_ITEM_COUNT)[:MAX_ITEM_COUNT]
        items, count, weight = items.take(strongest), count.take(strongest), weight.take(strongest)
    if len(anchors):
        interest = interest_in(bundle, live, anchors)
        position, anchor = (items[:, None] == anchors).nonzero()
        looked_at = np.zeros(len(items), np.float32)
        looked_at[position] = interest[anchor]
        is_new = np.ones(len(anchors), np.bool_)
        is_new[anchor] = False
        new = interest[is_new]
        items = np.concatenate([items, anchors[is_new]])
        count, weight = np.concatenate([count + looked_at, new]), np.concatenate([weight + looked_at, new])
    als = bundle.als
    return fold_in(
        bundle.gram,
        bundle.item_factors.take(items, axis=0),
        confidence(count, weight, weighting=als["weighting"], alpha=float(als["alpha"])),
        regularization=float(als["regularization"]),
    )
