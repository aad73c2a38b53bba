"""Bundles of thousands of random products: as many as it takes for a mask that lets a thousandth pass."""

from dataclasses import replace
from datetime import datetime

import numpy as np

from app.domain import CustomerFeatures, Floats, Ints, ItemIdx, LiveEvent
from app.feature_fields import product_key
from app.model.bundle import Attribute, Bundle, Catalogue, with_unrestricted_index
from app.model.keys import KeyTable
from app.model.search.index import index_of
from app.ports import CustomerState
from training.learners.index import longest_first

FACTORS = 16
NEIGHBOURS, FOLLOWERS, TRENDING = 32, 64, 200


def random_bundle(base: Bundle, *, item_count: int, share: float, seed: int) -> Bundle:
    """The bundle with other products: of their attribute `here` that share is "yes", a few are for people of age."""
    random = np.random.default_rng(seed)
    factors = _factors(random, item_count)
    items = longest_first(factors)
    index = index_of(factors[items], items, np.linalg.norm(factors[items], axis=1), head_count=300)
    groups = len(base.trending_idx)
    neighbours, followers = (_padded(random, item_count, width) for width in (NEIGHBOURS, FOLLOWERS))
    popularity = np.sort(random.random(item_count).astype(np.float32))[::-1]
    bundle = replace(
        base,
        catalogue=_catalogue(random, item_count, share),
        item_factors=factors,
        gram=factors.T @ factors,
        index=index,
        popularity=popularity,
        repeat_rate=random.random(item_count).astype(np.float32),
        neighbours_idx=neighbours[0],
        neighbours_score=neighbours[1],
        next_idx=followers[0],
        next_score=followers[1],
        linear_idx=random.integers(item_count, size=(item_count, FOLLOWERS)).astype(np.int32),
        linear_weight=random.normal(size=(item_count, FOLLOWERS)).astype(np.float32),
        trending_idx=np.stack([random.permutation(item_count)[:TRENDING] for _ in range(groups)]).astype(np.int32),
        trending_score=np.sort(random.random((groups, TRENDING)).astype(np.float32))[:, ::-1],
        trending_count=[TRENDING] * groups,
        scoring={**base.scoring, "weights": {**base.scoring["weights"], "following": 0.3, "linear": 0.3}},
        ranker=None,
        content=None,
        new_products=None,
        rebuy={},
        promotions=None,
    )
    return with_unrestricted_index(bundle)


def random_customer(bundle: Bundle, *, now: datetime, seed: int) -> CustomerState:
    """Somebody with up to 200 products bought, and three that they looked at."""
    random = np.random.default_rng(seed)
    names = bundle.catalogue.product_ids
    bought = random.permutation(len(names))[: random.integers(200)]
    keys = np.array([product_key(names[item]) for item in bought], np.float64)
    weight, day = random.random(len(bought)).astype(np.float32), now.timestamp() / 86_400
    last_day = (day - random.uniform(1, 300, len(bought))).astype(np.float32)
    columns = [1 + 5 * weight, weight, weight, last_day - 30, last_day]
    features = CustomerFeatures(now.timestamp(), {}, keys, *columns)
    viewed = [names[item] for item in random.permutation(len(names))[:3]]
    events = [LiveEvent(name, "view_item", now.timestamp() - 60, name) for name in viewed]
    return CustomerState(features, events)


def _factors(random: np.random.Generator, item_count: int) -> Floats:
    """Vectors whose lengths differ a hundredfold."""
    length = 10 ** random.uniform(-1, 1, size=(item_count, 1))
    factors: Floats = (random.normal(size=(item_count, FACTORS)) * length).astype(np.float32)
    return factors


def _padded(random: np.random.Generator, item_count: int, width: int) -> tuple[Ints, Floats]:
    """Per item others and their scores; a tenth of the places hold -1 and 0."""
    others = random.integers(item_count, size=(item_count, width)).astype(np.int32)
    scores = random.random((item_count, width)).astype(np.float32)
    is_empty = random.random((item_count, width)) < 0.1
    others[is_empty], scores[is_empty] = -1, 0
    return others, scores


def _catalogue(random: np.random.Generator, item_count: int, share: float) -> Catalogue:
    names = [f"r{number}" for number in range(item_count)]
    codes = np.where(random.random(item_count) < share, 0, 1).astype(np.int32)
    return Catalogue(
        product_ids=names,
        item_of={name: ItemIdx(number) for number, name in enumerate(names)},
        names=[None] * item_count,
        price_minor=random.integers(100, 10_000, item_count),
        unit_cost_minor=np.full(item_count, -1),
        attributes={"here": Attribute(codes, ["yes", "no"], {"yes": 0, "no": 1})},
        currency="EUR",
        keys=KeyTable(np.array([product_key(name) for name in names], np.int64)),
        is_listed=np.ones(item_count, np.bool_),
        unrestricted=random.random(item_count) >= 0.05,
    )
