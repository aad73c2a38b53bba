"""The live bundle as the start of the next one: its hyperparameters instead of tuning, its factors to begin with."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np

from app.decision.ranking.features import ALL_COLUMNS, COLUMNS, TABLE_COLUMNS
from app.domain import Floats
from app.errors import BadInput, BadSetting, BundleMissing, BundleRefused
from app.model.bundle import current_version, load_bundle
from training.config import EnabledParts
from training.data.split import Split
from training.learners.bundle_contents import Hyperparameters, hyperparameters_of
from training.learners.factors import Start
from training.metrics.rule_comparison import ranks_by_rule
from training.queries.states import as_of_instant

WARM_ITERATIONS = 4
"""Rounds of least squares that follow a warm start, where a cold one takes fifteen."""
REMEDY = "train once without --warm-start"


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Bundle `version` as a start: what it was tuned to, its item factors (n, k) by product, and its last instant.

    `can_rank`: its blend and trees were learned, and read the columns that serving makes today.
    """

    version: str
    hyperparameters: Hyperparameters
    can_rank: bool
    product_ids: Sequence[str]
    item_factors: Floats
    end_at: datetime | None

    def start(self, product_ids: Sequence[str], *, seed: int) -> Start:
        """Where the factors of these products begin: the bundle's own rows, small random ones for others."""
        factors = self.hyperparameters.als.factors
        # Products that the bundle does not know begin as implicit begins all of them in a cold start.
        rows = np.random.default_rng(seed).random((len(product_ids), factors), np.float32) * np.float32(0.01)
        position_of = {product_id: position for position, product_id in enumerate(self.product_ids)}
        known = [(row, position_of[name]) for row, name in enumerate(product_ids) if name in position_of]
        if known:
            ours, theirs = np.array(known, np.intp).T
            rows[ours] = self.item_factors[theirs]
        return Start(rows, min(WARM_ITERATIONS, self.hyperparameters.als.iterations))

    def saw_nothing_of(self, split: Split) -> bool:
        """True when the bundle's history ended before the cut: its factors cannot know what is to be predicted."""
        return split.kind == "time" and self.end_at is not None and self.end_at < as_of_instant(split.train)


def warm_start(bundles_dir: Path, parts: EnabledParts, *, has_promotions: bool) -> WarmStart:
    """The live bundle as a start; promotions, where there are any, are columns of the ranking.

    Raises BadInput when there is none that this version can continue from, BadSetting when it has a disabled part.
    """
    try:
        live = load_bundle(bundles_dir / current_version(bundles_dir))
        hyperparameters = hyperparameters_of(live)
    except (BundleMissing, BundleRefused) as error:
        raise BadInput(f"no warm start: {error.message}; {REMEDY}") from None
    except (KeyError, TypeError) as error:
        raise BadInput(f"no warm start: the live bundle was tuned by other means ({error}); {REMEDY}") from None
    for name in ("linear", "trees"):
        if getattr(hyperparameters, name) is not None and not getattr(parts, name):
            raise BadSetting(f"parts.{name} = False: a warm start keeps what bundle {live.version} has; {REMEDY}")
    end = (live.manifest.get("data_window") or {}).get("end")
    return WarmStart(
        live.version,
        hyperparameters,
        _can_rank(hyperparameters, has_promotions=has_promotions) and not ranks_by_rule(live.manifest),
        live.catalogue.product_ids,
        live.item_factors,
        None if end is None else datetime.fromisoformat(end),
    )


def _can_rank(hyperparameters: Hyperparameters, *, has_promotions: bool) -> bool:
    today = ALL_COLUMNS if has_promotions else TABLE_COLUMNS
    has_trees_for_today = hyperparameters.trees is None or tuple(hyperparameters.trees.columns) == today
    return list(hyperparameters.blend.weights) == list(COLUMNS) and has_trees_for_today
