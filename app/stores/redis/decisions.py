"""Decisions kept for a while after they were answered: written behind the response, read back by id."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable
from time import time

import orjson

from app.errors import DecisionNotFound, StoreUnavailable
from app.slates import Trace
from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import RedisKeys, pack_command
from app.stores.redis.pipelined import PipelinedRedis

PENDING_COUNT = 5000
FLUSH_COUNT = 500
WRITTEN_WITHIN_S = 1.0
"""A decision is in Redis so soon after its answer, or Redis is in trouble; until then it is looked for again."""
FIRST_LOOK_AGAIN_S = 0.01


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
        self._pending: OrderedDict[str, _Kept] = OrderedDict()

    def record(self, decision_id: str, body: bytes, trace: Trace | None) -> None:
        """Takes one answer's JSON, and its trace where the answer does not hold it; returns at once."""
        self._pending[decision_id] = body, trace
        if len(self._pending) > PENDING_COUNT:
            self._pending.popitem(last=False)
            self._on_lost(1)

    async def find(self, decision_id: str) -> bytes:
        """The answer's JSON; raises DecisionNotFound, or StoreUnavailable when Redis does not say."""
        pending = self._pending.get(decision_id)
        if pending is not None:
            return _with_trace(pending)
        command = pack_command(b"GET", RedisKeys.decision(decision_id).encode())
        pause_s = FIRST_LOOK_AGAIN_S
        while True:
            (found,) = await self._breaker.call(lambda: self._redis.ask(command, 1), timeout_s=self._timeout_s)
            if found is not None:
                return bytes(found)
            # Another process may have answered it just now, and be about to write it.
            if abs(_age_s(decision_id)) > WRITTEN_WITHIN_S:
                detail = f"decision {decision_id!r} was not made here or is older than {self._keep_s} s"
                raise DecisionNotFound(detail)
            await asyncio.sleep(pause_s)
            pause_s *= 2

    async def flush_all(self) -> None:
        """Writes what is pending; while Redis fails it stays, and the queue stays bounded.

        Only a whole batch is followed at once by the next: decisions come in while one is being written, and to write
        those few by few costs ten times as much.
        """
        while await self.flush() and len(self._pending) >= FLUSH_COUNT:
            pass

    async def flush(self) -> bool:
        """Writes one batch; False when Redis did not take it."""
        # They stay queued until Redis has taken them: after a failure the same SET is safe to repeat.
        batch = dict(list(self._pending.items())[:FLUSH_COUNT])
        if not batch:
            return True
        packed = b"".join([self._command(decision_id, kept) for decision_id, kept in batch.items()])
        try:
            # No request waits for this, so it may take longer than a decision's deadline.
            await self._breaker.call(lambda: self._redis.ask(packed, len(batch)), timeout_s=1.0)
        except StoreUnavailable:
            return False
        for decision_id in batch:
            # As the oldest of a full queue record() may have dropped it meanwhile.
            self._pending.pop(decision_id, None)
        return True

    def _command(self, decision_id: str, kept: "_Kept") -> bytes:
        return pack_command(b"SET", RedisKeys.decision(decision_id).encode(), _with_trace(kept), *self._expiry)


def _age_s(decision_id: str) -> float:
    """How long ago it was made, by the time in its id (app/decision/pipeline.py); what has none is very old."""
    try:
        return time() - int(decision_id[:12], 16) / 1000
    except ValueError:
        return math.inf


_Kept = tuple[bytes, Trace | None]


def _with_trace(kept: _Kept) -> bytes:
    body, trace = kept
    # The answer is packed already: the trace goes in before its closing brace, and nothing is parsed again.
    return body if trace is None else b'%b,"trace":%b}' % (body[:-1], orjson.dumps(trace.document()))
