"""Tables in JSON: an object a line, or a list of objects; the names of inner fields are joined by points."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import orjson
import polars as pl

from app.errors import BadInput
from app.imports.reading.block import Block, TableFile
from app.imports.reading.containers import said_if_damaged, unpacked
from app.imports.reading.dialect import ReadOptions
from app.imports.reading.names import check_compulsory, plain_name
from app.imports.report import Reject

HEAD_ROWS = 1000
"""So many objects tell which fields there are."""
BLOCK_OBJECTS = 20_000
CHUNK_BYTES = 2**20
"""So much is cut into lines at a time."""
LISTS_OF_ROWS = ("events", "items", "products", "orders", "data", "results", "records", "rows", "@graph", "customers")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class JsonObject(NamedTuple):
    """One object of the file, with its line or its position in a list; or what is wrong with it.

    Of a million of them a frozen dataclass would take a second and a half to make, a tuple a third of one.
    """

    line: int
    text: bytes
    value: dict[str, object] | None
    fault: str = ""
    end: int = 0
    """How many bytes of the packed file had been read."""


def is_json(head: bytes) -> bool:
    """Whether a file that begins so is JSON."""
    return head.removeprefix(BYTE_ORDER_MARK).lstrip()[:1] in (b"{", b"[")


def open_json(
    path: Path, options: ReadOptions, *, compulsory: Collection[str], wanted: Collection[str] | None
) -> TableFile:
    """The JSON at `path` as a table of text; raises BadInput when it is none."""
    explode = None if options.explode is None else options.explode.lower()
    first = list(islice(json_objects(path), HEAD_ROWS))
    if not any(each.value is not None for each in first):
        fault = first[0].fault if first else "it holds no object"
        raise BadInput(f"{path}: is not JSON ({fault}); write one object a line, or a list of objects")
    named = [_names(each.value) for each in first if each.value is not None]
    columns = tuple(dict.fromkeys(name for names, _ in named for name in names))
    lists = tuple(dict.fromkeys(name for _, inner in named for name in inner))
    check_compulsory(path, columns, compulsory)
    read = columns if wanted is None else tuple(name for name in columns if name in wanted)
    # Fields that only later objects have are read as well where they are wanted.
    read = (*read, *(name for name in wanted or () if name not in read))
    notes = ("JSON",) if explode is None else (f"JSON, a row for each of {options.explode}",)
    return TableFile(
        path, columns, path.stat().st_size, _blocks(path, read, explode), notes, is_ragged=True, lists=lists
    )


def _blocks(path: Path, names: Sequence[str], explode: str | None) -> Iterator[Block]:
    objects = json_objects(path)
    total = path.stat().st_size
    while batch := list(islice(objects, BLOCK_OBJECTS)):
        rows: list[dict[str, str | None]] = []
        origin: list[JsonObject] = []
        broken = []
        for each in batch:
            if each.value is None:
                broken.append(Reject(each.line, "", "", each.fault, each.text.decode(errors="replace")))
                continue
            made = _rows(each.value, explode)
            rows += made
            origin += [each] * len(made)
        frame = pl.DataFrame(
            {name: [row.get(name) for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String())
        )
        lines = np.fromiter((each.line for each in origin), np.int64, len(origin))
        yield Block(frame, lines, _raw_of(origin), broken, total)


def _raw_of(origin: Sequence[JsonObject]) -> Callable[[int], str]:
    return lambda row: origin[row].text.decode(errors="replace").rstrip("\r\n")


def json_objects(path: Path) -> Iterator[JsonObject]:
    """The objects of the file in their order: an object a line, or a file that is one value and is read whole."""
    with path.open("rb") as raw, said_if_damaged(path):
        file = unpacked(raw)
        lines = _lines(file, raw)
        first = next((numbered for numbered in lines if not numbered[1].isspace()), None)
        if first is None:
            return
        number, line, end = first
        line = line.removeprefix(BYTE_ORDER_MARK)
        one = _parsed(number, line, end)
        if one.value is not None and _listed(one.value) is None:
            yield one
            yield from (_parsed(*numbered) for numbered in lines if not numbered[1].isspace())
        else:
            rest = b"".join(line for _, line, _ in lines)
            yield from _of_whole(number, line + rest)


def _lines(file: BinaryIO, raw: BinaryIO) -> Iterator[tuple[int, bytes, int]]:
    """Each line: its number, itself, and how many bytes of the packed file had been read."""
    count = 0
    while some := file.readlines(CHUNK_BYTES):
        end = raw.tell()
        yield from ((number, line, end) for number, line in enumerate(some, start=count + 1))
        count += len(some)


def _parsed(number: int, line: bytes, end: int = 0) -> JsonObject:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        return JsonObject(number, line, value=None, fault=f"not JSON ({error}); write one object a line", end=end)
    return _object(number, line, value, end)


def _object(number: int, text: bytes, value: object, end: int = 0) -> JsonObject:
    if isinstance(value, dict):
        return JsonObject(number, text, value, end=end)
    fault = f"a JSON {type(value).__name__} where an object is expected"
    return JsonObject(number, text, value=None, fault=fault, end=end)


def _of_whole(first: int, text: bytes) -> Iterator[JsonObject]:
    """The entries of a file of one list, or the lines of one that is no JSON as a whole."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        for number, line in enumerate(text.splitlines(), start=first):
            if line.strip():
                yield _parsed(number, line)
        return
    entries = value if isinstance(value, list) else _listed(value) if isinstance(value, dict) else None
    for number, each in enumerate([value] if entries is None else entries, start=1):
        yield _object(number, orjson.dumps(each), each)


def _listed(value: dict[str, object]) -> list[object] | None:
    """The list of rows within an object that holds little else; None where the object is itself a row."""
    for name in LISTS_OF_ROWS:
        inner = value.get(name)
        if isinstance(inner, list) and inner and isinstance(inner[0], dict) and len(value) <= 3:
            return inner
    return None


def _rows(value: dict[str, object], explode: str | None) -> list[dict[str, str | None]]:
    flat: dict[str, str | None] = {}
    lists: dict[str, list[object]] = {}
    _flatten(value, "", flat, lists)
    inner = lists.get(explode) if explode is not None else None
    if not inner:
        return [flat]
    rows = []
    for each in inner:
        row = dict(flat)
        if isinstance(each, dict):
            _flatten(each, f"{explode}.", row, {})
        else:
            row[str(explode)] = _text(each)
        rows.append(row)
    return rows


def _names(value: dict[str, object]) -> tuple[list[str], list[str]]:
    """All fields, those of the entries of lists too, and the lists."""
    flat: dict[str, str | None] = {}
    lists: dict[str, list[object]] = {}
    _flatten(value, "", flat, lists)
    for name, entries in lists.items():
        if isinstance(entries[0], dict):
            _flatten(entries[0], f"{name}.", flat, {})
    return list(flat), list(lists)


def _flatten(
    value: dict[str, object], prefix: str, flat: dict[str, str | None], lists: dict[str, list[object]]
) -> None:
    for key, each in value.items():
        name = prefix + plain_name(key)
        if isinstance(each, dict):
            _flatten(each, f"{name}.", flat, lists)
        elif isinstance(each, list) and each and isinstance(each[0], dict):
            lists[name] = each
            # A single entry is as good as none: offers of a product, the order of a row.
            if len(each) == 1:
                _flatten(each[0], f"{name}.", flat, {})
        else:
            flat[name] = _text(each)


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(text for text in map(_text, value) if text)
    return str(value)
