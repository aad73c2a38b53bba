"""What is installed is known to the byte, listed, and compared with what is known of its weaknesses."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import DEVNULL
from threading import Thread

import pytest

from app.stores.redis.server.embedded import free_port
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


@contextmanager
def source(vulnerable: str | None) -> Iterator[str]:
    """The address of a source in the format of OSV that knows a vulnerability of one package, or of none."""

    class Source(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            named = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
            affected = [{"package": named, "ranges": []}]
            known = {"vulns": [{"id": "TEST-1", "summary": "Of a test", "affected": affected}]}
            body = json.dumps(known if named["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test looks at what the audit prints."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Source) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1/query"
        finally:
            server.shutdown()


def audit(address: str, folder: Path) -> tuple[int, str]:
    """Exit status and standard output of an audit by one source."""
    words = ["--vulnerability-service", "osv", "--osv-url", address, "--cache-dir", str(folder)]
    done = subprocess.run([ROOT / ".ci" / "audit", *words], env=ENVIRONMENT, capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("vulnerable", "status", "says"), [(None, 0, "AUDITED: no package"), ("fastapi", 1, "VULNERABLE: ")]
)
def test_audit_says_what_a_source_knows(vulnerable: str | None, status: int, says: str, tmp_path: Path) -> None:
    with source(vulnerable) as address:
        found, output = audit(address, tmp_path)
    assert found == status
    assert says in output
    assert "NOT AUDITED" not in output
    assert ("TEST-1" in output) == (vulnerable is not None)


def test_audit_without_a_source_is_neither_good_nor_bad(tmp_path: Path) -> None:
    found, output = audit(f"http://127.0.0.1:{free_port()}/v1/query", tmp_path)
    assert found == 2
    assert "NOT AUDITED" in output
    assert not re.search(r"^AUDITED|VULNERABLE|No known", output, re.MULTILINE)
