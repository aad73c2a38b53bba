"""All figures of an evaluation, as one document: between the evaluation that fills it and the report that shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from training.data.shop import ShopFacts
from training.metrics.calibration import Reliability
from training.metrics.exposure import PopularityGroup
from training.metrics.ranking import Wide, mean_intervals

PRODUCT = "endcap"
ROUND_DIGITS = 6


@dataclass(frozen=True, slots=True)
class MetricEstimate:
    """A mean over customers and its 95 % confidence interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class RankingMetrics:
    """One ranking's figures, e.g. "ndcg@10", over so many customers."""

    customers: int
    figures: Mapping[str, MetricEstimate]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of customers, every ranking measured on them alone."""

    name: str
    rankings: Mapping[str, RankingMetrics]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """One candidate source alone: candidates per query, recall at 10 in its own order, shares of the truth found."""

    candidates: MetricEstimate
    recall: MetricEstimate
    found: MetricEstimate
    only: MetricEstimate


@dataclass(frozen=True, slots=True)
class Sources:
    """All candidate sources, and the share of the truth that any of them found: no ranking can recall more."""

    customers: int
    each: Mapping[str, SourceShare]
    found_by_any: MetricEstimate


@dataclass(frozen=True, slots=True)
class Lift:
    """What knowing the basket adds: the slates without knowing it, and the difference customer by customer."""

    uninformed: Mapping[str, MetricEstimate]
    added: Mapping[str, MetricEstimate]


@dataclass(frozen=True, slots=True)
class Viewed:
    """The products to be found that were viewed in the visit `already`, a `share` of all, and those `new` to it."""

    share: float
    already: Mapping[str, RankingMetrics]
    new: Mapping[str, RankingMetrics]


@dataclass(frozen=True, slots=True)
class Question:
    """One kind of question alone: all rankings, and how true the probabilities of the first ten propositions were.

    `lift` only with a basket begun, `viewed` only where the queries hold views.
    """

    rankings: Mapping[str, RankingMetrics]
    calibration: Reliability
    lift: Lift | None
    viewed: Viewed | None


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the figures came about; `cut_at` is None for a random split.

    `target`: what is predicted, a "basket", or in a "session" the next product viewed where nothing is bought.
    `queries_with_views`: how many queries hold what the customer had just viewed.
    """

    split: str
    target: str
    queries_with_views: int
    cut_at: datetime | None
    window_end_at: datetime | None
    customers: int
    customers_with_truth: int
    products: int
    training_lines: int
    truth_size: float
    repeat_share: float
    resamples: int
    seed: int


@dataclass(frozen=True, slots=True)
class EvaluationResults:
    """Everything; each mapping of rankings has the product first. docs/evaluation.md explains every figure.

    `owned_places`: the share of the product's first ten places that hold what the customer had bought before.

    `versus`: the product's figure minus the other ranking's, customer by customer. `curves`: ranking → metric → its
    mean at 1, 2, … 20. `parts`: other truths. `questions`: by kind, those that the shop has. `sources`: kind of query →
    what sources found.
    """

    protocol: Protocol
    shop: ShopFacts
    rankings: Mapping[str, RankingMetrics]
    versus: Mapping[str, Mapping[str, MetricEstimate]]
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    parts: Mapping[str, Mapping[str, RankingMetrics]]
    questions: Mapping[str, Question]
    segments: Mapping[str, Sequence[Group]]
    calibration: Mapping[str, Reliability]
    exposure: Mapping[str, Mapping[str, MetricEstimate]]
    owned_places: float
    popularity_groups: Sequence[PopularityGroup]
    sources: Mapping[str, Sources]
    notes: Sequence[str]

    @property
    def shown(self) -> Reliability:
        """How true the probabilities of the first ten propositions were."""
        return self.calibration["shown"]


def ranking_metrics(values: Wide, names: Sequence[str], *, seed: int) -> RankingMetrics:
    """Figures of customers (n, m), a column per name, with their intervals."""
    return RankingMetrics(len(values), dict(zip(names, estimates(values, seed=seed), strict=True)))


def estimates(values: Wide, *, seed: int) -> list[MetricEstimate]:
    """One per column of `values` (n, m)."""
    ends = np.round(np.stack(mean_intervals(values, seed=seed), axis=1), ROUND_DIGITS)
    return [MetricEstimate(*row) for row in ends.tolist()]


def estimate(values: Wide, *, seed: int) -> MetricEstimate:
    """Of one column (n,)."""
    return estimates(values.reshape(-1, 1), seed=seed)[0]


HEADLINE_FIGURES = tuple(f"{name}@{cutoff}" for cutoff in (10, 20) for name in ("hit", "recall", "ndcg", "mrr"))


def headline(results: EvaluationResults) -> dict[str, object]:
    """The few figures that a manifest keeps: a mapping of plain numbers per ranking, and what the lists are like."""
    kept: dict[str, object] = {name: _means(metrics) for name, metrics in results.rankings.items()}
    kept |= {f"{PRODUCT}, {part}": _means(metrics[PRODUCT]) for part, metrics in results.parts.items()}
    kept |= _of_questions(results.questions, customers=results.protocol.customers)
    ndcg = results.rankings[PRODUCT].figures["ndcg@10"]
    shown = results.shown
    exposure = {name: one.mean for name, one in results.exposure[PRODUCT].items()}
    # The first kind of query is that without a basket, which every evaluation has.
    sources = next(iter(results.sources.values()))
    kept["ndcg@10, 95 %"] = _rounded({"low": ndcg.low, "high": ndcg.high})
    kept["shown"] = _rounded({**exposure, "ece": shown.ece, "brier": shown.brier})
    kept["recall@10 of sources"] = _rounded({name: share.recall.mean for name, share in sources.each.items()})
    kept["candidates"] = _rounded({"recall": sources.found_by_any.mean})
    return kept | {"repeat_share": round(results.protocol.repeat_share, 4), "split": results.protocol.split}


def _of_questions(questions: Mapping[str, Question], *, customers: int) -> dict[str, object]:
    """Per kind its figures and calibration, the lift of a basket, and what views tell apart; no kind that is all."""
    kept: dict[str, object] = {}
    for kind, question in questions.items():
        name = kind.replace("_", " ")
        metrics, shown = question.rankings[PRODUCT], question.calibration
        if metrics.customers < customers:
            kept[f"{PRODUCT}, {name}"] = _means(metrics)
        chances = {"predicted": shown.mean_probability, "bought": shown.bought, "ece": shown.ece}
        kept[f"shown, {name}"] = _rounded(chances)
        if question.lift is not None:
            kept["lift of the basket"] = _rounded({one: added.mean for one, added in question.lift.added.items()})
        if question.viewed is not None:
            parts = {"viewed already": question.viewed.already, "new to the visit": question.viewed.new}
            hits = {f"hit@20, {part}": metrics[PRODUCT].figures["hit@20"].mean for part, metrics in parts.items()}
            kept[f"views, {name}"] = _rounded({"share viewed already": question.viewed.share} | hits)
    return kept


def _means(metrics: RankingMetrics) -> dict[str, float]:
    figures = {name: metrics.figures[name].mean for name in HEADLINE_FIGURES}
    return {"customers": metrics.customers} | _rounded(figures)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}
