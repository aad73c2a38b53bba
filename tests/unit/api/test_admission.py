"""Which decisions are admitted, and that each goes on in a turn of the loop of its own."""

import asyncio
from time import perf_counter

import pytest

from app.api.edge.admission import FIRST_TURN_S, MOST_WAIT_S, Admission, is_background

FULL = int(MOST_WAIT_S / FIRST_TURN_S)
"""So many decisions under way take as long as anybody waits."""


def busy(count: int) -> Admission:
    admission = Admission()
    for _ in range(count):
        admission.begin()
    return admission


def test_first_decision_is_always_admitted() -> None:
    assert Admission().admits({b"x-deadline-ms": b"20"})


@pytest.mark.parametrize(
    ("under_way", "headers", "admitted"),
    [
        (FULL - 2, {}, True),
        (FULL, {}, False),
        (10, {b"x-deadline-ms": b"20"}, True),
        (30, {b"x-deadline-ms": b"20"}, False),
        # A deadline beyond all sense admits no more than a sensible one, and one that is none counts as absent.
        (FULL, {b"x-deadline-ms": b"999999999999"}, False),
        (FULL - 2, {b"x-deadline-ms": b"soon"}, True),
        (10, {b"x-deadline-ms": b"0"}, True),
        # A third of the wait is left for what nobody waits for.
        (FULL // 2, {b"priority": b"u=5"}, False),
        (FULL // 2, {b"priority": b"u=1"}, True),
        (FULL // 5, {b"priority": b"u=7, i"}, True),
    ],
)
def test_decision_is_admitted_while_it_can_be_in_time(
    under_way: int, headers: dict[bytes, bytes], admitted: bool
) -> None:
    assert busy(under_way).admits(headers) == admitted


@pytest.mark.parametrize(
    ("priority", "expected"),
    [(None, False), (b"", False), (b"u=4", False), (b"i, u=5", True), (b"u=x", False), (b"u=", False)],
)
def test_urgency_is_read_as_rfc_9218_writes_it(priority: bytes | None, expected: bool) -> None:
    assert is_background(priority) == expected


def test_what_has_ended_makes_room() -> None:
    admission = busy(FULL)
    for _ in range(FULL):
        admission.end()
    assert admission.admits({})


def test_loop_reads_what_came_in_between_two_turns() -> None:
    """Ten decisions that become ready at one moment: without turns they would go on in one go."""
    seen: list[str] = []

    async def decide(admission: Admission) -> None:
        await admission.turn()
        seen.append("decision")

    async def arrivals() -> None:
        while seen.count("decision") < 10:
            seen.append("arrival")
            await asyncio.sleep(0)

    async def all_at_once() -> None:
        admission = Admission()
        await asyncio.gather(*(decide(admission) for _ in range(10)), arrivals())

    asyncio.run(all_at_once())
    runs = [len(run) for run in "".join("d" if word == "decision" else "a" for word in seen).split("a")]
    assert max(runs) == 1


def test_turns_take_as_long_as_decisions_do() -> None:
    async def decide(admission: Admission) -> None:
        await admission.turn()
        until = perf_counter() + 10 * FIRST_TURN_S
        while perf_counter() < until:
            pass

    async def all_at_once() -> Admission:
        admission = Admission()
        await asyncio.gather(*(decide(admission) for _ in range(30)))
        return admission

    admission = asyncio.run(all_at_once())
    for _ in range(FULL // 5):
        admission.begin()
    # Where a turn takes ten times as long, a tenth of the decisions can wait.
    assert not admission.admits({})


def test_caller_that_hung_up_gives_its_turn_on() -> None:
    async def hang_up() -> list[bool]:
        admission = Admission()
        waiting = [asyncio.ensure_future(admission.turn()) for _ in range(4)]
        await asyncio.sleep(0)
        waiting[2].cancel()
        await asyncio.wait(waiting)
        return [one.cancelled() for one in waiting]

    assert asyncio.run(hang_up()) == [False, False, True, False]
