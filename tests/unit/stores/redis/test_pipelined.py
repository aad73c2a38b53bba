"""The shared connection on a real Valkey: order, faults, late answers, reconnection, passwords."""

import asyncio
import gc
import os
import signal
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from app.stores.redis.keys import pack_command
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.server import embedded

Scenario = Coroutine[Any, Any, None]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[embedded.Endpoint]:
    """A Valkey that a test may freeze and kill."""
    endpoint, process = embedded.start(tmp_path)
    yield endpoint
    process.send_signal(signal.SIGCONT)
    embedded.stop(process)


def test_answers_come_in_the_order_of_the_questions(valkey: str) -> None:
    async def scenario() -> None:
        redis = PipelinedRedis(valkey)
        questions = [redis.ask(pack_command(b"ECHO", str(number).encode()), 1) for number in range(200)]
        assert await asyncio.gather(*questions) == [[str(number).encode()] for number in range(200)]
        packed = pack_command(b"SET", b"a", b"1") + pack_command(b"GET", b"a") + pack_command(b"GET", b"none")
        assert await redis.ask(packed, 3) == [b"OK", b"1", None]
        await redis.aclose()

    asyncio.run(scenario())


def test_refused_command_fails_its_own_question_only(valkey: str) -> None:
    async def scenario() -> None:
        redis = PipelinedRedis(valkey)
        await redis.ask(pack_command(b"PING"), 1)
        wrong, right = redis.ask(pack_command(b"NOSUCH"), 1), redis.ask(pack_command(b"PING"), 1)
        with pytest.raises(ConnectionError, match="NOSUCH"):
            await wrong
        assert await right == [b"PONG"]
        await redis.aclose()

    asyncio.run(scenario())


def test_answer_that_nobody_waits_for_goes_to_nobody_else(own_server: embedded.Endpoint) -> None:
    async def scenario() -> None:
        redis = PipelinedRedis(own_server.url)
        await redis.ask(pack_command(b"PING"), 1)
        os.kill(own_server.pid, signal.SIGSTOP)
        late = redis.ask(pack_command(b"ECHO", b"late"), 1)
        done, _ = await asyncio.wait({late}, timeout=0.02)
        assert not done
        os.kill(own_server.pid, signal.SIGCONT)
        assert await redis.ask(pack_command(b"ECHO", b"mine"), 1) == [b"mine"]
        assert await late == [b"late"]
        await redis.aclose()

    asyncio.run(scenario())


def test_lost_connection_fails_what_is_open_and_is_made_again(valkey: str) -> None:
    async def scenario() -> None:
        redis = PipelinedRedis(valkey)
        await redis.ask(pack_command(b"PING"), 1)
        with Redis.from_url(valkey) as other:
            other.client_kill_filter(_type="normal", skipme=True)
        with pytest.raises(ConnectionError):
            await redis.ask(pack_command(b"PING"), 1)
        assert await redis.ask(pack_command(b"PING"), 1) == [b"PONG"]
        await redis.aclose()

    asyncio.run(scenario())


def test_no_server_is_an_oserror() -> None:
    async def scenario() -> None:
        with pytest.raises(OSError):  # noqa: PT011 - which one is the system's affair
            await PipelinedRedis(f"redis://127.0.0.1:{embedded.free_port()}/0").ask(pack_command(b"PING"), 1)

    asyncio.run(scenario())


def test_question_that_nobody_waits_for_fails_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        left = PipelinedRedis(f"redis://127.0.0.1:{embedded.free_port()}/0").ask(pack_command(b"PING"), 1)
        await asyncio.wait([left])

    asyncio.run(scenario())
    gc.collect()
    assert not caplog.records


def test_database_and_password_come_from_the_url(own_server: embedded.Endpoint) -> None:
    with Redis.from_url(own_server.url) as admin:
        admin.config_set("requirepass", "pass word")
    address = f"127.0.0.1:{own_server.port}"

    async def scenario() -> None:
        redis = PipelinedRedis(f"redis://:pass%20word@{address}/3")
        await redis.ask(pack_command(b"SET", b"here", b"1"), 1)
        await redis.aclose()
        with pytest.raises(ConnectionError, match="WRONGPASS"):
            await PipelinedRedis(f"redis://:wrong@{address}/3").ask(pack_command(b"PING"), 1)

    asyncio.run(scenario())
    with Redis.from_url(f"redis://:pass%20word@{address}/3") as admin:
        assert admin.get("here") == b"1"
