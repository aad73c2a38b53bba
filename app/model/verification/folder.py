"""A bundle's folder, read with distrust: regular files of the promised size and SHA-256, nothing run or unpacked.

No byte is used before its SHA-256 was compared with the manifest. What a file then holds is checked as well: right
checksums say that nothing was damaged, not that the parts belong together.
"""

import errno
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson

from app.errors import BundleRefused
from app.model.verification.arrays import Array
from app.model.verification.manifest import MANIFEST, MAX_MANIFEST_BYTES, REMEDY, UNSEALED_VERSION, read_manifest

# A named pipe would keep open() waiting for a writer.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
UNSEALED_INDEX = "index.faiss"
"""Only bundles from before the seal have an index of their own; it is verified and not used."""
_WORDS = {errno.ENOENT: "is missing", errno.ELOOP: "is a symbolic link", errno.ENOTDIR: "is no folder of its own"}


class VerifiedFolder:
    """The files of one bundle, each given out only when its bytes are those of the manifest."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        # Files are opened within the folder that was opened first: whatever takes its name meanwhile is not mixed in.
        self._descriptor = descriptor
        self._unread: set[str] = set()
        self.typed, self.manifest = read_manifest(self._content(MANIFEST, at_most=MAX_MANIFEST_BYTES), path)
        self._unread |= set(self.typed.files)

    def has(self, name: str) -> bool:
        """True when the manifest lists such a file."""
        return name in self.typed.files

    def read(self, name: str) -> bytes:
        """The file's bytes; raises BundleRefused unless they are what the manifest promises."""
        promise = self.typed.files.get(name)
        if promise is None:
            raise self.refused(name, "is not in the manifest, and no bundle can do without it", reason="manifest")
        content = self._content(name, at_most=promise.bytes)
        if len(content) != promise.bytes:
            raise self.refused(name, f"has {len(content):,} bytes, its manifest says {promise.bytes:,}", reason="file")
        if hashlib.sha256(content).hexdigest() != promise.sha256:
            raise self.refused(name, "differs from its manifest (SHA-256)", reason="file")
        self._unread.discard(name)
        return content

    def json(self, name: str) -> object:
        """The document in a file."""
        try:
            found: object = orjson.loads(self.read(name))
        except ValueError as error:
            raise self.refused(name, f"is no JSON ({error})") from None
        return found

    def array(self, name: str) -> Array:
        """The array in a file, read-only, on the bytes as they were read: rows one after the other."""
        content = self.read(name)
        file = io.BytesIO(content)
        try:
            # Not np.load(), which unpacks archives, and which makes room for what a header claims before it reads.
            major, _ = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, is_by_columns, dtype = read_header(file)
            found: Array = np.frombuffer(content, dtype, offset=file.tell()).reshape(shape)
        except Exception as error:  # noqa: BLE001 - the border of numpy's reader, which fails in many ways
            raise self.refused(name, f"is no array ({error})") from None
        if is_by_columns and found.ndim > 1:
            raise self.refused(name, "is an array by columns, not by rows")
        return found

    def check_nothing_is_left(self) -> None:
        """Raises BundleRefused for a file that no part needs: a part is missing, or of a newer Endcap."""
        for name in sorted(self._unread):
            if name != UNSEALED_INDEX or self.typed.schema_version != UNSEALED_VERSION:
                raise self.refused(name, "belongs to no part of a bundle of this version")
            self.read(name)

    def refused(self, name: str, fault: str, *, reason: str = "content") -> BundleRefused:
        """The refusal of this bundle for what is wrong with one of its files, in one line with the remedy."""
        return BundleRefused(f"{self.path / name} {fault}; {REMEDY}", reason=reason)

    def _content(self, name: str, *, at_most: int) -> bytes:
        reason = "manifest" if name == MANIFEST else "file"
        try:
            with open(os.open(name, _READ, dir_fd=self._descriptor), "rb") as file:  # noqa: PTH123 - relative to the folder
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise self.refused(name, "is no regular file", reason=reason)
                if status.st_size > at_most:
                    fault = f"has {status.st_size:,} bytes, at most {at_most:,} are expected"
                    raise self.refused(name, fault, reason=reason)
                # No more than that, even of a file that grows.
                return file.read(status.st_size)
        except OSError as error:
            raise self.refused(name, _fault(error), reason=reason) from None


def _fault(error: OSError) -> str:
    return _WORDS.get(error.errno or 0, f"cannot be read ({error.strerror})")


@contextmanager
def opened(path: Path) -> Iterator[VerifiedFolder]:
    """The folder of one bundle; raises BundleRefused when it is none, or its manifest is not sound."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BundleRefused(f"{path} {_fault(error)}; {REMEDY}", reason="pointer") from None
    try:
        yield VerifiedFolder(path, descriptor)
    finally:
        os.close(descriptor)
