"""Accepted events in Redis: the seen-mark, the live profile and the stream, one atomic script per event."""

from collections.abc import Sequence

from app.domain import Event
from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import ACCEPT, RedisKeys, pack_command, pack_event
from app.stores.redis.pipelined import PipelinedRedis


class RedisEvents:
    """Takes a batch in one round trip; every event is atomic by itself, so a cluster may spread them."""

    def __init__(
        self,
        redis: PipelinedRedis,
        keys: RedisKeys,
        breaker: Breaker,
        *,
        timeout_s: float,
        seen_keep_s: int,
        live_count: int,
        live_keep_s: int,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._limits = [str(limit).encode() for limit in (seen_keep_s, live_count, live_keep_s)]

    async def accept(self, batches: Sequence[Sequence[Event]]) -> list[bool]:
        """True per row when it was new; raises StoreUnavailable when not all of them are known to be safe."""
        packed = b"".join(map(self._command, batches))
        answers = await self._breaker.call(lambda: self._redis.ask(packed, len(batches)), timeout_s=self._timeout_s)
        return [answer == 1 for answer in answers]

    def _command(self, events: Sequence[Event]) -> bytes:
        subject = events[0].subject
        keys = [
            self._keys.seen(events[0].sending).encode(),
            self._keys.live(subject).encode(),
            self._keys.stream(self._keys.partition(subject)).encode(),
        ]
        return pack_command(b"EVAL", _ACCEPT, b"%d" % len(keys), *keys, *self._limits, *map(pack_event, events))


_ACCEPT = ACCEPT.encode()
