"""A PostgreSQL server of a benchmark's own, which can be stopped, started and frozen."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from time import monotonic, sleep

import psycopg

from app.errors import BadSetting
from app.stores.redis.server.embedded import free_port

START_TIMEOUT_S = 60.0
# PostgreSQL refuses to run as root: then the package's own user runs it.
AS_OWNER = () if os.geteuid() else ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


@dataclass(slots=True)
class Postgres:
    """A server in `folder`, owned by the user who may run it."""

    programs: Path
    folder: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """The address of its only database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Returns once it answers."""
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300")
        options = [word for setting in settings for word in ("-c", setting)]
        words = [str(self.programs / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port), *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*AS_OWNER, *words], cwd=self.folder, stderr=log)
        deadline = monotonic() + START_TIMEOUT_S
        while monotonic() < deadline and self.process.poll() is None:
            try:
                psycopg.connect(self.url).close()
            except psycopg.OperationalError:
                sleep(0.05)
            else:
                return
        raise BadSetting(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-1000:]}")

    def stop(self) -> None:
        """Its fast shutdown: clients are cut off, what was committed is kept."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still."""
        assert self.process is not None
        with frozen(self.process.pid):
            yield


@contextmanager
def own_postgres() -> Iterator[Postgres]:
    """A new server that goes with the block; raises BadSetting where PostgreSQL is not installed."""
    programs = binaries()
    if programs is None:
        raise BadSetting("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
    folder = Path(mkdtemp(prefix="endcap-postgres-"))
    if not os.geteuid():
        shutil.chown(folder, "postgres", "postgres")
    server = Postgres(programs, folder, free_port())
    cluster = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C"]
    try:
        command = [*AS_OWNER, str(programs / "initdb"), "-D", str(folder / "data"), *cluster]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        shutil.rmtree(folder)


@contextmanager
def frozen(first: int) -> Iterator[None]:
    """The server whose first process this is stands still: the kernel takes connections, and nobody ever answers."""
    # Before its children are listed, so that it makes no further one.
    os.kill(first, signal.SIGSTOP)
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def binaries() -> Path | None:
    """The folder with PostgreSQL's server programs; None when it is not installed. Debian keeps them off the PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda program: float(program.parent.parent.name), default=None)
    return newest.parent if newest else None
