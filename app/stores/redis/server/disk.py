"""Puts on disk what the embedded Valkey wrote, which itself syncs nothing and answers reads meanwhile."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from app.stores.redis.keys import pack_command
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.server.embedded import APPEND_ONLY

_PERSISTENCE = pack_command(b"INFO", b"persistence")
_REWRITE = pack_command(b"BGREWRITEAOF")


class Disk:
    """Syncs the append-only files of one data directory. Whoever comes while a sync runs shares the next one.

    Valkey answers a write once it is in the file (`appendfsync no`), so a sync that begins then covers it.
    """

    def __init__(self, data_dir: Path, redis: PipelinedRedis) -> None:
        self._files = AppendOnlyFiles(data_dir / APPEND_ONLY)
        self._redis = redis
        # A thread of its own: one that shares with the ledger's would wait for a database that hangs.
        self._thread = ThreadPoolExecutor(1, "disk")
        self._running: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None

    async def sync(self) -> None:
        """Returns once all that Valkey has answered by now is on disk; raises OSError where that is not known."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._sync_after(self._running))
        # One that stops waiting must not stop the others.
        await asyncio.shield(self._next)

    async def _sync_after(self, earlier: "asyncio.Future[None] | None") -> None:
        if earlier is not None:
            await asyncio.wait([earlier])
        self._running, self._next = self._next, None
        written = self._redis.ask(_PERSISTENCE, 1)
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._files.sync)
        except OSError:
            # Into new files, from memory, which still has all of it.
            self._redis.ask(_REWRITE, 1)
            raise
        (facts,) = await written
        # It keeps in memory what it could not write, and answers all the same.
        if b"aof_last_write_status:ok" not in facts:
            raise OSError("Valkey could not write to its append-only file")

    async def aclose(self) -> None:
        """Lets go of the thread and the files, once a sync that runs is done."""
        await asyncio.to_thread(self._thread.shutdown)
        self._files.close()


class AppendOnlyFiles:
    """The files that grow, held open: a failed sync is reported once to each descriptor, and to none opened later.

    After it nobody knows what of that file is on disk, whatever the next sync says: it fails for good.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, int] = {}
        self._failed: set[str] = set()

    def sync(self) -> None:
        """Returns once what is in them now is on disk; raises OSError where it is not."""
        names = {entry.name for entry in os.scandir(self._folder) if entry.name.endswith(".incr.aof")}
        for gone in self._open.keys() - names:
            os.close(self._open.pop(gone))
        self._failed &= names
        for name in names:
            # Gone since it was listed: a rewrite has put all of it into another file, and that on disk.
            with suppress(FileNotFoundError):
                self._sync(name)
        if self._failed:
            raise OSError(f"a sync of {', '.join(self._failed)} failed")

    def _sync(self, name: str) -> None:
        if name not in self._open:
            self._open[name] = os.open(self._folder / name, os.O_RDONLY)
        try:
            os.fdatasync(self._open[name])
        except OSError:
            self._failed.add(name)

    def close(self) -> None:
        """Closes them."""
        while self._open:
            os.close(self._open.popitem()[1])
