"""A backup as a folder: its files, and the sealed document that says which they are, written when all are there."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson

from app.domain import JsonObject
from app.errors import BadInput
from app.files import sync_folder, write_synced
from app.model.verification.manifest import is_sealed, sealed

DOCUMENT = "backup.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Archive:
    """A whole backup, every file verified. `facts`: when it was made, of which ledger, with how many waiting events."""

    folder: Path
    facts: JsonObject
    names: tuple[str, ...]


def check_empty(folder: Path, *, what: str, remedy: str) -> None:
    """Raises BadInput unless there is nothing at this path, or an empty folder."""
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{what} {folder} is a file; {remedy}")
    found = sorted(path.name for path in folder.iterdir())[:3] if folder.exists() else []
    if found:
        raise BadInput(f"{what} {folder} is not empty (it holds {', '.join(found)}); {remedy}")


@contextmanager
def emptied_on_failure(folder: Path) -> Iterator[None]:
    """Makes an empty folder, and leaves it as it was when the block fails: the next try needs it empty again."""
    was_there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    # Ctrl-C, too: half a copy must not look like a whole one.
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if not was_there:
            folder.rmdir()
        raise


def finish(folder: Path, facts: Mapping[str, object]) -> None:
    """Writes the document over all files that are there: from then on it is a backup."""
    files = {
        name: {"sha256": _sha256(folder / name), "bytes": (folder / name).stat().st_size} for name in _names(folder)
    }
    write_synced(folder / DOCUMENT, sealed({"format": FORMAT, **facts, "files": files}))
    sync_folder(folder)


def verified(folder: Path) -> Archive:
    """The backup in `folder`; raises BadInput, which names the first file that is not as it was written."""
    path = folder / DOCUMENT
    try:
        content = path.read_bytes()
    except OSError as error:
        remedy = "name the folder that `endcap backup` wrote to the end"
        raise BadInput(f"{path} cannot be read ({error.strerror}); {remedy}") from None
    if not is_sealed(content):
        raise BadInput(f"{path} differs from its own seal; use another backup")
    document: JsonObject = orjson.loads(content)
    if document["format"] != FORMAT:
        raise BadInput(f"{folder} is a backup of format {document['format']}, this Endcap reads {FORMAT}")
    for name, promise in document["files"].items():
        file = folder / name
        if ".." in Path(name).parts or Path(name).is_absolute() or file.is_symlink() or not file.is_file():
            raise BadInput(f"{file} is missing; use another backup")
        if _sha256(file) != promise["sha256"]:
            raise BadInput(f"{file} differs from {DOCUMENT}; use another backup")
    return Archive(folder, document, tuple(document["files"]))


def copy_file(source: Path, target: Path) -> None:
    """A copy with the folders that it needs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
