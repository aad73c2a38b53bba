"""Training's result for people: the product against its baselines, better and worse marked."""

import json
from collections.abc import Mapping
from pathlib import Path

from app.commands.figures import metric_tables, training_outcome
from app.commands.text_table import TextTable
from tests.unit.training.report.sample_results import sample_results
from training.data.non_goods import NonGood
from training.evaluation.results import HEADLINE_FIGURES, headline
from training.report.summary import TrainReport

METRICS: Mapping[str, object] = {
    "endcap": {"customers": 1280, "ndcg@10": 0.5175, "hit@10": 1.0, "mrr@10": 0.25},
    "personal frequency": {"customers": 1280, "ndcg@10": 0.5179, "hit@10": 1.0, "mrr@10": 0.2},
    "popularity": {"customers": 1280, "ndcg@10": 0.1429, "hit@10": 0.6, "mrr@10": 0.1},
    "endcap, bought again": {"customers": 80, "ndcg@10": 0.5319, "hit@10": 1.0, "mrr@10": 0.5},
    "ndcg@10, 95 %": {"low": 0.4883, "high": 0.5472},
    "split": "time",
}


def tables(metrics: Mapping[str, object]) -> list[TextTable]:
    """What `metric_tables` makes of them."""
    return [table for table in metric_tables(metrics) if isinstance(table, TextTable)]


def test_product_is_compared_with_the_best_baseline_of_each_metric() -> None:
    compared = tables(METRICS)[0]
    assert compared.columns == ("metric", "endcap", "personal frequency", "popularity", "endcap is")
    assert compared.rows == [
        ("customers", "1,280", "1,280", "1,280", ""),
        ("ndcg@10", "0.5175", "0.5179", "0.1429", "worse"),
        ("hit@10", "1.0000", "1.0000", "0.6000", "equal"),
        ("mrr@10", "0.2500", "0.2000", "0.1000", "better"),
    ]


def test_parts_and_other_figures_have_tables_of_their_own() -> None:
    _, parts, others = tables(METRICS)
    assert parts.columns == ("of these", "bought again")
    assert parts.rows[1] == ("ndcg@10", "0.5319")
    assert others.rows == [("ndcg@10, 95 %: low", "0.4883"), ("ndcg@10, 95 %: high", "0.5472")]


def test_metrics_of_a_real_evaluation_leave_no_figure_out() -> None:
    compared = tables(headline(sample_results()))[0]
    assert compared.columns == ("metric", "endcap", "personal frequency", "popularity", "endcap is")
    assert [row[0] for row in compared.rows] == ["customers", *HEADLINE_FIGURES]
    assert {row[-1] for row in compared.rows[1:]} == {"equal"}


def test_without_baselines_nothing_is_marked() -> None:
    [alone] = tables({"endcap": {"customers": 3, "ndcg@10": 0.5}})
    assert [row[-1] for row in alone.rows] == ["", ""]


def test_without_figures_there_is_no_table() -> None:
    assert metric_tables({"split": "time"}) == []


def test_what_is_no_goods_is_counted_and_the_first_are_named() -> None:
    out = [NonGood(f"p{number}", None, 9, ("why",), is_left_out=True) for number in range(7)]
    look = NonGood("bag", "Bag", 1, ("its name says so",), is_left_out=False)
    for non_goods, line in (
        ([*out, look], "no goods: 7 left out (p0, p1, p2, p3, p4 and 2 more), 1 worth a look; the report says why"),
        ([look], "no goods: none left out, 1 worth a look; the report says why"),
    ):
        path = Path("v1.html")
        report = TrainReport("v1", published=True, metrics={}, seconds={}, report=path, non_goods=non_goods)
        assert training_outcome(report)[1] == line
        assert json.loads(json.dumps(report.to_dict()))["non_goods"][-1]["evidence"] == ["its name says so"]


def test_training_without_figures_still_says_what_became_of_the_bundle() -> None:
    report = TrainReport("v1", published=False, metrics={}, seconds={"total": 3.2}, report=Path("reports/v1.html"))
    assert training_outcome(report) == ["bundle v1 is not published", "time: total 3 s", "report: reports/v1.html"]
