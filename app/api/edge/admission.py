"""Which decisions are answered when more come than can be: those that can be in time, each in a turn of its own."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic

from app.ports import CustomerState, CustomerStore

IS_UNDER_WAY = "endcap.is_under_way"
"""What a request's scope holds once it is counted; whoever has answered it calls `end`."""
DEADLINE = b"x-deadline-ms"
PRIORITY = b"priority"
DEFAULT_DEADLINE_S, LEAST_DEADLINE_S, MOST_DEADLINE_S = 0.25, 0.02, 1.0
MOST_WAIT_S = 0.1
"""Nobody waits longer for a turn: a longer queue answers no more, it only answers later."""
BACKGROUND_URGENCY = 5
"""From here on (RFC 9218) a request is for nobody who waits: for a prefetch, a batch, an e-mail."""
BACKGROUND_SHARE = 0.3
"""Such a request is refused where others would wait a third of their time."""
FIRST_TURN_S = 0.001
SMOOTHING = 0.1


class Admission:
    """Counts the decisions that are under way, and lets each go on in a turn of the event loop of its own.

    Between two turns the loop reads what has come in: a refusal waits for one decision at most. All calls come from
    that loop.
    """

    def __init__(self, *, on_refused: Callable[[], None] = lambda: None) -> None:
        self.on_refused = on_refused
        self.under_way = 0
        """None: whoever comes is admitted."""
        self._turn_s = FIRST_TURN_S
        self._turned_at: float | None = None
        self._is_taken = False
        self._waiting: deque[asyncio.Future[None]] = deque()

    def admits(self, headers: Mapping[bytes, bytes]) -> bool:
        """True where a decision that comes now would be answered in time."""
        patience_s = min(_deadline_s(headers.get(DEADLINE)), MOST_WAIT_S)
        if is_background(headers.get(PRIORITY)):
            patience_s *= BACKGROUND_SHARE
        return not self.under_way or (self.under_way + 1) * self._turn_s <= patience_s

    def begin(self) -> None:
        """One more is under way."""
        self.under_way += 1

    def end(self) -> None:
        """One is answered."""
        self.under_way -= 1

    async def turn(self) -> None:
        """Returns when it is the caller's turn: at once, unless others wait or had this turn of the loop."""
        loop = asyncio.get_running_loop()
        if not self._is_taken:
            self._is_taken = True
            loop.call_soon(self._next, loop)
            return
        mine: asyncio.Future[None] = loop.create_future()
        self._waiting.append(mine)
        await mine

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives the turn to whoever waits longest; this call comes again after they had it."""
        now = monotonic()
        while self._waiting:
            first = self._waiting.popleft()
            # A caller that hung up waits no more.
            if first.done():
                continue
            if self._turned_at is not None:
                self._turn_s += SMOOTHING * (now - self._turned_at - self._turn_s)
            self._turned_at = now
            first.set_result(None)
            loop.call_soon(self._next, loop)
            return
        self._is_taken, self._turned_at = False, None


class PacedCustomers:
    """Customers whose decisions go on in turns."""

    def __init__(self, customers: CustomerStore, admission: Admission) -> None:
        self._customers = customers
        self._admission = admission

    async def read(
        self,
        customer_id: str | None,
        anonymous_id: str | None,
        *,
        channel: str | None = None,
        with_wallet: bool = False,
    ) -> CustomerState:
        """The person's state, once it is this decision's turn."""
        state = await self._customers.read(customer_id, anonymous_id, channel=channel, with_wallet=with_wallet)
        await self._admission.turn()
        return state


def _deadline_s(given: bytes | None) -> float:
    """The seconds that the caller waits, within what makes sense; the default for anything but digits."""
    if given is None or not given.isdigit():
        return DEFAULT_DEADLINE_S
    return min(max(int(given[:9]) / 1000, LEAST_DEADLINE_S), MOST_DEADLINE_S)


def is_background(priority: bytes | None) -> bool:
    """True for a `Priority: u=5` to `u=7` (RFC 9218)."""
    if priority is None:
        return False
    urgency = next((part.strip()[2:] for part in priority.split(b",") if part.strip().startswith(b"u=")), b"3")
    return urgency.isdigit() and int(urgency[:2]) >= BACKGROUND_URGENCY
