"""Finds what files still say of somebody: in their bytes, and in the values of compressed Parquet files."""

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import polars as pl


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
