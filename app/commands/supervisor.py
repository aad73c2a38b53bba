"""`endcap up`: Valkey, API and worker as children on one data directory, revived when they die, ended in order."""

import fcntl
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic, sleep

from app.composition.stores import ledger_of
from app.errors import BadSetting
from app.settings import Settings
from app.stores.redis import embedded
from app.stores.sql.access.keys import may_have_live_key
from app.stores.sql.database.schema import has_ledger

CHECK_S = 0.2
PARENT_CHECK_S = 0.5
MANY_DEATHS = 5
SHORT_LIFE_S = 10.0
# What ends so was killed by somebody else, and says nothing against the part itself.
KILLED = (-signal.SIGKILL, -signal.SIGTERM)

_log = logging.getLogger(__name__)


def check_bind(settings: Settings) -> None:
    """Raises BadSetting when the address is open to others without an API key, or already taken."""
    if not settings.is_loopback and settings.api_key is None and not _has_key(settings):
        raise BadSetting(
            f"host {settings.host!r} is reachable from outside and there is no API key; "
            "set ENDCAP_API_KEY, make a key with `endcap keys create`, or bind to 127.0.0.1"
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        # Otherwise connections of an earlier server, closed a moment ago (TIME_WAIT), would keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            detail = (
                f"{settings.host}:{settings.port} cannot be used ({error.strerror or error}); choose another --port"
            )
            raise BadSetting(detail) from None


def _has_key(settings: Settings) -> bool:
    if not has_ledger(settings):
        return False
    with closing(ledger_of(settings)) as ledger:
        return may_have_live_key(ledger)


@contextmanager
def sole_owner(data_dir: Path) -> Iterator[None]:
    """Holds the data directory for one `endcap up`; raises BadSetting when it is missing or held."""
    try:
        data_dir.mkdir(exist_ok=True)
        lock = (data_dir / "up.lock").open("w")
    except OSError as error:
        detail = f"data directory {data_dir} cannot be used ({error.strerror}); create it or name another --data-dir"
        raise BadSetting(detail) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSetting(f"data directory {data_dir} is in use by another `endcap up`; end that first") from None
        yield


@dataclass(slots=True)
class Child:
    """One supervised process: how to start it, and how often it died young."""

    name: str
    spawn: Callable[[], "subprocess.Popen[bytes]"]
    process: "subprocess.Popen[bytes]" = field(init=False)
    started_at: float = field(init=False)
    young_deaths: int = 0

    def start(self) -> None:
        """Starts the process."""
        self.started_at = monotonic()
        self.process = self.spawn()

    def revive(self) -> None:
        """Starts it again if it died; raises BadSetting when it keeps dying young by itself, not killed by others."""
        status = self.process.poll()
        if status is None:
            return
        if status not in KILLED:
            self.young_deaths = self.young_deaths + 1 if monotonic() - self.started_at < SHORT_LIFE_S else 1
        if self.young_deaths >= MANY_DEATHS:
            raise BadSetting(f"{self.name} died {MANY_DEATHS} times in a row (status {status})")
        _log.warning("part died, starting it again", extra={"part": self.name, "status": status})
        self.start()


def run(settings: Settings, *, on_started: Callable[[str], None], until: Flag | None = None) -> None:
    """Runs all parts until SIGINT or SIGTERM (or `until`); raises BadSetting when they cannot run."""
    # Before any child starts, so that an early signal ends those that run in order.
    stop = until or stop_on_signals(Flag())
    with sole_owner(settings.data_dir):
        check_bind(settings)
        children: list[Child] = []
        try:
            redis_url = _start_store(settings, children)
            for name in ("serve", "worker"):
                children.append(_part(name, settings, redis_url))
                children[-1].start()
            on_started(redis_url)
            while not stop.wait(CHECK_S):
                for child in children:
                    child.revive()
        finally:
            _end(children)


def _start_store(settings: Settings, children: list[Child]) -> str:
    """Starts or adopts the embedded server, unless a Redis is configured; a revived one keeps its port."""
    if settings.redis_url is not None:
        return settings.redis_url
    endpoint, process = embedded.find_or_start(settings.data_dir)
    if process is None:
        # An earlier `up` was killed and its Valkey lives on: end it, so that this one owns what it runs.
        os.kill(endpoint.pid, signal.SIGTERM)
        endpoint, process = embedded.replace(settings.data_dir, endpoint)
    child = Child("valkey", lambda: embedded.replace(settings.data_dir, endpoint)[1])
    child.process, child.started_at = process, monotonic()
    children.append(child)
    return endpoint.url


def _part(name: str, settings: Settings, redis_url: str) -> Child:
    environment = child_environment(settings, redis_url)
    command = [sys.executable, "-m", "app.cli", name, "--parent-pid", str(os.getpid())]
    # A session of its own, so that Ctrl-C reaches this process alone, which ends its children in order.
    return Child(name, lambda: subprocess.Popen(command, env=environment, start_new_session=True))


def end_with(parent_pid: int) -> None:
    """Ends this process, as SIGTERM would, soon after its parent died: nobody else would."""

    def watch() -> None:
        # When a parent ends its children get another.
        while os.getppid() == parent_pid:
            sleep(PARENT_CHECK_S)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, daemon=True, name="parent-watch").start()


def child_environment(settings: Settings, redis_url: str) -> dict[str, str]:
    """The environment of a child: this one's, with the same directory, address and Redis, one thread for maths."""
    return os.environ | {
        "ENDCAP_REDIS_URL": redis_url,
        "ENDCAP_DATA_DIR": str(settings.data_dir),
        "ENDCAP_HOST": settings.host,
        "ENDCAP_PORT": str(settings.port),
        "ENDCAP_LOG_LEVEL": settings.log_level,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _end(children: list[Child]) -> None:
    """Ends the parts in reverse: requests first, the store last."""
    for child in reversed(children):
        embedded.stop(child.process)


def stop_on_signals(stop: Flag) -> Flag:
    """Sets `stop` on SIGINT and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
