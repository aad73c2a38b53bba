"""A PostgreSQL server of the test run's own, and a database in it for each test that asks."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

from app.stores.redis.server.embedded import free_port
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.support.postgres import frozen
from tests.support.server import wait_until

EMPTY = "template0"
MIGRATED = "migrated"
"""What a test's database is a copy of: nothing, or the ledger's tables."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "log_min_messages": "fatal",
}
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `url` without the name of a database, `pid` its first process."""

    url: str
    pid: int

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still."""
        with frozen(self.pid):
            yield

    def end_backends(self) -> None:
        """Ends every connection but its own, as a restart does."""
        self._execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")

    def migrate_template(self) -> None:
        """Makes the database that others are copies of."""
        self._execute(f"CREATE DATABASE {MIGRATED}")
        ledger = open_ledger(self._address(MIGRATED))
        upgrade(ledger)
        ledger.close()

    @contextmanager
    def database(self, *, template: str = MIGRATED) -> Iterator[str]:
        """The URL of a new database, which ends with the block."""
        name = f"test_{next(_numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield self._address(name)
        self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _address(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._address("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def running_postgres(programs: Path) -> Iterator[PostgresServer]:
    """A server on a free loopback port with a template migrated, in a folder that goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="endcap-postgres-"))
    options: dict[str, Any] = {"cwd": folder, "stdout": subprocess.DEVNULL} | _other_user(folder)
    data = folder / "data"
    port = free_port()
    cluster = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"]
    subprocess.run([programs / "initdb", "-D", data, *cluster], check=True, **options)
    settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        words = [str(programs / "postgres"), "-D", str(data), "-p", str(port), *settings]
        process: subprocess.Popen[bytes] = subprocess.Popen(words, **options, stderr=log)
    try:
        server = PostgresServer(f"postgresql://postgres@127.0.0.1:{port}", process.pid)
        wait_until(lambda: _answers(process, folder, server.url), "PostgreSQL answers")
        server.migrate_template()
        yield server
    finally:
        # PostgreSQL's fast shutdown: it does not wait for clients.
        process.send_signal(signal.SIGINT)
        process.wait(timeout=20)
        shutil.rmtree(folder)


def _other_user(folder: Path) -> dict[str, Any]:
    """As root: the options that start a program as the package's user, who owns the folder then; root may not serve."""
    if os.geteuid():
        return {}
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _answers(process: subprocess.Popen[bytes], folder: Path, url: str) -> bool:
    assert process.poll() is None, f"PostgreSQL ended: {(folder / 'log').read_text()}"
    try:
        psycopg.connect(f"{url}/postgres").close()
    except psycopg.OperationalError:
        return False
    return True
