"""When what was learned is refused, served, or replaced by a simple rule: each case by figures made for it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from training.metrics.ranking import Wide
from training.metrics.rule_comparison import (
    FREQUENCY,
    KEY,
    MIN_HITS,
    NEEDED_HITS,
    PLAIN_ALS,
    POPULARITY,
    AgainstRules,
    RuleComparison,
    against_rules,
    comparison_of,
)

RANDOM = np.random.default_rng(0)


def compared(count: int, gain: float, *, spread: float = 0.01, new: AgainstRules | None = None) -> RuleComparison:
    """So many queries with a hit, the ranking better by `gain` than the best rule, which is popularity."""
    popular: Wide = 0.3 + RANDOM.random(count) / 10
    noise = RANDOM.normal(0, spread, count)
    rules = {FREQUENCY: popular - 0.1, PLAIN_ALS: popular - 0.2, POPULARITY: popular}
    ranking = popular + gain + noise - noise.sum() / max(count, 1)
    return RuleComparison(True, 40, 90, 180, against_rules(ranking, rules, np.ones(count, np.bool_), seed=0), new)


def test_best_rule_is_the_one_compared_and_both_figures_are_kept() -> None:
    every = compared(100, -0.02).every
    assert (every.best, every.queries, every.hits) == (POPULARITY, 100, 100)
    assert every.difference == pytest.approx(-0.02, abs=1e-6)
    assert every.ndcg - every.rules[POPULARITY] == pytest.approx(every.difference, abs=1e-5)
    assert every.low < every.difference < every.high < 0


@pytest.mark.parametrize(
    ("gain", "is_worse", "is_better"), [(-0.02, True, False), (0, False, False), (0.02, False, True)]
)
def test_only_a_difference_beyond_noise_counts(gain: float, is_worse: bool, is_better: bool) -> None:
    every = compared(NEEDED_HITS, gain).every
    assert (every.is_worse, every.is_better) == (is_worse, is_better)


def test_equal_rankings_are_neither() -> None:
    same = np.full(80, 0.25)
    every = against_rules(same, {POPULARITY: same}, np.ones(80, np.bool_), seed=0)
    assert (every.low, every.high, every.is_worse, every.is_better) == (0, 0, False, False)


@pytest.mark.parametrize("gain", [-0.02, 0, 0.02])
def test_enough_queries_serve_what_was_learned_and_leave_the_rest_to_the_gate(gain: float) -> None:
    assert compared(NEEDED_HITS, gain).rule_to_serve() is None


@pytest.mark.parametrize("count", [0, 1, MIN_HITS - 1, MIN_HITS, NEEDED_HITS - 1])
@pytest.mark.parametrize("gain", [-0.02, 0])
def test_too_few_queries_serve_the_best_rule_that_can_be_served(count: int, gain: float) -> None:
    found = compared(count, gain)
    assert found.rule_to_serve() == (POPULARITY if count else FREQUENCY)


def test_few_queries_serve_what_was_learned_where_it_is_better_beyond_noise() -> None:
    assert compared(MIN_HITS, 0.02).rule_to_serve() is None
    assert compared(MIN_HITS - 1, 0.02).rule_to_serve() == POPULARITY, "an interval of so few says nothing"
    assert compared(MIN_HITS, 0.02, new=compared(MIN_HITS, -0.02).every).rule_to_serve() == POPULARITY


def test_queries_without_a_hit_tell_nothing() -> None:
    nothing = np.zeros(1000)
    every = against_rules(nothing, dict.fromkeys((FREQUENCY, POPULARITY), nothing), np.zeros(1000, np.bool_), seed=0)
    assert RuleComparison(True, 5, 5, None, every, None).rule_to_serve() == FREQUENCY
    assert RuleComparison(False, 5, 5, None, every, None).rule_to_serve() == POPULARITY


def test_sentence_says_which_rule_why_and_what_to_do() -> None:
    found = compared(23, 0)
    assert found.notes() == ()
    (sentence,) = replace(found, served=FREQUENCY).notes()
    assert "personal frequency: each customer's own products, then what is popular" in sentence
    assert "50 held-out people must have chosen something that was proposed to them, and 23 of 23 did" in sentence
    assert "40 customers and 90 baskets in 180 days" in sentence
    assert "`endcap import --preview FILE`" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("new", [None, compared(30, 0.01).every])
def test_manifest_gives_back_what_was_put_in(new: AgainstRules | None) -> None:
    found = compared(23, 0, new=new)
    assert comparison_of(json.loads(json.dumps({"config": found.config()}))) == found


@pytest.mark.parametrize("manifest", [{}, {"config": {}}, {"config": {KEY: {"every": 1}}}, {"config": 3}])
def test_manifest_of_another_version_gives_none(manifest: dict[str, object]) -> None:
    assert comparison_of(manifest) is None
