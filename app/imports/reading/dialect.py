"""How a text table is written: encoding, line ends, separator, header; found in its first bytes, or stated."""

import csv
import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SEPARATORS = (",", ";", "\t", "|", "::")
SAMPLE_LINES = 200
HEADER_LINES_MAX = 30
"""A header is looked for in so many lines; above it may stand the name of a report."""
WESTERN = "cp1252"
"""What programs on Windows write that do not write UTF-8."""

_SEPARATOR_LINE = re.compile(r'^"?sep=(::|.)"?$', re.IGNORECASE)
_VALUE = re.compile(r"^[+-]?[\d.,]+([eE][+-]?\d+)?$|^\d{1,4}[-./]\d{1,2}[-./]\d{1,4}\b.*$")


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the caller states of a file; None: found in the file itself."""

    encoding: str | None = None
    separator: str | None = None
    columns: tuple[str, ...] | None = None
    """The names of the columns of a file without a header line."""
    skip_lines: int | None = None
    sheet: str | None = None
    explode: str | None = None
    """Of JSON: the list whose entries are a row each."""


AS_FOUND = ReadOptions()


@dataclass(frozen=True, slots=True)
class TextForm:
    """How a text table is written; `names` is empty where its first line holds values."""

    encoding: str
    newline: str
    separator: str
    names: tuple[str, ...]
    lines_before_rows: int
    notes: tuple[str, ...]
    """What a person should know of it: other than comma, UTF-8 and a header in line 1."""


def text_form(head: bytes, options: ReadOptions) -> TextForm:
    """The form of a table that begins with `head`, the whole of it or enough to tell."""
    encoding = options.encoding or _encoding(head)
    text = head.decode(encoding, errors="replace").removeprefix("\ufeff")
    newline = "\n" if "\n" in text or "\r" not in text else "\r"
    lines = [line.removesuffix("\r") for line in text.split(newline)[:SAMPLE_LINES]]
    stated = _SEPARATOR_LINE.match(lines[0]) if options.skip_lines is None else None
    first = options.skip_lines or (1 if stated else 0)
    separator = options.separator or (stated.group(1) if stated else _separator(lines[first:]))
    rows = [_fields(line, separator) for line in lines]
    position, names = header_of(rows, options, first=first)
    # Some programs end each row with a separator, but not the header.
    if names:
        names += ("",) * min((len(row) - len(names) for row in rows[position + 1 :] if len(row) > 1), default=0)
    notes = _notes(encoding, newline, separator, position=position, first=first)
    return TextForm(encoding, newline, separator, tuple(names), position + 1, notes)


def _encoding(head: bytes) -> str:
    if head.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    if head.startswith(BOM_UTF8):
        return "utf-8"
    # What the head was cut through at its end is no fault.
    body = head[: max(head.rfind(b"\n"), head.rfind(b"\r")) + 1] or head
    try:
        body.decode()
    except UnicodeDecodeError:
        # A few damaged bytes in UTF-8 cost their lines; text without any character of UTF-8 is in another encoding.
        return "utf-8" if re.search(rb"[\xc2-\xf4][\x80-\xbf]", body) else WESTERN
    return "utf-8"


def _separator(lines: Sequence[str]) -> str:
    """The one by which most lines have equally many columns; of several the one that gives most columns."""
    best, best_score = ",", (0, 0)
    for separator in SEPARATORS:
        counts = Counter(len(_fields(line, separator)) for line in lines if line.strip())
        columns, agreeing = max(counts.items(), key=lambda item: (item[0] > 1, item[1], item[0]), default=(1, 0))
        if columns > 1 and (agreeing, columns) > best_score:
            best, best_score = separator, (agreeing, columns)
    return best


def header_of(rows: Sequence[Sequence[str]], options: ReadOptions, *, first: int = 0) -> tuple[int, tuple[str, ...]]:
    """Position and names of the row of names, at or after the `first`, as stated or as found.

    Before the first, and no names, where all rows hold values.
    """
    if options.columns is not None:
        return first - 1, options.columns
    if options.skip_lines is not None:
        return options.skip_lines, tuple(rows[options.skip_lines]) if options.skip_lines < len(rows) else ()
    filled = [
        (position, tuple(fields))
        for position, fields in enumerate(rows)
        if position >= first and any(field.strip() for field in fields)
    ]
    usual = max(Counter(len(fields) for _, fields in filled).items(), key=lambda item: item[1], default=(1, 0))[0]
    for position, fields in filled[:HEADER_LINES_MAX]:
        named = [field.strip() for field in fields if field.strip()]
        is_wide = len(fields) >= max(usual - 1, min(usual, 2)) and 2 * len(named) > len(fields)
        if is_wide and not any(_VALUE.match(name) for name in named):
            return position, fields
        if is_wide:
            break
    return first - 1, ()


def _fields(line: str, separator: str) -> tuple[str, ...]:
    if len(separator) > 1:
        return tuple(line.split(separator))
    try:
        return tuple(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return (line,)


def _notes(encoding: str, newline: str, separator: str, *, position: int, first: int) -> tuple[str, ...]:
    names = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "|"}
    skipped = max(position, first)
    found = {
        f"read as {encoding}": encoding != "utf-8",
        "lines end with a carriage return": newline == "\r",
        f"columns separated by {names.get(separator, separator)}": separator not in (",", ";", "\t"),
        f"{skipped} line{'s' if skipped > 1 else ''} before the header left out": skipped > 0,
    }
    return tuple(note for note, applies in found.items() if applies)
