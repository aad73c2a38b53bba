"""Tables of text: CSV and its relatives."""

from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Protocol

from app.errors import BadInput
from app.imports.reading.block import Block, TableFile
from app.imports.reading.containers import Utf8, said_if_damaged, unpacked
from app.imports.reading.dialect import ReadOptions, TextForm, text_form
from app.imports.reading.lines import Dialect, Split, split_block
from app.imports.reading.names import check_compulsory, column_names

HEAD_BYTES = 2**20
"""So much of a file tells how it is written."""
UNIT_SEPARATOR = "\x1f"
"""Stands for a separator of several characters."""


class _Reader(Protocol):
    def read(self, size: int, /) -> bytes: ...


def open_text(
    path: Path, options: ReadOptions, *, compulsory: Collection[str], wanted: Collection[str] | None, block_bytes: int
) -> TableFile:
    """The text table at `path`; raises BadInput when it is none."""
    with path.open("rb") as raw, said_if_damaged(path):
        head = unpacked(raw).read(HEAD_BYTES)
    _refuse_other_formats(path, head)
    form = _form(path, head, options)
    columns = column_names(path, form.names, needed=[*compulsory, *(wanted or ())])
    if compulsory and not columns:
        first = head.decode(form.encoding, errors="replace").split(form.newline)[form.lines_before_rows].strip()
        raise BadInput(
            f"{path}: the first line holds values and no names ({first[:80]}); name its columns in their order, as in"
            " --columns customer_id,product_id,timestamp; MovieLens' and Amazon's ratings come in with --mapping"
            " movielens-dat and amazon-ratings"
        )
    check_compulsory(path, columns, compulsory)
    read = tuple(name for name in columns if wanted is None or name in wanted)
    separator = UNIT_SEPARATOR if len(form.separator) > 1 else form.separator
    blocks = _blocks(path, form, Dialect(separator, columns, read), block_bytes)
    return TableFile(path, columns, path.stat().st_size, blocks, form.notes)


def _form(path: Path, head: bytes, options: ReadOptions) -> TextForm:
    try:
        return text_form(head, options)
    except LookupError:
        raise BadInput(f"{path}: no such encoding: {options.encoding}; write for example utf-8 or cp1252") from None


def _refuse_other_formats(path: Path, head: bytes) -> None:
    remedy = "give CSV in UTF-8, packed or not, or Parquet"
    if not head.strip():
        raise BadInput(f"{path}: the file is empty; {remedy} with a header and rows")
    # UTF-16 is full of zeros, and says so first.
    if (b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))) or path.suffix == ".parquet":
        raise BadInput(f"{path}: is neither text nor Parquet; {remedy}")


def _blocks(path: Path, form: TextForm, dialect: Dialect, block_bytes: int) -> Iterator[Block]:
    line, rest = form.lines_before_rows + 1, b""
    to_skip = form.lines_before_rows
    with path.open("rb") as raw, ExitStack() as opened:
        with said_if_damaged(path):
            file = unpacked(raw)
        if file is not raw:
            opened.enter_context(file)
        for data, last in _whole_lines(path, _as_utf8(file, form), block_bytes):
            data, to_skip = _without_lines(data, to_skip)
            split = split_block(rest + data, dialect, first_line=line, last=last)
            # In bytes of the packed file, whose size is the total.
            yield _block(rest + data, split, form.separator, done=raw.tell())
            line += split.line_count
            rest = split.rest


def _as_utf8(file: BinaryIO, form: TextForm) -> _Reader:
    replacing = []
    if form.newline == "\r":
        replacing.append(("\r", "\n"))
    if len(form.separator) > 1:
        replacing.append((form.separator, UNIT_SEPARATOR))
    if form.encoding in ("utf-8", "utf8") and not replacing:
        return file
    return Utf8(file, encoding=form.encoding, replacing=tuple(replacing))


def _without_lines(data: bytes, count: int) -> tuple[bytes, int]:
    """`data` without its first `count` lines, and how many of them the next block still has."""
    at = 0
    while count and at < len(data):
        at = data.index(b"\n", at) + 1
        count -= 1
    return data[at:], count


def _block(data: bytes, split: Split, separator: str, *, done: int) -> Block:
    def raw(row: int) -> str:
        written = data[split.starts[row] : split.ends[row]].decode(errors="replace").removesuffix("\r")
        return written.replace(UNIT_SEPARATOR, separator) if len(separator) > 1 else written

    return Block(split.frame, split.lines, raw, split.broken, done)


def _whole_lines(path: Path, file: _Reader, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks that end with a line break, the last one marked."""
    tail = b""
    with said_if_damaged(path):
        while data := file.read(block_bytes):
            cut = data.rfind(b"\n") + 1
            if cut:
                yield tail + data[:cut], False
                tail = data[cut:]
            else:
                tail += data
    # The last line may lack its line break.
    yield (tail + b"\n" if tail else b""), True
