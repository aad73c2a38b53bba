"""Evaluation results with hostile names and odd shapes, for tests of what reports make of them."""

from datetime import UTC, datetime

from training.data.shop import ShopFacts
from training.evaluation.evaluate import SEGMENT_FIGURES
from training.evaluation.questions import LIFTED
from training.evaluation.ranked import FIGURES
from training.evaluation.results import (
    PRODUCT,
    EvaluationResults,
    Group,
    Lift,
    MetricEstimate,
    Protocol,
    Question,
    RankingMetrics,
    Sources,
    SourceShare,
    Viewed,
)
from training.metrics.calibration import Bin, Reliability
from training.metrics.exposure import PopularityGroup
from training.metrics.rule_comparison import FREQUENCY, POPULARITY

HOSTILE = '<b>$x^2_$ & "quoted" 高い'
MEAN = MetricEstimate(0.2, 0.1, 0.3)


def sample_results() -> EvaluationResults:
    """Two rankings, a store whose name is markup, mathematics and Japanese at once, and no product page."""
    metrics = RankingMetrics(9, dict.fromkeys(FIGURES, MEAN))
    rankings = {PRODUCT: metrics, FREQUENCY: metrics, POPULARITY: metrics}
    group = RankingMetrics(3, dict.fromkeys(SEGMENT_FIGURES, MEAN))
    reliability = Reliability(20, 0.01, 0.02, 0.1, 0.2, 0.2, [Bin(10, 0.1, 0.1, 0.0, 0.2), Bin(10, 0.3, 0.3, 0.2, 0.4)])
    empty = Reliability(0, 0.0, 0.0, 0.0, 0.0, 0.0, [])
    share = SourceShare(MetricEstimate(60, 60, 60), MEAN, MEAN, MEAN)
    instant = datetime(2026, 9, 1, tzinfo=UTC)
    return EvaluationResults(
        protocol=Protocol("time", "basket", 0, instant, instant, 9, 12, 61, 1000, 5.0, 0.5, 1000, 0),
        shop=ShopFacts("grocer", 500, 8.0, 0.62, 0.02, 214.0, 330.0),
        rankings=rankings,
        versus={
            FREQUENCY: dict.fromkeys(FIGURES, MetricEstimate(0.1, -0.1, 0.3)),
            POPULARITY: dict.fromkeys(FIGURES, MEAN),
        },
        curves={name: {curve: [0.1] * 20 for curve in ("hit", "recall", "precision", "ndcg")} for name in rankings},
        parts={
            "bought again": rankings,
            "new products": {PRODUCT: RankingMetrics(0, dict.fromkeys(FIGURES, MetricEstimate(0, 0, 0)))},
        },
        questions={
            "no_basket": Question(rankings, reliability, None, None),
            "basket_begun": Question(
                rankings, reliability, Lift(dict.fromkeys(LIFTED, MEAN), dict.fromkeys(LIFTED, MEAN)), None
            ),
            "session": Question(rankings, empty, None, Viewed(0.25, rankings, rankings)),
        },
        segments={
            "store": [Group(HOSTILE, dict.fromkeys(rankings, group)), Group("s" * 80, dict.fromkeys(rankings, group))]
        },
        calibration={"shown": reliability, "all candidates": empty},
        exposure={name: {"coverage@10": MEAN, "novelty@10": MEAN} for name in rankings},
        owned_places=0.71,
        popularity_groups=[PopularityGroup(3, 0.5, 0.2), PopularityGroup(58, 0.5, 0.8)],
        sources={"empty basket": Sources(9, {"similar": share, HOSTILE: share}, MEAN)},
        notes=[f"about {HOSTILE}"],
    )
