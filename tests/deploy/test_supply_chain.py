"""What is installed is known to the byte, listed, and compared with what is known of its weaknesses."""

import re
from collections.abc import Mapping

from tests.support.repository import ROOT

LOCK = ROOT / "requirements.lock"


def hashes_of(lock: str) -> Mapping[str, set[str]]:
    """The SHA-256 of the files of every `name==version`; fails on a line that is neither, an address for instance."""
    found: dict[str, set[str]] = {}
    lines = (line.strip().removesuffix(" \\") for line in lock.splitlines() if not line.lstrip().startswith("#"))
    for line in filter(None, lines):
        if name := re.fullmatch(r"([\w.-]+==[\w.]+)( ; .+)?", line):
            hashes = found[name[1]] = set()
        else:
            stated = re.fullmatch(r"--hash=sha256:([0-9a-f]{64})", line)
            assert stated, line
            hashes.add(stated[1])
    return found


def test_every_package_is_locked_by_hash_and_from_no_address() -> None:
    found = hashes_of(LOCK.read_text())
    assert len(found) > 100
    assert not [name for name, hashes in found.items() if not hashes]
