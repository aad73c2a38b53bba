"""Tables in XML: product feeds as RSS, Atom or a plain list, one element an entry."""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

import numpy as np
import polars as pl

from app.errors import BadInput
from app.imports.reading.block import Block, TableFile, frame_rows
from app.imports.reading.containers import said_if_damaged, unpacked
from app.imports.reading.names import check_compulsory

ENTRIES = ("item", "entry", "product", "offer", "shopitem")


def is_xml(head: bytes) -> bool:
    """Whether a file that begins so is XML."""
    return head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def open_xml(path: Path, *, compulsory: Collection[str], wanted: Collection[str] | None) -> TableFile:
    """The entries of the feed at `path` as a table of text; raises BadInput when it is none.

    A name counts without its namespace; one of Google's, as `g:title`, comes before a plain one.
    """
    try:
        with path.open("rb") as raw, said_if_damaged(path):
            rows = list(_entries(raw))
    except ElementTree.ParseError as error:
        raise BadInput(f"{path}: is not sound XML ({error}); write the feed again") from None
    if not rows:
        raise BadInput(f"{path}: holds none of the elements {', '.join(ENTRIES)}; give a product feed")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    check_compulsory(path, columns, compulsory)
    read = [name for name in columns if wanted is None or name in wanted]
    frame = pl.DataFrame(
        {name: [row.get(name) for row in rows] for name in read}, schema=dict.fromkeys(read, pl.String())
    )
    block = Block(frame, np.arange(1, frame.height + 1), frame_rows(frame), (), frame.height)
    return TableFile(path, columns, frame.height, iter([block]), ("XML",))


def _entries(raw: BinaryIO) -> Iterator[dict[str, str | None]]:
    for _, element in ElementTree.iterparse(unpacked(raw)):
        if _local(element.tag) in ENTRIES:
            row: dict[str, str | None] = {}
            _fill(row, element, "")
            yield row
            # What was read is given free, or a large feed would be in memory as a tree.
            element.clear()


def _fill(row: dict[str, str | None], element: ElementTree.Element, prefix: str) -> None:
    for child in element:
        name = prefix + _local(child.tag)
        if len(child):
            _fill(row, child, f"{name}.")
        elif name not in row or child.tag.startswith("{http://base.google.com"):
            row[name] = (child.text or "").strip() or None


def _local(tag: str) -> str:
    return tag.rpartition("}")[2].lower()
