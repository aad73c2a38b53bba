"""Whether files in a folder can still grow: its file system's free space, its mode, and a trial."""

import os
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 64 * 2**20
RESERVE_RATIO = 0.05
TRIAL_BYTES = 2**16
MB = 2**20


def shortage(folder: Path) -> str | None:
    """Why the embedded Valkey must not write here now, in words; None while there is room. Costs microseconds.

    The last RESERVE_BYTES, on a small file system RESERVE_RATIO of it, are left to the ledger and to whoever clears up.
    """
    try:
        facts = os.statvfs(folder)
    except OSError as error:
        return f"{folder} cannot be used ({error.strerror})"
    if facts.f_flag & os.ST_RDONLY:
        return f"the file system of {folder} is read-only"
    free, total = facts.f_bavail * facts.f_frsize, facts.f_blocks * facts.f_frsize
    reserve = min(RESERVE_BYTES, total * RESERVE_RATIO)
    if free < reserve:
        return f"the file system of {folder} has {free / MB:.1f} MB left, and needs {reserve / MB:.1f} MB"
    return None


def refusal(folder: Path) -> str | None:
    """Why a new file in this folder cannot be written, found by writing one; None when it can. Costs a sync."""
    trial = folder / f".trial-{os.getpid()}"
    try:
        try:
            with trial.open("wb") as file:
                file.write(bytes(TRIAL_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            with suppress(FileNotFoundError):
                trial.unlink()
    except OSError as error:
        facts = os.statvfs(folder) if folder.exists() else None
        # Some file systems make inodes as they are needed, and count none.
        no_inodes = facts is not None and facts.f_files > 0 and facts.f_favail == 0
        return f"{folder} takes no file ({'no inode is free' if no_inodes else error.strerror})"
    return None
