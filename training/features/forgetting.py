"""What features still say of customers and products whose rows were taken back out of the history."""

from pathlib import Path

import polars as pl
import redis

from app.errors import StoreUnavailable
from app.feature_fields import FEATURES
from app.files import replace_atomically
from app.stores.feast.online_row import entity_key, feature_field, timestamp_field
from app.stores.feast.push import bounded_client

REMOVALS = "endcap_removals"
CHUNK_COUNT = 1000
"""Hashes in one Redis pipeline."""


def is_outdated(path: Path, removals: str | None) -> bool:
    """Whether an import was taken back since the snapshots at `path` were made: they may hold what nobody bought."""
    if not path.exists():
        return False
    made_after = pl.read_parquet_metadata(path).get(REMOVALS)
    # Snapshots from before this was noted: nothing could be taken back then.
    return made_after != (removals or "") if made_after is not None else not (removals or "-0").endswith("-0")


def note_vanished(path: Path, table: pl.DataFrame) -> None:
    """Keeps, until Redis has forgotten them, the ids that the snapshots at `path` have and the new table has not."""
    key = table.columns[0]
    ids = [pl.read_parquet(file, columns=[key])[key] for file in (path, _vanished(path)) if file.exists()]
    vanished = pl.concat(ids).unique()
    vanished = vanished.filter(~vanished.is_in(table[key].implode()))
    if not vanished.is_empty():
        replace_atomically(_vanished(path), vanished.to_frame().write_parquet)


def forget_vanished(redis_url: str, path: Path, view: str, table: pl.DataFrame) -> None:
    """Deletes from Redis what the view says of the ids that were noted and have not come back; StoreUnavailable."""
    noted = _vanished(path)
    if not noted.exists():
        return
    key = table.columns[0]
    ids = pl.read_parquet(noted)[key]
    ids = ids.filter(~ids.is_in(table[key].implode()))
    # Other views of the same customer stay: what came in through the API is live.
    fields = [timestamp_field(view), *(feature_field(view, one.name) for one in FEATURES if one.view == view)]
    try:
        with bounded_client(redis_url) as client:
            for start in range(0, len(ids), CHUNK_COUNT):
                pipeline = client.pipeline(transaction=False)
                for name in ids[start : start + CHUNK_COUNT]:
                    pipeline.hdel(entity_key(key, name), *fields)
                pipeline.execute()
    except redis.RedisError as error:
        raise StoreUnavailable(f"Redis did not forget {len(ids)} rows of {view}: {error}") from error
    noted.unlink()


def _vanished(path: Path) -> Path:
    return path.with_suffix(".vanished.parquet")
