"""A database of either engine for one benchmark."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from app.errors import BadSetting
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.support.postgres import binaries
from tests.support.postgres import running_postgres

ENGINES = ("sqlite", "postgresql")


@contextmanager
def database_on(engine: str) -> Iterator[str]:
    """The address of a database with the ledger's schema, which goes with the block."""
    if engine == "sqlite":
        with TemporaryDirectory() as folder:
            url = f"sqlite:///{Path(folder) / 'ledger.db'}"
            ledger = open_ledger(url)
            upgrade(ledger)
            ledger.close()
            yield url
    else:
        programs = binaries()
        if programs is None:
            raise BadSetting("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
        with running_postgres(programs) as server, server.database() as url:
            yield url
