"""A small retailer's bundle evaluated: its figures follow from the very slates that it serves."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from app.decision.pipeline import rank
from app.history import History
from app.model.bundle import current_version, load_bundle
from benchmarks.ranking.ranked import mean_metrics as independent
from tests.support.world import CUSTOMERS_PER_TASTE, World, no_progress
from training.data.dataset import load_interactions, product_table
from training.data.split import make_splits
from training.evaluation.baselines import Baselines
from training.evaluation.evaluate import Case, evaluate_bundle
from training.evaluation.lists import served_slates
from training.evaluation.results import PRODUCT, EvaluationResults, headline
from training.evaluation.segments import segments_of
from training.metrics.rule_comparison import FREQUENCY, PLAIN_ALS, POPULARITY
from training.queries.evaluation_queries import OPTIONS, build_queries
from training.queries.states import states_as_of

BASELINE = "the same again"


@pytest.fixture(scope="module")
def case(trained_world: World) -> Case:
    """The live bundle on the last baskets: it has seen them, which its arithmetic does not mind."""
    settings = trained_world.settings
    history, products = History(settings.history_dir).scan(), product_table(settings)
    dataset = load_interactions(history, products.collect() if products is not None else None)
    split = make_splits(dataset, seed=0)[0]
    states = states_as_of(history, products, split.train, sorted(split.truth))
    queries = build_queries(split, states, seed=0)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    baselines = Baselines({BASELINE: bundle}, ("a note",))
    return Case(bundle, dataset, split, queries, segments_of(queries, split, history), 0, baselines)


@pytest.fixture(scope="module")
def results(case: Case) -> EvaluationResults:
    return evaluate_bundle(case, no_progress)


def test_figures_equal_an_independent_calculation_on_the_served_slates(case: Case, results: EvaluationResults) -> None:
    ids = case.bundle.catalogue.product_ids
    lists, truth = {}, {}
    for query, state, wanted in case.queries:
        name = str(query.customer_id)
        lists[name] = [shown.product_id for shown in rank(query, case.bundle, state, OPTIONS).propositions]
        truth[name] = frozenset(ids[item] for item in wanted)
    for cutoff in (5, 10, 20):
        for name, figure in independent(lists, truth, k=cutoff).items():
            assert results.rankings[PRODUCT].figures[name].mean == pytest.approx(figure, abs=6e-5)


def test_goods_for_people_of_age_are_ranked_and_measured_as_all_others(case: Case) -> None:
    catalogue = case.bundle.catalogue
    limited = replace(catalogue, unrestricted=np.arange(len(catalogue.product_ids)) % 2 == 0)
    few = case.queries.only(range(5))
    plain, limits = (
        served_slates(replace(case.bundle, catalogue=one), few, lambda done, total: None).items
        for one in (catalogue, limited)
    )
    assert np.array_equal(plain, limits)
    assert (limits % 2 == 1).any()


def test_same_seed_gives_the_same_results(case: Case, results: EvaluationResults) -> None:
    assert evaluate_bundle(case, no_progress) == results


def test_every_ranking_is_measured_on_the_same_customers(results: EvaluationResults) -> None:
    assert list(results.rankings) == [PRODUCT, FREQUENCY, PLAIN_ALS, POPULARITY, BASELINE]
    assert {metrics.customers for metrics in results.rankings.values()} == {2 * CUSTOMERS_PER_TASTE}
    for metrics in results.rankings.values():
        assert all(one.low <= one.mean <= one.high for one in metrics.figures.values())


def test_taste_and_staples_make_the_product_better_than_popularity_beyond_noise(results: EvaluationResults) -> None:
    assert results.versus[POPULARITY]["ndcg@10"].low > 0


def test_equal_baseline_differs_by_nothing(results: EvaluationResults) -> None:
    assert all((one.mean, one.low, one.high) == (0, 0, 0) for one in results.versus[BASELINE].values())


def test_curves_pass_through_the_figures(results: EvaluationResults) -> None:
    for ranking, curves in results.curves.items():
        for name, values in curves.items():
            assert values[9] == pytest.approx(results.rankings[ranking].figures[f"{name}@10"].mean, abs=1e-6)


def test_groups_of_a_kind_hold_every_customer_once_and_average_to_the_whole(results: EvaluationResults) -> None:
    assert set(results.segments) == {"activity", "channel", "store"}
    whole = results.rankings[PRODUCT]
    for groups in results.segments.values():
        sizes = [group.rankings[PRODUCT].customers for group in groups]
        means = [group.rankings[PRODUCT].figures["ndcg@10"].mean for group in groups]
        assert sum(sizes) == whole.customers
        assert np.average(means, weights=sizes) == pytest.approx(whole.figures["ndcg@10"].mean, abs=1e-5)
    assert [group.name for group in results.segments["store"]] == ["s0", "s1"]


def test_no_list_recalls_more_than_the_sources_found(results: EvaluationResults) -> None:
    (plain, begun) = results.sources.values()
    assert results.rankings[PRODUCT].figures["recall@20"].mean <= plain.found_by_any.mean
    for sources in (plain, begun):
        assert all(one.only.mean <= one.found.mean <= sources.found_by_any.mean for one in sources.each.values())
    assert begun.customers < plain.customers


def test_parts_hold_the_customers_they_are_about(results: EvaluationResults) -> None:
    everybody = results.rankings[PRODUCT].customers
    again, new = results.parts["bought again"], results.parts["new products"]
    assert again[PRODUCT].customers == everybody, "a staple is in every basket"
    assert again[PRODUCT].figures["hit@20"].mean > 0.5
    assert new[PRODUCT].customers < everybody
    assert FREQUENCY not in new, "what is owned is hidden from that query"


def test_manifest_keeps_only_plain_numbers(results: EvaluationResults) -> None:
    kept = headline(results)
    assert set(kept) >= {PRODUCT, POPULARITY, PLAIN_ALS, FREQUENCY, "repeat_share", "split"}
    for name, figures in kept.items():
        numbers = list(figures.values()) if isinstance(figures, Mapping) else [figures]
        assert name == "split" or all(isinstance(one, int | float) for one in numbers)


def test_nobody_to_ask_gives_zeros(case: Case) -> None:
    empty = replace(case, queries=case.queries.only([]), segments=(), baselines=Baselines())
    metrics = evaluate_bundle(empty, no_progress)
    assert metrics.rankings[PRODUCT].customers == 0
    assert metrics.calibration["shown"].count == 0
    assert headline(metrics)["split"] == "time"
