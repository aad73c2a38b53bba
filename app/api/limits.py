"""How often a caller may ask: requests of a key, and guesses at codes; counted in this process alone."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

from app.errors import TooManyGuesses
from app.stores.sql.access.keys import Grant

BURST_S = 2
"""A key that was quiet may ask so many seconds' worth of requests at once."""
WINDOW_S = 60.0
MAX_GUESSERS = 100_000
"""Memory for the failures of so many clients and customers; then those whose last failure is longest ago are let go."""


class RequestLimit:
    """A token bucket for each key, kept as the instant at which it will be full again."""

    def __init__(self, *, default_per_second: int) -> None:
        self._default_per_second = default_per_second
        self._full_at: dict[str, float] = {}

    def wait_s(self, grant: Grant, now_s: float) -> float:
        """0.0 when this request may pass, which takes a token; else the seconds until the next may."""
        per_second = self._default_per_second if grant.per_second is None else grant.per_second
        if not per_second:
            return 0.0
        token_s = 1 / per_second
        full_at = max(self._full_at.get(grant.key_id, now_s), now_s)
        wait_s = full_at + token_s - BURST_S - now_s
        # Less than a microsecond is what adding up seconds gets wrong.
        if wait_s > 1e-6:
            return wait_s
        self._full_at[grant.key_id] = full_at + token_s
        return 0.0


class GuessLimit:
    """Failed codes in the last minute, for each customer of a client and for each client; not for several threads."""

    def __init__(
        self,
        *,
        per_customer: int,
        per_client: int,
        on_refused: Callable[[], None] = lambda: None,
        max_guessers: int = MAX_GUESSERS,
    ) -> None:
        self._per_customer, self._per_client = per_customer, per_client
        self._on_refused = on_refused
        self._max_guessers = max_guessers
        self._failures: OrderedDict[Hashable, deque[tuple[float, int]]] = OrderedDict()

    def check(self, client: str, subject: str, now_s: float) -> None:
        """Raises TooManyGuesses while too many codes failed for this client, or for its `subject`.

        `subject` is the customer, the anonymous visitor, or "-".
        """
        for guesser, limit in self._guessers(client, subject):
            wait_s = self._wait_s(guesser, limit, now_s)
            if wait_s > 0:
                self._on_refused()
                raise TooManyGuesses("too many codes failed; wait before you try another", retry_after_s=wait_s)

    def failed(self, client: str, subject: str, count: int, now_s: float) -> None:
        """Counts codes that were not found; codes of other customers are among them."""
        if count < 1:
            return
        for guesser, _ in self._guessers(client, subject):
            self._failures.setdefault(guesser, deque()).append((now_s, count))
            self._failures.move_to_end(guesser)
        while len(self._failures) > self._max_guessers:
            self._failures.popitem(last=False)

    def _guessers(self, client: str, subject: str) -> tuple[tuple[Hashable, int], ...]:
        return ((client, subject), self._per_customer), (client, self._per_client)

    def _wait_s(self, guesser: Hashable, limit: int, now_s: float) -> float:
        """Seconds until fewer than `limit` codes of the last minute failed; 0.0 when that is so now."""
        failures = self._failures.get(guesser, deque())
        while failures and failures[0][0] <= now_s - WINDOW_S:
            failures.popleft()
        if not failures:
            self._failures.pop(guesser, None)
        left = sum(count for _, count in failures)
        wait_s = 0.0
        for failed_at, count in failures:
            if left < limit:
                break
            left -= count
            wait_s = failed_at + WINDOW_S - now_s
        return wait_s
