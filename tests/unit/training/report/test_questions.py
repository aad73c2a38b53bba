"""What a report says of kinds of question: words with figures, and nothing of kinds that the shop does not have."""

from dataclasses import replace

from tests.unit.training.report.sample_results import sample_results
from training.evaluation.results import MetricEstimate
from training.report.questions import questions_section


def test_lift_of_the_basket_is_said_in_words_with_its_interval() -> None:
    results = sample_results()
    begun = results.questions["basket_begun"]
    assert begun.lift is not None
    added = {**begun.lift.added, "ndcg@10": MetricEstimate(0.05, 0.04, 0.06)}
    changed = {"basket_begun": replace(begun, lift=replace(begun.lift, added=added))}
    said = questions_section(replace(results, questions=changed))
    assert "from 0.2000 to 0.2500 (95 % interval of the difference +0.0400 to +0.0600): more than noise." in said
    assert "Measured apart: basket begun." in said


def test_views_stand_apart_only_where_there_are_any() -> None:
    results = sample_results()
    said = questions_section(results)
    assert "Session: 25% of what was bought had been viewed in the visit already (hit@20 0.200, 9 queries)" in said
    plain = {"no_basket": results.questions["no_basket"]}
    assert "viewed" not in questions_section(replace(results, questions=plain))
    assert questions_section(replace(results, questions={})) == ""


def test_each_kind_has_its_own_calibration() -> None:
    said = questions_section(sample_results())
    assert '<th scope="row">no basket (9)</th>' in said
    assert "<td>0.2000</td><td>0.2000</td><td>0.0100</td>" in said
