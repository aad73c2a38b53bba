"""The faults: each breaks one thing for so many seconds, and puts it back; nothing else is touched."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from app.errors import BadSetting
from benchmarks.chaos.clock import Clock
from benchmarks.support.postgres import Postgres
from benchmarks.support.servers import Service

KILL_EVERY_S = 10.0
CONNECTION_COUNT = 10_000
BODY_BYTES, SENDER_COUNT = 100_000_000, 8
CLOCK_SHIFTS_S = (7200, -7200)
HALF_AN_ENTRY = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$500\r\nxx"
MB = 2**20

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rig:
    """What a fault may touch: the service, its clock and its PostgreSQL, if it has one of its own."""

    service: Service
    clock: Clock | None = None
    postgres: Postgres | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: what breaks, for how long, and what it needs.

    `run` returns the intervals in which Redis cannot have answered: all decisions within must say so. `flags` are what
    decisions may say because of it.
    """

    run: Callable[[Rig, float], Sequence[Window]]
    seconds: float
    flags: frozenset[str] = frozenset()
    needs_disk: bool = False
    needs_postgres: bool = False
    needs_clock: bool = False


def fill_disk(rig: Rig, seconds: float) -> Sequence[Window]:
    """Not one more byte goes into the file system of the data directory."""
    ballast = rig.service.data_dir.parent / "ballast"
    until = monotonic() + seconds
    with ballast.open("ab", buffering=0) as growing:
        # Again and again, for what others give free, as a log that runs wild does.
        while monotonic() < until:
            for size in (MB, 4096, 1):
                _grow(growing.write, size)
            sleep(0.2)
    ballast.unlink()
    return []


def _grow(write: Callable[[bytes], object], size: int) -> None:
    try:
        while True:
            write(bytes(size))
    except OSError:
        return


def lose_ledger(rig: Rig, seconds: float) -> Sequence[Window]:
    """SQLite's files are moved away for half of the time, then there is rubbish in their place; then they are back."""
    data_dir = rig.service.data_dir
    with TemporaryDirectory(dir=data_dir.parent) as elsewhere:
        for path in _ledger_files(data_dir):
            path.rename(Path(elsewhere) / path.name)
        sleep(seconds / 2)
        (data_dir / "ledger.db").write_bytes(b"no database at all" * 1000)
        sleep(seconds / 2)
        for path in _ledger_files(data_dir):
            path.unlink()
        # The database last: whoever finds it finds its log.
        for path in sorted(Path(elsewhere).iterdir(), reverse=True):
            path.rename(data_dir / path.name)
    return []


def _ledger_files(data_dir: Path) -> list[Path]:
    return sorted(data_dir.glob("ledger.db*"))


def stop_postgres(rig: Rig, seconds: float) -> Sequence[Window]:
    """PostgreSQL is shut down, and started again."""
    assert rig.postgres is not None
    rig.postgres.stop()
    sleep(seconds)
    rig.postgres.start()
    return []


def freeze_postgres(rig: Rig, seconds: float) -> Sequence[Window]:
    """All processes of PostgreSQL stand still: worse than gone, for nobody refuses a connection."""
    assert rig.postgres is not None
    with rig.postgres.frozen():
        sleep(seconds)
    return []


def freeze_valkey(rig: Rig, seconds: float) -> Sequence[Window]:
    """Valkey stands still."""
    valkey = rig.service.part("valkey-server")
    os.kill(valkey, signal.SIGSTOP)
    gone_at = monotonic()
    try:
        sleep(seconds)
    finally:
        back_at = monotonic()
        os.kill(valkey, signal.SIGCONT)
    return [(gone_at, back_at)]


def kill_valkey(rig: Rig, seconds: float) -> Sequence[Window]:
    """kill -9 of Valkey, now and every ten seconds."""
    return list(_repeatedly(seconds, lambda _: _kill(rig.service, rig.service.part("valkey-server"))))


def break_tail(rig: Rig, seconds: float) -> Sequence[Window]:
    """kill -9 of Valkey amid an entry: half of one is at the end of its append-only file."""

    def kill(_: int) -> Window:
        valkey = rig.service.part("valkey-server")
        os.kill(valkey, signal.SIGSTOP)
        (file,) = (rig.service.data_dir / "valkey" / "appendonlydir").glob("*.incr.aof")
        with file.open("ab") as growing:
            growing.write(HALF_AN_ENTRY)
        return _kill(rig.service, valkey)

    return list(_repeatedly(seconds, kill))


def kill_api(rig: Rig, seconds: float) -> Sequence[Window]:
    """kill -9 of one API process of two, by turns, now and every ten seconds."""

    def kill(number: int) -> Window:
        serving = sorted(rig.service.parts("serve"))
        return _kill(rig.service, serving[number % len(serving)])

    list(_repeatedly(seconds, kill))
    return []


def kill_worker(rig: Rig, seconds: float) -> Sequence[Window]:
    """kill -9 of the worker, now and every ten seconds."""
    list(_repeatedly(seconds, lambda _: _kill(rig.service, rig.service.part("worker"))))
    return []


def _repeatedly(seconds: float, kill: Callable[[int], Window]) -> Iterator[Window]:
    count = max(1, round(seconds / KILL_EVERY_S))
    for number in range(count):
        yield kill(number)
        if number < count - 1:
            sleep(KILL_EVERY_S)


def _kill(service: Service, pid: int) -> Window:
    """From the kill to the moment at which the supervisor began to put something in its place."""
    deaths = _deaths(service)
    os.kill(pid, signal.SIGKILL)
    gone_at, deadline = monotonic(), monotonic() + 30
    while _deaths(service) == deaths and monotonic() < deadline:
        sleep(0.005)
    return gone_at, monotonic()


def _deaths(service: Service) -> int:
    return sum(str(line.get("message", "")).startswith("part died") for line in service.log_lines())


def shift_clock(rig: Rig, seconds: float) -> Sequence[Window]:
    """The clock of all processes jumps two hours ahead, then two hours back behind the right time, then to it."""
    assert rig.clock is not None
    for shift_s in CLOCK_SHIFTS_S:
        rig.clock.shift(shift_s)
        sleep(seconds / len(CLOCK_SHIFTS_S))
    rig.clock.shift(0)
    return []


def hold_connections(rig: Rig, seconds: float) -> Sequence[Window]:
    """Ten thousand connections with half a request line each; whichever is closed is opened again."""
    _abuse("connections", rig, seconds)
    return []


def send_large_bodies(rig: Rig, seconds: float) -> Sequence[Window]:
    """Eight clients send bodies of 100 MB in chunks, one after the other."""
    _abuse("bodies", rig, seconds)
    return []


def _abuse(what: str, rig: Rig, seconds: float) -> None:
    command = [sys.executable, "-m", "benchmarks.chaos.abuse", what, str(rig.service.server.port), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    if done.returncode:
        raise RuntimeError(f"the senders of {what} failed: {done.stderr[-2000:]}")
    print(done.stdout.strip(), file=sys.stderr, flush=True)


@contextmanager
def small_disk(folder: Path, *, size_bytes: int) -> Iterator[Path]:
    """A file system of its own in memory while the block runs; raises BadSetting where nothing may be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        raise BadSetting("a small disk needs root, or `unshare --user --map-root-user --mount`")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


FROM_STORE = frozenset({"features_stale", "features_missing", "coupons_unknown"})
FAULTS = {
    "disk-full": Fault(fill_disk, 60, flags=FROM_STORE, needs_disk=True),
    "ledger-lost": Fault(lose_ledger, 300),
    "postgres-stopped": Fault(stop_postgres, 300, needs_postgres=True),
    "postgres-frozen": Fault(freeze_postgres, 60, needs_postgres=True),
    "valkey-frozen": Fault(freeze_valkey, 60, flags=FROM_STORE),
    "valkey-killed": Fault(kill_valkey, 60, flags=FROM_STORE),
    "valkey-tail-broken": Fault(break_tail, 20, flags=FROM_STORE),
    "api-killed": Fault(kill_api, 120),
    "worker-killed": Fault(kill_worker, 60),
    "clock": Fault(shift_clock, 120, needs_clock=True),
    "connections": Fault(hold_connections, 60),
    "bodies": Fault(send_large_bodies, 60),
}
