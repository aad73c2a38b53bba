"""Read a broken line of CSV all the same, where what is broken does not touch what is needed of it."""

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress

UNREADABLE = "\ufffd"
"""What stands for bytes that are no UTF-8."""


def salvaged(line: str, *, separator: str, names: Sequence[str], wanted: Sequence[str]) -> bytes | None:
    """The line as sound CSV with a value for each of `names`; None where a wanted value is in doubt.

    A quote in the middle of a value that has none around it is a character like others, as everywhere. Further
    columns may only be empty, and only unwanted ones at the end may be missing.
    """
    needed = [position for position, name in enumerate(names) if name in wanted]
    for fields, is_certain in _readings(line, separator):
        if len(fields) < len(names):
            if any(position >= len(fields) for position in needed):
                continue
            fields = [*fields, *[""] * (len(names) - len(fields))]
        elif any(fields[len(names) :]):
            continue
        values = [fields[position] for position in needed]
        if any(_is_in_doubt(value, is_certain=is_certain) for value in values):
            continue
        return _written(fields[: len(names)], separator)
    return None


def _readings(line: str, separator: str) -> Iterator[tuple[list[str], bool]]:
    """The line's values as different programs write them, the usual first, and whether quotes are as they should be."""
    for escape in (None, "\\") if "\\" in line else (None,):
        reader = csv.reader([line], delimiter=separator, strict=True, escapechar=escape, doublequote=escape is None)
        with suppress(csv.Error):
            yield next(reader), True
    with suppress(csv.Error):
        yield next(csv.reader([line], delimiter=separator, quoting=csv.QUOTE_NONE)), False


def _is_in_doubt(value: str, *, is_certain: bool) -> bool:
    has_quote = '"' in value
    return UNREADABLE in value or (has_quote and not is_certain) or (has_quote and value.lstrip().startswith('"'))


def _written(fields: Sequence[str], separator: str) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=separator, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()
