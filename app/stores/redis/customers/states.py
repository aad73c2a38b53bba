"""The events that a person's state is folded from: the last ones, and those of carts and saved products, for longer."""

from collections.abc import Sequence
from typing import Any

from app.customers.identities import named_ids
from app.domain import Event, subject_of
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.documents import unpack_person
from app.stores.redis.keys import RedisKeys, pack_command, unpack_event
from app.stores.redis.pipelined import PipelinedRedis


class RedisStates:
    """Reads what one person did, under whichever name; two round trips. Raises StoreUnavailable."""

    def __init__(self, redis: PipelinedRedis, keys: RedisKeys, breaker: Breaker, *, timeout_s: float) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s

    async def read(self, customer_id: str) -> tuple[tuple[str, ...], list[Event]]:
        """All keys of the person, and their events in no order, some of them twice."""
        name = subject_of(*named_ids(customer_id, None))
        (document,) = await self._ask([pack_command(b"GET", self._keys.person(name).encode())])
        keys = (name,) if document is None else unpack_person(document).keys
        lists = [of(key) for key in keys for of in (self._keys.live, self._keys.cart, self._keys.saved)]
        found = await self._ask([pack_command(b"LRANGE", one.encode(), b"0", b"-1") for one in lists])
        events = [unpack_event(packed) for each in found for packed in each]
        # An entry of anybody else is left out.
        return keys, [event for event in events if event.subject in keys]

    async def _ask(self, commands: Sequence[bytes]) -> list[Any]:
        packed = b"".join(commands)
        return await self._breaker.call(lambda: self._redis.ask(packed, len(commands)), timeout_s=self._timeout_s)
