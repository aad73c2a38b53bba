"""The ledger copied while redemptions go on, and put back, by the tools of each database: its part of a backup."""

import re
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import NamedTemporaryFile

from sqlalchemy import inspect, make_url

from app.errors import BadInput
from app.settings import Settings
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import has_ledger

SQLITE, POSTGRES = "ledger.db", "ledger.dump"
"""The file that a backup holds."""


def file_of(settings: Settings) -> str:
    """The name that this ledger has in a backup."""
    return SQLITE if settings.ledger_url.startswith("sqlite:///") else POSTGRES


def back_up_ledger(settings: Settings, folder: Path) -> bool:
    """Copies the ledger as it is at one instant; False where none was ever made."""
    if not has_ledger(settings):
        return False
    if file_of(settings) == SQLITE:
        _copy(_sqlite_path(settings), folder / SQLITE)
    else:
        _run("pg_dump", ["--format=custom", "--no-owner", f"--file={folder / POSTGRES}"], settings)
    return True


def check_restorable(settings: Settings, name: str) -> None:
    """Raises BadInput unless the configured ledger is of the same kind and empty, and its tools are there."""
    if name != file_of(settings):
        kind = "SQLite" if name == SQLITE else "PostgreSQL"
        remedy = "leave ENDCAP_DATABASE_URL out" if name == SQLITE else "set ENDCAP_DATABASE_URL to an empty database"
        raise BadInput(f"the backup's ledger is one of {kind}; {remedy}")
    if name == SQLITE:
        if _sqlite_path(settings).exists():
            raise BadInput(f"there is a ledger at {_sqlite_path(settings)}; name another, or move it away")
        return
    _tool("pg_restore")
    with closing(open_ledger(settings.ledger_url)) as ledger:
        tables = ledger.read(lambda connection: inspect(connection).get_table_names())
    if tables:
        found = ", ".join(sorted(tables)[:3])
        raise BadInput(f"the database of ENDCAP_DATABASE_URL is not empty (it holds {found}); make an empty one")


def restore_ledger(settings: Settings, file: Path) -> None:
    """Puts the ledger of a backup in place, all or nothing."""
    if file.name == SQLITE:
        _copy(file, _sqlite_path(settings))
    else:
        _run("pg_restore", ["--no-owner", "--single-transaction", "--exit-on-error", str(file)], settings)


def _sqlite_path(settings: Settings) -> Path:
    return Path(settings.ledger_url.removeprefix("sqlite:///"))


def _copy(source: Path, target: Path) -> None:
    """SQLite's own backup: one instant of the database, whatever is written meanwhile and whatever its log holds."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as original, closing(sqlite3.connect(target)) as copy:
        # All pages in one step: in smaller ones every commit of another process would begin it again.
        original.backup(copy)


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BadInput(
            f"{name} is not on the PATH; install PostgreSQL's client programs (apt-get install postgresql-client)"
        )
    return found


def _run(name: str, options: Sequence[str], settings: Settings) -> None:
    """Runs one of PostgreSQL's programs on the ledger; raises BadInput with its last words."""
    url = make_url(settings.ledger_url)
    with NamedTemporaryFile("w") as passwords:
        # Not in the command line, which every process on this machine may read; this file is its owner's alone.
        passwords.write("*:*:*:*:" + re.sub(r"([\\:])", r"\\\1", str(url.password or "")))
        passwords.flush()
        address = url.set(drivername="postgresql", password=None)
        if url.password:
            address = address.update_query_dict({"passfile": passwords.name})
        command = [_tool(name), f"--dbname={address.render_as_string()}", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise BadInput(f"{name} failed: {words[0]}")
