"""Everything that no other source has, copied to a folder while the service runs, and put back from there."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

from app import __version__
from app.backup.archive import DOCUMENT, check_empty, copy_file, emptied_on_failure, finish, verified
from app.backup.events import (
    EVENTS,
    Entries,
    check_streams_empty,
    read_entries,
    restore_entries,
    waiting_entries,
    write_entries,
)
from app.composition.history import history_of
from app.composition.stores import keys_of, opened_ledger, redis_client
from app.erasure.places import Places
from app.erasure.register import REGISTER, read_register
from app.erasure.secret import secret_of
from app.erasure.strays import erase_strays
from app.errors import StoreUnavailable
from app.imports.journal.applied import journal_of
from app.model.bundle import POINTER
from app.ports import Progress
from app.settings import Settings
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.keys import WorkerClient
from app.stores.redis.server.embedded import redis_for
from app.stores.sql.customers.erasures import add_tombstones
from app.stores.sql.database.copies import POSTGRES, SQLITE, back_up_ledger, check_restorable, restore_ledger
from app.stores.tables.layers import REFERENCE_TABLES, LayeredTable

HISTORY, BUNDLES, TABLES = "history", "bundles", "tables"
LEDGERS = (SQLITE, POSTGRES)
CHECKPOINT = "_last_checkpoint"


def back_up(settings: Settings, target: Path, *, now: datetime, progress: Progress) -> Mapping[str, object]:
    """Writes a backup to the new or empty folder `target`, and returns what is in it. Everything may go on meanwhile.

    What was accepted or redeemed before it began is in it. The order sees to that: an event is in a stream until
    history and ledger have it, so the streams are read before the history and once more before the ledger.
    """
    check_empty(target, what="backup folder", remedy="name a new folder")
    with emptied_on_failure(target):
        entries = _copy_events_and_history(settings, target, progress)
        write_entries(entries, target)
        progress("ledger", 0, None)
        has_ledger = back_up_ledger(settings, target)
        progress("bundles and tables", 0, None)
        live = _copy_bundles(settings.bundles_dir, target / BUNDLES)
        # What a table is made of and what the table says of that are of one moment.
        with ExitStack() as held:
            held.enter_context(journal_of(settings).held())
            for kind in REFERENCE_TABLES.values():
                held.enter_context(LayeredTable(settings.tables_dir, kind).held())
            _copy_tables(settings.tables_dir, target / TABLES)
        facts = {
            "created_at": now.isoformat(),
            "endcap": __version__,
            "waiting_events": len(entries),
            "ledger": has_ledger,
            "live_bundle": live,
        }
        if settings.privacy_file.exists():
            copy_file(settings.privacy_file, target / settings.privacy_file.name)
        progress("checksums", 0, None)
        finish(target, facts)
    with settings.backups_file.open("a") as out:
        out.write(f"{target.absolute()}\n")
    return facts


def restore(
    settings: Settings, source: Path, *, registers: Sequence[Path] = (), progress: Progress
) -> Mapping[str, object]:
    """Puts a backup into an empty data directory, an empty database and empty streams; returns what was in it.

    Who was erased since, as the register in the backup's folder and `registers` say, is erased from it again. Raises
    BadInput, before anything is written, for a backup that is damaged or does not fit.
    """
    check_empty(settings.data_dir, what="data directory", remedy="name another --data-dir, or move that one away")
    progress("checksums", 0, None)
    archive = verified(source)
    ledger = next((name for name in archive.names if name in LEDGERS), None)
    if ledger is not None:
        check_restorable(settings, ledger)
    entries = read_entries(source / EVENTS, keys_of(settings))
    erased = {one: at for file in (source / REGISTER, *registers) for one, at in read_register(file).items()}
    with emptied_on_failure(settings.data_dir):
        progress("files", 0, None)
        for name in archive.names:
            if name not in (DOCUMENT, EVENTS, *LEDGERS):
                copy_file(source / name, settings.data_dir / name)
        with redis_for(settings) as redis_url, closing(redis_client(redis_url)) as client:
            check_streams_empty(client, keys_of(settings))
            progress("waiting events", 0, None)
            restore_entries(client, entries)
            progress("ledger", 0, None)
            if ledger is not None:
                restore_ledger(settings, source / ledger)
            progress("erased people", 0, None)
            again = _erase_again(settings, client, erased)
    facts = dict(archive.facts) | {"erased_again": again}
    return {name: value for name, value in facts.items() if name not in ("files", "sha256", "format")}


def _erase_again(settings: Settings, client: WorkerClient, erased: Mapping[str, datetime]) -> int:
    """Erases whoever was erased before, from all that was restored; returns how many names of theirs came back."""
    if not settings.privacy_file.exists():
        return 0
    settings.privacy_file.chmod(0o600)
    with opened_ledger(settings) as ledger:
        keys, secret = keys_of(settings), secret_of(settings.privacy_file)
        ledger.write(lambda connection: add_tombstones(connection, erased))
        places = Places(settings, ledger, client, keys, secret)
        return erase_strays(places, PersonDocuments(ledger, client, keys))


def _copy_events_and_history(settings: Settings, target: Path, progress: Progress) -> Entries:
    keys = keys_of(settings)
    with redis_for(settings) as redis_url, closing(redis_client(redis_url)) as client:
        progress("waiting events", 0, None)
        before = waiting_entries(client, keys)
        # Half a copy of somebody who is being erased would be neither the one state nor the other.
        with history_of(settings).kept():
            progress("history", 0, None)
            _copy_history(settings.history_dir, target / HISTORY)
        return before | waiting_entries(client, keys)


def _copy_history(source: Path, target: Path) -> None:
    """The table as of one of its versions: the log first, for data files are there before the log names them.

    Files that a compaction replaced stay for a day.
    """
    log = source / "_delta_log"
    if not log.is_dir():
        return
    # Read before the list of the others, so that it never points behind them.
    if (log / CHECKPOINT).exists():
        copy_file(log / CHECKPOINT, target / "_delta_log" / CHECKPOINT)
    for path in (*sorted(log.iterdir()), *sorted(source.rglob("*.parquet"))):
        if path.is_file() and path.name != CHECKPOINT and path.suffix in (".json", ".parquet"):
            copy_file(path, target / path.relative_to(source))


def _copy_bundles(source: Path, target: Path) -> str | None:
    """Every version, then the small files that name them; returns the live one."""
    if not source.is_dir():
        return None
    pointer = source / POINTER
    live = pointer.read_text().strip() if pointer.exists() else None
    for folder in sorted(source.glob("[!.]*/")):
        try:
            shutil.copytree(folder, target / folder.name, copy_function=shutil.copyfile)
        except (OSError, shutil.Error):
            # A training may delete an old one meanwhile, never the one that was live a moment ago.
            shutil.rmtree(target / folder.name, ignore_errors=True)
            if folder.name == live:
                raise
    for path in sorted(source.glob("[!.]*")):
        if path.is_file() and path.name != POINTER:
            copy_file(path, target / path.name)
    if live is not None:
        if not (target / live).is_dir():
            raise StoreUnavailable(f"{pointer} names {live!r}, which is not there; see `endcap models`")
        (target / POINTER).write_text(live)
    return live


def _copy_tables(source: Path, target: Path) -> None:
    for path in sorted(source.rglob("*")):
        if path.suffix in (".json", ".parquet", ".toml"):
            copy_file(path, target / path.relative_to(source))
