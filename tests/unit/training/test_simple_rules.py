"""A bundle next to the simple rules: same queries, same eligibility, and rules served as they were measured."""

from dataclasses import replace

import numpy as np
import pytest

from app.history import History
from app.model.bundle import current_version, load_bundle
from benchmarks.ranking.ranked import mean_metrics as independent
from tests.support.world import World, no_progress
from training.data.dataset import load_interactions, product_table
from training.data.split import make_splits
from training.evaluation.lists import served_slates
from training.learners.bundle_contents import hyperparameters_of
from training.metrics.rule_comparison import FREQUENCY, PLAIN_ALS, POPULARITY
from training.queries.evaluation_queries import build_queries
from training.queries.states import states_as_of
from training.simple_rules import Candidate, compare_with_rules, ranked_by, ranking_by


@pytest.fixture(scope="module")
def candidate(trained_world: World) -> Candidate:
    """The live bundle on the last baskets, which its arithmetic does not mind."""
    settings = trained_world.settings
    history, products = History(settings.history_dir).scan(), product_table(settings)
    dataset = load_interactions(history, products.collect() if products is not None else None)
    split = make_splits(dataset, seed=0)[0]
    queries = build_queries(split, states_as_of(history, products, split.train, sorted(split.truth)), seed=0)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    return Candidate(bundle, dataset, split, queries, seed=0)


def without_purchased(candidate: Candidate) -> Candidate:
    """The same where a customer is not shown what they own."""
    bundle = replace(candidate.bundle, scoring={**candidate.bundle.scoring, "exclude_purchased": True})
    return replace(candidate, bundle=bundle)


def test_every_rule_is_measured_on_the_queries_of_the_bundle(candidate: Candidate) -> None:
    found = compare_with_rules(candidate, no_progress)
    assert (found.customers, found.every.queries) == (80, 80)
    assert set(found.every.rules) == {FREQUENCY, PLAIN_ALS, POPULARITY}
    assert found.every.rules[POPULARITY] < found.every.rules[PLAIN_ALS] < found.every.rules[FREQUENCY]
    slates = served_slates(candidate.bundle, candidate.queries, lambda *_: None).items
    lists = {str(row): [str(item) for item in items] for row, items in enumerate(slates.tolist())}
    truth = {str(row): frozenset(map(str, items.tolist())) for row, items in enumerate(candidate.queries.truth)}
    assert found.every.ndcg == pytest.approx(independent(lists, truth, k=10)["ndcg@10"], abs=6e-5)


def test_new_products_are_measured_without_what_is_owned(candidate: Candidate) -> None:
    new = compare_with_rules(candidate, no_progress).new
    assert new is not None
    assert 0 < new.queries < 80
    assert new.rules[FREQUENCY] == new.rules[POPULARITY], "what is owned is hidden from that query"


def test_rule_ranks_only_what_the_product_may_show(candidate: Candidate) -> None:
    found = compare_with_rules(without_purchased(candidate), no_progress)
    assert found.every.rules[FREQUENCY] == found.every.rules[POPULARITY]
    assert found.every.ndcg < 0.2, "every basket holds a staple that was bought before"


@pytest.mark.parametrize("rule", [FREQUENCY, POPULARITY])
def test_rule_is_served_as_it_was_measured(candidate: Candidate, rule: str) -> None:
    measured = compare_with_rules(candidate, no_progress).every.rules[rule]
    ruled = ranking_by(rule, hyperparameters_of(candidate.bundle), candidate)
    assert (ruled.trees, ruled.linear) == (None, None)
    served = compare_with_rules(replace(candidate, bundle=ranked_by(ruled, candidate.bundle)), no_progress)
    assert served.every.best == FREQUENCY
    assert served.every.ndcg == pytest.approx(measured, abs=0.01)


def test_probabilities_of_a_rule_are_those_of_what_is_bought(candidate: Candidate) -> None:
    ruled = ranking_by(FREQUENCY, hyperparameters_of(candidate.bundle), candidate)
    slates = served_slates(ranked_by(ruled, candidate.bundle), candidate.queries, lambda *_: None)
    bought = [np.isin(shown, truth).sum() for shown, truth in zip(slates.items, candidate.queries.truth, strict=True)]
    assert slates.probability.sum(axis=1).mean() == pytest.approx(np.mean(bought), rel=0.2)


def test_same_seed_gives_the_same_comparison(candidate: Candidate) -> None:
    assert compare_with_rules(candidate, no_progress) == compare_with_rules(candidate, no_progress)


def test_nobody_to_predict_for_is_no_evidence(candidate: Candidate) -> None:
    found = compare_with_rules(replace(candidate, queries=candidate.queries.only([])), no_progress)
    assert (found.every.queries, found.every.hits, found.new) == (0, 0, None)
    assert found.rule_to_serve() == FREQUENCY
    ranking_by(FREQUENCY, hyperparameters_of(candidate.bundle), replace(candidate, queries=candidate.queries.only([])))
