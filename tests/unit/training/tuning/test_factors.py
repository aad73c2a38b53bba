"""Successive halving finds the same settings on any machine, and says what it had no budget for."""

import numpy as np
import pytest

from tests.support.rows import checkerboard, untimed
from tests.unit.training.learners.test_factors import SMALL
from training.data.split import Split, random_split
from training.tuning.factors import Trial, tune
from training.tuning.problem import TuningProblem, tuning_problem
from training.tuning.work import trial_seconds


@pytest.fixture(scope="module")
def problem() -> TuningProblem:
    return tuning_problem(random_split(checkerboard(), seed=1), seed=1)


@pytest.fixture(scope="module")
def large() -> TuningProblem:
    """More customers than any trial predicts for, so that a part of them is less work."""
    random = np.random.default_rng(0)
    rows = [
        (f"c{customer}", f"p{item * 4 + customer % 4}")
        for customer in range(5000)
        for item in random.choice(60, 8, replace=False)
    ]
    return tuning_problem(random_split(untimed(rows), seed=1), seed=1)


def test_best_of_the_trials_on_most_customers_wins(problem: TuningProblem) -> None:
    seen: list[Trial] = []
    tuned = tune(problem, budget_s=60, seed=1, on_trial=seen.append, start=SMALL)
    assert list(tuned.trials) == seen
    assert len({(trial.settings, trial.share) for trial in seen}) == len(seen) > 9
    assert not tuned.not_tried
    assert {trial.share for trial in seen} == {1.0}
    chosen = next(trial for trial in seen if trial.settings == tuned.settings)
    assert chosen.ndcg >= seen[0].ndcg


def test_spent_budget_still_allows_one_trial(problem: TuningProblem) -> None:
    tuned = tune(problem, budget_s=0, seed=1, start=SMALL)
    assert [trial.settings for trial in tuned.trials] == [SMALL]
    assert tuned.settings == SMALL
    assert len(tuned.not_tried) >= 8


def test_nobody_to_ask_keeps_the_start() -> None:
    nobody = tuning_problem(Split("random", checkerboard(), {}), seed=1)
    tuned = tune(nobody, budget_s=5, seed=1, start=SMALL)
    assert (tuned.settings, list(tuned.trials)) == (SMALL, [])


def test_small_budget_tries_many_settings_on_few_customers_and_few_on_more(large: TuningProblem) -> None:
    on_all = trial_seconds(large, SMALL, share=1.0)
    tuned = tune(large, budget_s=12 * on_all, seed=1, start=SMALL, max_factors=8)
    shares = [trial.share for trial in tuned.trials]
    assert shares == sorted(shares)
    assert shares[0] < 1 == shares[-1]
    assert sum(trial.work_s for trial in tuned.trials) <= 12 * on_all
    assert tuned.settings in [trial.settings for trial in tuned.trials if trial.share == 1]


def test_clock_changes_nothing(large: TuningProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Control: a budget that the clock spent would end sooner where each look at it finds a minute gone."""
    budget_s = 5 * trial_seconds(large, SMALL, share=1.0)
    first = tune(large, budget_s=budget_s, seed=1, start=SMALL)
    minutes = iter(range(0, 10**6, 60))
    for name in ("monotonic", "perf_counter", "process_time", "time"):
        monkeypatch.setattr(f"time.{name}", lambda: float(next(minutes)))
    assert tune(large, budget_s=budget_s, seed=1, start=SMALL) == first


def test_factors_are_doubled_while_they_may_be(problem: TuningProblem) -> None:
    widths = {trial.settings.factors for trial in tune(problem, budget_s=60, seed=1, start=SMALL).trials}
    assert {4, 8} <= widths
    narrow = tune(problem, budget_s=60, seed=1, start=SMALL, max_factors=4)
    assert {trial.settings.factors for trial in narrow.trials} == {4}


def test_sample_keeps_everybody_who_is_predicted_for(large: TuningProblem) -> None:
    sample = large.sample(1 / 3, seed=0)
    kept = np.unique(sample.pairs.customer)
    assert set(large.customers) <= set(kept)
    assert 0.3 < len(kept) / 5000 < 0.6
