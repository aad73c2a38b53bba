"""Held-out baskets become the weights of the linear ranking and the probability its scores stand for."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from app.decision.customer.kinds import QUESTION_KINDS
from app.domain import Floats, Mask
from training.metrics.calibration import Reliability
from training.metrics.ranking import gains
from training.ranking.logistic import fit_logistic

CUTOFF = 10
# Their columns are held side by side: 176 MB at 500 candidates and 11 columns.
MAX_CUSTOMERS = 8000
MIN_CUSTOMERS = 50
"""Fewer customers with a hit cannot move seven weights: the defaults stand."""
MIN_GAIN = 1e-4
"""A step must bring that much NDCG: smaller ones follow the noise of the window."""
STEPS = (1.0, -1.0, 0.5, -0.5)
"""By so many of its own sizes each weight is moved in turn."""
ROUND_SCALES = (2.0, 1.0, 0.5, 0.25)
"""Each round moves less far than the one before: far first, so that no weight stays in a poor value nearby."""
CALIBRATION_PENALTY = 1e-9
"""Next to nothing: it keeps the system solvable where all scores are equal."""

DEFAULT_DISCOVERY: Mapping[str, float] = {
    "als": 1.0,
    "linear": 3.0,
    "together": 15.0,
    "next": 10.0,
    "following": 3.0,
    "seen": 0.5,
    "trending": 0.05,
    "popular": 0.05,
}
"""How products new to a customer are ranked among themselves.

`together` scores are small (mean 0.04): with two products of the basket known, 15 lifted the NDCG@10 of new ones
on a grocer's tills from .019 to .047. Without a basket the column is empty and nothing is learned about it.
"""
DEFAULT_PERSONAL: Mapping[str, float] = {
    "frequent_28d": 1.0,
    "frequent_112d": 1.0,
    "frequent_all": 0.8,
    "repeat": 0.35,
}
"""What earlier purchases of the product itself add; zero for products never bought."""
DEFAULT_DISCOVERY_SCALE = 0.1
MIN_DISCOVERY_SHARE = 0.01
"""Of its default weight, what a discovery column keeps at least: queries of unknown customers need it, and held-out
baskets of regulars hold no such query."""
# The same for the discovery part as a whole: it alone ranks requests of people without purchases.
MIN_DISCOVERY_TOTAL = 0.1
# Candidates further down are hardly ever shown, and would carry most of the calibration's weight.
SHOWN_COUNT = 50
MIN_KIND_HITS = 200
"""Fewer tell the slope of a kind of question no better than all kinds together do."""
NO_SCORE, NO_LABEL = np.zeros(0, np.float32), np.zeros(0, np.bool_)

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(bought in the next basket) = 1 / (1 + exp(-(slope · score + intercept)))."""

    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Blend:
    """Weight per column, the calibration of their sum, and NDCG@10 on the fitted baskets (0 when not fitted).

    `by_kind`: the calibration of those kinds of question that held enough to fit one.
    """

    weights: Mapping[str, float]
    calibration: Calibration
    ndcg: float
    by_kind: Mapping[str, Calibration] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The blend as scoring.json holds it."""
        by_kind = {kind: asdict(calibration) for kind, calibration in self.by_kind.items()}
        return {"weights": dict(self.weights), "calibration": asdict(self.calibration), "calibration_by_kind": by_kind}


@dataclass(frozen=True, slots=True)
class _Slates:
    """Candidates of all customers side by side: `columns` (f, c, width), `is_hit` and `is_there` (c, width).

    `ideal` (c,): the largest DCG@10.
    """

    columns: Floats
    is_hit: Mask
    is_there: Mask
    ideal: Wide


def fit_blend(
    columns: Sequence[Floats],
    labels: Sequence[Mask],
    *,
    names: Sequence[str],
    seed: int,
    truth_counts: Sequence[int] | None = None,
) -> Blend:
    """Weights per name by coordinate ascent on NDCG@10, then a Platt calibration; same seed, same blend.

    One entry per held-out basket: `columns` float32 (candidates, names), `labels` (candidates,) bought or not,
    `truth_counts` products in the basket (default: those among the candidates). Discovery columns are first
    weighed among themselves on products new to the customer, so that the same weights serve requests that
    exclude purchases; then the whole discovery part against the personal columns on all products.
    """
    chosen = _chosen(labels, seed=seed)
    truth = (
        [int(np.sum(labels[row])) for row in chosen] if truth_counts is None else [truth_counts[row] for row in chosen]
    )
    slates = _side_by_side([columns[row] for row in chosen], [labels[row] for row in chosen], truth, len(names))
    weights = default_weights(names)
    if len(chosen) >= MIN_CUSTOMERS:
        weights = _fit_discovery(slates, weights, names)
        weights = _fit_personal(slates, weights, names)
    calibration = calibration_of([table @ weights.astype(np.float32) for table in columns], labels)
    return Blend(
        dict(zip(names, map(float, weights), strict=True)), calibration, _ndcg(slates, _scores(slates, weights))
    )


def default_weights(names: Sequence[str]) -> Wide:
    """The weights that stand where nothing can be learned; a column that is not known here gets none."""
    discovery = {name: DEFAULT_DISCOVERY_SCALE * weight for name, weight in DEFAULT_DISCOVERY.items()}
    return np.array([{**discovery, **DEFAULT_PERSONAL}.get(name, 0.0) for name in names])


def default_blend(names: Sequence[str]) -> Blend:
    """The default weights, not calibrated."""
    return Blend(dict(zip(names, map(float, default_weights(names)), strict=True)), Calibration(1.0, 0.0), ndcg=0.0)


def calibration_of(scores: Sequence[Floats], labels: Sequence[Mask]) -> Calibration:
    """The calibration of what may be shown: of each query the candidates with the SHOWN_COUNT best scores.

    Queries without a hit count: they are what makes a probability small.
    """
    best = [np.argsort(-ranked, kind="stable")[:SHOWN_COUNT] for ranked in scores]
    return fit_calibration(
        np.concatenate([NO_SCORE, *(ranked[top] for ranked, top in zip(scores, best, strict=True))]),
        np.concatenate([NO_LABEL, *(hits[top] for hits, top in zip(labels, best, strict=True))]),
    )


def calibrations_by_kind(
    scores: Sequence[Floats], labels: Sequence[Mask], kinds: Sequence[str]
) -> Mapping[str, Calibration]:
    """The calibration of each kind of question with MIN_KIND_HITS products bought among those that may be shown."""
    found = {}
    for kind in QUESTION_KINDS:
        rows = [row for row, one in enumerate(kinds) if one == kind]
        if sum(int(labels[row].sum()) for row in rows) >= MIN_KIND_HITS:
            found[kind] = calibration_of([scores[row] for row in rows], [labels[row] for row in rows])
    return found


def as_bought(blend: Blend, shown: Reliability, *, growth: float) -> Blend:
    """The blend with its probabilities moved to `growth` times the share bought of what it showed, for every kind.

    With fewer than MIN_KIND_HITS products bought nothing is moved.
    """
    if shown.bought * shown.count < MIN_KIND_HITS or not 0 < shown.mean_probability < 1 or shown.bought * growth >= 1:
        return blend
    by = float(logit(shown.bought * growth) - logit(shown.mean_probability))

    def moved(one: Calibration) -> Calibration:
        return replace(one, intercept=one.intercept + by)

    by_kind = {kind: moved(one) for kind, one in blend.by_kind.items()}
    return replace(blend, calibration=moved(blend.calibration), by_kind=by_kind)


def fit_calibration(scores: Floats | Wide, labels: Mask) -> Calibration:
    """Slope and intercept of largest likelihood; Platt 1999 with his smoothed targets.

    Without both a hit and a miss, slope 1 and an intercept that gives the smoothed share of hits.
    """
    hit_count, miss_count = int(labels.sum()), int((~labels).sum())
    prior = (hit_count + 1) / (hit_count + miss_count + 2)
    start = float(np.log(prior / (1 - prior)))
    if hit_count == 0 or miss_count == 0:
        return Calibration(1.0, start)
    target = np.where(labels, (hit_count + 1) / (hit_count + 2), 1 / (miss_count + 2))
    # Standardized, so that the penalty is next to nothing on any scale of scores.
    middle, spread = float(scores.mean()), float(scores.std()) or 1.0
    design = np.stack([(scores.astype(np.float64) - middle) / spread, np.ones(len(scores))], axis=1)
    penalty = np.full(2, CALIBRATION_PENALTY)
    slope, intercept = map(float, fit_logistic(design, target, penalty=penalty, start=np.array([0.0, start])))
    return Calibration(slope / spread, intercept - slope * middle / spread)


def _chosen(labels: Sequence[Mask], *, seed: int) -> list[int]:
    # A query without a hit has NDCG 0 whatever the weights: it cannot move them.
    able = [row for row, hits in enumerate(labels) if np.any(hits)]
    if len(able) <= MAX_CUSTOMERS:
        return able
    return sorted(int(row) for row in np.random.default_rng(seed).choice(able, MAX_CUSTOMERS, replace=False))


def _side_by_side(columns: Sequence[Floats], labels: Sequence[Mask], truth: Sequence[int], name_count: int) -> _Slates:
    # argpartition() in `_ndcg` needs at least CUTOFF columns.
    width = max([CUTOFF, *map(len, labels)])
    table = np.zeros((name_count, len(labels), width), np.float32)
    is_hit, is_there = np.zeros((2, len(labels), width), np.bool_)
    for row, (values, hits) in enumerate(zip(columns, labels, strict=True)):
        table[:, row, : len(hits)] = values.T
        is_hit[row, : len(hits)] = hits
        is_there[row, : len(hits)] = True
    return _Slates(table, is_hit, is_there, _ideal(np.asarray(truth, np.intp)))


def _ideal(truth_counts: npt.NDArray[np.intp]) -> Wide:
    ideal: Wide = np.cumsum(gains(CUTOFF))[np.clip(truth_counts, 1, CUTOFF) - 1]
    return ideal


def _fit_discovery(slates: _Slates, weights: Wide, names: Sequence[str]) -> Wide:
    """The weights with the discovery columns tuned on products that no personal column knows."""
    moved = [position for position, name in enumerate(names) if name in DEFAULT_DISCOVERY]
    personal = [position for position, name in enumerate(names) if name in DEFAULT_PERSONAL]
    is_new = slates.is_there & ~_is_owned(slates, personal)
    rows = np.flatnonzero((slates.is_hit & is_new).any(axis=1))
    if len(rows) < MIN_CUSTOMERS:
        return weights
    hits = (slates.is_hit & is_new)[rows]
    new = _Slates(slates.columns[:, rows], hits, is_new[rows], _ideal(np.asarray(hits.sum(axis=1), np.intp)))
    return _ascend(new, weights, moved, floor=MIN_DISCOVERY_SHARE * weights, unit=DEFAULT_DISCOVERY_SCALE)


def _fit_personal(slates: _Slates, weights: Wide, names: Sequence[str]) -> Wide:
    """The weights with the personal columns tuned, and the discovery columns kept in proportion."""
    personal = [position for position, name in enumerate(names) if name in DEFAULT_PERSONAL]
    discovery = [position for position, name in enumerate(names) if name not in DEFAULT_PERSONAL]
    if not (slates.is_hit & _is_owned(slates, personal)).any():
        return _never_again(weights, names)
    together = np.tensordot(weights[discovery], slates.columns[discovery], 1).astype(np.float32)[None]
    condensed = _Slates(
        np.concatenate([slates.columns[personal], together]), slates.is_hit, slates.is_there, slates.ideal
    )
    start = np.array([*weights[personal], 1.0])
    floor = np.array([*np.zeros(len(personal)), MIN_DISCOVERY_TOTAL])
    found = _ascend(condensed, start, range(len(start)), floor=floor, unit=1.0)
    scaled: Wide = weights * found[-1]
    scaled[personal] = found[:-1]
    return scaled


def _is_owned(slates: _Slates, personal: Sequence[int]) -> Mask:
    return np.asarray((slates.columns[personal] > 0).any(axis=0), np.bool_)


def _never_again(weights: Wide, names: Sequence[str]) -> Wide:
    """Where not one purchase was a second one, what a customer owns goes below what is new."""
    lowered = weights.copy()
    for position, name in enumerate(names):
        if name in DEFAULT_PERSONAL:
            # It never decays and is above 0 for all that was ever bought, so this column alone sinks what is owned.
            lowered[position] = -1.0 if name == "frequent_all" else 0.0
    return lowered


def _ascend(slates: _Slates, weights: Wide, moved: Sequence[int], *, floor: Wide, unit: float) -> Wide:
    """Coordinate ascent: each weight in turn tries steps of its own size (at least `unit` / 5) above `floor`."""
    weights = weights.copy()
    scores = _scores(slates, weights)
    best = _ndcg(slates, scores)
    for scale in ROUND_SCALES:
        for position in moved:
            for step in STEPS:
                # The least step lets a weight that is 0 rise again.
                tried = max(floor[position], weights[position] + step * scale * max(weights[position], unit / 5))
                # One weight moves at a time, so the other columns need not be summed again.
                there = scores + np.float32(tried - weights[position]) * slates.columns[position]
                ndcg = _ndcg(slates, there)
                if ndcg > best + MIN_GAIN:
                    best, scores, weights[position] = ndcg, there, tried
    return weights


def _scores(slates: _Slates, weights: Wide) -> Floats:
    total: Floats = np.tensordot(weights.astype(np.float32), slates.columns, 1)
    return total


def _ndcg(slates: _Slates, scores: Floats) -> float:
    """Mean NDCG@10 of the slates ranked by `scores`, a hit last among equals; 0 without slates."""
    if not len(scores):
        return 0.0
    negative = np.where(slates.is_there, -scores, np.float32(np.inf))
    # Values alone: to find their positions as well would take three times as long.
    best = np.partition(negative, CUTOFF - 1, axis=1)[:, :CUTOFF]
    row, column = np.nonzero(slates.is_hit)
    value = negative[row, column]
    is_shown = value <= best.max(axis=1)[row]
    row, value = row[is_shown], value[is_shown]
    place = (best[row] <= value[:, None]).sum(axis=1) - 1
    return float(np.mean(np.bincount(row, gains(CUTOFF)[place], len(scores)) / slates.ideal))
