"""Accepted events in Redis: the seen-mark, the live profile and the stream, one atomic script per event."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from typing import Any

from app.customers.state import CART_FOR, CART_TYPES, SAVED_TYPES
from app.customers.tombstones import tombstone_of
from app.domain import Event, subject_of
from app.ingest.accept import Acceptance
from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import ACCEPT, RedisKeys, pack_command, pack_event
from app.stores.redis.pipelined import PipelinedRedis

EVENT_S = 0.001
"""What each event adds to the time that its batch may take: a batch of many is late by its size, not by a fault."""
LARGE_EVENTS = 50
CART_COUNT, CART_KEEP_S = 500, int(CART_FOR.total_seconds())
SAVED_COUNT, SAVED_KEEP_S = 300, 365 * 86_400
"""So many events of carts and of saved products are kept for each identity, and so long after the last."""
LARGE_AT_ONCE = 2
"""So many batches of more than LARGE_EVENTS are at Redis at a time: small ones wait some milliseconds at most."""


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
        secret: bytes,
        sync: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._secret = secret
        self._sync = sync
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)
        self._limits = [str(limit).encode() for limit in (seen_keep_s, live_count, live_keep_s)]
        self._kept = {
            **dict.fromkeys(CART_TYPES, (keys.cart, (CART_COUNT, CART_KEEP_S))),
            **dict.fromkeys(SAVED_TYPES, (keys.saved, (SAVED_COUNT, SAVED_KEEP_S))),
        }

    async def accept(self, batches: Sequence[Sequence[Event]]) -> list[Acceptance]:
        """What became of each row; raises StoreUnavailable when not all of them are known to be safe."""
        count = sum(map(len, batches))
        lane = self._large if count > LARGE_EVENTS else nullcontext()
        async with lane:
            packed = b"".join(map(self._command, batches))
            timeout_s = self._timeout_s + count * EVENT_S
            answers = await self._breaker.call(lambda: self._stored(packed, len(batches)), timeout_s=timeout_s)
        return [Acceptance(answer) for answer in answers]

    async def _stored(self, packed: bytes, count: int) -> list[Any]:
        answers = await self._redis.ask(packed, count)
        # Those that are no news as well: whoever sent them first may still wait.
        if self._sync is not None:
            await self._sync()
        return answers

    def _command(self, events: Sequence[Event]) -> bytes:
        subject = events[0].subject
        keys = [
            self._keys.seen(events[0].sending).encode(),
            self._keys.live(subject).encode(),
            self._keys.stream(self._keys.partition(subject)).encode(),
            self._erased(subject),
            self._erased(subject_of(None, events[0].anonymous_id) if events[0].anonymous_id else subject),
        ]
        kept = self._kept.get(events[0].type)
        limits = _NOT_KEPT
        if kept is not None:
            keys.append(kept[0](subject).encode())
            limits = [b"%d" % limit for limit in kept[1]]
        arguments = (*keys, *self._limits, *limits, *map(pack_event, events))
        return pack_command(b"EVAL", _ACCEPT, b"%d" % len(keys), *arguments)

    def _erased(self, key: str) -> bytes:
        return self._keys.erased(tombstone_of(self._secret, key)).encode()


_ACCEPT = ACCEPT.encode()
_NOT_KEPT = [b"0", b"0"]
