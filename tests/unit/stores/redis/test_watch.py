"""The watch on Redis, on a real server that stands still while nobody else asks it anything."""

import asyncio
import os
import signal

import redis

from app.stores.redis.keys import RedisKeys
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.watch import StoreWatch
from app.telemetry import Metrics


def test_store_that_stands_still_is_seen_without_any_traffic(valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client:
        pid = client.info("server")["process_id"]

    async def watched() -> list[float | None]:
        metrics, connection = Metrics(), PipelinedRedis(valkey)
        watch = StoreWatch(connection, RedisKeys(4), metrics)
        seen = []
        for moment in (signal.SIGCONT, signal.SIGSTOP, signal.SIGSTOP, signal.SIGCONT):
            os.kill(pid, moment)
            await asyncio.wait_for(watch.measure(), timeout=5)
            seen.append(metrics.registry.get_sample_value("endcap_store_up"))
        await connection.aclose()
        return seen

    try:
        assert asyncio.run(watched()) == [1.0, 0.0, 0.0, 1.0]
    finally:
        os.kill(pid, signal.SIGCONT)
