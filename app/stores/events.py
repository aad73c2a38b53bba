"""Accepted events in Redis: the seen-mark, the live profile and the stream, one atomic script per event."""

from collections.abc import Sequence

from redis.asyncio import Redis

from app.domain import Event
from app.stores.breaker import Breaker
from app.stores.redis import ACCEPT, Keys, pack_event


class RedisEvents:
    """Takes a batch in one round trip; every event is atomic by itself, so a cluster may spread them."""

    def __init__(
        self,
        client: "Redis",
        keys: Keys,
        breaker: Breaker,
        *,
        timeout_s: float,
        seen_keep_s: int,
        live_count: int,
        live_keep_s: int,
    ) -> None:
        self._client = client
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._limits = (seen_keep_s, live_count, live_keep_s)

    async def accept(self, batches: Sequence[Sequence[Event]]) -> list[bool]:
        """True per row when it was new; raises StoreUnavailable when not all of them are known to be safe."""
        return await self._breaker.call(lambda: self._send(batches), timeout_s=self._timeout_s)

    async def _send(self, batches: Sequence[Sequence[Event]]) -> list[bool]:
        pipeline = self._client.pipeline(transaction=False)
        for events in batches:
            subject = events[0].subject
            keys = (
                self._keys.seen(subject, events[0].event_id),
                self._keys.live(subject),
                self._keys.stream(self._keys.partition(subject)),
            )
            pipeline.eval(ACCEPT, len(keys), *keys, *self._limits, *map(pack_event, events))
        return [answer == 1 for answer in await pipeline.execute()]
