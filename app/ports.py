"""The few Protocols between the decision stages and what stands behind them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain import CustomerFeatures, Degraded, LiveEvent, Selection, Wallet


@dataclass(frozen=True, slots=True)
class CustomerState:
    """What is known of one person this millisecond: the Feast row, the last events, the coupons where the query
    needs them, what could not be read, and the products that they never want to see."""

    features: CustomerFeatures | None = None
    events: Sequence[LiveEvent] = ()
    degraded: Sequence[Degraded] = ()
    wallet: Wallet | None = None
    opted_out: Sequence[Selection] = ()


class CustomerStore(Protocol):
    """Where a decision reads the person from; evaluation hands states to `rank` and needs none."""

    async def read(
        self,
        customer_id: str | None,
        anonymous_id: str | None,
        *,
        channel: str | None = None,
        with_wallet: bool = False,
    ) -> CustomerState:
        """The state of one person met on a channel; never raises and never waits beyond its own deadline.

        Flagged `consent_missing` it holds nothing personal, and nothing personal may be computed.
        """


class Progress(Protocol):
    """Where a long task reports how far it is: a bar in a terminal, nothing in most tests.

    `done` of `total` units of `stage` are complete; `total` is None as long as nobody can know it.
    """

    def __call__(self, stage: str, done: int, total: int | None, /) -> None:
        """Shows it; called often, so it must be cheap."""


StageProgress = Callable[[int, int | None], None]
"""The same within one stage: `functools.partial(progress, "tune")`."""
