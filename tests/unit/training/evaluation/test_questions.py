"""Kinds of question measured apart: what knowing the basket adds, and what was viewed in the visit already."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from app.decision.pipeline import rank
from app.decision.ranking.features import COLUMNS
from app.history import History
from app.model.bundle import current_version, load_bundle
from tests.support.rows import history_of
from tests.support.world import World, no_progress
from training.data.dataset import load_interactions, product_table
from training.data.split import make_splits
from training.evaluation.baselines import Baselines
from training.evaluation.evaluate import Case, evaluate_bundle
from training.evaluation.results import PRODUCT, EvaluationResults, headline
from training.learners.bundle_contents import Hyperparameters, learn_contents
from training.learners.factors import AlsSettings
from training.metrics.ranking import METRIC_NAMES, one_customer
from training.queries.evaluation_queries import OPTIONS, build_queries, with_baskets
from training.queries.states import states_as_of, states_for
from training.ranking.blend import default_blend
from training.release.assemble import bundle_of
from training.release.publish import Facts

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def grocer(trained_world: World) -> Case:
    settings = trained_world.settings
    history, products = History(settings.history_dir).scan(), product_table(settings)
    dataset = load_interactions(history, products.collect() if products is not None else None)
    split = make_splits(dataset, seed=0)[0]
    queries = build_queries(split, states_as_of(history, products, split.train, sorted(split.truth)), seed=0)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    return Case(bundle, dataset, split, queries, (), 0, Baselines())


@pytest.fixture(scope="module")
def baskets(grocer: Case) -> EvaluationResults:
    return evaluate_bundle(grocer, no_progress)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> EvaluationResults:
    """Visits through a ring of twelve products, one after the other; every third turns back at its end."""
    rows = []
    for visit in range(300):
        steps = [(visit + step) % 12 for step in range(4)]
        steps += [steps[2]] if visit % 3 == 0 else [(visit + 4) % 12]
        at = START + timedelta(hours=visit)
        rows += [
            {
                "type": "view_item",
                "anonymous_id": f"v{visit}",
                "product_id": f"p{product}",
                "time": at + timedelta(minutes=step),
            }
            for step, product in enumerate(steps)
        ]
    history = history_of(rows)
    dataset = load_interactions(history, None)
    split = make_splits(dataset, seed=0)[0]
    settings = Hyperparameters(
        AlsSettings(factors=4, iterations=1), None, default_blend(COLUMNS), excludes_purchased=False
    )
    bundle = bundle_of(tmp_path_factory.mktemp("bundle"), Facts(START), learn_contents(split.train, settings, seed=0))
    queries = build_queries(split, states_for(history, None, split, sorted(split.truth)), seed=0)
    return evaluate_bundle(Case(bundle, dataset, split, queries, (), 0, Baselines()), no_progress)


def test_shop_without_views_has_questions_with_and_without_a_basket(baskets: EvaluationResults) -> None:
    assert list(baskets.questions) == ["no_basket", "basket_begun"]
    plain, begun = baskets.questions.values()
    assert plain.rankings == baskets.rankings
    assert (plain.calibration, plain.lift, plain.viewed) == (baskets.calibration["shown"], None, None)
    assert begun.rankings[PRODUCT].customers < plain.rankings[PRODUCT].customers
    assert begun.calibration.count == 10 * begun.rankings[PRODUCT].customers


def test_lift_is_what_knowing_the_basket_adds_for_the_same_customers(grocer: Case, baskets: EvaluationResults) -> None:
    begun = baskets.questions["basket_begun"]
    assert begun.lift is not None
    uninformed = []
    ids = grocer.bundle.catalogue.product_ids
    for query, state, truth in with_baskets(grocer.queries, ids, seed=0):
        if query.basket:
            known = {line.product_id for line in query.basket}
            shown = rank(replace(query, basket=()), grocer.bundle, state, OPTIONS).propositions
            items = [ids.index(one.product_id) for one in shown if one.product_id not in known]
            uninformed.append(one_customer(np.array(items, np.int32), truth, k=10)[METRIC_NAMES.index("ndcg")])
    assert begun.lift.uninformed["ndcg@10"].mean == pytest.approx(np.mean(uninformed), abs=1e-6)
    informed = begun.rankings[PRODUCT].figures["ndcg@10"].mean
    assert begun.lift.added["ndcg@10"].mean == pytest.approx(informed - np.mean(uninformed), abs=2e-6)


def test_what_was_viewed_in_the_visit_stands_apart_from_what_is_new_to_it(sessions: EvaluationResults) -> None:
    assert list(sessions.questions) == ["product_page", "session"]
    page, session = sessions.questions["product_page"].viewed, sessions.questions["session"].viewed
    assert page is not None
    assert session is not None
    assert page.share == 0, "nobody views the same product twice in a row"
    every = sessions.questions["session"].rankings[PRODUCT].customers
    already, new = (part[PRODUCT].customers for part in (session.already, session.new))
    assert (already + new, session.share) == (every, already / every), "one view is to be found in each visit"
    assert 0 < session.share < 0.5


def test_manifest_keeps_each_kind_with_its_calibration(baskets: EvaluationResults, sessions: EvaluationResults) -> None:
    kept = headline(baskets)
    assert {"endcap, basket begun", "shown, no basket", "shown, basket begun", "lift of the basket"} <= set(kept)
    assert "endcap, no basket" not in kept, "it is the whole"
    assert {"endcap, product page", "endcap, session", "views, session"} <= set(headline(sessions))
