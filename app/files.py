"""Files that are replaced whole, and turns that are taken: readers find the old one or the new one, never a part."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def replace_atomically(path: Path, write: Callable[[Path], object], *, staging_dir: Path | None = None) -> None:
    """`path` as `write` writes it under another name, in the same folder or in `staging_dir` on the same disk.

    Where `write` raises, `path` stays as it was. After a power cut it may be the old file, the new one or an empty one:
    for what cannot be made again there is `replace_durably`.
    """
    # A name of its own, because several processes may write one file at once.
    unfinished = (staging_dir or path.parent) / f".tmp-{uuid4().hex}"
    try:
        write(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_durably(path: Path, content: bytes, *, staging_dir: Path | None = None) -> None:
    """The same with these bytes, which are on disk when it returns."""
    replace_atomically(path, lambda unfinished: write_synced(unfinished, content), staging_dir=staging_dir)
    sync_folder(path.parent)


def replace_whole_durably(path: Path, write: Callable[[Path], object], *, staging_dir: Path | None = None) -> None:
    """The same as `replace_atomically`, on disk when it returns."""

    def synced(unfinished: Path) -> None:
        write(unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())

    replace_atomically(path, synced, staging_dir=staging_dir)
    sync_folder(path.parent)


def write_synced(path: Path, content: bytes) -> None:
    """A new file whose content is on disk; its name is once `sync_folder` returns. Raises FileExistsError."""
    with path.open("xb") as file:
        file.write(content)
        # fsync() knows nothing of what Python still holds in its buffer.
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def turn(lock: Path) -> Iterator[None]:
    """One after the other, in whatever process; the kernel frees the lock of one that dies."""
    # Never deleted: a writer that waits for a deleted file would lock out nobody.
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def shared_turn(lock: Path) -> Iterator[None]:
    """Together with others who share; whoever wants the `turn` waits for all of them, and they for that one."""
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def try_turn(lock: Path) -> Iterator[bool]:
    """The same without waiting: False where somebody else has the turn."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def sync_folder(folder: Path) -> None:
    """Names that were added to the folder, or moved within it, are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
