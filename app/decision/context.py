"""From a question and a customer's state to arrays in one bundle's item space: the first stage of a decision."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from app.decision.foldin import MAX_ITEM_COUNT, confidence, fold_in
from app.decision.live import LiveProfile, LivePurchase, live_profile
from app.domain import CustomerFeatures, Degraded, Floats, Ints, Query
from app.model.bundle import Bundle
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


@dataclass(frozen=True, slots=True)
class Context:
    """All that the stages after it may look at; `anchors` are basket and recent items, latest first."""

    query: Query
    bundle: Bundle
    features: CustomerFeatures | None
    live: LiveProfile
    bought: Bought
    basket: Ints
    anchors: Ints
    user: Floats | None
    degraded: tuple[Degraded, ...]


def make_context(query: Query, bundle: Bundle, state: CustomerState, *, stale_after_s: float) -> Context:
    """The context of one decision; unknown customers and products give empty arrays and a flag."""
    now_s = query.now_at.timestamp()
    features = state.features
    as_of_s = features.as_of_at if features else 0.0
    live = live_profile(state.events, since_s=as_of_s, now_s=now_s)
    rows = _bought_rows(bundle, features, age_s=min(max(now_s - as_of_s, 0.0), stale_after_s))
    basket = bundle.catalogue.known([line.product_id for line in query.basket])
    anchors = _anchors(query, bundle, live)
    return Context(
        query=query,
        bundle=bundle,
        features=features,
        live=live,
        bought=_with_live(rows, bundle, live, now_s=now_s),
        basket=basket,
        anchors=anchors,
        user=_user_vector(bundle, rows, live, anchors),
        degraded=(
            *state.degraded,
            *_flags(query, state, live, bundle, stale=now_s - as_of_s > stale_after_s),
        ),
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


def _bought_rows(bundle: Bundle, features: CustomerFeatures | None, *, age_s: float) -> Bought:
    """The features' purchases in this bundle's items, strongest first, decayed by the features' age.

    The age is capped by the caller: where knowledge stops, decay stops.
    """
    if features is None:
        return _NOTHING_BOUGHT
    items = bundle.catalogue.keys.items_of(features.bought_keys.astype(np.int64))
    kept = np.flatnonzero(items >= 0)
    age_days = age_s / DAY_S
    return Bought(
        items=items[kept],
        count=features.bought_count[kept],
        weight_28d=features.bought_weight_28d[kept] * np.float32(2.0 ** (-age_days / 28)),
        weight_112d=features.bought_weight_112d[kept] * np.float32(2.0 ** (-age_days / 112)),
        first_day=features.bought_first_day[kept],
        last_day=features.bought_last_day[kept],
    )


_EMPTY = np.zeros(0, np.float32)
_NOTHING_BOUGHT = Bought(np.zeros(0, np.int32), _EMPTY, _EMPTY, _EMPTY, _EMPTY, _EMPTY)


def _with_live(rows: Bought, bundle: Bundle, live: LiveProfile, *, now_s: float) -> Bought:
    """The rows with the purchases of the last minutes added, ordered by item."""
    live_rows = _live_rows(bundle, live.bought, now_s=now_s)
    if not len(live_rows.items):
        order = np.argsort(rows.items)
        return Bought(rows.items[order], *(column[order] for column in _columns(rows)))
    items, place = np.unique(np.concatenate([rows.items, live_rows.items]), return_inverse=True)
    sums = [
        np.bincount(place, np.concatenate(pair), minlength=len(items)).astype(np.float32)
        for pair in zip(_columns(rows)[:3], _columns(live_rows)[:3], strict=True)
    ]
    first_day = np.full(len(items), np.inf, np.float32)
    np.minimum.at(first_day, place, np.concatenate([rows.first_day, live_rows.first_day]))
    last_day = np.zeros(len(items), np.float32)
    np.maximum.at(last_day, place, np.concatenate([rows.last_day, live_rows.last_day]))
    return Bought(items, sums[0], sums[1], sums[2], first_day, last_day)


def _columns(bought: Bought) -> tuple[Floats, ...]:
    return bought.count, bought.weight_28d, bought.weight_112d, bought.first_day, bought.last_day


def _live_rows(bundle: Bundle, purchases: Mapping[str, LivePurchase], *, now_s: float) -> Bought:
    known = [
        (bundle.catalogue.item_of[key], value) for key, value in purchases.items() if key in bundle.catalogue.item_of
    ]
    if not known:
        return _NOTHING_BOUGHT
    items = np.array([item for item, _ in known], np.int32)
    count = np.array([purchase.count for _, purchase in known], np.float32)
    last_day = np.array([purchase.last_at / DAY_S for _, purchase in known], np.float32)
    age_days = np.maximum(now_s / DAY_S - last_day, 0)
    return Bought(items, count, count * 2 ** (-age_days / 28), count * 2 ** (-age_days / 112), last_day, last_day)


def _anchors(query: Query, bundle: Bundle, live: LiveProfile) -> Ints:
    """Distinct items of basket, request and live events, in this order of nearness to the present."""
    named = [*(line.product_id for line in reversed(query.basket)), *query.recent, *live.recent]
    return bundle.catalogue.known(list(dict.fromkeys(named))[:ANCHOR_ITEMS])


def _user_vector(bundle: Bundle, rows: Bought, live: LiveProfile, anchors: Ints) -> Floats | None:
    """The exact fold-in of the strongest purchases and the latest interest; None when nothing is known."""
    if not len(rows.items) and not len(anchors):
        return None
    ids = bundle.catalogue.product_ids
    interest = np.array([live.recent.get(ids[item], NAMED_INTEREST) for item in anchors], np.float32)
    strongest = slice(0, MAX_ITEM_COUNT)
    bought, count, weight = rows.items[strongest], rows.count[strongest], rows.weight_112d[strongest]
    if len(anchors):
        again = bought[:, None] == anchors
        place, anchor = again.nonzero()
        looked_at = np.zeros(len(bought), np.float32)
        looked_at[place] = interest[anchor]
        new = (~again.any(axis=0)).nonzero()[0]
        bought = np.concatenate([bought, anchors[new]])
        count = np.concatenate([count + looked_at, interest[new]])
        weight = np.concatenate([weight + looked_at, interest[new]])
    als = bundle.als
    return fold_in(
        bundle.gram,
        bundle.item_factors[bought],
        confidence(count, weight, weighting=als["weighting"], alpha=float(als["alpha"])),
        regularization=float(als["regularization"]),
    )
