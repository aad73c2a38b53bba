"""The shared limits on a real server, by its own clock: windows end, what nobody settles counts, every key expires."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import redis

from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import RedisKeys
from app.stores.redis.limits import SharedLimits
from app.stores.redis.pipelined import PipelinedRedis
from tests.support.server import wait_until

T = TypeVar("T")
LIMITS = (2, 3)
LONG_S = 60.0


def run(valkey: str, work: Callable[[SharedLimits], Awaitable[T]]) -> T:
    """What `work` returns on a connection of its own."""

    async def connected() -> T:
        connection = PipelinedRedis(valkey)
        limits = SharedLimits(
            connection, RedisKeys(4), Breaker(in_flight_count=100), rate_timeout_s=5, guess_timeout_s=5
        )
        try:
            return await work(limits)
        finally:
            await connection.aclose()

    return asyncio.run(connected())


def reserve(valkey: str, token: str, subject: str, wanted: int, window_s: float = LONG_S) -> tuple[int, float]:
    return run(valkey, lambda limits: limits.reserve(token, "shop", subject, wanted, limits=LIMITS, window_s=window_s))


def settle(valkey: str, token: str, subject: str, count: int, failed: int, window_s: float = LONG_S) -> None:
    run(valkey, lambda limits: limits.settle(token, "shop", subject, count, failed=failed, window_s=window_s))


def test_guesses_are_held_given_back_and_counted(valkey: str) -> None:
    assert reserve(valkey, "a", "900", 5) == (2, 0.0)
    assert reserve(valkey, "b", "900", 1) == (0, 0.0)
    settle(valkey, "a", "900", 2, failed=1)
    assert reserve(valkey, "c", "900", 5) == (1, 0.0)
    settle(valkey, "c", "900", 1, failed=1)
    count, wait_s = reserve(valkey, "d", "900", 1)
    assert count == -1
    assert 50 < wait_s <= LONG_S
    assert reserve(valkey, "e", "901", 2) == (1, 0.0), "the client has three in all"


def test_failures_end_with_their_window_and_guesses_that_nobody_settles_count_as_failed(valkey: str) -> None:
    window_s = 0.2
    reserve(valkey, "a", "900", 2, window_s)
    wait_until(lambda: reserve(valkey, "b", "900", 1, window_s)[0] == -1, "what was left alone counts as failed")
    wait_until(lambda: reserve(valkey, "c", "900", 1, window_s)[0] == 1, "its time is over")


def test_key_passes_at_its_rate_after_a_burst(valkey: str) -> None:
    async def take(limits: SharedLimits) -> float:
        return await limits.take("key_1", per_second=1, burst_s=2)

    assert [run(valkey, take) for _ in range(2)] == [0.0, 0.0]
    assert 0 < run(valkey, take) <= 1


def test_every_key_of_a_limit_expires(valkey: str) -> None:
    reserve(valkey, "a", "900", 1)
    settle(valkey, "a", "900", 1, failed=1)
    run(valkey, lambda limits: limits.take("key_1", per_second=1, burst_s=2))
    with redis.Redis.from_url(valkey) as client:
        ends_in_s = [client.ttl(key) for key in client.scan_iter()]
    assert len(ends_in_s) == 3
    assert all(0 < one <= 2 * LONG_S for one in ends_in_s)
