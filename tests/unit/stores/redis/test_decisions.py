"""Kept decisions: what one process answers every other one finds, also in the moment before it is written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic, time

import pytest

from app.decision.pipeline import new_decision_id
from app.errors import DecisionNotFound
from app.stores.redis.breaker import Breaker
from app.stores.redis.decisions import DecisionLog
from app.stores.redis.pipelined import PipelinedRedis


@asynccontextmanager
async def process_of(url: str) -> AsyncIterator[DecisionLog]:
    """The log of one process, with a connection of its own."""
    redis = PipelinedRedis(url)
    try:
        yield DecisionLog(redis, Breaker(in_flight_count=8), keep_s=60, timeout_s=1.0, on_lost=lambda _: None)
    finally:
        await redis.aclose()
        await asyncio.sleep(0)  # until the transport is closed


def test_decision_is_found_by_another_process_before_it_was_written(valkey: str) -> None:
    async def ask() -> bytes:
        async with process_of(valkey) as answering, process_of(valkey) as searching:
            decision_id = new_decision_id()
            answering.record(decision_id, b'{"decision_id":"d"}', None)
            question = asyncio.create_task(searching.find(decision_id))
            writing = asyncio.create_task(answering.flush_all())
            found = await question
            await writing
            return found

    assert asyncio.run(ask()) == b'{"decision_id":"d"}'


@pytest.mark.parametrize("decision_id", ["dec_1", "", None])
def test_decision_of_long_ago_or_of_nobody_is_not_waited_for(valkey: str, decision_id: str | None) -> None:
    if decision_id is None:
        decision_id = f"{int(time() - 60) * 1000:012x}{'0' * 20}"

    async def ask() -> None:
        async with process_of(valkey) as searching:
            await searching.find(decision_id)

    begun = monotonic()
    with pytest.raises(DecisionNotFound):
        asyncio.run(ask())
    assert monotonic() - begun < 0.5


def test_decision_that_never_comes_is_waited_for_a_moment_only(valkey: str) -> None:
    async def ask() -> None:
        async with process_of(valkey) as searching:
            await searching.find(new_decision_id())

    begun = monotonic()
    with pytest.raises(DecisionNotFound):
        asyncio.run(ask())
    assert 1 <= monotonic() - begun < 3
