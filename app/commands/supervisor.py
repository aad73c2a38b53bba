"""`endcap up`: Valkey, API and worker as children on one data directory, revived when they die, ended in order."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import mkdtemp
from threading import Event as Flag
from threading import Thread
from time import monotonic, sleep

from app.composition.launch import own_command
from app.composition.stores import ledger_of
from app.erasure.memory import SERVES
from app.errors import BadInput, BadSetting
from app.processes.api import ApiProcesses, Launch
from app.processes.child import Child
from app.processes.server import listen
from app.processes.store import Store
from app.room import refusal
from app.settings import Settings
from app.stores.sql.access.keys import may_have_live_key
from app.stores.sql.database.schema import has_ledger
from app.telemetry import PartMetrics, share_metrics

CHECK_S = 0.2
PARENT_CHECK_S = 0.5
STOP_TIMEOUT_S = 20.0
LOCK = "up.lock"
IN_MEMORY = Path("/dev/shm")


class Stop(Flag):
    """Set when everything shall end; `number` is the signal that set it."""

    number: int = signal.SIGINT


def check_bind(settings: Settings) -> None:
    """Raises BadSetting when the address is open to others without an API key, or already taken."""
    check_access(settings)
    listen(settings.host, settings.port).close()


def check_access(settings: Settings) -> None:
    """Raises BadSetting when the address is open to others without an API key, or nobody said who asks for consent."""
    if not settings.is_loopback and settings.api_key is None and not _has_key(settings):
        raise BadSetting(
            f"host {settings.host!r} is reachable from outside and there is no API key; "
            "set ENDCAP_API_KEY, make a key with `endcap keys create`, or bind to 127.0.0.1"
        )
    if not settings.is_loopback and settings.consent is None:
        raise BadSetting(
            f"host {settings.host!r} is reachable from outside, and nobody said who asks customers for consent; set "
            "ENDCAP_CONSENT=required to have Endcap check it, or ENDCAP_CONSENT=upstream where your own systems send "
            "only customers who gave theirs (docs/privacy.md)"
        )


def _has_key(settings: Settings) -> bool:
    if not has_ledger(settings):
        return False
    with closing(ledger_of(settings)) as ledger:
        return may_have_live_key(ledger)


@contextmanager
def sole_owner(data_dir: Path) -> Iterator[Path]:
    """Holds the data directory for one `endcap up`; raises BadSetting when it is missing or held.

    Gives a folder in memory, for as long as the directory is held.
    """
    try:
        data_dir.mkdir(exist_ok=True)
        lock = (data_dir / LOCK).open("a+")
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
        # Of an owner that was killed.
        shutil.rmtree(_written(data_dir).get("memory_dir", ""), ignore_errors=True)
        memory_dir = mkdtemp(prefix="endcap-", dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None)
        lock.truncate(0)
        lock.write(json.dumps({"pid": os.getpid(), "memory_dir": memory_dir}))
        lock.flush()
        try:
            yield Path(memory_dir)
        finally:
            shutil.rmtree(memory_dir, ignore_errors=True)


def _written(data_dir: Path) -> dict[str, str]:
    """What the last owner wrote into the lock."""
    try:
        written: dict[str, str] = json.loads((data_dir / LOCK).read_text())
    except (OSError, ValueError):
        return {}
    return written


def ask_for_exchange(data_dir: Path) -> int:
    """Asks the `endcap up` of this directory to exchange its processes; its id. Raises BadInput where none runs."""
    try:
        with (data_dir / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = int(_written(data_dir)["pid"])
        os.kill(pid, signal.SIGHUP)
        return pid
    except FileNotFoundError:
        pass
    raise BadInput(f"no `endcap up` runs on {data_dir}; start it, or name another --data-dir")


def run(settings: Settings, *, on_started: Callable[[str], None], until: Stop | None = None) -> None:
    """Runs all parts until SIGINT or SIGTERM (or `until`); raises BadSetting when they cannot run.

    `on_started` gets the address of the API.
    """
    # Before any child starts, so that an early signal ends those that run in order.
    stop, exchange = until or stop_on_signals(Stop()), Flag()
    signal.signal(signal.SIGHUP, lambda *_: exchange.set())
    check_access(settings)
    with ExitStack() as stack:
        memory_dir = stack.enter_context(sole_owner(settings.data_dir))
        listener = stack.enter_context(listen(settings.host, settings.port))
        settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        share_metrics(memory_dir, "up")
        metrics = PartMetrics()
        redis_url = settings.redis_url
        store = None
        if redis_url is None:
            store = Store(settings.data_dir, on_restart=metrics.restarts_of("valkey"))
            stack.callback(_end, store.child)
            store.start()
            redis_url = store.url
        environment = child_environment(settings, redis_url)
        worker = _worker(environment, metrics)
        stack.callback(_end, worker)
        worker.start()
        launch = Launch(
            _command("serve"), environment, listener, memory_dir, on_restart=metrics.restarts_of("serve")
        )  # fmt: skip
        api = ApiProcesses(launch, wanted=settings.api_process_count or usable_cores())
        stack.callback(lambda: api.stop(stop.number))
        api.start()
        on_started(f"http://{settings.host}:{settings.port}")
        while not stop.wait(CHECK_S):
            if store is not None:
                store.check()
            worker.revive()
            api.check()
            if exchange.is_set():
                exchange.clear()
                worker.exchange()
                api.exchange()
            parts = [*api.parts, worker, *([] if store is None else [store.child])]
            metrics.see([(part.name, part.pid) for part in parts])


def usable_cores() -> int:
    """How many cores this process may use: those it is bound to, and no more than a container's limit allows."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    # No control group, or "max": no limit.
    except (OSError, ValueError):
        return cores


def _worker(environment: dict[str, str], metrics: PartMetrics) -> Child:
    # A session of its own, so that Ctrl-C reaches this process alone, which ends its children in order.
    return Child(
        "worker",
        lambda: subprocess.Popen(_command("worker"), env=environment, start_new_session=True),
        on_restart=metrics.restarts_of("worker"),
    )


def _command(name: str) -> list[str]:
    return [*own_command(), name, SERVES, str(os.getpid())]


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


def _end(part: Child) -> None:
    """Ends a part, in order if it takes its signal."""
    part.signal(signal.SIGTERM)
    part.wait(monotonic() + STOP_TIMEOUT_S)


def stop_on_signals(stop: Stop) -> Stop:
    """Sets `stop` on SIGINT and SIGTERM."""

    def note(number: int, _frame: object) -> None:
        stop.number = number
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return stop
