"""What syncs the embedded Valkey's files from outside, on a real server."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stores.redis.keys import pack_command
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.server import embedded
from app.stores.redis.server.disk import AppendOnlyFiles, Disk

SET = pack_command(b"SET", b"a", b"1")


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[embedded.Endpoint]:
    """A Valkey on a directory of its own."""
    endpoint, process = embedded.start(tmp_path)
    yield endpoint
    embedded.stop(process)


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file of each sync that this process makes."""
    files: list[str] = []
    real = os.fdatasync

    def fdatasync(file: int) -> None:
        files.append(str(Path(f"/proc/self/fd/{file}").readlink()))
        real(file)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    return files


def opened(server: embedded.Endpoint, data_dir: Path) -> tuple[PipelinedRedis, Disk]:
    redis = PipelinedRedis(server.url)
    return redis, Disk(data_dir, redis)


async def close(redis: PipelinedRedis, disk: Disk) -> None:
    await disk.aclose()
    await redis.aclose()


def test_callers_share_a_sync_that_begins_after_they_came(
    own_server: embedded.Endpoint, tmp_path: Path, synced: list[str]
) -> None:
    async def scenario() -> None:
        redis, disk = opened(own_server, tmp_path)
        await redis.ask(SET, 1)
        first = asyncio.ensure_future(disk.sync())
        await asyncio.sleep(0)
        await asyncio.gather(first, *(disk.sync() for _ in range(100)))
        await close(redis, disk)

    asyncio.run(scenario())
    assert len(synced) == 2


def test_file_that_a_rewrite_begins_is_synced_and_the_one_before_let_go(
    own_server: embedded.Endpoint, tmp_path: Path, synced: list[str]
) -> None:
    async def scenario() -> None:
        redis, disk = opened(own_server, tmp_path)
        await disk.sync()
        await redis.ask(pack_command(b"BGREWRITEAOF"), 1)
        for _ in range(300):
            (facts,) = await redis.ask(pack_command(b"INFO", b"persistence"), 1)
            if b"aof_rewrite_in_progress:0" in facts and b"aof_rewrite_scheduled:0" in facts:
                break
            await asyncio.sleep(0.02)
        synced.clear()
        await redis.ask(SET, 1)
        await disk.sync()
        await close(redis, disk)

    asyncio.run(scenario())
    assert [Path(file).name for file in synced] == ["appendonly.aof.2.incr.aof"]


def test_sync_that_failed_is_not_taken_back_by_a_later_one(tmp_path: Path) -> None:
    file, other = tmp_path / "a.1.incr.aof", tmp_path / "a.2.incr.aof"
    file.symlink_to("/dev/null")  # which cannot be synced
    other.touch()
    files = AppendOnlyFiles(tmp_path)
    with pytest.raises(OSError, match=r"a\.1\.incr\.aof failed"):
        files.sync()
    file.unlink()
    file.touch()
    with pytest.raises(OSError, match=r"a\.1\.incr\.aof failed"):
        files.sync()
    file.unlink()
    files.sync()
    files.close()


def test_failed_sync_lets_valkey_write_new_files(own_server: embedded.Endpoint, tmp_path: Path) -> None:
    unsound = tmp_path / embedded.APPEND_ONLY / "other.1.incr.aof"
    unsound.symlink_to("/dev/null")

    async def scenario() -> None:
        redis, disk = opened(own_server, tmp_path)
        with pytest.raises(OSError, match="failed"):
            await disk.sync()
        unsound.unlink()
        for _ in range(300):
            if list((tmp_path / embedded.APPEND_ONLY).glob("*.2.incr.aof")):
                break
            await asyncio.sleep(0.02)
        await disk.sync()
        await close(redis, disk)

    asyncio.run(scenario())
    assert list((tmp_path / embedded.APPEND_ONLY).glob("*.2.incr.aof"))
