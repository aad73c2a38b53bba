"""What was sent and what came back: the notes that everything else is computed from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

STORE_FLAGS = frozenset({"features_stale", "features_missing", "coupons_unknown"})
BARE_FLAGS = frozenset({"overload", "bundle_missing", "model_unavailable"})
"""What an answer says that was made without Redis, and one that was made with less than that."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One question; instants on the monotonic clock, `due_at` is when it should have been sent, whatever went before.

    `is_fresh`: whether the answer shows what the store held when it was sent (a coupon of the wallet, the event that
    was accepted just before); None where the question cannot tell.
    """

    due_at: float
    answered_at: float
    status: int
    was_repeated: bool = False
    flags: frozenset[str] = frozenset()
    is_fresh: bool | None = None

    @property
    def is_whole(self) -> bool:
        """An answer that lacks nothing."""
        return self.status == 200 and not self.flags & (STORE_FLAGS | BARE_FLAGS)

    @property
    def is_flagged(self) -> bool:
        """True when it says that something was missing."""
        return bool(self.flags & (STORE_FLAGS | BARE_FLAGS))


Result = Literal["done", "kept", "refused"]


@dataclass(frozen=True, slots=True)
class Write:
    """The first attempt at an event or an order: done, kept by its sender to be sent again, or refused for good."""

    due_at: float
    answered_at: float
    result: Result
    why: str = ""


@dataclass(slots=True)
class Answers:
    """Everything so far.

    `sent` are the ids of all events, `accepted` those called accepted or a duplicate. `redeemed` has the answer of each
    order that was answered with 201, `waiting` the orders and events without an answer.
    """

    decisions: list[Decision] = field(default_factory=list)
    events: list[Write] = field(default_factory=list)
    orders: list[Write] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    redeemed: dict[str, bytes] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    contradictions: list[str] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)


def first_whole(taken: Sequence[tuple[float, float, bool]], *, since_at: float, count: int) -> float | None:
    """Seconds from `since_at` to the first of `count` whole answers in a row; None when there are none.

    Each is when it was due, when it was answered, and whether it was whole.
    """
    in_row: list[float] = []
    for due_at, answered_at, is_whole in sorted(taken):
        if due_at < since_at:
            continue
        in_row = [*in_row, answered_at] if is_whole else []
        if len(in_row) == count:
            return round(in_row[0] - since_at, 2)
    return None
