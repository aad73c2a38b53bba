"""How often a caller may ask: requests of a key, and guesses at codes; counted here, and in Redis for all processes.

What this process saw is part of what all of them saw, so the count here refuses nobody whom the other would let in.
It spares Redis a flood, and it is what holds while Redis does not answer.
"""

import asyncio
import secrets
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic

from app.errors import StoreUnavailable, TooManyGuesses
from app.stores.redis.limits import SharedLimits
from app.stores.sql.access.keys import Grant

BURST_S = 2
"""A key that was quiet may ask so many seconds' worth of requests at once."""
WINDOW_S = 60.0
MAX_BUCKETS = 100_000
"""Memory for the rates of so many keys and persons; then those who sent nothing for longest count from zero again."""
MAX_GUESSERS = 100_000
"""Memory for the failures of so many clients and customers; then those whose last failure is longest ago are let go."""
PATIENCE_S = 1.0
"""So long a guess waits for others that are under way and may fail."""
FIRST_LOOK_S, LAST_LOOK_S = 0.005, 0.05


class RequestLimit:
    """A token bucket for each key, kept as the instant at which it will be full again."""

    def __init__(
        self, *, default_per_second: int, shared: SharedLimits | None = None, max_buckets: int = MAX_BUCKETS
    ) -> None:
        self._default_per_second = default_per_second
        self._shared = shared
        self._max_buckets = max_buckets
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def refused_for_s(self, grant: Grant, now_s: float) -> float:
        """0.0 when this request may pass; else the seconds until the next may. A key without a rate costs nothing."""
        per_second = self._per_second(grant)
        wait_s = self.wait_s(grant, now_s) if per_second else 0.0
        if wait_s or not per_second or self._shared is None:
            return wait_s
        try:
            return await self._shared.take(grant.key_id, per_second=per_second, burst_s=BURST_S)
        except StoreUnavailable:
            return 0.0

    def wait_s(self, grant: Grant, now_s: float) -> float:
        """The same for this process alone."""
        per_second = self._per_second(grant)
        if not per_second:
            return 0.0
        token_s = 1 / per_second
        full_at = max(self._full_at.get(grant.key_id, now_s), now_s)
        wait_s = full_at + token_s - BURST_S - now_s
        # Less than a microsecond is what adding up seconds gets wrong.
        if wait_s > 1e-6:
            return wait_s
        self._full_at[grant.key_id] = full_at + token_s
        self._full_at.move_to_end(grant.key_id)
        if len(self._full_at) > self._max_buckets:
            self._full_at.popitem(last=False)
        return 0.0

    def _per_second(self, grant: Grant) -> int:
        return self._default_per_second if grant.per_second is None else grant.per_second


class LocalGuesses:
    """Guesses of the last minute in this process, for each customer of a client and each client; not for threads."""

    def __init__(self, *, limits: tuple[int, int], max_guessers: int = MAX_GUESSERS) -> None:
        self._limits = limits
        self._max_guessers = max_guessers
        self._failures: OrderedDict[Hashable, deque[tuple[float, int]]] = OrderedDict()
        self._under_way: dict[Hashable, int] = {}

    def reserve(self, client: str, subject: str, wanted: int, now_s: float) -> tuple[int, float]:
        """How many of `wanted` codes may fail; 0 while others are in the way, -1 and for how many seconds none may."""
        for guesser, limit in self._guessers(client, subject):
            failed, wait_s = self._failed(guesser, limit, now_s)
            if wait_s > 0:
                return -1, wait_s
            wanted = min(wanted, limit - failed)
        for guesser, limit in self._guessers(client, subject):
            if self._failed(guesser, limit, now_s)[0] + self._under_way.get(guesser, 0) + wanted > limit:
                return 0, 0.0
        for guesser, _ in self._guessers(client, subject):
            self._under_way[guesser] = self._under_way.get(guesser, 0) + wanted
        return wanted, 0.0

    def settle(self, client: str, subject: str, count: int, *, failed: int, now_s: float) -> None:
        """Ends `count` guesses that were reserved; `failed` of them count, codes of other customers among them."""
        for guesser, _ in self._guessers(client, subject):
            self._under_way[guesser] -= count
            if not self._under_way[guesser]:
                del self._under_way[guesser]
            if failed:
                self._failures.setdefault(guesser, deque()).append((now_s, failed))
                self._failures.move_to_end(guesser)
        while len(self._failures) > self._max_guessers:
            self._failures.popitem(last=False)

    def _guessers(self, client: str, subject: str) -> tuple[tuple[Hashable, int], ...]:
        per_customer, per_client = self._limits
        return ((client, subject), per_customer), (client, per_client)

    def _failed(self, guesser: Hashable, limit: int, now_s: float) -> tuple[int, float]:
        """Codes that failed in the last minute, and the seconds until they are fewer than `limit`."""
        failures = self._failures.get(guesser, deque())
        while failures and failures[0][0] <= now_s - WINDOW_S:
            failures.popleft()
        if not failures:
            self._failures.pop(guesser, None)
        total = left = sum(count for _, count in failures)
        wait_s = 0.0
        for failed_at, count in failures:
            if left < limit:
                break
            left -= count
            wait_s = failed_at + WINDOW_S - now_s
        return total, wait_s


@dataclass(slots=True)
class Allowance:
    """So many of a request's codes may fail."""

    count: int
    failed: int = 0

    def check(self, failed: int) -> None:
        """Notes how many failed; raises TooManyGuesses where they are too many to say which."""
        self.failed = min(failed, self.count)
        if failed > self.count:
            raise _too_many(WINDOW_S)


class GuessLimit:
    """Codes that may fail within a minute, taken before they are looked up and given back where they are right."""

    def __init__(
        self, *, per_customer: int, per_client: int, shared: SharedLimits | None = None,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self._limits = (per_customer, per_client)
        self._local = LocalGuesses(limits=self._limits)
        self._shared = shared
        self._on_refused = on_refused

    @asynccontextmanager
    async def allowance(self, client: str, subject: str, code_count: int) -> AsyncIterator[Allowance]:
        """How many of these codes may fail; raises TooManyGuesses where none may, for this client or its `subject`.

        `subject` is the customer, or "-". What the block notes with `Allowance.check` counts.
        """
        if not code_count:
            yield Allowance(0)
            return
        try:
            async with self._here(client, subject, code_count) as here, self._everywhere(client, subject, here):
                yield here
        except TooManyGuesses:
            self._on_refused()
            raise

    @asynccontextmanager
    async def _here(self, client: str, subject: str, wanted: int) -> AsyncIterator[Allowance]:
        async def reserve() -> tuple[int, float]:
            return self._local.reserve(client, subject, wanted, monotonic())

        count = await _once_free(reserve)
        allowance = Allowance(count)
        try:
            yield allowance
        finally:
            self._local.settle(client, subject, count, failed=allowance.failed, now_s=monotonic())

    @asynccontextmanager
    async def _everywhere(self, client: str, subject: str, allowance: Allowance) -> AsyncIterator[None]:
        """Narrows the allowance to what all processes together leave; as it is where Redis does not answer."""
        shared, token = self._shared, secrets.token_hex(8)
        if shared is None:
            yield
            return

        async def reserve() -> tuple[int, float]:
            wanted = allowance.count
            try:
                return await shared.reserve(token, client, subject, wanted, limits=self._limits, window_s=WINDOW_S)
            except StoreUnavailable:
                return wanted, 0.0

        allowance.count = await _once_free(reserve)
        try:
            yield
        finally:
            # Redis counts as failed what nobody settles.
            with suppress(StoreUnavailable):
                await shared.settle(token, client, subject, allowance.count, failed=allowance.failed, window_s=WINDOW_S)


async def _once_free(reserve: Callable[[], Awaitable[tuple[int, float]]]) -> int:
    """How many guesses `reserve` gave, looked for again while others are under way; raises TooManyGuesses."""
    give_up_at, pause_s = monotonic() + PATIENCE_S, FIRST_LOOK_S
    while True:
        count, wait_s = await reserve()
        if count > 0:
            return count
        if count < 0 or monotonic() > give_up_at:
            raise _too_many(wait_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_LOOK_S)


def _too_many(wait_s: float) -> TooManyGuesses:
    return TooManyGuesses("too many codes failed; wait before you try another", retry_after_s=wait_s)
