"""A small retailer's bundle judged whole: its figures follow from the very slates that it serves."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from app.decision.pipeline import rank
from app.history import History
from app.model.bundle import current_version, load_bundle
from benchmarks.ranking.ranked import judge as independent
from tests.support.world import CUSTOMERS_PER_TASTE, World, no_progress
from training.data.dataset import load_interactions, product_table
from training.data.split import make_splits
from training.evaluation.baselines import Rivals
from training.evaluation.evaluate import FREQUENCY, PLAIN_ALS, POPULARITY, Case, judge
from training.evaluation.results import PRODUCT, Findings, headline
from training.evaluation.segments import segments_of
from training.queries.evaluation_queries import OPTIONS, questions
from training.queries.states import states_as_of

RIVAL = "the same again"


@pytest.fixture(scope="module")
def case(trained_world: World) -> Case:
    """The live bundle asked for the last baskets: it has seen them, which its arithmetic does not mind."""
    settings = trained_world.settings
    history, products = History(settings.history_dir).scan(), product_table(settings)
    dataset = load_interactions(history, products.collect() if products is not None else None)
    split = make_splits(dataset, seed=0)[0]
    states = states_as_of(history, products, split.train, sorted(split.truth))
    asked = questions(split, states, seed=0)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    rivals = Rivals({RIVAL: bundle}, ("a note",))
    return Case(bundle, dataset, split, asked, segments_of(asked, split, history), 0, rivals)


@pytest.fixture(scope="module")
def findings(case: Case) -> Findings:
    return judge(case, no_progress)


def test_figures_equal_an_independent_judge_of_the_served_slates(case: Case, findings: Findings) -> None:
    ids = case.bundle.catalogue.product_ids
    lists, truth = {}, {}
    for query, state, wanted in zip(case.asked.queries, case.asked.states, case.asked.truth, strict=True):
        name = str(query.customer_id)
        lists[name] = [shown.product_id for shown in rank(query, case.bundle, state, OPTIONS).propositions]
        truth[name] = frozenset(ids[item] for item in wanted)
    for cutoff in (5, 10, 20):
        for name, figure in independent(lists, truth, k=cutoff).items():
            assert findings.rankings[PRODUCT].figures[name].mean == pytest.approx(figure, abs=6e-5)


def test_same_seed_finds_the_same(case: Case, findings: Findings) -> None:
    assert judge(case, no_progress) == findings


def test_every_ranking_is_judged_on_the_same_customers(findings: Findings) -> None:
    assert list(findings.rankings) == [PRODUCT, FREQUENCY, PLAIN_ALS, POPULARITY, RIVAL]
    assert {told.customers for told in findings.rankings.values()} == {2 * CUSTOMERS_PER_TASTE}
    for told in findings.rankings.values():
        assert all(one.low <= one.mean <= one.high for one in told.figures.values())


def test_taste_and_staples_make_the_product_better_than_popularity_beyond_noise(findings: Findings) -> None:
    assert findings.versus[POPULARITY]["ndcg@10"].low > 0


def test_equal_rival_differs_by_nothing(findings: Findings) -> None:
    assert all((one.mean, one.low, one.high) == (0, 0, 0) for one in findings.versus[RIVAL].values())


def test_curves_pass_through_the_figures(findings: Findings) -> None:
    for ranking, curves in findings.curves.items():
        for name, values in curves.items():
            assert values[9] == pytest.approx(findings.rankings[ranking].figures[f"{name}@10"].mean, abs=1e-6)


def test_groups_of_a_kind_hold_every_customer_once_and_average_to_the_whole(findings: Findings) -> None:
    assert set(findings.segments) == {"activity", "channel", "store"}
    whole = findings.rankings[PRODUCT]
    for groups in findings.segments.values():
        sizes = [group.rankings[PRODUCT].customers for group in groups]
        means = [group.rankings[PRODUCT].figures["ndcg@10"].mean for group in groups]
        assert sum(sizes) == whole.customers
        assert np.average(means, weights=sizes) == pytest.approx(whole.figures["ndcg@10"].mean, abs=1e-5)
    assert [group.name for group in findings.segments["store"]] == ["s0", "s1"]


def test_no_list_recalls_more_than_the_sources_found(findings: Findings) -> None:
    (plain, begun) = findings.sources.values()
    assert findings.rankings[PRODUCT].figures["recall@20"].mean <= plain.found_by_any.mean
    for sources in (plain, begun):
        assert all(one.only.mean <= one.found.mean <= sources.found_by_any.mean for one in sources.each.values())
    assert begun.customers < plain.customers


def test_parts_ask_whom_they_are_about(findings: Findings) -> None:
    everybody = findings.rankings[PRODUCT].customers
    again, new = findings.parts["bought again"], findings.parts["new products"]
    assert again[PRODUCT].customers == everybody, "a staple is in every basket"
    assert again[PRODUCT].figures["hit@20"].mean > 0.5
    assert new[PRODUCT].customers < everybody
    assert FREQUENCY not in new, "what is owned is hidden from that question"


def test_manifest_keeps_only_plain_numbers(findings: Findings) -> None:
    kept = headline(findings)
    assert set(kept) >= {PRODUCT, POPULARITY, PLAIN_ALS, FREQUENCY, "repeat_share", "split"}
    for name, figures in kept.items():
        numbers = list(figures.values()) if isinstance(figures, Mapping) else [figures]
        assert name == "split" or all(isinstance(one, int | float) for one in numbers)


def test_nobody_to_ask_gives_zeros(case: Case) -> None:
    empty = replace(case, asked=case.asked.only([]), segments=(), rivals=Rivals())
    told = judge(empty, no_progress)
    assert told.rankings[PRODUCT].customers == 0
    assert told.calibration["shown"].count == 0
    assert headline(told)["split"] == "time"
