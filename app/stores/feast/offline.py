"""Feast's offline tables: the snapshots of customers' features that a materialization writes and an erasure cuts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.files import turn

LOCK = ".lock"


@contextmanager
def snapshots_held(features_dir: Path) -> Iterator[None]:
    """One writer after the other, from reading what is there to its replacement."""
    features_dir.mkdir(parents=True, exist_ok=True)
    with turn(features_dir / LOCK):
        # Left by a writer that was killed.
        for path in features_dir.glob(".tmp-*"):
            path.unlink()
        yield


def snapshot_files(features_dir: Path) -> list[Path]:
    """The tables, and the notes of who is to be forgotten online."""
    return sorted(features_dir.glob("*.parquet"))
