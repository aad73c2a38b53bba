"""What an evaluation found out, as one document: between the judge who fills it and the report that tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from training.metrics.calibration import Reliability
from training.metrics.exposure import PopularityGroup
from training.metrics.ranking import Wide, mean_intervals

PRODUCT = "endcap"
ROUND_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean over customers and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One ranking's figures, e.g. "ndcg@10", over so many customers."""

    customers: int
    figures: Mapping[str, Interval]


@dataclass(frozen=True, slots=True)
class Group:
    """One group of customers, every ranking judged on them alone."""

    name: str
    rankings: Mapping[str, Judged]


@dataclass(frozen=True, slots=True)
class SourceShare:
    """One candidate source alone: candidates per question, recall at 10 in its own order, shares of the truth found."""

    candidates: Interval
    recall: Interval
    found: Interval
    only: Interval


@dataclass(frozen=True, slots=True)
class Sources:
    """All candidate sources, and the share of the truth that any of them found: no ranking can recall more."""

    customers: int
    each: Mapping[str, SourceShare]
    found_by_any: Interval


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the figures came about; `cut_at` is None for a random split.

    `foretold`: "basket", or "session" where nothing is bought and questions ask for the next product.
    `asked_in_visits`: questions that come with what the customer had just looked at.
    """

    split: str
    foretold: str
    asked_in_visits: int
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
class Findings:
    """Everything; each mapping of rankings has the product first. docs/evaluation.md explains every figure.

    `versus`: the product's figure minus the other ranking's, customer by customer. `curves`: ranking → metric → its
    mean at 1, 2, … 20. `parts`: other questions and other truths. `sources`: kind of question → what sources found.
    """

    protocol: Protocol
    rankings: Mapping[str, Judged]
    versus: Mapping[str, Mapping[str, Interval]]
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    parts: Mapping[str, Mapping[str, Judged]]
    segments: Mapping[str, Sequence[Group]]
    calibration: Mapping[str, Reliability]
    exposure: Mapping[str, Mapping[str, Interval]]
    popularity_groups: Sequence[PopularityGroup]
    sources: Mapping[str, Sources]
    notes: Sequence[str]


def judged(values: Wide, names: Sequence[str], *, seed: int) -> Judged:
    """Figures of customers (n, m), a column per name, with their intervals."""
    return Judged(len(values), dict(zip(names, intervals(values, seed=seed), strict=True)))


def intervals(values: Wide, *, seed: int) -> list[Interval]:
    """One per column of `values` (n, m)."""
    ends = np.round(np.stack(mean_intervals(values, seed=seed), axis=1), ROUND_DIGITS)
    return [Interval(*row) for row in ends.tolist()]


def interval(values: Wide, *, seed: int) -> Interval:
    """Of one column (n,)."""
    return intervals(values.reshape(-1, 1), seed=seed)[0]


HEADLINE_FIGURES = tuple(f"{name}@{cutoff}" for cutoff in (10, 20) for name in ("hit", "recall", "ndcg", "mrr"))


def headline(findings: Findings) -> dict[str, object]:
    """The few figures that a manifest keeps: a mapping of plain numbers per ranking, and what the lists are like."""
    kept: dict[str, object] = {name: _means(told) for name, told in findings.rankings.items()}
    kept |= {f"{PRODUCT}, {part}": _means(told[PRODUCT]) for part, told in findings.parts.items()}
    ndcg = findings.rankings[PRODUCT].figures["ndcg@10"]
    shown = findings.calibration["shown"]
    exposure = {name: told.mean for name, told in findings.exposure[PRODUCT].items()}
    sources = next(iter(findings.sources.values()))
    kept["ndcg@10, 95 %"] = _rounded({"low": ndcg.low, "high": ndcg.high})
    kept["shown"] = _rounded({**exposure, "ece": shown.ece, "brier": shown.brier})
    kept["recall@10 of sources"] = _rounded({name: share.recall.mean for name, share in sources.each.items()})
    kept["candidates"] = _rounded({"recall": sources.found_by_any.mean})
    return kept | {"repeat_share": round(findings.protocol.repeat_share, 4), "split": findings.protocol.split}


def _means(told: Judged) -> dict[str, float]:
    figures = {name: told.figures[name].mean for name in HEADLINE_FIGURES}
    return {"customers": told.customers} | _rounded(figures)


def _rounded(figures: Mapping[str, float]) -> dict[str, float]:
    return {name: round(figure, 4) for name, figure in figures.items()}
