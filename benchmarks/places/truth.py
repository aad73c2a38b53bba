"""What every store really had and when, kept by whoever changed it: plain dictionaries and none of the product's code.

A change counts from some instant between its sending and its acceptance. So a product was certainly gone from the
acceptance of a change that took the last of it until the sending of one that brought some.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from math import inf
from typing import Any

Cell = tuple[str, str]
"""A store and a product."""
FEW = 5.0
"""Up to so many an answer says how many are left."""
ALLOWED_S = 1.0
"""So long an answer may show what is gone."""


@dataclass(slots=True)
class Change:
    """Whether the product was there from then on; instants on the monotonic clock."""

    is_there: bool
    sent_at: float
    accepted_at: float | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A proposition: for how long its product had certainly been gone by each of its options (store, way, seconds)."""

    kind: str
    product_id: str
    options: Sequence[tuple[str, str, float]]
    is_flagged: bool

    @property
    def gone_s(self) -> float:
        """For how long it could not be had by any of the options; 0 where it could."""
        return min((gone_s for _, _, gone_s in self.options), default=inf)

    @property
    def is_wrong(self) -> bool:
        """True where it should not have been shown any more."""
        return self.gone_s > ALLOWED_S

    @property
    def wrong_options(self) -> Sequence[tuple[str, str, float]]:
        """Those that should not have been named any more."""
        return [option for option in self.options if option[2] > ALLOWED_S]


@dataclass(slots=True)
class Truth:
    """`ways` says how each store serves. The changes of one cell come one after the other, whoever sends them."""

    ways: Mapping[str, frozenset[str]]
    quantities: dict[Cell, float]
    changes: dict[Cell, list[Change]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.changes = {cell: [Change(left > 0, -inf, -inf)] for cell, left in self.quantities.items()}

    def sent(self, cell: Cell, *, available: float | None = None, change: float | None = None, at: float) -> None:
        """A report that is about to be sent."""
        before = self.quantities.get(cell, 0.0)
        self.quantities[cell] = left = before + (change or 0.0) if available is None else available
        self.changes.setdefault(cell, [Change(False, -inf, -inf)]).append(Change(left > 0, at))

    def accepted(self, cell: Cell, *, at: float) -> None:
        """The last report of the cell is known to be safe."""
        self.changes[cell][-1].accepted_at = at

    def gone_for_s(self, cell: Cell, *, at: float) -> float:
        """How long the product had certainly been gone at an instant; 0 where it may have been there."""
        gone_s = 0.0
        for change in reversed(self.changes.get(cell, [Change(False, -inf, -inf)])):
            if change.sent_at > at:
                continue
            if change.is_there:
                break
            if change.accepted_at is not None and change.accepted_at <= at:
                gone_s = at - change.accepted_at
        return gone_s

    def shown(self, answer: Mapping[str, Any], *, welcome: Sequence[str], at: float) -> Iterator[Shown]:
        """Each proposition of an answer that was received `at`; `welcome` are the ways that were wanted, empty: all.

        An option of a way that the store does not serve, or that nobody wanted, counts as gone indefinitely.
        """
        for one in answer["propositions"]:
            options = []
            for option in one.get("options") or ():
                store_id, way = option["store_id"], option["way"]
                is_possible = way in self.ways.get(store_id, ()) and (not welcome or way in welcome)
                gone_s = self.gone_for_s((store_id, one["product_id"]), at=at) if is_possible else inf
                options.append((store_id, way, gone_s))
            yield Shown(one["kind"], one["product_id"], options, "stock_stale" in answer["degraded"])

    def digest(self) -> str:
        """What can be had now, and how much of it where that is little, as one short text."""
        return digest((*cell, left if left <= FEW else None) for cell, left in self.quantities.items() if left > 0)


def digest(rows: Iterator[tuple[str, str, float | None]]) -> str:
    """The same text for the same stores, products and quantities, in whatever order."""
    lines = sorted(f"{store_id}\t{product_id}\t{left}\n" for store_id, product_id, left in rows)
    return sha256("".join(lines).encode()).hexdigest()
