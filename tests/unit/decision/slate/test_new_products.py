"""A bundle with a newer product table: found by the same exact search, shown by the same rules."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from app.decision.pipeline import Options, rank
from app.domain import Floats, LiveEvent, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.model.new_products import WITHOUT_HISTORY, extended
from app.model.product_table import ProductTable
from app.model.retrieval import nearest
from app.ports import CustomerState
from app.slates import Slate
from tests.support.world import World, product
from tests.unit.model.test_retrieval import assert_best

OPTIONS = Options(stale_after_s=1e9)
NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


@pytest.fixture(scope="module")
def table(trained_world: World) -> pl.DataFrame:
    return pl.read_parquet(trained_world.settings.tables_dir / "products.parquet")


def with_rows(table: pl.DataFrame, *rows: Mapping[str, object]) -> pl.DataFrame:
    """The table after an import of these rows."""
    new = pl.DataFrame([dict(row) for row in rows], schema_overrides=dict(table.schema))
    others = table.join(new, on="product_id", how="anti")
    return pl.concat([others, new], how="diagonal")


def new_teas(count: int) -> list[dict[str, object]]:
    return [
        {"product_id": f"tea-new-{number}", "name": "The new tea", "department": "TEA", "price_minor": 300}
        for number in range(count)
    ]


def viewer(*product_ids: str) -> CustomerState:
    """Somebody who looked at these products and did nothing else."""
    at_s = NOW.timestamp() - 60
    return CustomerState(events=[LiveEvent(name, "view_item", at_s, name) for name in product_ids])


def ask(bundle: Bundle, state: CustomerState, **fields: Any) -> Slate:
    query = Query(placement="app_home", size=10, now_at=NOW, anonymous_id="a")
    return rank(replace(query, **fields), bundle, state, OPTIONS)


def shown(slate: Slate) -> list[str]:
    return [proposition.product_id for proposition in slate.propositions]


def test_table_that_says_nothing_new_leaves_the_bundle_alone(bundle: Bundle, table: pl.DataFrame) -> None:
    assert extended(bundle, table, now=NOW) is bundle


def test_table_that_training_read_is_not_even_parsed(bundle: Bundle, trained_world: World, tmp_path: Any) -> None:
    products = ProductTable(trained_world.settings.tables_dir)
    assert bundle.manifest["config"]["products_sha256"] == products.sha256()
    (tmp_path / "products.parquet").write_bytes(b"no table")
    broken = ProductTable(tmp_path)
    trained_on_it = replace(bundle, manifest={**bundle.manifest, "config": {"products_sha256": broken.sha256()}})
    assert broken.applied_to(trained_on_it, now=NOW) is trained_on_it
    assert broken.problem is None


def test_price_in_another_currency_is_unknown_however_it_was_before(
    bundle: Bundle, table: pl.DataFrame, tmp_path: Any
) -> None:
    assert bundle.catalogue.currency == "EUR"
    named = table.with_columns(currency=pl.when(pl.col("product_id") == "tea-3").then(pl.lit("JPY")).otherwise(None))
    named.write_parquet(tmp_path / "products.parquet")
    catalogue = ProductTable(tmp_path).applied_to(bundle, now=NOW).catalogue
    [yen, euros] = catalogue.known(["tea-3", "tea-4"])
    assert bundle.catalogue.price_minor[[yen, euros]].tolist() == [250, 250]
    assert catalogue.price_minor[[yen, euros]].tolist() == [-1, 250]


def test_table_that_cannot_be_read_costs_nothing_but_a_problem(bundle: Bundle, tmp_path: Any) -> None:
    (tmp_path / "products.parquet").write_bytes(b"no table")
    products = ProductTable(tmp_path)
    assert products.applied_to(bundle, now=NOW) is bundle
    assert "products.parquet cannot be used" in str(products.problem)


def test_extending_again_changes_nothing_and_keeps_every_place(bundle: Bundle, table: pl.DataFrame) -> None:
    first = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    assert extended(first, with_rows(table, *new_teas(3)), now=NOW) is first
    second = extended(first, with_rows(table, *new_teas(5)), now=NOW)
    assert second.catalogue.product_ids[: first.item_count] == first.catalogue.product_ids
    assert second.item_count == first.item_count + 2
    assert second.version == bundle.version
    [position] = second.catalogue.known(["tea-new-4"])
    assert np.array_equal(second.item_factors[position], second.item_factors[first.item_count - 1])


def test_every_array_with_a_row_per_item_grows(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(4)), now=NOW)
    arrays = {field.name: getattr(bundle, field.name) for field in fields(bundle)}
    per_item = {name for name, value in arrays.items() if np.shape(value)[:1] == (bundle.item_count,)}
    assert per_item >= {*WITHOUT_HISTORY, "item_factors"}
    assert all(len(getattr(grown, name)) == bundle.item_count + 4 for name in per_item)
    for name, value in WITHOUT_HISTORY.items():
        assert np.array_equal(getattr(grown, name)[: bundle.item_count], arrays[name])
        assert (getattr(grown, name)[bundle.item_count :] == value).all()
    for column in grown.catalogue.attributes.values():
        assert len(column.codes) == grown.item_count


def test_restricted_products_are_known_at_once_by_what_the_table_says_and_by_its_words(
    bundle: Bundle, table: pl.DataFrame
) -> None:
    assert bundle.catalogue.unrestricted is None
    rum = {"product_id": "rum", "name": "Rum", "department": "SPIRITS", "price_minor": 900}
    said = table.with_columns(age_restricted=pl.when(pl.col("product_id") == product("tea", 3)).then(pl.lit("18")))
    grown = extended(bundle, with_rows(said, rum, *new_teas(1)), now=NOW)
    assert grown.catalogue.unrestricted is not None
    barred = np.flatnonzero(~grown.catalogue.unrestricted).tolist()
    assert barred == sorted(grown.catalogue.known(["rum", product("tea", 3)]).tolist())
    assert extended(grown, with_rows(said, rum, *new_teas(1)), now=NOW) is grown
    lifted = extended(grown, with_rows(table, {**rum, "age_restricted": "no"}, *new_teas(1)), now=NOW)
    assert lifted.catalogue.unrestricted is None


def test_what_training_took_for_no_goods_is_nothing_new_unless_it_is_said_to_be(
    bundle: Bundle, table: pl.DataFrame
) -> None:
    non_goods = [{"product_id": "tea-new-0", "is_left_out": True}, {"product_id": "tea-new-1", "is_left_out": False}]
    config = {**bundle.manifest["config"], "non_goods": non_goods}
    trained = replace(bundle, manifest={**bundle.manifest, "config": config})
    grown = extended(trained, with_rows(table, *new_teas(2)), now=NOW)
    assert grown.catalogue.product_ids[bundle.item_count :] == ["tea-new-1"]
    wanted = {**new_teas(1)[0], "recommendable": "yes"}
    grown = extended(trained, with_rows(table, wanted), now=NOW)
    assert grown.catalogue.product_ids[bundle.item_count :] == ["tea-new-0"]


def test_customer_s_vector_does_not_move_because_of_an_announcement(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(4)), now=NOW)
    assert grown.gram is bundle.gram
    kept = [shown(ask(one, viewer(product("coffee", 2)), new_products=0)) for one in (bundle, grown)]
    assert kept[0] == kept[1]


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
def test_search_is_exact_with_new_products(bundle: Bundle, table: pl.DataFrame, share: float) -> None:
    grown = extended(
        bundle, with_rows(table, *new_teas(40), {"product_id": "odd", "name": "Odd", "department": None}), now=NOW
    )
    random = np.random.default_rng(5)
    indexed = np.sort(grown.index.items)
    assert len(np.unique(indexed)) == len(indexed)
    assert set(range(bundle.item_count, grown.item_count)) <= set(indexed.tolist())
    for _ in range(20):
        user: Floats = np.asarray(random.normal(size=grown.item_factors.shape[1]), np.float32)
        allowed = random.random(grown.item_count) < share
        allowed[np.setdiff1d(np.arange(grown.item_count), indexed)] = False
        found = nearest(grown, user, count=12, allowed=allowed)
        assert_best(grown, user, found, np.flatnonzero(allowed), 12)
        assert_best(grown, user, nearest(grown, user, count=12, allowed=None), indexed, 12)


def test_new_product_lies_among_its_kind(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(1)), now=NOW)
    known = grown.catalogue.known
    teas, coffees = (known([product(taste, number) for number in range(30)]) for taste in ("tea", "coffee"))
    [new] = known(["tea-new-0"])
    to_teas, to_coffees = ((grown.item_factors[kind] @ grown.item_factors[new]).mean() for kind in (teas, coffees))
    assert to_teas > 3 * abs(to_coffees)


def test_hidden_product_stays_out_and_withdrawn_ones_leave_every_slate(bundle: Bundle, table: pl.DataFrame) -> None:
    hidden = {"product_id": "tea-hidden", "name": "Hidden", "department": "TEA", "recommendable": "no"}
    assert extended(bundle, with_rows(table, hidden), now=NOW).item_count == bundle.item_count
    withdrawn = {"product_id": product("tea", 3), "name": "Gone", "department": "TEA", "recommendable": "no"}
    without = extended(bundle, with_rows(table, withdrawn), now=NOW)
    state = viewer(product("tea", 3), product("tea", 4))
    assert product("tea", 3) in shown(ask(bundle, state, size=100))
    slate = ask(without, state, size=100)
    assert product("tea", 3) not in shown(slate)
    assert slate.trace.dropped["withdrawn"].ids == [product("tea", 3)]
    back = extended(without, table, now=NOW)
    assert shown(ask(back, state, size=100)) == shown(ask(bundle, state, size=100))


def test_changed_rows_show_at_once(bundle: Bundle, table: pl.DataFrame) -> None:
    changed = {"product_id": product("tea", 3), "name": "Renamed", "department": "INFUSIONS", "price_minor": 777}
    updated = extended(bundle, with_rows(table, changed), now=NOW)
    slate = ask(updated, viewer(product("tea", 4)), filters={"department": ["INFUSIONS"]})
    [only] = slate.propositions
    assert (only.product_id, only.name) == (product("tea", 3), "Renamed")
    assert updated.catalogue.price_minor[updated.catalogue.known([product("tea", 3)])].tolist() == [777]
    assert updated.new_products is None


def test_changed_unit_cost_counts_at_once(bundle: Bundle, table: pl.DataFrame) -> None:
    costs = table.with_columns(pl.lit(None, pl.Int64).alias("unit_cost_minor"))
    changed = {"product_id": product("tea", 3), "name": "The tea-3", "department": "TEA", "price_minor": 250}
    updated = extended(bundle, with_rows(costs, {**changed, "unit_cost_minor": 90}), now=NOW)
    cost = updated.catalogue.unit_cost_minor
    assert cost[updated.catalogue.known([product("tea", 3), product("tea", 4)])].tolist() == [90, -1]
    assert (bundle.catalogue.unit_cost_minor == -1).all()


def test_fitting_new_product_gets_the_last_place_and_says_so(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    before, after = (ask(one, viewer(product("tea", 1))) for one in (bundle, grown))
    assert shown(after)[:-1] == shown(before)[:-1]
    last = after.propositions[-1]
    assert last.product_id.startswith("tea-new-")
    assert last.reasons[0] == ("new", "New in TEA, which you like")
    assert (last.rank, last.name) == (10, "The new tea")
    assert after.trace.new_product_count == 3
    scores = [proposition.score for proposition in after.propositions]
    assert scores == sorted(scores, reverse=True)


def test_new_product_of_another_department_gets_no_place(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    for state in (viewer(product("coffee", 1)), CustomerState()):
        assert shown(ask(grown, state)) == shown(ask(bundle, state))


@pytest.mark.parametrize("fields", [{"new_products": 0}, {"size": 4}, {"filters": {"department": ["COFFEE"]}}])
def test_no_place_is_given_away_where_none_is_wanted(
    bundle: Bundle, table: pl.DataFrame, fields: dict[str, Any]
) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    assert shown(ask(grown, viewer(product("tea", 1)), **fields)) == shown(
        ask(bundle, viewer(product("tea", 1)), **fields)
    )


def test_filter_that_admits_new_products_leaves_them_their_place(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    slate = ask(grown, viewer(product("tea", 1)), filters={"department": ["TEA"]})
    assert [name.startswith("tea-new") for name in shown(slate)] == [False] * 9 + [True]


def test_new_product_that_ranks_by_its_score_takes_no_second_place(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(3)), now=NOW)
    looked_at, new = grown.catalogue.known([product("tea", 1), "tea-new-0"])
    neighbours, scores = grown.neighbours_idx.copy(), grown.neighbours_score.copy()
    neighbours[looked_at, 0], scores[looked_at, 0] = new, 0.99
    trusting = {**grown.scoring, "weights": {**grown.scoring["weights"], "together": 20.0}}
    strong = replace(grown, neighbours_idx=neighbours, neighbours_score=scores, scoring=trusting)
    slate = ask(strong, viewer(product("tea", 1)))
    assert [name for name in shown(slate) if name.startswith("tea-new")] == ["tea-new-0"]
    assert shown(slate)[-1] != "tea-new-0"


def test_new_product_in_the_basket_or_bought_gives_its_place_to_the_next(bundle: Bundle, table: pl.DataFrame) -> None:
    grown = extended(bundle, with_rows(table, *new_teas(2)), now=NOW)
    bought = LiveEvent("b", "purchase", NOW.timestamp() - 30, "tea-new-0")
    state = CustomerState(events=[*viewer(product("tea", 1)).events, bought])
    assert shown(ask(grown, state, exclude_purchased=True))[-1] == "tea-new-1"


def test_new_category_goes_by_its_department(bundle: Bundle, table: pl.DataFrame) -> None:
    """The retailer has categories; one that no product sold belongs to goes by the department."""
    grown = extended(bundle, with_rows(table, {"product_id": "mate", "name": "Mate", "department": "MATE"}), now=NOW)
    assert shown(ask(grown, viewer(product("tea", 1)))) == shown(ask(bundle, viewer(product("tea", 1))))
    slate = ask(grown, viewer(product("tea", 1)), filters={"department": ["MATE"]})
    assert [(row.product_id, row.reasons[0].code) for row in slate.propositions] == [("mate", "new")]


def test_bundle_that_learned_no_content_takes_no_new_products(bundle: Bundle, table: pl.DataFrame) -> None:
    old = replace(bundle, content=None)
    assert extended(old, with_rows(table, *new_teas(2)), now=NOW) is old


def test_training_alone_does_not_end_a_product_s_newness(bundle: Bundle, table: pl.DataFrame) -> None:
    """tea-unsold is an item of the bundle that nobody bought: nothing said when it was listed, until now."""
    listed = NOW - timedelta(days=3)
    dated = table.with_columns(pl.when(pl.col("product_id") == "tea-unsold").then(listed).alias("listed_at"))
    grown = extended(bundle, dated, now=NOW)
    assert grown.item_count == bundle.item_count
    last = ask(grown, viewer(product("tea", 1))).propositions[-1]
    assert (last.product_id, last.reasons[0].code) == ("tea-unsold", "new")
    user = grown.item_factors[grown.catalogue.known(["tea-unsold"])[0]]
    assert_best(grown, user, nearest(grown, user, count=5, allowed=None), np.sort(grown.index.items), 5)
    assert extended(bundle, dated, now=NOW + timedelta(days=26)) is bundle


def test_unchanged_table_is_read_while_it_holds_new_products(bundle: Bundle, tmp_path: Any) -> None:
    assert bundle.content is not None
    (tmp_path / "products.parquet").write_bytes(b"no table")
    products = ProductTable(tmp_path)
    young = replace(bundle.content, listed_at=NOW - timedelta(days=3))
    trained = replace(bundle, content=young, manifest={"config": {"products_sha256": products.sha256()}})
    assert products.applied_to(trained, now=NOW + timedelta(days=26)) is trained
    assert products.problem is None
    assert products.applied_to(trained, now=NOW) is trained
    assert products.problem is not None
