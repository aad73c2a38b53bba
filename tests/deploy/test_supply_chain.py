"""What is installed is known to the byte, listed, and compared with what is known of its weaknesses."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import DEVNULL

from tests.support.repository import ROOT
from tests.support.running import bare_environment

LOCK = ROOT / "requirements.lock"
ENVIRONMENT = bare_environment() | {"PYTHON": sys.executable}


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


def test_bill_of_materials_names_every_package_with_its_hashes(tmp_path: Path) -> None:
    texts = []
    for name in ("first.json", "second.json"):
        subprocess.run([ROOT / ".ci" / "sbom", tmp_path / name], env=ENVIRONMENT, check=True, stdout=DEVNULL)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1], "the same lock, the same bill"
    bill = json.loads(texts[0])
    assert (bill["bomFormat"], bill["metadata"]["component"]["name"]) == ("CycloneDX", "endcap")
    listed = {
        f"{one['name']}=={one['version']}": {
            stated["content"] for place in one["externalReferences"] for stated in place.get("hashes", [])
        }
        for one in bill["components"]
    }
    assert listed == hashes_of(LOCK.read_text())
