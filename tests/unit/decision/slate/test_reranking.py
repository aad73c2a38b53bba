"""What a placement sets about a slate: objectives, boosts, pins, exclusions and caps, through the whole pipeline."""

from dataclasses import replace
from datetime import UTC, datetime
from math import log
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import pytest
from catboost import CatBoost
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.decision.customer.context import make_context
from app.decision.eligibility.merchandising import ignored_rules
from app.decision.fallbacks import popular_slate
from app.decision.pipeline import Options, rank
from app.decision.ranking.features import TABLE_COLUMNS
from app.decision.ranking.scoring import score
from app.domain import Degraded, LiveEvent, Objective, Pin, Proposition, Query, Selection, SlatePolicy, Weighting
from app.history import History
from app.model.bundle import Attribute, Bundle, current_version, load_bundle
from app.model.new_products import extended
from app.model.ranker import TreeRanker
from app.ports import CustomerState
from app.slates import PlacementTrace, Slate
from tests.support.world import World, product
from training.data.dataset import load_interactions
from training.learners.bundle_contents import hyperparameters_of, learn_contents
from training.release.assemble import bundle_of
from training.release.publish import Facts

OPTIONS = Options(stale_after_s=1e9)
NOW = datetime(2026, 10, 1, tzinfo=UTC)
TEA, COFFEE = (Selection(attribute="department", values=(name,)) for name in ("TEA", "COFFEE"))
VIEWER = CustomerState(
    events=[LiveEvent(name, "view_item", NOW.timestamp() - 60, name) for name in (product("tea", 3), product("tea", 7))]
)
QUERY = Query(placement="app_home", size=10, now_at=NOW, anonymous_id="a", explain=True)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    """The small retailer's with one calibration for all kinds of question; prices of 1 to 5, costs, a brand per five
    products, and some of all that unknown."""
    folder = trained_world.settings.bundles_dir
    loaded = load_bundle(folder / current_version(folder))
    loaded = replace(loaded, scoring={**loaded.scoring, "calibration_by_kind": {}})
    count = np.arange(loaded.item_count)
    price = np.where(count % 7 == 6, -1, 100 + 100 * (count % 5)).astype(np.int64)
    cost = np.where(count % 3 == 2, -1, 350 - 50 * (count % 4)).astype(np.int64)
    names = [f"b{number}" for number in range(12)]
    brand = Attribute((count % 12).astype(np.int32), names, {name: code for code, name in enumerate(names)})
    attributes = {**loaded.catalogue.attributes, "brand": brand}
    catalogue = replace(loaded.catalogue, price_minor=price, unit_cost_minor=cost, attributes=attributes)
    return replace(loaded, catalogue=catalogue)


def ask(bundle: Bundle, policy: SlatePolicy | None, *, size: int = 10) -> Slate:
    return rank(replace(QUERY, policy=policy, size=size), bundle, VIEWER, OPTIONS)


def ids(slate: Slate) -> list[str]:
    return [row.product_id for row in slate.propositions]


def everything(bundle: Bundle, policy: SlatePolicy | None = None) -> list[str]:
    return ids(ask(bundle, policy, size=100))


def factor(row: Proposition, name: str) -> float:
    assert row.factors is not None
    return row.factors[name]


def placement_trace(slate: Slate) -> PlacementTrace:
    assert slate.trace.placement is not None
    return slate.trace.placement


def odds(chance: float) -> float:
    return chance / (1 - chance)


def test_policy_that_sets_nothing_changes_nothing(bundle: Bundle) -> None:
    plain, ruled = (ask(bundle, policy, size=30) for policy in (None, SlatePolicy()))
    assert plain.propositions == ruled.propositions


def test_revenue_ranks_by_probability_times_price(bundle: Bundle) -> None:
    rows = ask(bundle, SlatePolicy(objective=Objective.REVENUE), size=40).propositions
    values = [factor(row, "value_minor") for row in rows]
    assert values == sorted(values, reverse=True)
    assert values == pytest.approx([factor(row, "price_minor") * row.probability for row in rows])
    find, price = bundle.catalogue.item_of, bundle.catalogue.price_minor
    known = [row for row in rows if price[find[row.product_id]] >= 0]
    assert [factor(row, "price_minor") for row in known] == [price[find[row.product_id]] for row in known]
    assert [row.expected_minor for row in known] == [round(factor(row, "value_minor")) for row in known]
    assert 0 < len(known) < len(rows)
    assert {row.expected_minor for row in rows if row not in known} == {None}


def test_margin_ranks_by_what_is_left_after_the_cost_and_unknown_counts_as_the_median(bundle: Bundle) -> None:
    rows = ask(bundle, SlatePolicy(objective=Objective.MARGIN), size=100).propositions
    values = [factor(row, "value_minor") for row in rows]
    assert values == sorted(values, reverse=True)
    assert min(values) < 0
    catalogue = bundle.catalogue
    items = catalogue.known([row.product_id for row in rows])
    price, cost = catalogue.price_minor[items], catalogue.unit_cost_minor[items]
    is_known = (price >= 0) & (cost >= 0)
    margins = np.where(is_known, price - cost, np.median((price - cost)[is_known]))
    assert [factor(row, "margin_minor") for row in rows] == margins.tolist()
    has_value = [row.expected_minor is not None for row in rows]
    assert has_value == is_known.tolist()


def test_margin_without_any_unit_cost_ranks_by_relevance(bundle: Bundle) -> None:
    unknown = np.full(bundle.item_count, -1, np.int64)
    costless = replace(bundle, catalogue=replace(bundle.catalogue, unit_cost_minor=unknown))
    slate = ask(costless, SlatePolicy(objective=Objective.MARGIN))
    assert ids(slate) == ids(ask(costless, None))
    assert placement_trace(slate).objective == "relevance"
    assert {row.expected_minor for row in slate.propositions} == {None}
    policy = SlatePolicy(objective=Objective.MARGIN)
    assert ignored_rules(costless.catalogue, policy) == [
        "no product has a unit_cost, so objective margin ranks by relevance"
    ]


def test_boost_adds_what_multiplies_the_odds_and_leaves_the_probability(bundle: Bundle) -> None:
    name = everything(bundle)[20]
    before = next(row for row in ask(bundle, None, size=100).propositions if row.product_id == name)
    slate = ask(bundle, SlatePolicy(weightings=(Weighting(Selection((name,)), 3.0),)), size=100)
    after = next(row for row in slate.propositions if row.product_id == name)
    assert (after.score, after.probability) == (before.score, before.probability)
    calibration = bundle.scoring["calibration"]
    logit = calibration["slope"] * (after.score + factor(after, "rule_boost")) + calibration["intercept"]
    assert np.exp(logit) == pytest.approx(3 * odds(after.probability), rel=1e-4)
    assert after.rank < before.rank
    assert all("rule_boost" not in (row.factors or {}) for row in slate.propositions if row != after)
    assert placement_trace(slate).boosted_count == 1


def test_rules_about_one_product_multiply_each_other(bundle: Bundle) -> None:
    both = SlatePolicy(weightings=(Weighting(TEA, 4.0), Weighting(TEA, 0.5)))
    row = ask(bundle, both).propositions[0]
    slope = bundle.scoring["calibration"]["slope"]
    assert factor(row, "rule_boost") == pytest.approx(log(2) / slope)


PRODUCTS = [product(taste, number) for taste in ("tea", "coffee") for number in range(30)]
SELECTIONS = st.one_of(
    st.sets(st.sampled_from(PRODUCTS), min_size=1, max_size=8).map(lambda names: Selection(tuple(sorted(names)))),
    st.sampled_from([TEA, Selection(attribute="brand", values=("b1", "b4"))]),
)


@given(SELECTIONS, st.floats(1.01, 1000), st.sampled_from(list(Objective)))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_boost_never_lowers_a_rank_and_bury_never_raises_one(
    bundle: Bundle, selected: Selection, by: float, objective: Objective
) -> None:
    plain, boosted, buried = (
        everything(bundle, SlatePolicy(objective=objective, weightings=weightings))
        for weightings in ((), (Weighting(selected, by),), (Weighting(selected, 1 / by),))
    )
    assert sorted(plain) == sorted(boosted) == sorted(buried)
    brands = bundle.catalogue.attributes["brand"]
    departments = bundle.catalogue.attributes["department"]
    for name in plain:
        item = bundle.catalogue.item_of[name]
        values = {brands.vocabulary[brands.codes[item]], departments.vocabulary[departments.codes[item]]}
        if name in selected.product_ids or values & set(selected.values):
            assert boosted.index(name) <= plain.index(name) <= buried.index(name)


@given(st.dictionaries(st.integers(1, 10), st.sampled_from(PRODUCTS), min_size=1, max_size=5))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_pin_places_exactly_and_shows_nothing_twice(bundle: Bundle, at: dict[int, str]) -> None:
    pins = tuple({name: Pin(rank, name) for rank, name in at.items()}.values())
    slate = ask(bundle, SlatePolicy(pins=pins, diversity=0.3))
    assert all(ids(slate)[pin.rank - 1] == pin.product_id for pin in pins)
    assert len(set(ids(slate))) == 10
    reasons = {row.product_id: row.reasons[0].code for row in slate.propositions}
    assert {name for name, code in reasons.items() if code == "pinned"} == {pin.product_id for pin in pins}
    assert placement_trace(slate).pinned_count == len(pins)


def test_product_that_no_source_finds_is_pinned_all_the_same(bundle: Bundle) -> None:
    slate = ask(bundle, SlatePolicy(pins=(Pin(3, "tea-unsold"),)))
    assert ids(slate)[2] == "tea-unsold"
    assert slate.trace.candidates["pinned"] == 1


def test_pin_yields_to_eligibility(bundle: Bundle) -> None:
    pins = (Pin(1, product("tea", 5)), Pin(2, product("tea", 6)), Pin(3, "unheard-of"), Pin(50, product("tea", 8)))
    policy = SlatePolicy(pins=pins, excluded=(Selection((product("tea", 5),)),))
    slate = ask(bundle, policy)
    assert product("tea", 5) not in ids(slate)
    assert ids(slate)[1] == product("tea", 6)
    assert [row.reasons[0].code for row in slate.propositions].count("pinned") == 1
    assert len(ids(slate)) == 10


@pytest.mark.parametrize("selected", [TEA, Selection(tuple(PRODUCTS[:30]))])
def test_excluded_products_are_never_shown_and_the_trace_says_why(bundle: Bundle, selected: Selection) -> None:
    policy = SlatePolicy(excluded=(selected,), weightings=(Weighting(TEA, 1000.0),))
    slate = ask(bundle, policy)
    assert all(name.startswith("coffee") or name == "tea-unsold" for name in ids(slate))
    assert slate.trace.dropped["excluded_by_rule"].count > 0
    popular = popular_slate(replace(QUERY, policy=policy), bundle, OPTIONS, why=Degraded.OVERLOAD)
    assert all(name.startswith("coffee") or name == "tea-unsold" for name in ids(popular))


def test_brand_cap_holds_in_a_slate(bundle: Bundle) -> None:
    slate = ask(bundle, SlatePolicy(max_per_brand=1))
    codes = bundle.catalogue.attributes["brand"].codes[bundle.catalogue.known(ids(slate))]
    assert len(set(codes.tolist())) == len(codes) == 10
    assert ids(slate)[0] == ids(ask(bundle, None))[0]
    assert placement_trace(slate).over_cap_count == 0


def test_cap_that_cannot_be_met_leaves_the_slate_full_and_stands_in_the_trace(bundle: Bundle) -> None:
    slate = ask(bundle, SlatePolicy(max_per_brand=1), size=20)
    assert len(ids(slate)) == 20
    assert slate.degraded == ask(bundle, None, size=20).degraded
    assert placement_trace(slate).over_cap_count == 8


def test_diversity_makes_a_slate_less_alike(bundle: Bundle) -> None:
    def likeness(slate: Slate) -> float:
        vectors = bundle.item_factors[bundle.catalogue.known(ids(slate))]
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return float((unit @ unit.T).mean())

    plain, mixed = (ask(bundle, SlatePolicy(diversity=diversity)) for diversity in (0.0, 0.7))
    assert ids(plain)[0] == ids(mixed)[0]
    assert likeness(mixed) < likeness(plain)


def test_rules_about_what_the_catalogue_lacks_are_named_and_ignored(bundle: Bundle) -> None:
    policy = SlatePolicy(
        max_per_category=1,
        weightings=(Weighting(Selection(attribute="colour", values=("red",)), 9.0),),
        excluded=(Selection(("gone",)), Selection(attribute="colour", values=("blue",))),
    )
    assert ignored_rules(bundle.catalogue, policy) == [
        "the catalogue has no attribute 'category'",
        "the catalogue has no attribute 'colour'",
        "the catalogue has no product 'gone'",
    ]
    assert ids(ask(bundle, policy)) == ids(ask(bundle, None))


@pytest.mark.parametrize("slope", [0.5, 5.0, 50.0])
def test_order_follows_score_and_boost_together(bundle: Bundle, slope: float) -> None:
    """The boost is as strong as lets coffees and teas mingle: half of the range of scores."""
    calibrated = replace(bundle, scoring={**bundle.scoring, "calibration": {"slope": slope, "intercept": -4.0}})
    scores = [row.score for row in ask(calibrated, None, size=100).propositions]
    by = float(np.exp(slope * (scores[0] - scores[-1]) / 2))
    rows = ask(calibrated, SlatePolicy(weightings=(Weighting(COFFEE, by),)), size=100).propositions
    keys = [row.score + (row.factors or {}).get("rule_boost", 0.0) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert [row.score for row in rows] != sorted(scores, reverse=True)


@pytest.mark.parametrize("objective", list(Objective))
def test_score_that_is_no_number_ranks_last_whatever_is_set(bundle: Bundle, objective: Objective) -> None:
    popularity = bundle.popularity.copy()
    popularity[:3] = np.nan
    broken = set(bundle.catalogue.product_ids[:3])
    policy = SlatePolicy(objective=objective, weightings=(Weighting(Selection(tuple(broken)), 1000.0),))
    slate = ask(replace(bundle, popularity=popularity), policy, size=bundle.item_count)
    assert set(ids(slate)[-3:]) == broken
    assert slate.trace.nan_count == 3


def with_new_teas(bundle: Bundle, trained_world: World, count: int) -> Bundle:
    """The bundle after an import of so many teas."""
    table = pl.read_parquet(trained_world.settings.tables_dir / "products.parquet")
    rows = [{"product_id": f"tea-new-{number}", "name": "The new tea", "department": "TEA"} for number in range(count)]
    grown = extended(bundle, pl.concat([table, pl.DataFrame(rows)], how="diagonal"), now=NOW)
    codes = np.arange(grown.item_count, dtype=np.int32)
    codes[bundle.item_count :] = bundle.catalogue.item_of[ids(ask(bundle, None))[0]]
    names = [str(code) for code in codes.tolist()]
    brand = Attribute(codes, names, {name: code for code, name in enumerate(names)})
    catalogue = replace(grown.catalogue, attributes={**grown.catalogue.attributes, "brand": brand})
    return replace(grown, catalogue=catalogue)


def test_place_for_what_is_new_goes_before_a_cap_but_not_over_it(bundle: Bundle, trained_world: World) -> None:
    """Every product has a brand of its own, but new ones have that of the best."""
    grown = with_new_teas(bundle, trained_world, 3)
    free, capped = (ask(grown, SlatePolicy(diversity=0.01, max_per_brand=most)) for most in (2, 1))
    assert ids(free)[-1].startswith("tea-new")
    assert not any(name.startswith("tea-new") for name in ids(capped))
    assert len(ids(capped)) == 10


def test_place_for_what_is_new_leaves_the_pins_alone(bundle: Bundle, trained_world: World) -> None:
    grown = with_new_teas(bundle, trained_world, 3)
    pins = (Pin(10, product("coffee", 2)), Pin(1, "tea-new-2"))
    slate = ask(grown, SlatePolicy(pins=pins))
    assert (ids(slate)[0], ids(slate)[9]) == ("tea-new-2", product("coffee", 2))
    assert len(set(ids(slate))) == 10


def test_pinned_and_new_products_are_scored_though_the_blend_leaves_them_out(
    bundle: Bundle, trained_world: World
) -> None:
    """Trees see the 200 best of the blend: of 340 candidates, most of them unsold, not these two."""
    grown = replace(with_new_teas(bundle, trained_world, 300), ranker=stump())
    context = make_context(QUERY, grown, VIEWER, stale_after_s=1e9)
    items = np.arange(20, grown.item_count, dtype=np.int32)
    outside = np.setdiff1d(items, score(context, items).items)[[3, 50]].astype(np.int32)
    scored = score(context, items, always=outside)
    assert np.isin(outside, scored.items).all()
    assert (np.diff(scored.items) > 0).all()
    assert len(scored.items) == 202


def stump() -> TreeRanker:
    """A ranker that adds next to nothing to the blend."""
    table = np.random.default_rng(0).random((50, len(TABLE_COLUMNS)))
    model = CatBoost({"iterations": 1, "depth": 1, "verbose": False, "allow_writing_files": False, "thread_count": 1})
    model.fit(table, table[:, 0])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "stump.cbm"
        model.save_model(str(path))
        return TreeRanker(path.read_bytes(), TABLE_COLUMNS, slope=1.0, intercept=0.0)


@pytest.mark.parametrize("costs", [{}, {"tea-1": 120, "coffee-2": 90}])
def test_unit_costs_of_the_product_table_reach_the_bundle(
    bundle: Bundle, trained_world: World, tmp_path: Path, costs: dict[str, int]
) -> None:
    table = pl.read_parquet(trained_world.settings.tables_dir / "products.parquet").with_columns(
        pl.col("product_id").replace_strict(costs, default=None, return_dtype=pl.Int64).alias("unit_cost_minor")
    )
    dataset = load_interactions(History(trained_world.settings.history_dir).scan(), table)
    parts = learn_contents(dataset, replace(hyperparameters_of(bundle), linear=None), seed=0)
    catalogue = bundle_of(tmp_path, Facts(NOW), parts).catalogue
    known = {name: int(cost) for name, cost in zip(catalogue.product_ids, catalogue.unit_cost_minor, strict=True)}
    assert {name: cost for name, cost in known.items() if cost >= 0} == costs
    assert ("unit_cost_minor" in parts.arrays) == bool(costs)
