"""Looks at Redis now and then and tells the metrics: is it up, how far behind is the history, how old are features."""

import asyncio

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.stores.redis import Keys
from app.telemetry import Metrics

FEATURES_AS_OF = "features:as_of"
"""Key that materialization sets to the instant (unix seconds) that the batch features look at."""


class StoreWatch:
    """One look every few seconds; costs one round trip."""

    def __init__(self, client: "Redis", keys: Keys, metrics: Metrics) -> None:
        self._client = client
        self._keys = keys
        self._metrics = metrics

    async def watch(self, interval_s: float = 5.0) -> None:
        """Looks for ever."""
        while True:
            await self.look()
            await asyncio.sleep(interval_s)

    async def look(self) -> None:
        """Reads lengths and ages once; a Redis that fails is reported as down."""
        partitions = range(self._keys.partition_count)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(FEATURES_AS_OF)
        for partition in partitions:
            pipeline.xlen(self._keys.stream(partition))
            pipeline.xlen(self._keys.dead(partition))
        try:
            as_of, *lengths = await pipeline.execute()
        except (RedisError, OSError, TimeoutError):
            self._metrics.store_up.set(0)
            return
        self._metrics.store_up.set(1)
        self._metrics.stream_lag.set(sum(lengths[0::2]))
        self._metrics.stream_dead.set(sum(lengths[1::2]))
        if as_of is not None:
            self._metrics.features_as_of.set(float(as_of))
