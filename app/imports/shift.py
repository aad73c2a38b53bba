"""How many days a source's times are moved, so that all its files stay on one time line."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from app.files import replace_durably

FILE = "shift.json"


def days_to_shift(tables_dir: Path, source: str, last_at: datetime | None, *, now: datetime) -> int | None:
    """The shift of the earlier files of `source`, else the one that makes its last day yesterday (UTC).

    None when there is neither an earlier shift nor any time.
    """
    earlier = kept_shifts(tables_dir).get(source)
    if earlier is not None or last_at is None:
        return earlier
    yesterday = now.date() - timedelta(days=1)
    return (yesterday - last_at.date()).days


def remember_shift(tables_dir: Path, source: str, days: int) -> None:
    """Keep `days` for the later files of `source`."""
    _write(tables_dir, kept_shifts(tables_dir) | {source: days})


def forget_shift(tables_dir: Path, source: str) -> None:
    """The next file of `source` may choose."""
    _write(tables_dir, {name: days for name, days in kept_shifts(tables_dir).items() if name != source})


def _write(tables_dir: Path, shifts: dict[str, int]) -> None:
    tables_dir.mkdir(parents=True, exist_ok=True)
    replace_durably(tables_dir / FILE, json.dumps(shifts).encode())


def kept_shifts(tables_dir: Path) -> dict[str, int]:
    """The days by source."""
    file = tables_dir / FILE
    shifts: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    return shifts
