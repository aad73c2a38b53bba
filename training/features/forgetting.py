"""What features still say of customers and products whose rows were taken back out of the history."""

from pathlib import Path

import polars as pl

from app.files import replace_atomically

REMOVALS = "endcap_removals"


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


def vanished_ids(path: Path, table: pl.DataFrame) -> list[str]:
    """The ids that were noted and have not come back."""
    if not _vanished(path).exists():
        return []
    ids = pl.read_parquet(_vanished(path))[table.columns[0]]
    return ids.filter(~ids.is_in(table[table.columns[0]].implode())).to_list()


def forget_note(path: Path) -> None:
    """Says that Redis has forgotten them."""
    _vanished(path).unlink(missing_ok=True)


def _vanished(path: Path) -> Path:
    return path.with_suffix(".vanished.parquet")
