"""The ledger's schema: brought up to this code's revision at start; older and newer ones are recognized."""

import logging
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, false, inspect, select, text
from sqlalchemy.exc import DBAPIError

from app.errors import BadSetting
from app.settings import Settings
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import idempotency

HEAD = "0005"
"""The last file in `migrations/versions`; stated here because importing alembic costs more than all the rest."""
ADDITIONS = "a003"
"""The last file in `additions/versions`: what an earlier Endcap does not notice, so that it may come back."""
LOCK = 0x656E64636170
"""One process at a time migrates a PostgreSQL database: the number of this advisory lock is "endcap" in ASCII."""

_version = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
_added = Table("alembic_additions", MetaData(), Column("version_num", String(32), primary_key=True))
_log = logging.getLogger(__name__)


def has_ledger(settings: Settings) -> bool:
    """False while an SQLite ledger of the data directory's own was never made."""
    return settings.database_url is not None or (settings.data_dir / "ledger.db").exists()


def upgrade(ledger: Ledger) -> None:
    """Brings an empty or older database to this code's schema, in one transaction; one read when it is there already.

    Several processes may start at once: one migrates, the others wait for it. Raises BadSetting for a database that a
    newer Endcap has migrated, and StoreUnavailable.
    """
    if is_current(ledger):
        return
    found = ledger.write(_migrate)
    if found != (HEAD, ADDITIONS):
        before = " ".join(filter(None, found)) or "nothing"
        _log.info("ledger migrated", extra={"detail": f"from {before} to {HEAD} {ADDITIONS}"})


def is_current(ledger: Ledger) -> bool:
    """True when the database has this code's schema; raises BadSetting for a newer one, StoreUnavailable.

    Additions that this code does not know are no hindrance.
    """
    _make_folder(ledger)
    return _is_current(ledger.read(_versions))


def why_read_only(ledger: Ledger) -> str | None:
    """What the database says to a change that changes nothing; None when it takes it. Raises StoreUnavailable."""
    try:
        ledger.write(lambda connection: connection.execute(delete(idempotency).where(false())))
    except DBAPIError as error:
        return " ".join(str(error.orig).split())
    return None


def _make_folder(ledger: Ledger) -> None:
    if ledger.engine.dialect.name == "sqlite" and ledger.engine.url.database:
        Path(ledger.engine.url.database).parent.mkdir(parents=True, exist_ok=True)


def _versions(connection: Connection) -> tuple[str | None, str | None]:
    """The last migration and the last addition; raises BadSetting for a newer migration."""
    known = inspect(connection)
    found = [
        connection.execute(select(table.c.version_num)).scalar_one_or_none() if known.has_table(table.name) else None
        for table in (_version, _added)
    ]
    return _checked(found[0]), found[1]


def _is_current(versions: tuple[str | None, str | None]) -> bool:
    migrated, added = versions
    return migrated == HEAD and added is not None and added >= ADDITIONS


def _checked(version: str | None) -> str | None:
    # Revisions have four digits, so they compare as text.
    if version is not None and version > HEAD:
        raise BadSetting(
            f"the ledger has schema {version}, and this Endcap knows those up to {HEAD}: it was migrated by a newer"
            " Endcap; run that one, or restore the backup from before"
        )
    return version


def _migrate(connection: Connection) -> tuple[str | None, str | None]:
    """The versions found once the lock was ours."""
    if connection.dialect.name == "postgresql":
        # The lock ends with the transaction, however that ends; SQLite's BEGIN IMMEDIATE lets one in at a time anyway.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    # Whoever waited for the lock finds the work done.
    found = _versions(connection)
    if not _is_current(found):
        # Not at the top: this takes longer than looking whether there is anything to do.
        from alembic import command
        from alembic.config import Config

        for folder, head in (("migrations", HEAD), ("additions", ADDITIONS)):
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", f"app.stores.sql.database:{folder}")
            command.upgrade(config, head)
    return found
