"""Decisions kept for a while after they were answered: written behind the response, read back by id."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from app.errors import DecisionNotFound, StoreUnavailable
from app.stores.breaker import Breaker
from app.stores.pipelined import PipelinedRedis
from app.stores.redis import Keys, pack_command

PENDING_COUNT = 5000
FLUSH_COUNT = 500


class DecisionLog:
    """Keeps each answer `keep_s`. Writing happens in batches behind the requests; a full queue drops the oldest."""

    def __init__(
        self,
        redis: PipelinedRedis,
        breaker: Breaker,
        *,
        keep_s: int,
        timeout_s: float,
        on_lost: Callable[[int], None],
    ) -> None:
        self._redis = redis
        self._breaker = breaker
        self._keep_s = keep_s
        self._expiry = (b"EX", str(keep_s).encode())
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._pending: OrderedDict[str, bytes] = OrderedDict()

    def record(self, decision_id: str, body: bytes) -> None:
        """Takes one answer's JSON; returns at once."""
        self._pending[decision_id] = body
        if len(self._pending) > PENDING_COUNT:
            self._pending.popitem(last=False)
            self._on_lost(1)

    async def find(self, decision_id: str) -> bytes:
        """The answer's JSON; raises DecisionNotFound, or StoreUnavailable when Redis does not say."""
        pending = self._pending.get(decision_id)
        if pending is not None:
            return pending
        command = pack_command(b"GET", Keys.decision(decision_id).encode())
        (found,) = await self._breaker.call(lambda: self._redis.ask(command, 1), timeout_s=self._timeout_s)
        if found is None:
            detail = f"decision {decision_id!r} was not made here or is older than {self._keep_s} s"
            raise DecisionNotFound(detail)
        return bytes(found)

    async def flush_for_ever(self, interval_s: float = 0.05) -> None:
        """Writes what is pending, batch by batch; while Redis fails it waits, and the queue stays bounded."""
        while True:
            await asyncio.sleep(interval_s)
            while self._pending and await self.flush():
                pass

    async def flush(self) -> bool:
        """Writes one batch; False when Redis did not take it."""
        batch = dict(list(self._pending.items())[:FLUSH_COUNT])
        if not batch:
            return True
        packed = b"".join([self._command(decision_id, body) for decision_id, body in batch.items()])
        try:
            await self._breaker.call(lambda: self._redis.ask(packed, len(batch)), timeout_s=1.0)
        except StoreUnavailable:
            return False
        for decision_id in batch:
            self._pending.pop(decision_id, None)
        return True

    def _command(self, decision_id: str, body: bytes) -> bytes:
        return pack_command(b"SET", Keys.decision(decision_id).encode(), body, *self._expiry)
