"""The application transactions of a Delta table, all at once.

deltalake gives one at a time and replays the log for each: 6 ms apiece after 300 commits, so that an import that asks
for every import before it would take two seconds. The log's files are what Delta's protocol says of them:
https://github.com/delta-io/delta/blob/master/PROTOCOL.md, sections "Delta Log Entries" and "Checkpoints".
"""

import re
from pathlib import Path

import orjson
import polars as pl

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint(\.\d+\.\d+)?\.parquet")
_TRANSACTION = b'{"txn":'


def transaction_versions(table: Path) -> dict[str, int]:
    """The version of each application transaction by its name, as of the newest commit; empty without a table."""
    names = [path.name for path in (table / "_delta_log").glob("*")]
    checkpoints = {name: int(found[1]) for name in names if (found := _CHECKPOINT.fullmatch(name))}
    newest = max(checkpoints.values(), default=-1)
    versions: dict[str, int] = {}
    for name in (name for name, version in checkpoints.items() if version == newest):
        rows = pl.scan_parquet(table / "_delta_log" / name).select(pl.col("txn").drop_nulls().struct.unnest())
        versions |= dict(rows.select("appId", "version").collect().iter_rows())
    for name in sorted(name for name in names if (found := _COMMIT.fullmatch(name)) and int(found[1]) > newest):
        for line in (table / "_delta_log" / name).read_bytes().splitlines():
            # Most lines tell of files.
            if line.startswith(_TRANSACTION):
                transaction = orjson.loads(line)["txn"]
                versions[transaction["appId"]] = transaction["version"]
    return versions
