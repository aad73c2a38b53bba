"""Past campaigns become the chance that a coupon is redeemed: the step of a training run that fits the coupon model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from app.decision.coupons.features import COLUMNS
from app.domain import Floats
from app.model.coupons import COUPONS, CouponModel
from training.coupons.examples import CouponExamples, CouponWorld, Wide, coupon_examples
from training.metrics.ranking import auc, paired_interval
from training.ranking.logistic import fit_logistic
from training.release.assemble import BundleContents

MIN_REDEMPTIONS = 50
HELD_OUT_SHARE = 0.3
"""The last campaigns with so much of the redemptions test what was learned from those that ended before them."""
RIDGE = 300.0
"""On the Complete Journey's campaigns before September 100 to 1000 ranked alike (AUC .891), 10 and less worse."""
FREE_PENALTY = 1e-6
"""Of the intercept, which is to follow the share of redemptions."""


@dataclass(frozen=True, slots=True)
class CouponFit:
    """The model with its figures; without a model, the reason why there is none."""

    model: CouponModel | None = None
    figures: Mapping[str, float] = field(default_factory=dict)
    reason: str | None = None

    def metrics(self) -> dict[str, object]:
        """The figures as a manifest keeps them; empty where nothing was measured."""
        return {COUPONS: dict(self.figures)} if self.figures else {}

    def config(self) -> dict[str, object]:
        """Why coupons could not be learned, as a manifest keeps it; empty where they were, or none were given."""
        return {} if self.reason is None else {COUPONS: self.reason}


@dataclass(frozen=True, slots=True)
class CouponEvaluation:
    """How well a campaign's coupons are ranked: a place per assignment with some coupons redeemed and some not.

    `expected` and `redeemed`: sums of the predicted chances and of the redemptions, over all assignments.
    """

    campaign: npt.NDArray[np.str_]
    auc: Wide
    own_auc: Wide
    breadth_auc: Wide
    expected: float
    redeemed: float

    def figures(self, *, seed: int) -> dict[str, float]:
        """Mean AUC, its 95 % interval over pairs, those of plain rankings, and redemptions predicted per actual one."""
        mean, low, high = paired_interval(self.auc, seed=seed)
        gain, gain_low, gain_high = paired_interval(self.auc - self.own_auc, seed=seed)
        figures = {
            "auc": mean,
            "auc_low": low,
            "auc_high": high,
            "own_purchases": float(np.mean(self.own_auc)),
            "breadth": float(np.mean(self.breadth_auc)),
            "gain": gain,
            "gain_low": gain_low,
            "gain_high": gain_high,
            "predicted_to_actual": self.expected / max(self.redeemed, 1),
        }
        return {"pairs": len(self.auc)} | {name: round(value, 4) for name, value in figures.items()}


def with_coupons(contents: BundleContents, fit: CouponFit) -> BundleContents:
    """The contents with the model; unchanged where there is none."""
    if fit.model is None:
        return contents
    return replace(contents, documents={**contents.documents, COUPONS: fit.model.document()})


def fit_coupons(world: CouponWorld, *, seed: int) -> CouponFit:
    """The model of all campaigns whose outcome is known, and how one without the last of them predicts those.

    No model below MIN_REDEMPTIONS redemptions that the history of purchases reaches back before.
    """
    examples = coupon_examples(world, seed=seed)
    # While a coupon is valid, nobody knows yet that it is not redeemed.
    examples = examples.only(examples.ended_day <= world.dataset.as_of_day)
    count = int(examples.is_redeemed.sum())
    if count < MIN_REDEMPTIONS:
        return CouponFit(reason=f"{count} redemptions of ended campaigns; {MIN_REDEMPTIONS} are needed")
    figures = _later_figures(examples, seed=seed)
    return CouponFit(replace(fit_coupon_model(examples), measured=figures), figures)


def _later_figures(examples: CouponExamples, *, seed: int) -> dict[str, float]:
    """Of the last campaigns, by a model of those that ended before they began; none where too few did."""
    redeemed_on = np.sort(examples.started_day[examples.is_redeemed])
    boundary = float(redeemed_on[int(len(redeemed_on) * (1 - HELD_OUT_SHARE))])
    before = examples.only(examples.ended_day <= boundary)
    if before.is_redeemed.sum() < MIN_REDEMPTIONS:
        return {}
    evaluation = evaluate_coupons(fit_coupon_model(before), examples.only(examples.started_day >= boundary))
    return evaluation.figures(seed=seed) if len(evaluation.auc) else {}


def evaluate_coupons(model: CouponModel, examples: CouponExamples) -> CouponEvaluation:
    """The model compared with own purchases of a coupon's products and with how many products it covers."""
    log_odds = model.log_odds(examples.table, COLUMNS)
    chance = 1 / (1 + np.exp(-log_odds.astype(np.float64)))
    rankings = (log_odds, *(examples.table[:, COLUMNS.index(name)] for name in ("own_count", "breadth")))
    starts = np.flatnonzero(np.diff(examples.assignment, prepend=-1))
    found = [
        (examples.campaign[rows[0]], *(auc(scores[rows].astype(np.float64), labels) for scores in rankings))
        for rows in np.split(np.arange(len(log_odds)), starts[1:])
        if 0 < (labels := examples.is_redeemed[rows]).sum() < len(labels)
    ]
    by_model, by_own, by_breadth = np.array([one[1:] for one in found], np.float64).reshape(-1, len(rankings)).T
    return CouponEvaluation(
        campaign=np.array([one[0] for one in found], np.str_),
        auc=by_model,
        own_auc=by_own,
        breadth_auc=by_breadth,
        expected=float(chance @ examples.weight),
        redeemed=float(examples.is_redeemed @ examples.weight),
    )


def fit_coupon_model(examples: CouponExamples) -> CouponModel:
    """Ridge logistic regression of redeemed or not, each row by its weight, so that thinning leaves no trace."""
    scale, mean = _spread(examples.table, examples.weight)
    blank = CouponModel(COLUMNS, mean, scale, np.zeros(len(COLUMNS), np.float32), intercept=0.0)
    design = np.concatenate([np.ones((len(examples.table), 1)), blank.standard(examples.table)], axis=1)
    labels, row_weight = examples.is_redeemed.astype(np.float64), examples.weight
    penalty, start = np.full(design.shape[1], RIDGE), np.zeros(design.shape[1])
    penalty[0], start[0] = FREE_PENALTY, _log_odds(float(row_weight @ labels / row_weight.sum()))
    weights = fit_logistic(design, labels, penalty=penalty, start=start, weight=row_weight)
    return replace(blank, weights=weights[1:].astype(np.float32), intercept=float(weights[0]))


def _log_odds(share: float) -> float:
    return float(np.log(share / (1 - share))) if 0 < share < 1 else 0.0


def _spread(table: Floats, weight: Wide) -> tuple[Floats, Floats]:
    """Standard deviation and mean per column of what is known; 0 where nothing is, or nothing varies."""
    known = ~np.isnan(table)
    total = np.maximum(weight @ known, 1e-9)
    filled = np.where(known, table, 0).astype(np.float64)
    mean = weight @ filled / total
    deviation = np.sqrt(weight @ (known * (filled - mean) ** 2) / total)
    # Rounding may leave a constant column a tiny deviation, which must not become a scale.
    deviation[deviation < 1e-6 * (1 + abs(mean))] = 0
    return deviation.astype(np.float32), mean.astype(np.float32)
