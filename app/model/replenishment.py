"""What a bundle learned of buying again: it and a customer's purchases make the replenishment answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain import Floats
from app.errors import BundleRefused

DOCUMENT = "replenishment.json"
HABITS = ("usual_gap", "trend", "popularity")
"""What a population does with a group, per group: log days between purchases, log of recent against usual sales,
log of decayed sales."""


@dataclass(frozen=True, slots=True)
class RebuyModel:
    """Hazards of buying again on one level: g products or categories, c columns, e terms made of them, s spans of days.

    `habits` (g + 1, 3) as named in HABITS, the last row for a group that training did not know. `mean` and `scale`
    (c,) standardize the columns. `weights` (e, s) give per span the log-odds of buying within it, if not before;
    `span_ends_days` (s,) ascend, and the first span begins at 0.
    """

    columns: tuple[str, ...]
    habits: Floats
    mean: Floats
    scale: Floats
    weights: Floats
    span_ends_days: Floats

    def document(self) -> dict[str, object]:
        """All but the habits, in plain JSON types."""
        numbers = {name: getattr(self, name).tolist() for name in ("mean", "scale", "weights", "span_ends_days")}
        return {"columns": list(self.columns), **numbers}


def habits_file(level: str) -> str:
    """The array of a level's habits, as bundles name it."""
    return f"replenishment_{level}"


def rebuy_models(levels: Mapping[str, Mapping[str, object]], habits: Callable[[str], Floats]) -> dict[str, RebuyModel]:
    """The models of a bundle's document; `habits` gives a level's array. Raises BundleRefused when they do not fit."""
    models = {}
    for level, document in levels.items():
        fields: Mapping[str, Any] = document
        mean, scale, weights, ends = (
            np.array(fields[name], np.float32) for name in ("mean", "scale", "weights", "span_ends_days")
        )
        model = RebuyModel(tuple(fields["columns"]), habits(level), mean, scale, weights, ends)
        count = len(model.columns)
        fits = mean.shape == scale.shape == (count,) and weights.shape == (term_count(count), len(ends))
        if not fits or model.habits.shape[1:] != (len(HABITS),) or not np.isfinite(weights).all():
            raise BundleRefused(f"{DOCUMENT}: the model of {level} does not fit its columns")
        models[level] = model
    return models


def term_count(column_count: int) -> int:
    """Terms of the logistic models: one, each column, each product of two columns (squares too)."""
    return 1 + column_count + column_count * (column_count + 1) // 2
