"""What a service answers when three times as many decisions are wanted as it can make, and how soon it is well again.

    python -m benchmarks.speed.overload --data-dir var --seconds 60

First the capacity: a few connections, each asking again once it is answered. Then open-loop arrivals, each at its own
instant whatever became of those before: half of the capacity, a multiple of it, half of it again.
"""

import argparse
import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import perf_counter

from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from benchmarks.full_path import quantiles_ms
from benchmarks.support import machine
from benchmarks.support.questions import full_questions, known_customers
from benchmarks.support.servers import SERVE_ENDCAP, Server, python_server

DEADLINE_S = 0.25
CONNECTIONS = 200
CAPACITY_CONNECTIONS = 16
CAPACITY_S = HALF_LOAD_S = 15.0
WELL_RATIO = 1.5


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it was to be sent (seconds of the run), how long it took from then on, and its status."""

    at_s: float
    taken_s: float
    status: int
    has_retry_after: bool


class Connection:
    """One kept-alive connection that asks one question at a time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, bool]:
        """Status of the answer (0: none), and whether it says when to try again."""
        try:
            # A server ends connections that rest for long; one that it ended a moment ago is not used.
            if self._streams is None or self._streams[0].at_eof():
                self._streams = await asyncio.open_connection("127.0.0.1", self._port)
            reader, writer = self._streams
            writer.write(_HEAD % len(body) + body)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
            return int(head[9:12]), b"retry-after:" in head
        except (OSError, asyncio.IncompleteReadError):
            self._streams = None
            return 0, False

    def close(self) -> None:
        """Ends it."""
        if self._streams is not None:
            self._streams[1].close()


_HEAD = b"POST /v1/decisions HTTP/1.1\r\nHost: e\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def capacity(port: int, bodies: Sequence[bytes], seconds: float) -> float:
    """Decisions per second with a few connections that are always busy."""
    until, count = perf_counter() + seconds, 0

    async def keep_asking(number: int) -> None:
        nonlocal count
        connection = Connection(port)
        at = number
        while perf_counter() < until:
            status, _ = await connection.ask(bodies[at % len(bodies)])
            count += status == 200
            at += CAPACITY_CONNECTIONS
        connection.close()

    await asyncio.gather(*map(keep_asking, range(CAPACITY_CONNECTIONS)))
    return count / seconds


async def arrivals(port: int, bodies: Sequence[bytes], *, per_s: float, seconds: float) -> list[Answer]:
    """Requests at random instants, `per_s` on average, each over whichever connection is free."""
    free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Connection(port))
    chance, answers, begun = random.Random(0), list[Answer](), perf_counter()
    tasks: set[asyncio.Task[None]] = set()

    async def send(at_s: float, body: bytes) -> None:
        connection = await free.get()
        status, has_retry_after = await connection.ask(body)
        free.put_nowait(connection)
        answers.append(Answer(at_s, perf_counter() - begun - at_s, status, has_retry_after))

    at_s = 0.0
    while at_s < seconds:
        at_s += chance.expovariate(per_s)
        await asyncio.sleep(max(0.0, at_s - (perf_counter() - begun)))
        task = asyncio.create_task(send(at_s, chance.choice(bodies)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    if tasks:
        await asyncio.wait(tasks, timeout=10)
    while not free.empty():
        free.get_nowait().close()
    return answers


def summary(answers: Sequence[Answer], *, seconds: float, capacity_per_s: float) -> dict[str, object]:
    """What became of the arrivals of one phase."""
    in_time = [one for one in answers if one.status == 200 and one.taken_s <= DEADLINE_S]
    refused = [one for one in answers if one.status in (429, 503)]
    return {
        "arrived_per_s": round(len(answers) / seconds, 1),
        "in_time_per_s": round(len(in_time) / seconds, 1),
        "in_time_to_capacity": round(len(in_time) / seconds / capacity_per_s, 3),
        "late": sum(one.status == 200 for one in answers) - len(in_time),
        "refused": len(refused),
        "refused_without_retry_after": sum(not one.has_retry_after for one in refused),
        "failed": sum(one.status not in (200, 429, 503) for one in answers),
        "answered_ms": quantiles_ms([one.taken_s for one in in_time]) if len(in_time) > 1 else None,
        "refused_ms": quantiles_ms([one.taken_s for one in refused]) if len(refused) > 1 else None,
    }


def p99_by_second_ms(answers: Sequence[Answer]) -> list[float]:
    """Of each second's arrivals; infinite where one was not answered."""
    seconds: dict[int, list[float]] = {}
    for one in answers:
        seconds.setdefault(int(one.at_s), []).append(one.taken_s * 1000 if one.status == 200 else inf)
    return [sorted(taken)[-1 - len(taken) // 100] for _, taken in sorted(seconds.items())]


def well_after_s(after: Sequence[Answer], before: Sequence[Answer]) -> int | None:
    """The first second from which on each is as good as the worst one before, with WELL_RATIO to spare; None: none."""
    well_ms = WELL_RATIO * max(p99_by_second_ms(before))
    found = p99_by_second_ms(after)
    ill = [second for second, p99_ms in enumerate(found) if p99_ms > well_ms]
    last = max(ill, default=-1)
    return None if last == len(found) - 1 else last + 1


async def measure(server: Server, bodies: Sequence[bytes], *, seconds: float, times: float) -> dict[str, object]:
    """All phases, one after the other."""
    await capacity(server.port, bodies, 3)
    first_per_s = await capacity(server.port, bodies, CAPACITY_S)
    before = await arrivals(server.port, bodies, per_s=first_per_s / 2, seconds=HALF_LOAD_S)
    over = await arrivals(server.port, bodies, per_s=times * first_per_s, seconds=seconds)
    after = await arrivals(server.port, bodies, per_s=first_per_s / 2, seconds=HALF_LOAD_S)
    # Before and after: shared cores are now faster and now slower.
    last_per_s = await capacity(server.port, bodies, CAPACITY_S)
    per_s = (first_per_s + last_per_s) / 2
    return {
        "capacity_per_s": [round(first_per_s, 1), round(last_per_s, 1)],
        "half_load_before": summary(before, seconds=HALF_LOAD_S, capacity_per_s=per_s),
        "overload": summary(over, seconds=seconds, capacity_per_s=per_s),
        "half_load_after": summary(after, seconds=HALF_LOAD_S, capacity_per_s=per_s),
        "well_after_s": well_after_s(after, before),
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--times", type=float, default=3)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    bodies = full_questions(known_customers(settings), 2000)
    with redis_for(settings) as redis_url:
        environment = {"ENDCAP_REDIS_URL": redis_url, "ENDCAP_DATA_DIR": str(given.data_dir)}
        with python_server(SERVE_ENDCAP, environment) as server:
            found = asyncio.run(measure(server, bodies, seconds=given.seconds, times=given.times))
    machine.show({"benchmark": "overload", **machine.facts(), "times": given.times, **found})


if __name__ == "__main__":
    main()
