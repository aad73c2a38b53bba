"""What files are packed in: gzip, Zstandard, bzip2 and xz, unpacked while they are read."""

import bz2
import codecs
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from app.errors import BadInput

PACKED: dict[bytes, Callable[[BinaryIO], object]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    # pyarrow's own files know no lines.
    b"\x28\xb5\x2f\xfd": lambda raw: BufferedReader(pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
"""By the first bytes of a file, what unpacks it."""


def unpacked(raw: BinaryIO) -> BinaryIO:
    """The bytes within, or `raw` itself where it is not packed."""
    head = raw.read(6)
    raw.seek(0)
    for magic, opener in PACKED.items():
        if head.startswith(magic):
            return cast(BinaryIO, opener(raw))
    return raw


@contextmanager
def said_if_damaged(path: Path) -> Iterator[None]:
    """Raises BadInput for an archive that is cut or damaged, in whichever way its library says so."""
    try:
        yield
    except (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException) as error:
        raise BadInput(f"{path}: cannot be unpacked ({error}); give the whole file") from None


def parts_of(folder: Path) -> list[Path]:
    """The files of a folder in the order of their names, without those that programs put there for themselves."""
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith((".", "_")))


class Utf8:
    """Reads text of another encoding, or with other line ends or separators, as UTF-8 with LF."""

    def __init__(self, file: BinaryIO, *, encoding: str, replacing: tuple[tuple[str, str], ...]) -> None:
        self._file = file
        # Not a TextIOWrapper: it closes the file behind it whenever it is collected.
        self._decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        self._replacing = replacing
        self._held = ""

    def read(self, size: int) -> bytes:
        """Up to about `size` bytes; nothing at the end."""
        while True:
            data = self._file.read(size)
            text = self._held + self._decoder.decode(data, final=not data)
            # A character that may be the first half of what is replaced waits for the next read.
            held = any(text.endswith(old[:1]) for old, _ in self._replacing if len(old) > 1) and bool(data)
            text, self._held = (text[:-1], text[-1:]) if held else (text, "")
            for old, new in self._replacing:
                text = text.replace(old, new)
            if text or not data:
                return text.encode()
