"""Finds what files and processes still hold of somebody: in their bytes, and in values of compressed Parquet files."""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl

PIECE_BYTES = 4 * 2**20
_MAPPED = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r\S+) \S+ \S+ \S+\s*(.*)")


def files_with(folder: Path, needles: Collection[bytes]) -> dict[str, int]:
    """How often each file below the folder has one of the needles, as bytes or in a value; files without are left out.

    A needle is what a file would hold: an id with characters that a format escapes is several needles. Names of files
    count as well.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        count = sum(name.encode().count(needle) for needle in needles)
        if path.is_file():
            count += _count(path.read_bytes(), needles)
            if path.suffix == ".parquet":
                count += _count_values(path, needles)
        if count:
            found[name] = count
    return found


def _count(content: bytes, needles: Collection[bytes]) -> int:
    return sum(content.count(needle) for needle in needles)


def _count_values(path: Path, needles: Collection[bytes]) -> int:
    """Pages are compressed, so that the bytes of the file do not show them."""
    frame = pl.read_parquet(path)
    texts = (text for column in frame for text in _texts(column.unique() if column.dtype == pl.String else column))
    return sum(_count(text.encode(), needles) for text in texts)


def _texts(values: object) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, Mapping):
        for each in values.values():
            yield from _texts(each)
    elif isinstance(values, list | pl.Series):
        for each in values:
            yield from _texts(each)


def as_written(*ids: str) -> set[bytes]:
    """The bytes by which files may say these ids: as they are, in JSON, and in JSON within JSON."""
    texts = set(ids)
    for _ in range(2):
        texts |= {json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in texts for ascii_only in (True, False)}
    return {text.encode() for text in texts}


def found_in_memory(pid: int, needle: bytes) -> int:
    """How often the bytes stand in what the process has mapped; what nobody may read, as [vvar], is left out.

    Only for a process of one's own, or as root. One that works meanwhile may move them from one place to another.
    """
    count = 0
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            mapped = _MAPPED.match(line)
            if mapped is not None:
                count += _found_in(memory.fileno(), int(mapped[1], 16), int(mapped[2], 16), needle)
    return count


def _found_in(descriptor: int, start: int, end: int, needle: bytes) -> int:
    count, at, carried = 0, start, b""
    while at < end:
        try:
            piece = os.pread(descriptor, min(PIECE_BYTES, end - at), at)
        except (OSError, OverflowError):
            return count
        if not piece:
            return count
        at += len(piece)
        window = carried + piece
        count += window.count(needle)
        # A needle may begin in one piece and end in the next, and is not counted twice.
        carried = window[-len(needle) + 1 :] if len(needle) > 1 else b""
    return count
