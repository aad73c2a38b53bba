"""Delta's log where deltalake has no word for it: all application transactions at once, a commit, and forgetting.

deltalake gives one application transaction at a time and replays the log for each: 6 ms apiece after 300 commits, so
that an import that asks for every import before it would take two seconds. Its DELETE writes the ids it looked for into
the log. The log's files are what Delta's protocol says of them:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md, sections "Delta Log Entries" and "Checkpoints".
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from app.files import replace_whole_durably, sync_folder, write_synced

LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d+\.\d+)?\.parquet")
_TRANSACTION = b'{"txn":'
_MAY_QUOTE_ROWS = (b'"stats"', b'"predicate"')
_STATISTICS = ("minValues", "maxValues", "nullCount")


def transaction_versions(table: Path) -> dict[str, int]:
    """The version of each application transaction by its name, as of the newest commit; empty without a table."""
    names = [path.name for path in (table / LOG).glob("*")]
    checkpoints = {name: int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name))}
    newest = max(checkpoints.values(), default=-1)
    versions: dict[str, int] = {}
    for name in (name for name, version in checkpoints.items() if version == newest):
        rows = pl.scan_parquet(table / LOG / name).select(pl.col("txn").drop_nulls().struct.unnest())
        versions |= dict(rows.select("appId", "version").collect().iter_rows())
    for name in sorted(name for name in names if (found := _COMMIT.fullmatch(name)) and int(found[1]) > newest):
        for line in (table / LOG / name).read_bytes().splitlines():
            # Most lines tell of files.
            if line.startswith(_TRANSACTION):
                transaction = orjson.loads(line)["txn"]
                versions[transaction["appId"]] = transaction["version"]
    return versions


def commit(table: Path, version: int, actions: Iterable[Mapping[str, object]]) -> bool:
    """Adds the commit of this version, on disk when it returns; False where somebody else made one of that number."""
    # Named as deltalake names its own until they count.
    unfinished = table / LOG / f"_commit_{uuid4()}.json.tmp"
    write_synced(unfinished, b"".join(orjson.dumps(action) + b"\n" for action in actions))
    try:
        os.link(unfinished, table / LOG / f"{version:020}.json")
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    sync_folder(table / LOG)
    return True


def forget_values(table: Path, keep: Sequence[str]) -> None:
    """Leaves nothing in the log that rows say but the statistics of the columns `keep`; nobody may write meanwhile.

    Each file keeps its name and its age: a deltalake that lacks the commit which it read cannot commit any more.
    """
    for path in sorted((table / LOG).iterdir()):
        if _COMMIT.fullmatch(path.name):
            _rewrite_commit(path, keep)
        elif _CHECKPOINT.fullmatch(path.name):
            _rewrite_checkpoint(path, keep)
        elif path.suffix == ".tmp":
            # Left by a writer that was killed.
            path.unlink()


def _rewrite_commit(path: Path, keep: Sequence[str]) -> None:
    content = path.read_bytes()
    lines = [_without_values(line, keep) for line in content.splitlines()]
    if lines != content.splitlines():
        _replace(path, lambda unfinished: unfinished.write_bytes(b"".join(line + b"\n" for line in lines)))


def _without_values(line: bytes, keep: Sequence[str]) -> bytes:
    if not any(word in line for word in _MAY_QUOTE_ROWS):
        return line
    action = orjson.loads(line)
    before = orjson.dumps(action)
    for each in action.values():
        if each.get("stats") is not None:
            each["stats"] = _only(each["stats"], keep)
        # What was looked for in a deletion or a replacement: ids, which are quoted.
        if "'" in str((each.get("operationParameters") or {}).get("predicate", "")):
            del each["operationParameters"]["predicate"]
    after = orjson.dumps(action)
    return line if after == before else after


def _rewrite_checkpoint(path: Path, keep: Sequence[str]) -> None:
    table = pq.read_table(path)
    for name in ("add", "remove"):
        position = table.schema.get_field_index(name)
        if position >= 0:
            table = table.set_column(position, table.schema.field(name), _without_statistics(table[name], keep))
    if not table.equals(pq.read_table(path)):
        _replace(path, lambda unfinished: pq.write_table(table, unfinished, compression="zstd"))


def _without_statistics(actions: Any, keep: Sequence[str]) -> Any:
    whole = pa.concat_arrays(actions.chunks)
    position = whole.type.get_field_index("stats")
    if position < 0:
        return actions
    fields = [whole.field(each) for each in range(whole.type.num_fields)]
    cleaned = [None if stats is None else _only(stats, keep) for stats in fields[position].to_pylist()]
    fields[position] = pa.array(cleaned, fields[position].type)
    return pa.StructArray.from_arrays(fields, fields=list(whole.type), mask=whole.is_null())


def _only(stats: str, keep: Sequence[str]) -> str:
    found = orjson.loads(stats)
    cleaned = {
        name: {column: each for column, each in value.items() if column in keep} if name in _STATISTICS else value
        for name, value in found.items()
    }
    return stats if cleaned == found else orjson.dumps(cleaned).decode()


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    found = path.stat()

    def aged(unfinished: Path) -> None:
        write(unfinished)
        # By its age Delta knows what it need not keep any more.
        os.utime(unfinished, ns=(found.st_atime_ns, found.st_mtime_ns))

    replace_whole_durably(path, aged)
