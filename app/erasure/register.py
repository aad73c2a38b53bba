"""The register of who was erased, next to each backup that was made before: a restore reads it."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path

from app.errors import BadInput
from app.files import sync_folder

REGISTER = "erased.jsonl"
"""A line for each tombstone; it names nobody."""


def note_in_backups(backups: Iterable[Path], tombstones: Mapping[str, datetime]) -> dict[str, int]:
    """Writes the tombstones next to every backup that can be reached, so that no restore brings anybody back."""
    found = {"backups": 0, "backups_out_of_reach": 0}
    lines = "".join(f"{json.dumps({'tombstone': one, 'at': at.isoformat()})}\n" for one, at in tombstones.items())
    for folder in backups:
        try:
            if not folder.is_dir():
                raise FileNotFoundError(folder)
            with (folder / REGISTER).open("a") as out:
                out.write(lines)
            sync_folder(folder)
        except OSError:
            found["backups_out_of_reach"] += 1
        else:
            found["backups"] += 1
    return found


def read_register(file: Path) -> dict[str, datetime]:
    """The tombstones of a register, none where there is no such file; raises BadInput for one that is damaged."""
    if not file.exists():
        return {}
    found = {}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
            found[str(row["tombstone"])] = datetime.fromisoformat(row["at"])
        except (ValueError, KeyError, TypeError):
            raise BadInput(f"{file}, line {number} names no erased person; take it from another backup") from None
    return found
