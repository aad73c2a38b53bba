"""Checks Redis now and then and sets the metrics: is it up, how far behind is the history, how old are features."""

import asyncio
from collections.abc import Mapping

import orjson

from app.stores.redis.keys import FEATURES_AS_OF, WORKER_TASKS, RedisKeys, pack_command
from app.stores.redis.pipelined import PipelinedRedis
from app.telemetry import Metrics

PATIENCE_S = 1.0
"""A server that stands still keeps its connections and answers nothing."""


class StoreWatch:
    """One measurement every few seconds; costs one round trip."""

    def __init__(self, redis: PipelinedRedis, keys: RedisKeys, metrics: Metrics) -> None:
        self._redis = redis
        self._keys = keys
        self._metrics = metrics
        self._worker: Mapping[str, str | None] = {}
        metrics.tasks.sources.append(lambda: self._worker)

    async def measure(self) -> None:
        """Reads lengths and ages once; a Redis that fails or stands still is reported as down."""
        keys = [key for at in range(self._keys.partition_count) for key in (self._keys.stream(at), self._keys.dead(at))]
        commands = [pack_command(b"GET", FEATURES_AS_OF.encode())]
        commands += [pack_command(b"GET", WORKER_TASKS.encode())]
        commands += [pack_command(b"XLEN", key.encode()) for key in keys]
        answers = self._redis.ask(b"".join(commands), len(commands))
        # Left alone when it is late, as every question on a shared connection.
        await asyncio.wait({answers}, timeout=PATIENCE_S)
        if not answers.done() or answers.exception() is not None:
            self._metrics.store_up.set(0)
            return
        as_of, worker, *lengths = answers.result()
        self._metrics.store_up.set(1)
        self._metrics.stream_lag.set(sum(lengths[0::2]))
        self._metrics.stream_dead.set(sum(lengths[1::2]))
        reported = {} if worker is None else orjson.loads(worker)
        silent = "no worker has reported lately" if worker is None else None
        self._worker = {"worker": silent, **{f"worker {name}": problem for name, problem in reported.items()}}
        if as_of is not None:
            self._metrics.features_as_of.set(float(as_of))
