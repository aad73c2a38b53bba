"""The API's processes: on one listening socket, each replaced when it dies, all of them exchanged without a gap."""

import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from time import monotonic

from app.processes.child import Child, Process
from app.telemetry import forget_gauges

STOP_TIMEOUT_S = 20.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Handover:
    """What a process gets from its supervisor: the socket, the pipe to say that it is ready, its place for metrics."""

    listen_fd: int
    ready_fd: int
    metrics_dir: str
    metrics_name: str

    def packed(self) -> str:
        """As a word of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def unpacked(cls, word: str) -> "Handover":
        """What was packed."""
        return cls(**json.loads(word))

    def say_ready(self) -> None:
        """Tells the supervisor that this process answers."""
        os.write(self.ready_fd, b"1")
        os.close(self.ready_fd)


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process of the API is started; `listener` stays open, so that nobody who waits in its queue is lost."""

    command: Sequence[str]
    environment: Mapping[str, str]
    listener: socket.socket
    metrics_dir: Path
    on_restart: Callable[[], None]


class ApiProcesses:
    """As many processes as wanted; each has a name for its metrics, and the next of that name counts on."""

    def __init__(self, launch: Launch, *, wanted: int) -> None:
        self._launch = launch
        self._slots = [self._new() for _ in range(wanted)]
        self._to_exchange: list[int] = []
        self._incoming: _ApiProcess | None = None
        self._retiring: list[tuple[_ApiProcess, float]] = []

    def _new(self) -> "_ApiProcess":
        return _ApiProcess(self._launch, self._free_name)

    @property
    def parts(self) -> Sequence[Child]:
        """Those that answer, or soon will."""
        return self._slots

    def start(self) -> None:
        """Starts all of them; they answer some time later."""
        for process in self._slots:
            process.start()

    def check(self) -> None:
        """Replaces who died, and goes on exchanging; for every moment. Raises BadSetting where one never lived."""
        for process in self._slots:
            process.revive()
        self._retiring = [(process, until) for process, until in self._retiring if not process.has_ended(until)]
        if self._to_exchange:
            self._go_on_exchanging()

    def exchange(self) -> None:
        """Exchanges every process for a new one, one after the other, each once the new one is ready."""
        self._to_exchange = list(range(len(self._slots)))

    def _go_on_exchanging(self) -> None:
        if self._incoming is None:
            self._incoming = self._new()
            self._incoming.start()
        elif self._incoming.is_ready:
            slot = self._to_exchange.pop(0)
            old, self._slots[slot], self._incoming = self._slots[slot], self._incoming, None
            old.signal(signal.SIGTERM)
            self._retiring.append((old, monotonic() + STOP_TIMEOUT_S))
            if not self._to_exchange:
                _log.warning("every process of the API was exchanged")
        elif self._incoming.pid is None:
            _log.error("a new process of the API did not start; those of before serve on")
            self._incoming, self._to_exchange = None, []

    def stop(self, number: int) -> None:
        """Sends all of them this signal, and returns once they ended."""
        for process in self._everybody():
            process.signal(number)
        until = monotonic() + STOP_TIMEOUT_S
        for process in self._everybody():
            process.wait(until)

    def _everybody(self) -> "list[_ApiProcess]":
        incoming = [] if self._incoming is None else [self._incoming]
        return [*self._slots, *incoming, *(process for process, _ in self._retiring)]

    def _free_name(self) -> str:
        taken = {process.metrics_name for process in self._everybody() if process.pid is not None}
        return next(name for number in count() if (name := f"serve-{number}") not in taken)


class _ApiProcess(Child):
    """One process, which says through a pipe when it answers."""

    def __init__(self, launch: Launch, free_name: Callable[[], str]) -> None:
        super().__init__("serve", self._launched, on_restart=launch.on_restart)
        self.metrics_name = ""
        self._launch, self._free_name = launch, free_name
        self._ready_fd: int | None = None
        self._is_ready = False

    def _launched(self) -> Process:
        self._close()
        launch, self.metrics_name = self._launch, self._free_name()
        forget_gauges(launch.metrics_dir, self.metrics_name)
        self._ready_fd, ready_fd = os.pipe()
        os.set_blocking(self._ready_fd, False)
        handover = Handover(launch.listener.fileno(), ready_fd, str(launch.metrics_dir), self.metrics_name)
        try:
            return subprocess.Popen(
                [*launch.command, "--handover", handover.packed()],
                env=launch.environment,
                pass_fds=(handover.listen_fd, handover.ready_fd),
                # So that Ctrl-C reaches the supervisor alone, which ends its children in order.
                start_new_session=True,
            )
        finally:
            os.close(ready_fd)

    @property
    def is_ready(self) -> bool:
        """True once it answers."""
        if not self._is_ready and self._ready_fd is not None:
            with suppress(BlockingIOError):
                self._is_ready = os.read(self._ready_fd, 1) != b""
        return self._is_ready

    def has_ended(self, until: float) -> bool:
        """True once it does not run any more; when `until` is past it is killed."""
        if self.pid is not None and monotonic() < until:
            return False
        self.wait(until)
        self._close()
        forget_gauges(self._launch.metrics_dir, self.metrics_name)
        return True

    def _close(self) -> None:
        self._is_ready = False
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None
