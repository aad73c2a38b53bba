"""The learned ranker of a bundle: gradient-boosted trees over the candidates' columns, applied by CatBoost."""

from collections.abc import Callable, Sequence
from threading import local
from typing import Any

import numpy as np

from app.domain import Floats

RANKER_FILE = "ranker.cbm"
BLEND = "blend"
"""The column that holds the linear blend's score."""


POOL_ROWS = 200
"""A table of so many rows is copied into a pool that is there already: a new one takes as long as 100 trees."""


class _OwnPool(local):
    """One pool per thread. CatBoost reads float32 columns where they lie: what is written there is scored next."""

    def __init__(self, pool: Callable[..., Any], column_count: int) -> None:
        self.columns = np.zeros((column_count, POOL_ROWS), np.float32)
        self.pool = pool(self.columns.T, thread_count=1)


class TreeRanker:
    """Trees that correct the linear blend; `columns` names what a row of the table must hold.

    score = slope · blend + intercept + trees(row), log-odds: where the trees say nothing, the blend's order stays.
    `ranks_new`: they rank products new to the customer among themselves no worse than the blend.
    """

    def __init__(
        self, content: bytes, columns: Sequence[str], *, slope: float, intercept: float, ranks_new: bool = True
    ) -> None:
        # CatBoost loads in 0.4 s: only where a bundle holds trees.
        from catboost import CatBoost, Pool

        self.columns = tuple(columns)
        self.content = content
        self.slope = np.float32(slope)
        self.intercept = np.float32(intercept)
        self.ranks_new = ranks_new
        self._blend_place = self.columns.index(BLEND)
        self._pool = Pool
        self._own = _OwnPool(Pool, len(self.columns))
        model = CatBoost()
        model.load_model(blob=content)
        # What CatBoost's own predict checks before this call takes as long as 200 rows through 200 trees.
        self._predict: Any = model._object._base_predict
        self._model = model

    def scores(self, table: Floats) -> Floats:
        """The log-odds of each row, float32 (n,); `table` float32 (n, columns), best with contiguous columns."""
        if not len(table):
            return np.zeros(0, np.float32)
        raw = self._predict(self._filled(table), "RawFormulaVal", 0, 0, 1, False, "CPU")[: len(table)]
        scores: Floats = raw.astype(np.float32)
        return scores + self.base(table[:, self._blend_place])

    def base(self, blend: Floats) -> Floats:
        """The log-odds that the blend alone stands for, float32 (n,): what the trees correct."""
        return self.slope * blend + self.intercept

    def _filled(self, table: Floats) -> Any:
        """A pool that begins with the rows of the table; what follows them is of no meaning."""
        if len(table) > POOL_ROWS:
            # A pool that starts threads took 4 ms at p99.
            return self._pool(table, thread_count=1)
        self._own.columns[:, : len(table)] = table.T
        return self._own.pool

    def contributions(self, table: Floats) -> Floats:
        """What each column adds to each row's score, float32 (n, columns + 1), the last the same for all.

        SHAP values of trees (Lundberg et al. 2018): a row sums up to its score. Costs milliseconds.
        """
        found = self._model.get_feature_importance(self._pool(table, thread_count=1), type="ShapValues", thread_count=1)
        added = np.asarray(found, np.float32).reshape(len(table), len(self.columns) + 1)
        added[:, self._blend_place] += self.slope * table[:, self._blend_place]
        added[:, -1] += self.intercept
        return added
