"""Clients that mean no good, in a process of their own: half-open connections, and bodies without end.

python -m benchmarks.chaos.abuse connections PORT SECONDS
python -m benchmarks.chaos.abuse bodies PORT SECONDS
"""

import asyncio
import sys
from collections import Counter
from time import monotonic

import orjson

from app.processes.machine import open_file_limit, prepare
from benchmarks.chaos.faults import BODY_BYTES, CONNECTION_COUNT, SENDER_COUNT

SPARE_FILES = 100
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"
PATHS = ("/v1/events", "/v1/redemptions", "/v1/decisions")
PAUSE_S = 0.05
AGAIN_S, BODY_PAUSE_S = 10.0, 0.5
PER_BREATH = 100
"""Connections that are opened before the others are looked after."""


async def connections(port: int, until: float) -> dict[str, object]:
    """Keeps as many connections open as there are to be, each with half a request line."""
    wanted = min(CONNECTION_COUNT, open_file_limit() - SPARE_FILES)
    seen: Counter[str] = Counter()
    most_open = 0
    places: set[asyncio.Task[None]] = set()
    open_now: set[asyncio.StreamWriter] = set()
    while monotonic() < until:
        for _ in range(min(PER_BREATH, wanted - len(places))):
            task = asyncio.create_task(_hold(port, until, open_now, seen))
            places.add(task)
            task.add_done_callback(places.discard)
        most_open = max(most_open, len(open_now))
        await asyncio.sleep(PAUSE_S)
    for writer in list(open_now):
        writer.close()
    for place in places:
        place.cancel()
    await asyncio.gather(*places, return_exceptions=True)
    return {"wanted": wanted, "most_open_at_once": most_open, "how_they_ended": dict(seen)}


async def _hold(port: int, until: float, open_now: set[asyncio.StreamWriter], seen: Counter[str]) -> None:
    """One connection until the server closes it."""
    try:
        reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), until - monotonic())
    except (OSError, TimeoutError):
        seen["not connected"] += 1
        return
    open_now.add(writer)
    try:
        writer.write(b"POST /v1/deci")
        answer = await asyncio.wait_for(reader.read(12), until - monotonic())
        seen[answer.decode(errors="replace") or "closed"] += 1
    except TimeoutError:
        seen["held to the end"] += 1
    except OSError:
        seen["reset"] += 1
    finally:
        open_now.discard(writer)
        writer.close()
    # What is closed is opened again, but not at once: this is about connections that stay.
    await asyncio.sleep(min(AGAIN_S, until - monotonic()))


async def bodies(port: int, until: float) -> dict[str, object]:
    """Sends one large body after the other from each of some clients."""
    seen: Counter[str] = Counter()
    most_sent = 0

    async def send(number: int) -> None:
        nonlocal most_sent
        while monotonic() < until:
            answer, sent_bytes = await _send_one(port, PATHS[number % len(PATHS)])
            seen[answer] += 1
            most_sent = max(most_sent, sent_bytes)
            await asyncio.sleep(BODY_PAUSE_S)

    await asyncio.gather(*(send(number) for number in range(SENDER_COUNT)))
    return {"bytes_of_each": BODY_BYTES, "most_bytes_taken": most_sent, "answers": dict(seen)}


async def _send_one(port: int, path: str) -> tuple[str, int]:
    """The first line of the answer, and how many bytes went out before."""
    sent_bytes = 0
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "not connected", 0
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nIdempotency-Key: large\r\n"
    answered = asyncio.ensure_future(reader.readline())
    try:
        writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
        while sent_bytes < BODY_BYTES and not answered.done():
            writer.write(CHUNK)
            await writer.drain()
            sent_bytes += len(CHUNK)
        line = await asyncio.wait_for(answered, 40)
        return line.decode(errors="replace").strip() or "closed", sent_bytes
    except TimeoutError:
        return "no answer", sent_bytes
    except OSError:
        return "reset", sent_bytes
    finally:
        answered.cancel()
        writer.close()


def main() -> None:
    """Prints one JSON object."""
    prepare()
    what, port, seconds = sys.argv[1:]
    work = {"connections": connections, "bodies": bodies}[what]
    print(orjson.dumps({what: asyncio.run(work(int(port), monotonic() + float(seconds)))}).decode())


if __name__ == "__main__":
    main()
