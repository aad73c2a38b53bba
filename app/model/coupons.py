"""What a bundle learned of coupons: from the columns of a customer and an offer to the chance of a redemption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.domain import Floats
from app.errors import BundleRefused

COUPONS = "coupons"
DOCUMENT = f"{COUPONS}.json"
MAX_DEVIATION = 5.0
"""Standardized columns end there: nothing was measured beyond."""


@dataclass(frozen=True, slots=True)
class CouponModel:
    """A logistic regression: log-odds of redeeming while the coupon is valid = intercept + Σ weight · standard column.

    `mean`, `scale` and `weights` (f,) go with `columns`; a column that never varied has scale 0. What is unknown (NaN)
    counts as the mean. `measured`: figures on later campaigns than those learned from.
    """

    columns: tuple[str, ...]
    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float
    measured: Mapping[str, float] = field(default_factory=dict)
    per_unit: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Makes the reciprocal scale once, 0 where a column never varied."""
        per_unit = np.divide(1, self.scale, out=np.zeros_like(self.scale), where=self.scale > 0)
        object.__setattr__(self, "per_unit", per_unit)

    def log_odds(self, table: Floats, columns: Sequence[str]) -> Floats:
        """(n,) of the rows of `table` (n, columns); raises BundleRefused when a column of the model is not there."""
        if tuple(columns) != self.columns:
            # A bundle of another version may have fewer columns, or the same in another order.
            table = table[:, [_place(columns, name) for name in self.columns]]
        odds: Floats = self.standard(table) @ self.weights + np.float32(self.intercept)
        return odds

    def standard(self, table: Floats) -> Floats:
        """The table (n, f) in standard deviations from the mean, at most MAX_DEVIATION of them; unknown is 0."""
        off: Floats = (table - self.mean) * self.per_unit
        off[np.isnan(off)] = 0
        return np.minimum(np.maximum(off, -MAX_DEVIATION, out=off), MAX_DEVIATION, out=off)

    def chances(self, table: Floats, columns: Sequence[str]) -> Floats:
        """(n,): P(redeemed while valid) of the rows of `table` (n, columns)."""
        chance: Floats = np.reciprocal(1 + np.exp(-self.log_odds(table, columns)))
        return chance

    def document(self) -> dict[str, object]:
        """The model in plain JSON types."""
        return {
            "columns": list(self.columns),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": dict(zip(self.columns, self.weights.tolist(), strict=True)),
            "intercept": self.intercept,
            "measured": dict(self.measured),
        }


def coupon_model(document: Mapping[str, object]) -> CouponModel:
    """The model of a bundle's document; raises BundleRefused when its parts do not fit."""
    fields: Mapping[str, Any] = document
    try:
        columns = tuple(fields["columns"])
        mean, scale = (np.array(fields[name], np.float32) for name in ("mean", "scale"))
        weights = np.array([fields["weights"][name] for name in columns], np.float32)
        intercept, measured = float(fields["intercept"]), dict(fields["measured"])
    except (KeyError, TypeError, ValueError) as error:
        raise BundleRefused(f"{DOCUMENT} is no coupon model ({error!r})") from None
    fits = mean.shape == scale.shape == weights.shape == (len(columns),)
    if not fits or not all(np.isfinite(part).all() for part in (mean, scale, weights, intercept)):
        raise BundleRefused(f"{DOCUMENT}: the model does not fit its columns")
    return CouponModel(columns, mean, scale, weights, intercept, measured)


def _place(columns: Sequence[str], name: str) -> int:
    if name not in columns:
        raise BundleRefused(f"{DOCUMENT} wants the column {name!r}, which this version does not make; train again")
    return columns.index(name)
