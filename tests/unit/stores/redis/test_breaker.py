"""The breaker: late calls cost one deadline, not one each, and are never cancelled."""

import asyncio

import pytest

from app.errors import StoreUnavailable
from app.stores.redis.breaker import Breaker


async def _answer(value: int) -> int:
    return value


async def _fail() -> int:
    raise ConnectionError("gone")


def test_answer_in_time_is_handed_on() -> None:
    assert asyncio.run(Breaker(in_flight_count=1).call(lambda: _answer(7), timeout_s=1)) == 7


def test_late_call_is_left_to_end_by_itself() -> None:
    async def scenario() -> bool:
        breaker, gate, ended = Breaker(in_flight_count=1), asyncio.Event(), asyncio.Event()

        async def slow() -> int:
            await gate.wait()
            ended.set()
            return 1

        with pytest.raises(StoreUnavailable):
            await breaker.call(slow, timeout_s=0.001)
        gate.set()
        await asyncio.wait_for(ended.wait(), 1)
        return ended.is_set()

    assert asyncio.run(scenario())


def test_after_three_failures_no_call_is_made_until_one_probe_succeeds() -> None:
    async def scenario() -> list[str]:
        breaker, seen = Breaker(in_flight_count=9, open_s=0.01), []
        for _ in range(5):
            try:
                await breaker.call(_fail, timeout_s=1)
            except StoreUnavailable as error:
                seen.append("called" if error.__cause__ else "refused")
        await asyncio.sleep(0.02)
        assert not breaker.is_open
        seen.append(str(await breaker.call(lambda: _answer(1), timeout_s=1)))
        assert not breaker.is_open
        return seen

    assert asyncio.run(scenario()) == ["called", "called", "called", "refused", "refused", "1"]


def test_calls_in_flight_are_bounded() -> None:
    async def scenario() -> None:
        breaker, gate = Breaker(in_flight_count=1), asyncio.Event()

        async def slow() -> bool:
            return await gate.wait()

        first = asyncio.ensure_future(breaker.call(slow, timeout_s=1))
        await asyncio.sleep(0)
        with pytest.raises(StoreUnavailable):
            await breaker.call(lambda: _answer(1), timeout_s=1)
        gate.set()
        assert await first is True

    asyncio.run(scenario())
