"""Limits that all processes share: rates of keys and guesses at codes, each counted in one atomic step in Redis."""

from typing import Any

from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import RedisKeys, pack_command
from app.stores.redis.pipelined import PipelinedRedis

TAKE = b"""
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local token, burst = 1000000 / ARGV[1], ARGV[2] * 1000000
-- The bound on the right is for a clock that was set back.
local full_at = math.min(math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now), now + burst)
local wait = full_at + token - burst - now
if wait > 1 then return math.ceil(wait) end
redis.call('SET', KEYS[1], string.format('%.0f', full_at + token), 'PX', math.ceil((burst + token) / 1000))
return 0
"""
"""A token bucket, kept as the instant at which it will be full; 0, or the microseconds until the next token."""

RESERVE = b"""
local now, window, wanted = redis.call('TIME'), tonumber(ARGV[2]), tonumber(ARGV[3])
now = now[1] * 1000 + math.floor(now[2] / 1000)
for at, key in ipairs(KEYS) do
  local limit = tonumber(ARGV[3 + at])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  redis.call('ZREMRANGEBYSCORE', key, now + 2 * window + 1, '+inf')
  local failed = redis.call('ZCOUNT', key, '-inf', now + window)
  if failed >= limit then
    return {-1, redis.call('ZRANGE', key, failed - limit, failed - limit, 'WITHSCORES')[2] - now}
  end
  wanted = math.min(wanted, limit - failed)
end
for at, key in ipairs(KEYS) do
  if redis.call('ZCARD', key) + wanted > tonumber(ARGV[3 + at]) then return {0, 0} end
end
for _, key in ipairs(KEYS) do
  for number = 1, wanted do redis.call('ZADD', key, now + 2 * window, ARGV[1] .. number) end
  redis.call('PEXPIRE', key, 2 * window)
end
return {wanted, 0}
"""
"""Takes guesses before codes are looked up: how many, 0 while others that may fail are in the way, or -1 and for how
many milliseconds. A failed guess is scored with its end; one that is under way with a window more, so that what nobody
settles counts as failed in the end."""

SETTLE = b"""
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
for _, key in ipairs(KEYS) do
  for number = 1, tonumber(ARGV[3]) do
    if number <= tonumber(ARGV[4]) then redis.call('ZADD', key, now + ARGV[2], ARGV[1] .. number)
    else redis.call('ZREM', key, ARGV[1] .. number) end
  end
  redis.call('PEXPIRE', key, 2 * ARGV[2])
end
return 0
"""
"""What became of the guesses taken: the first so many failed, the others are given back."""


class SharedLimits:
    """One round trip each, by Redis's own clock; raises StoreUnavailable where Redis does not answer in time."""

    def __init__(
        self, redis: PipelinedRedis, keys: RedisKeys, breaker: Breaker, *, rate_timeout_s: float, guess_timeout_s: float
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._rate_timeout_s = rate_timeout_s
        self._guess_timeout_s = guess_timeout_s

    async def take(self, key_id: str, *, per_second: int, burst_s: float) -> float:
        """0.0 when one more request may pass, which counts; else the seconds until the next may."""
        arguments = (self._keys.rate(key_id), per_second, burst_s)
        return int(await self._run(TAKE, 1, arguments, self._rate_timeout_s)) / 1e6

    async def reserve(self, token: str, client: str, subject: str, wanted: int, *, limits: tuple[int, int],
                      window_s: float) -> tuple[int, float]:  # fmt: skip
        """How many of `wanted` guesses may fail: of this subject and of the whole client, each within its limit.

        0 while guesses that are under way are in the way; -1 and the seconds to wait where too many failed.
        """
        arguments = (*self._keys.guesses(client, subject), token, _ms(window_s), wanted, *limits)
        count, wait_ms = await self._run(RESERVE, 2, arguments, self._guess_timeout_s)
        return int(count), int(wait_ms) / 1000

    async def settle(self, token: str, client: str, subject: str, count: int, *, failed: int, window_s: float) -> None:
        """Ends `count` guesses that were reserved under `token`: `failed` of them count, the rest are free again."""
        arguments = (*self._keys.guesses(client, subject), token, _ms(window_s), count, failed)
        await self._run(SETTLE, 2, arguments, self._guess_timeout_s)

    async def _run(self, script: bytes, key_count: int, arguments: tuple[object, ...], timeout_s: float) -> Any:
        packed = pack_command(b"EVAL", script, b"%d" % key_count, *(str(one).encode() for one in arguments))
        (answer,) = await self._breaker.call(lambda: self._redis.ask(packed, 1), timeout_s=timeout_s)
        return answer


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
