"""Which of the scored candidates stand together in a slate: caps per group, and likeness to what stands above; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints, Mask

Wide = npt.NDArray[np.float64]
LAST = -1e30
"""The key of what ranks behind everything: its score was no number. Finite, as 0 times infinity is no number either."""
SPREAD = 5
"""Relevance runs from 1 at the best key to 0 at the one that SPREAD slates further down would still show."""
NO_PLACES = np.zeros(0, np.int32)


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `at_most` of the candidates with the same code; `codes` (n,), -1 = in no group, never capped."""

    codes: Ints
    at_most: int

    def over_count(self, positions: Ints) -> int:
        """How many of the candidates at `positions` are more than the cap allows."""
        codes = self.codes[positions]
        counts = np.bincount(codes[codes >= 0], minlength=1)
        return int(np.maximum(counts - self.at_most, 0).sum())


@dataclass(slots=True)
class _Room:
    """Which candidates may still follow: not shown yet, and none of their groups full."""

    caps: Sequence[Cap]
    is_free: Mask
    is_open: Mask
    shown: list[int] = field(default_factory=list)

    def show(self, position: int) -> None:
        self.is_free[position] = False
        self.shown.append(position)
        for cap in self.caps:
            code = cap.codes[position]
            if code >= 0 and (cap.codes[self.shown] == code).sum() >= cap.at_most:
                self.is_open[cap.codes == code] = False

    def allowed(self) -> Mask:
        """The free ones within the caps; where there are none, all free ones."""
        within = self.is_free & self.is_open
        return within if within.any() else self.is_free


def best_together(
    keys: Wide,
    count: int,
    *,
    shown: Ints = NO_PLACES,
    caps: Sequence[Cap] = (),
    diversity: float = 0.0,
    vectors: Floats | None = None,
) -> Ints:
    """Places of at most `count` of n candidates, in the order in which they are picked; equal keys by position.

    Each pick is the best by (1 - diversity) · relevance - diversity · likeness (MMR: Carbonell, Goldstein 1998) among
    those that no cap forbids, and once the caps forbid all, among all: a cap never makes a slate shorter. `keys` (n,)
    order the candidates, relevance is their key on a scale of 1 to 0 (SPREAD); likeness is the largest cosine of
    `vectors` (n, k), at least 0, with those picked before. The candidates at `shown` stand in the slate already.
    """
    room = _Room(caps, np.ones(len(keys), np.bool_), np.ones(len(keys), np.bool_))
    directions = _unit(vectors) if diversity > 0 and vectors is not None else None
    likeness = np.zeros(len(keys))
    relevance = keys if directions is None else (1 - diversity) * _scaled(keys, SPREAD * count)
    picked: list[int] = []

    def show(position: int) -> None:
        room.show(position)
        if directions is not None:
            np.maximum(likeness, directions @ directions[position], out=likeness)

    for position in shown.tolist():
        show(position)
    while len(picked) < count and room.is_free.any():
        goal = relevance if directions is None else relevance - diversity * likeness
        open_positions = room.allowed().nonzero()[0]
        picked.append(int(open_positions[goal[open_positions].argmax()]))
        show(picked[-1])
    return np.array(picked, np.int32)


def _scaled(keys: Wide, depth: int) -> Wide:
    """1 for the best key, 0 for the `depth`th best, less than 0 below; 0 for all where the keys are one."""
    real = -np.sort(-keys[keys > LAST])[:depth]
    if not len(real) or real[0] == real[-1]:
        return np.where(keys > LAST, 0.0, LAST)
    scaled: Wide = (keys - real[-1]) / (real[0] - real[-1])
    return scaled


def _unit(vectors: Floats) -> Floats:
    """The rows at length 1; a row of zeros is like nothing."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Floats = (vectors / np.where(length > 0, length, 1)).astype(np.float32)
    return directions
