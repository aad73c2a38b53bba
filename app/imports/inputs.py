"""What a person names to import: files, URLs, patterns, archives and standard input, as files that can be opened."""

import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from glob import has_magic
from pathlib import Path

from app.errors import BadInput
from app.imports.feed.fetch import fetch, url_of
from app.imports.reading.scratch import scratch
from app.imports.reading.table_file import is_workbook

STANDARD_INPUT = Path("-")


@contextmanager
def expanded(named: Sequence[Path], *, room: Path, max_bytes: int) -> Iterator[list[Path]]:
    """The files that are named, in their order; what has to be unpacked lies below `room` until the end.

    Raises BadInput for a pattern that nothing matches, and for an archive that is damaged or holds nothing.
    """
    with ExitStack() as opened:

        def unpacking() -> Path:
            # Only where it is needed: to look at a file writes nothing.
            return opened.enter_context(scratch(room))

        yield [file for path in named for file in _files(path, unpacking, max_bytes=max_bytes)]


def _files(path: Path, unpacking: Callable[[], Path], *, max_bytes: int) -> Iterator[Path]:
    if path == STANDARD_INPUT:
        yield _standard_input(unpacking())
    elif (url := url_of(path)) is not None:
        fetched = fetch(url, unpacking(), max_bytes=max_bytes)
        assert fetched is not None
        yield from _files(fetched.path, unpacking, max_bytes=max_bytes)
    elif has_magic(str(path)) and not path.exists():
        root = Path(path.anchor) if path.is_absolute() else Path()
        found = sorted(root.glob(str(path.relative_to(path.anchor) if path.is_absolute() else path)))
        if not found:
            raise BadInput(f"{path}: no file matches; check the pattern")
        for each in found:
            yield from _files(each, unpacking, max_bytes=max_bytes)
    elif zipfile.is_zipfile(path) and not is_workbook(path):
        yield from _members(path, unpacking())
    else:
        yield path


def _standard_input(unpacked: Path) -> Path:
    target = unpacked / "standard-input"
    with target.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    return target


def _members(path: Path, unpacked: Path) -> Iterator[Path]:
    with zipfile.ZipFile(path) as archive:
        members = [each for each in archive.infolist() if not each.is_dir() and not _is_hidden(each.filename)]
        if not members:
            raise BadInput(f"{path}: the archive holds no file")
        for position, member in enumerate(sorted(members, key=lambda each: each.filename)):
            # A folder of its own each: names within an archive may say anything, also where to write.
            target = unpacked / f"{path.stem}-{position}" / Path(member.filename).name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with archive.open(member) as packed, target.open("wb") as file:
                    shutil.copyfileobj(packed, file)
            except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
                raise BadInput(f"{path}: {member.filename} cannot be unpacked ({error}); give the whole file") from None
            yield target


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
