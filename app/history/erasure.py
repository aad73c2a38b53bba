"""Taking one person out of the table: their rows in a commit, then every old file and word of the log that has them."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import time
from uuid import uuid4

import orjson
import polars as pl
from deltalake import DeltaTable

from app.customers.keys import PersonKeys
from app.files import sync_folder
from app.history.log import LOG, commit
from app.history.person import WithoutThem, files_with, write_without
from app.history.rows import IMPORT_ID

TRIES = 5
"""So often other writers may be first before they have to wait."""

Moved = Callable[[DeltaTable], Mapping[str, int]]
"""The application transactions that such a commit moves, with their versions after it."""


@dataclass(frozen=True, slots=True)
class _Rewritten:
    name: str
    found: WithoutThem


def remove_rows(table: Path, keys: PersonKeys, moved: Moved) -> int:
    """Takes the person's rows out in one commit and returns how many; others may write meanwhile.

    Costs reading two columns of everything, and reading and writing the files that hold the person. Where others were
    first every time the rows are still there, and the return value is 0.
    """
    rewritten: dict[str, _Rewritten] = {}
    committed: set[str] = set()
    try:
        for _ in range(TRIES):
            found = DeltaTable(table)
            sizes = _sizes(found)
            named = {Path(file).name for file in files_with([str(table / name) for name in sizes], keys)}
            if not named:
                return 0
            for name in named - rewritten.keys():
                rewritten[name] = _rewritten(table, name, keys)
            new = [rewritten[name] for name in named]
            actions: list[dict[str, object]] = [_about_nobody()]
            actions += [{"txn": {"appId": name, "version": version}} for name, version in moved(found).items()]
            actions += [_removed(name, sizes[name]) for name in named]
            actions += [_added(table, one) for one in new if one.found.kept_count]
            sync_folder(table)
            if commit(table, found.version() + 1, actions):
                committed = {one.name for one in new if one.found.kept_count}
                return sum(one.found.gone_count for one in new)
        return 0
    finally:
        for one in rewritten.values():
            if one.name not in committed:
                (table / one.name).unlink(missing_ok=True)


def drop_old_files(table: Path, keys: PersonKeys) -> None:
    """Deletes the files of no version, and those of earlier ones that hold the person; nobody may write meanwhile."""
    current = _sizes(DeltaTable(table)).keys()
    old = [path for path in table.glob("*.parquet") if path.name not in current]
    log = b"".join(path.read_bytes() for path in (table / LOG).glob("*.json")) if old else b""
    known = _named_in_checkpoints(table) if old else set()
    for path in old:
        # A writer that was killed before its commit left what the log has never named.
        if (path.name.encode() not in log and path.name not in known) or _may_name(path, keys):
            path.unlink(missing_ok=True)


def _sizes(table: DeltaTable) -> dict[str, int]:
    files = pl.DataFrame(table.get_add_actions(flatten=True)).select("path", "size_bytes")
    return dict(files.iter_rows())


def _rewritten(table: Path, name: str, keys: PersonKeys) -> _Rewritten:
    new = f"part-{uuid4()}.zstd.parquet"
    found = write_without(table / name, table / new, keys)
    # On disk before a commit names it: the file that it stands for is deleted soon after.
    with (table / new).open("rb") as file:
        os.fsync(file.fileno())
    return _Rewritten(new, found)


def _about_nobody() -> dict[str, object]:
    """What the log says of it: nothing of whom it was about."""
    return {"commitInfo": {"timestamp": _now_ms(), "operation": "DELETE", "operationParameters": {}}}


def _removed(name: str, size: int) -> dict[str, object]:
    facts = {"deletionTimestamp": _now_ms(), "dataChange": True, "extendedFileMetadata": True, "partitionValues": {}}
    return {"remove": {"path": name, "size": size, **facts}}


def _added(table: Path, one: _Rewritten) -> dict[str, object]:
    stats: dict[str, object] = {"numRecords": one.found.kept_count}
    if one.found.first_import is not None:
        # By these an import that is taken back finds its files.
        stats |= {
            "minValues": {IMPORT_ID: one.found.first_import},
            "maxValues": {IMPORT_ID: one.found.last_import},
            "nullCount": {IMPORT_ID: one.found.unowned_count},
        }
    facts = {"partitionValues": {}, "dataChange": True, "stats": orjson.dumps(stats).decode()}
    size = (table / one.name).stat().st_size
    return {"add": {"path": one.name, "size": size, "modificationTime": _now_ms(), **facts}}


def _now_ms() -> int:
    return int(time() * 1000)


def _named_in_checkpoints(table: Path) -> set[str]:
    names: set[str] = set()
    for path in (table / LOG).glob("*.checkpoint*.parquet"):
        actions = pl.read_parquet(path, columns=["add", "remove"])
        for action in ("add", "remove"):
            names |= set(actions[action].drop_nulls().struct.field("path"))
    return names


def _may_name(path: Path, keys: PersonKeys) -> bool:
    with suppress(pl.exceptions.PolarsError, OSError):
        return bool(files_with([str(path)], keys))
    # What cannot be read was not written to its end, or not by anybody who is known here.
    return True
