"""The supervised Valkey: in one place for life, started again as often as it dies, its writes off without room."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.errors import BadSetting, StoreUnavailable
from app.processes.child import Child, Process
from app.room import refusal, shortage
from app.stores.redis.server import embedded
from app.stores.redis.server.append_only import damage, size_bytes

REPAIR = "`endcap doctor --repair` keeps a copy and cuts them off"
DIE_WITH_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""
"""PR_SET_PDEATHSIG, and then the program that follows: it ends when whoever started it was killed."""

_log = logging.getLogger(__name__)


class Store:
    """One data directory's server; only the directory's owner may make it."""

    def __init__(self, data_dir: Path, *, on_restart: Callable[[], None]) -> None:
        self._data_dir = data_dir
        leftover = embedded.end_leftover(data_dir)
        # Commands that use the server of before find the next one in the same place.
        self._port = embedded.free_port() if leftover is None else leftover.port
        self._takes_writes = False
        self._file_bytes = 0
        self.child = Child("valkey", self._spawn, on_restart=on_restart)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        """Returns once it answers; raises BadSetting when it does not."""
        self._takes_writes = shortage(self._data_dir) is None
        try:
            process = self.child.start()
        except OSError as error:
            folder = self._data_dir / "valkey"
            raise BadSetting(f"{folder} cannot be used ({error.strerror}); make room, or give access to it") from None
        try:
            embedded.wait_until_started(self._data_dir, embedded.Endpoint(self._port, process.pid), process)
        except BadSetting:
            if (found := damage(self._data_dir)) is not None:
                raise BadSetting(f"{found}; {REPAIR}") from None
            raise
        self._report_loss()

    def check(self) -> None:
        """Starts it again where it died, and turns its writes off or on with the room there is; for every moment."""
        if self.child.pid is None:
            # Whatever it died of, it must not write before there was a trial.
            self._takes_writes = False
            self.child.revive()
            return
        self.child.revive()
        short = shortage(self._data_dir)
        if (short is None) == self._takes_writes:
            return
        # Quotas and broken disks show in no figure, only when something is written.
        if short is None and refusal(self._data_dir / "valkey") is not None:
            return
        # One that does not answer yet gets it in a moment.
        with suppress(StoreUnavailable):
            embedded.set_writes(self.url, taken=short is None)
            self._report_loss()
            self._takes_writes = short is None
            _log.warning("Valkey refuses writes" if short else "Valkey takes writes", extra={"detail": short or "room"})

    def _report_loss(self) -> None:
        """Once after each start: what the server cut off the end of its file while it read it."""
        lost_bytes = self._file_bytes - size_bytes(self._data_dir)
        if lost_bytes > 0:
            _log.warning("the append-only file ended in half an entry, which was dropped", extra={"bytes": lost_bytes})
        self._file_bytes = 0

    def _spawn(self) -> Process:
        self._file_bytes = size_bytes(self._data_dir)
        embedded.end_leftover(self._data_dir)
        launcher = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, str(os.getpid())]
        return embedded.spawn(self._data_dir, self._port, takes_writes=self._takes_writes, launcher=launcher)[1]
