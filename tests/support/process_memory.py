"""What stands in another process's memory, byte by byte: where erased data must not be."""

import os
import re
from pathlib import Path

PIECE_BYTES = 4 * 2**20
_MAPPED = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (r\S+) \S+ \S+ \S+\s*(.*)")


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
