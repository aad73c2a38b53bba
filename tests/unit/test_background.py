"""Background tasks outlive what goes wrong in a turn, and say what it was until a turn ends well."""

import asyncio
import logging

import pytest

from app.background import STUCK_AFTER_S, Background, failing
from app.errors import StoreUnavailable


def test_task_that_fails_takes_its_next_turn_and_recovers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    background, seen = Background(), list[str | None]()

    async def turn() -> None:
        seen.append(background.problems()["reload"])
        if len(seen) <= 2:
            raise ValueError("a bad input")

    async def three_turns() -> None:
        task = background.start("reload", turn, every_s=0)
        while len(seen) < 4:
            await asyncio.sleep(0)
        task.cancel()

    asyncio.run(three_turns())
    assert seen == [None, "ValueError('a bad input')", "ValueError('a bad input')", None]
    assert caplog.messages == ["background task failed", "background task works again"]


def test_task_that_has_ended_is_a_problem() -> None:
    background = Background()

    async def ended() -> dict[str, str | None]:
        task = background.start("reload", lambda: asyncio.sleep(0), every_s=0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        return background.problems()

    problems = asyncio.run(ended())
    assert problems == {"reload": "it has ended"}
    assert failing(problems) == "background task reload fails: the log has the details"


def test_turn_that_does_not_come_back_is_a_problem() -> None:
    now = [0.0]
    background = Background(clock=lambda: now[0])
    with background.turn("reload"):
        now[0] = STUCK_AFTER_S
        assert failing(background.problems()) is None
        now[0] += 1
        assert background.problems() == {"reload": "it has not come back for 61 s"}
    assert failing(background.problems()) is None


def test_error_with_a_name_is_reported_in_its_own_words(caplog: pytest.LogCaptureFixture) -> None:
    background = Background()
    with background.turn("sweep"):
        raise StoreUnavailable("the ledger does not answer")
    assert background.problems() == {"sweep": "the ledger does not answer"}
    assert caplog.records[0].exc_info is None
