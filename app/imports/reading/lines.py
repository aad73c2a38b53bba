"""Separate the sound lines of a CSV block from the broken ones, so that one bad quote costs one line."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from app.imports.reading.salvage import salvaged
from app.imports.report import Reject

NEWLINE, RETURN, QUOTE = b'\n\r"'
# A value in quotes may span this many lines; a quote still open after that was never meant to be one.
QUOTED_LINES_MAX = 200

Positions = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the file writes its columns: the separator, all names of the header, and those to be read."""

    separator: str
    names: tuple[str, ...]
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Split:
    """One block taken apart: sound rows as text with their line numbers, broken lines, what to read again."""

    frame: pl.DataFrame
    lines: Positions
    starts: Positions
    ends: Positions
    broken: Sequence[Reject]
    line_count: int
    rest: bytes


def split_block(data: bytes, dialect: Dialect, *, first_line: int, last: bool, may_carry: bool = True) -> Split:
    """Take apart `data`, which ends with a line break. A line is a row, unless a quoted value spans lines.

    `rest` holds the tail that belongs to a value whose closing quote may be in the next block.
    """
    block = _Block(data, dialect)
    record_of, open_line = _quoted_spans(block, last=last or not may_carry)
    if open_line is not None:
        start = int(block.starts[open_line])
        # The head ends here for good: what it leaves open is a fault, and is not carried over as well.
        head = split_block(data[:start], dialect, first_line=first_line, last=False, may_carry=False)
        return _with_rest(head, data[start:])
    reasons = _faults(block, record_of)
    return _assemble(block, record_of, reasons, first_line=first_line)


class _Block:
    """The bytes with the positions that matter: line starts and ends, quotes, and quotes per line."""

    def __init__(self, data: bytes, dialect: Dialect) -> None:
        self.data = data
        self.dialect = dialect
        self.bytes = np.frombuffer(data, dtype=np.uint8)
        self.ends: Positions = np.flatnonzero(self.bytes == NEWLINE)
        self.starts: Positions = np.concatenate([np.zeros(min(1, self.ends.size), np.int64), self.ends[:-1] + 1])
        self.quotes: Positions = np.flatnonzero(self.bytes == QUOTE)
        self.quote_line: Positions = np.searchsorted(self.ends, self.quotes)
        self.quote_count: Positions = np.bincount(self.quote_line, minlength=self.ends.size)

    def text(self, first: int, last: int) -> str:
        """Lines `first` to `last` without the final line break; bytes that are not UTF-8 show as �."""
        return self.data[self.starts[first] : self.ends[last]].decode(errors="replace").removesuffix("\r")


def _quoted_spans(block: _Block, *, last: bool) -> tuple[Positions, int | None]:
    """For each line the first line of its row; and the line whose quote is still open at the end, if any."""
    record_of: Positions = np.arange(block.ends.size)
    # Only a line with an odd number of quotes can leave a value open.
    odd = [int(line) for line in np.flatnonzero(block.quote_count & 1)]
    at = 0
    while at < len(odd):
        line = odd[at]
        closing = odd[at + 1] if at + 1 < len(odd) else None
        if closing is None and not last and block.ends.size - line < QUOTED_LINES_MAX:
            return record_of, line
        if closing is not None and _is_one_row(block, line, closing):
            record_of[line : closing + 1] = line
            at += 1
        at += 1
    return record_of, None


def _is_one_row(block: _Block, first: int, last: int) -> bool:
    if last - first >= QUOTED_LINES_MAX:
        return False
    lines = block.text(first, last).splitlines(keepends=True)
    try:
        rows = list(csv.reader(lines, delimiter=block.dialect.separator, strict=True))
    except csv.Error:
        return False
    return len(rows) == 1 and len(rows[0]) == len(block.dialect.names)


def _faults(block: _Block, record_of: Positions) -> dict[int, str]:
    """What is wrong with each broken line; rows over several lines have been checked already."""
    several = np.bincount(record_of, minlength=record_of.size)[record_of] > 1
    faults: dict[int, str] = {}
    columns = _column_counts(block)
    expected = len(block.dialect.names)
    blank = _is_blank(block)
    for line in np.flatnonzero((columns != expected) & ~several & ~blank):
        faults[int(line)] = f"{columns[line]} columns where the header has {expected}"
    # Overrules the number of columns, which a quote in the wrong position changes too.
    for line in np.unique(block.quote_line[_misplaced_quotes(block)]):
        if not several[line]:
            faults[int(line)] = "a quote inside a value: put the value in quotes and double the quote"
    for line in np.flatnonzero((block.quote_count & 1 == 1) & ~several):
        faults[int(line)] = "a quote is not closed"
    return faults | _not_utf8(block, record_of)


def _is_blank(block: _Block) -> Flags:
    width = block.ends - block.starts
    blank: Flags = (width == 0) | ((width == 1) & (block.bytes[block.starts] == RETURN))
    return blank


def _column_counts(block: _Block) -> Positions:
    """Columns a line, separators inside quotes left out."""
    separators: Positions = np.flatnonzero(block.bytes == ord(block.dialect.separator))
    line = np.searchsorted(block.ends, separators)
    if block.quotes.size:
        before_line = np.searchsorted(block.quotes, block.starts)
        # With an odd number of quotes before it on its line a separator is inside a value.
        inside = (np.searchsorted(block.quotes, separators) - before_line[line]) & 1
        line = line[inside == 0]
    return np.bincount(line, minlength=block.ends.size) + 1


def _misplaced_quotes(block: _Block) -> Flags:
    """Opening quotes that do not begin a value and closing ones that do not end it."""
    if not block.quotes.size:
        return np.zeros(0, dtype=np.bool_)
    first = np.searchsorted(block.quotes, block.starts)[block.quote_line]
    opening = (np.arange(block.quotes.size) - first) & 1 == 0
    separator = ord(block.dialect.separator)
    before = np.where(block.quotes > 0, block.bytes[block.quotes - 1], NEWLINE)
    after = block.bytes[np.minimum(block.quotes + 1, block.bytes.size - 1)]
    # QUOTE as well: a doubled quote closes a value and opens it again.
    begins = np.isin(before, [separator, NEWLINE, QUOTE])
    finishes = np.isin(after, [separator, NEWLINE, RETURN, QUOTE])
    misplaced: Flags = np.where(opening, ~begins, ~finishes)
    return misplaced


def _not_utf8(block: _Block, record_of: Positions) -> dict[int, str]:
    # Decoding everything at once is fast; single lines are decoded only where that fails.
    try:
        block.data.decode()
    except UnicodeDecodeError:
        pass
    else:
        return {}
    suspects = np.unique(np.searchsorted(block.ends, np.flatnonzero(block.bytes >= 0x80)))
    return {
        int(record_of[line]): "not UTF-8: save the file with that encoding"
        # The replacement sign may be in the file itself, so decoding has the last word.
        for line in suspects
        if "�" in block.text(line, line) and not _decodes(block, line)
    }


def _decodes(block: _Block, line: int) -> bool:
    try:
        block.data[block.starts[line] : block.ends[line]].decode()
    except UnicodeDecodeError:
        return False
    return True


def _assemble(block: _Block, record_of: Positions, faults: dict[int, str], *, first_line: int) -> Split:
    # A blank line inside quotes belongs to its value.
    kept = ~_is_blank(block) | (record_of != np.arange(record_of.size))
    rewritten = _salvaged(block, record_of, faults)
    faults = {line: reason for line, reason in faults.items() if line not in rewritten}
    bad = np.zeros(record_of.size, dtype=np.bool_)
    bad[list(faults)] = True
    kept &= ~bad[record_of]
    first: Positions = np.flatnonzero(kept & (record_of == np.arange(record_of.size)))
    final: Positions = np.searchsorted(record_of, first, side="right") - 1
    body = _body(block, kept, rewritten)
    return Split(
        frame=_read(body, block.dialect, rows=first.size),
        lines=first + first_line,
        starts=block.starts[first],
        ends=block.ends[final],
        broken=[
            Reject(first_line + line, "", "", reason, block.text(line, int(_last_line(record_of, line))))
            for line, reason in sorted(faults.items())
        ],
        line_count=int(block.ends.size),
        rest=b"",
    )


def _last_line(record_of: Positions, line: int) -> int:
    return int(np.searchsorted(record_of, line, side="right")) - 1


def _salvaged(block: _Block, record_of: Positions, faults: dict[int, str]) -> dict[int, bytes]:
    """What becomes of broken lines, each a row of its own, that can be read all the same."""
    found = {}
    form = block.dialect
    for line in faults:
        if _last_line(record_of, line) == line:
            text = block.text(line, line)
            row = salvaged(text, separator=form.separator, names=form.names, wanted=form.wanted)
            if row is not None:
                found[line] = row
    return found


def _body(block: _Block, kept: Flags, rewritten: dict[int, bytes]) -> bytes:
    """The sound lines, and in place of broken ones what was made of them."""
    if kept.all() and not rewritten:
        return block.data
    pieces, at = [], 0
    for line in sorted(rewritten):
        pieces += [_lines_kept(block, kept, at, line), rewritten[line]]
        at = line + 1
    return b"".join([*pieces, _lines_kept(block, kept, at, kept.size)])


def _lines_kept(block: _Block, kept: Flags, first: int, end: int) -> bytes:
    """Those of the lines from `first` to before `end`."""
    if first == end:
        return b""
    width = block.ends[first:end] - block.starts[first:end] + 1
    return block.bytes[block.starts[first] : block.ends[end - 1] + 1][np.repeat(kept[first:end], width)].tobytes()


def _read(body: bytes, dialect: Dialect, *, rows: int) -> pl.DataFrame:
    """The wanted columns as text; an empty value is null."""
    schema = {name: pl.String() for name in dialect.names}
    if not rows:
        return pl.DataFrame(schema=schema).select(dialect.wanted)
    frame = pl.read_csv(body, has_header=False, schema=schema, separator=dialect.separator).select(dialect.wanted)
    if frame.height != rows:
        raise AssertionError(f"{frame.height} rows read of {rows} sound ones")
    return frame


def _with_rest(head: Split, rest: bytes) -> Split:
    return Split(head.frame, head.lines, head.starts, head.ends, head.broken, head.line_count, rest)
