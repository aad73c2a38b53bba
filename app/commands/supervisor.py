"""`endcap up`: Valkey, API and worker as children on one data directory, revived when they die, ended in order."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic, sleep

import app
from app.composition.stores import ledger_of
from app.errors import BadSetting
from app.processes.child import Child
from app.processes.store import Store
from app.room import refusal
from app.settings import Settings
from app.stores.sql.access.keys import may_have_live_key
from app.stores.sql.database.schema import has_ledger

CHECK_S = 0.2
PARENT_CHECK_S = 0.5
STOP_TIMEOUT_S = 20.0


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
        lock = (data_dir / "up.lock").open("a")
    except OSError as error:
        detail = f"data directory {data_dir} cannot be used ({error.strerror}); create it or name another --data-dir"
        raise BadSetting(detail) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadSetting(f"data directory {data_dir} is in use by another `endcap up`; end that first") from None
        found = refusal(data_dir)
        if found is not None:
            raise BadSetting(f"data directory {found}; make room, give access or name another --data-dir")
        yield


def run(settings: Settings, *, on_started: Callable[[str], None], until: Flag | None = None) -> None:
    """Runs all parts until SIGINT or SIGTERM (or `until`); raises BadSetting when they cannot run."""
    # Before any child starts, so that an early signal ends those that run in order.
    stop = until or stop_on_signals(Flag())
    with sole_owner(settings.data_dir):
        check_bind(settings)
        parts: list[Child] = []
        try:
            store = Store(settings.data_dir) if settings.redis_url is None else None
            redis_url = settings.redis_url or ""
            if store is not None:
                parts.append(store.child)
                store.start()
                redis_url = store.url
            for name in ("serve", "worker"):
                parts.append(_part(name, settings, redis_url))
                parts[-1].start()
            on_started(redis_url)
            while not stop.wait(CHECK_S):
                if store is not None:
                    store.check()
                for part in parts[1:]:
                    part.revive()
        finally:
            _end(parts)


def _part(name: str, settings: Settings, redis_url: str) -> Child:
    environment = child_environment(settings, redis_url)
    command = [*own_command(), name, "--parent-pid", str(os.getpid())]
    # A session of its own, so that Ctrl-C reaches this process alone, which ends its children in order.
    return Child(name, lambda: subprocess.Popen(command, env=environment, start_new_session=True))


def own_command() -> list[str]:
    """The command line of `endcap` as it runs here: -P, because another `app` may be in the current folder."""
    return [sys.executable, "-P", str(Path(app.__file__).with_name("__main__.py"))]


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


def _end(parts: list[Child]) -> None:
    """Ends the parts in order: requests first, the store last."""
    for part in [*parts[1:], *parts[:1]]:
        part.signal(signal.SIGTERM)
        part.wait(monotonic() + STOP_TIMEOUT_S)


def stop_on_signals(stop: Flag) -> Flag:
    """Sets `stop` on SIGINT and SIGTERM."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop
