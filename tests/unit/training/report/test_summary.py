"""What a terminal shows of a training: the product next to its baselines, each figure marked."""

from pathlib import Path

from tests.support.evaluation_results import sample_results
from training.evaluation.results import HEADLINE_FIGURES, headline
from training.report.summary import TrainReport, metric_lines, metric_table

RANKINGS = {
    "endcap": {"customers": 2464, "ndcg@10": 0.25, "recall@10": 0.1, "hit@10": 0.5},
    "live settings": {"customers": 2464, "ndcg@10": 0.24, "recall@10": 0.2, "hit@10": 0.5},
    "personal frequency": {"customers": 2464, "ndcg@10": 0.24, "recall@10": 0.2, "hit@10": 0.5},
    "plain ALS": {"customers": 2464, "ndcg@10": 0.2, "recall@10": 0.05, "hit@10": 0.4},
    "popularity": {"customers": 2464, "ndcg@10": 0.1, "recall@10": 0.05, "hit@10": 0.4},
}
PART = {"customers": 1234, "hit@10": 0.5, "recall@10": 0.1, "ndcg@10": 0.25, "mrr@10": 0.3}
METRICS = {
    **RANKINGS,
    "endcap, bought for the first time": PART,
    "shown": {f"{name} diversity@10": 0.123456 for name in ("factor", "category", "department", "brand")},
    "repeat_share": 0.5,
    "split": "time",
}


def test_every_figure_is_a_row_that_marks_where_the_product_is_better() -> None:
    header, *rows = metric_table(METRICS)
    assert header == ("", *RANKINGS)
    assert rows[0] == ("ndcg@10", "0.2500", "0.2400 +", "0.2400 +", "0.2000 +", "0.1000 +")
    assert rows[1] == ("recall@10", "0.1000", "0.2000 -", "0.2000 -", "0.0500 +", "0.0500 +")
    assert [cell[-1] for cell in rows[2][2:]] == ["=", "=", "+", "+"]


def test_lines_fit_eighty_columns_and_leave_no_group_of_figures_out() -> None:
    lines = metric_lines(METRICS)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "bought for the first time      1,234  0.5000" in text
    assert text.count("diversity@10 0.1235") == 4


def test_columns_stand_below_each_other() -> None:
    header, *rows = metric_lines(RANKINGS)[:4]
    ends = [header.index(name) + len(name) for name in RANKINGS]
    assert [row[end - 1] for row in rows for end in ends[1:]] == list("++++--++==++")
    assert all(row[ends[0] - 6 : ends[0]].startswith("0.") for row in rows)


def test_metrics_of_a_real_evaluation_make_a_whole_table() -> None:
    header, *rows = metric_table(headline(sample_results()))
    assert header == ("", "endcap", "personal frequency", "popularity")
    assert [row[0] for row in rows] == list(HEADLINE_FIGURES)


def test_report_without_figures_still_says_what_became_of_the_bundle() -> None:
    report = TrainReport("v1", published=False, metrics={}, seconds={"total": 3.2}, report=Path("reports/v1.html"))
    assert report.to_table() == []
    assert report.to_text() == "bundle v1 (not published)\ntime: total 3 s\nreport: reports/v1.html"
