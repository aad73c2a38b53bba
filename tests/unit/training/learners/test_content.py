"""Attributes place a product where products like it are, and training learns how."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from app.domain import Floats
from app.model.bundle import current_version, load_bundle
from app.model.content import Layout, ProductContent, content_matrix
from tests.support.bundles import copied
from tests.support.world import World
from training.data.dataset import Attribute, Dataset, ProductTable
from training.learners.content import last_listed, learn_content

CATEGORIES = ["bread", "milk", "soap"]
PER_CATEGORY = 40
WIDTH = 8


def centres() -> Floats:
    return np.random.default_rng(1).normal(size=(len(CATEGORIES), WIDTH)).astype(np.float32)


def shop(**catalogue: object) -> tuple[Dataset, Floats]:
    """Products of three categories, each near its category's centre, bought more often the lower their number."""
    random = np.random.default_rng(2)
    codes = np.repeat(np.arange(len(CATEGORIES), dtype=np.int32), PER_CATEGORY)
    count = len(codes)
    length = random.uniform(0.1, 3, (count, 1))
    factors = (length * (centres()[codes] + random.normal(0, 0.1, (count, WIDTH)))).astype(np.float32)
    item = np.repeat(np.arange(count, dtype=np.int32), 3 + np.arange(count) % 7)
    blank = {
        "names": [None] * count,
        "attributes": {"category": Attribute(CATEGORIES, codes)},
        "price_minor": np.full(count, -1),
        "unit_cost_minor": np.full(count, -1),
        "is_listed": np.zeros(count, np.bool_),
    }
    dataset = Dataset(
        product_ids=[f"p{number}" for number in range(count)],
        bought_item_count=count,
        customer_ids=[f"c{number}" for number in range(20)],
        store_ids=[],
        customer=np.arange(len(item), dtype=np.int32) % 20,
        item=item,
        basket=np.arange(len(item), dtype=np.int32),
        store=np.full(len(item), -1, np.int32),
        day=np.zeros(len(item)),
        quantity=np.ones(len(item), np.float32),
        has_time=False,
        has_purchases=True,
        as_of_day=0.0,
        catalogue=ProductTable(**(blank | catalogue)),  # type: ignore[arg-type]  # the fields of a catalogue
    )
    return dataset, factors


def of_category(code: int, *, name: str | None = None) -> ProductContent:
    return ProductContent([name], {"category": np.array([code], np.int32)}, np.array([-1]))


def cosine(one: Floats, other: Floats) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.parametrize("code", range(len(CATEGORIES)))
def test_product_is_placed_among_those_of_its_category(code: int) -> None:
    dataset, factors = shop()
    learned = learn_content(dataset, factors)
    assert learned is not None
    [placed] = learned.vectors(of_category(code))
    assert cosine(placed, centres()[code]) > 0.95
    assert np.argmax(centres() / np.linalg.norm(centres(), axis=1)[:, None] @ placed) == code


def test_placements_are_as_long_as_what_buyers_buy() -> None:
    dataset, factors = shop()
    learned = learn_content(dataset, factors)
    assert learned is not None
    lines = np.bincount(dataset.item)
    everything = ProductContent(
        dataset.catalogue.names,
        {"category": dataset.catalogue.attributes["category"].codes},
        dataset.catalogue.price_minor,
    )
    placed = learned.vectors(everything)
    assert lines @ np.linalg.norm(placed, axis=1) == pytest.approx(lines @ np.linalg.norm(factors, axis=1), rel=1e-3)


def test_solution_is_the_ridge_regression_s() -> None:
    """Against the normal equations, on names alone; lengths are scaled afterwards, so directions are compared."""
    names = [f"{CATEGORIES[number % 3]} {number % 5}" for number in range(3 * PER_CATEGORY)]
    dataset, factors = shop(names=names, attributes={})
    learned = learn_content(dataset, factors)
    assert learned is not None
    described = ProductContent(names, {}, dataset.catalogue.price_minor)
    x = content_matrix(learned.layout, described).toarray().astype(np.float64)
    buyers = np.array([len(set(dataset.customer[dataset.item == item].tolist())) for item in range(len(names))])
    weight = np.log1p(buyers) / np.log1p(buyers).mean()
    target = factors / np.linalg.norm(factors, axis=1)[:, None] ** 0.75
    used = np.flatnonzero(x.any(axis=0))
    system = x[:, used].T @ (weight[:, None] * x[:, used]) + 10 * np.eye(len(used))
    exact = np.linalg.solve(system, x[:, used].T @ (weight[:, None] * target))
    found = learned.weights[used]
    scale = (found * exact).sum() / (exact * exact).sum()
    assert np.abs(found - scale * exact).max() < 0.01 * np.abs(scale * exact).max()
    assert not learned.weights[np.setdiff1d(np.arange(len(learned.weights)), used)].any()


def test_value_that_training_did_not_see_adds_nothing() -> None:
    dataset, factors = shop()
    learned = learn_content(dataset, factors)
    assert learned is not None
    unknown, beyond = learned.vectors(of_category(-1)), learned.vectors(of_category(len(CATEGORIES)))
    assert unknown.tolist() == beyond.tolist() == [learned.weights[0].tolist()]


def test_features_stand_in_columns_of_their_own() -> None:
    layout = Layout({"brand": 2, "category": 3}, [100.0, 500.0], 64)
    products = ProductContent(
        ["Green tea", None],
        {"brand": np.array([1, -1], np.int32), "category": np.array([2, 0], np.int32)},
        np.array([250, -1]),
    )
    matrix = content_matrix(layout, products).toarray()
    assert matrix.shape == (2, 1 + 2 + 3 + 3 + 64)
    assert np.flatnonzero(matrix[0, :9]).tolist() == [0, 2, 5, 7]
    assert np.flatnonzero(matrix[1]).tolist() == [0, 3]
    # "green", "tea" and "green tea" share 1 as three times 1/√3.
    assert matrix[0, 9:][matrix[0, 9:] > 0].tolist() == pytest.approx([3**-0.5] * 3)


def test_words_count_whatever_their_case() -> None:
    layout = Layout({}, [], 512)
    prices = np.array([-1, -1])
    matrix = content_matrix(layout, ProductContent(["OAT Milk 1l", "oat milk 1L"], {}, prices)).toarray()
    assert matrix[0].tolist() == matrix[1].tolist()


def test_without_names_and_attributes_there_is_nothing_to_learn() -> None:
    dataset, factors = shop(attributes={}, price_minor=np.full(3 * PER_CATEGORY, 100))
    assert learn_content(dataset, factors) is None


def test_nothing_bought_is_nothing_to_learn_from() -> None:
    dataset, factors = shop()
    assert learn_content(dataset, np.zeros_like(factors)) is None


def test_youngest_unsold_product_says_how_long_there_are_new_ones() -> None:
    dataset, _ = shop()
    days = [datetime(2026, 9, day, tzinfo=UTC) for day in (1, 2, 3)]
    products = pl.LazyFrame({"product_id": ["p7", "p8", "p119"], "listed_at": [days[1], days[0], days[2]]})
    unsold = replace(dataset, bought_item_count=5)
    assert last_listed(unsold, products) == days[2]
    assert last_listed(replace(unsold, bought_item_count=119), products) == days[2]
    assert last_listed(unsold, products.filter(pl.col("product_id") != "p119")) == days[1]
    assert last_listed(dataset, products) is None
    assert last_listed(unsold, products.drop("listed_at")) is None


def test_bundle_remembers_when_its_youngest_unsold_product_was_listed(own_world: World) -> None:
    folder = own_world.settings.bundles_dir
    trained = load_bundle(folder / current_version(folder)).content
    assert trained is not None
    assert trained.listed_at is None
    document = {
        "columns": dict(trained.layout.column_sizes),
        "price_edges": list(trained.layout.price_edges),
        "token_count": trained.layout.token_count,
        "listed_at": "2026-09-02T00:00:00+00:00",
    }
    loaded = load_bundle(folder / copied(folder, "young", documents={"content.json": document})).content
    assert loaded is not None
    assert loaded.layout == trained.layout
    assert loaded.has_new(datetime(2026, 9, 29, tzinfo=UTC))
    assert not loaded.has_new(datetime(2026, 10, 1, tzinfo=UTC))


def test_same_data_give_the_same_map() -> None:
    dataset, factors = shop()
    first, second = learn_content(dataset, factors), learn_content(replace(dataset), factors.copy())
    assert first is not None
    assert second is not None
    assert first.weights.tobytes() == second.weights.tobytes()
