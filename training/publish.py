"""A trained model becomes an immutable folder that servers may trust: the last step of a training run."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib import metadata
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from app.errors import BadInput, BundleMissing
from app.model.bundle import POINTER, SCHEMA_VERSION

KEPT_VERSION_COUNT = 5
PUBLISHED = "published"
"""Every version that ever was current, one a line: a bundle that failed its gate is no way back."""

Arrays = Mapping[str, npt.NDArray[np.generic]]
Documents = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Facts:
    """How a bundle came about, for its manifest; instants are aware UTC, None without timestamps."""

    created_at: datetime
    window_start_at: datetime | None
    window_end_at: datetime | None
    config: Documents
    metrics: Documents


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file's promise in the manifest."""

    sha256: str
    bytes: int


def write_bundle(
    bundles_dir: Path, facts: Facts, *, arrays: Arrays, documents: Documents, blobs: Mapping[str, bytes]
) -> str:
    """The new version's name, once the whole folder is on disk; nothing points to it yet.

    `arrays` become `<name>.npy`, `documents` `<name>.json`; `blobs` keep their names. A folder is visible
    whole or not at all: files and folder are synced before the rename.
    """
    bundles_dir.mkdir(parents=True, exist_ok=True)
    folder = bundles_dir / f".tmp-{uuid4().hex}"
    folder.mkdir()
    try:
        files = _write_files(folder, arrays=arrays, documents=documents, blobs=blobs)
        version = _version(facts.created_at, files)
        _write_synced(folder / "manifest.json", _json_bytes(_manifest(version, facts, files)))
        _sync_dir(folder)
        folder.rename(bundles_dir / version)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _sync_dir(bundles_dir)
    return version


def point_to(bundles_dir: Path, version: str) -> None:
    """Make `version` the one that servers load, in one atomic step; raises BundleMissing where it is not."""
    if version not in list_versions(bundles_dir):
        raise BundleMissing(f"no bundle {version!r} in {bundles_dir}; there are {list_versions(bundles_dir)}")
    _replace(bundles_dir / PUBLISHED, "\n".join(sorted({*_published(bundles_dir), version})))
    _replace(bundles_dir / POINTER, version)


def current_version(bundles_dir: Path) -> str | None:
    """The version that servers load, or None before the first publication."""
    pointer = bundles_dir / POINTER
    return pointer.read_text().strip() if pointer.exists() else None


def list_versions(bundles_dir: Path) -> list[str]:
    """All complete versions, oldest first."""
    if not bundles_dir.is_dir():
        return []
    return sorted(path.parent.name for path in bundles_dir.glob("[!.]*/manifest.json"))


def rollback(bundles_dir: Path) -> str:
    """Point to the published version before the current one and return it; else raises BundleMissing."""
    current = current_version(bundles_dir)
    there = sorted(_published(bundles_dir) & set(list_versions(bundles_dir)))
    older = [version for version in there if current is not None and version < current]
    if not older:
        raise BundleMissing(f"no published bundle older than {current!r} in {bundles_dir} to roll back to")
    point_to(bundles_dir, older[-1])
    return older[-1]


def prune(bundles_dir: Path, *, keep_count: int = KEPT_VERSION_COUNT) -> list[str]:
    """Delete all but the newest `keep_count` versions and return those deleted; the current one stays."""
    if keep_count < 1:
        raise BadInput(f"keep_count={keep_count}: at least 1 bundle must stay")
    current = current_version(bundles_dir)
    doomed = [version for version in list_versions(bundles_dir)[:-keep_count] if version != current]
    for version in doomed:
        hidden = bundles_dir / f".tmp-{uuid4().hex}"
        (bundles_dir / version).rename(hidden)
        shutil.rmtree(hidden)
    return doomed


def _published(bundles_dir: Path) -> set[str]:
    path = bundles_dir / PUBLISHED
    return set(path.read_text().split()) if path.exists() else set()


def _replace(path: Path, text: str) -> None:
    waiting = path.with_name(f".tmp-{uuid4().hex}")
    _write_synced(waiting, text.encode())
    waiting.replace(path)
    _sync_dir(path.parent)


def _write_files(
    folder: Path, *, arrays: Arrays, documents: Documents, blobs: Mapping[str, bytes]
) -> dict[str, FileFacts]:
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("xb") as file:
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    for name, document in documents.items():
        _write_synced(folder / f"{name}.json", _json_bytes(document))
    for name, content in blobs.items():
        _write_synced(folder / name, content)
    return {path.name: _facts_of(path) for path in sorted(folder.iterdir())}


def _facts_of(path: Path) -> FileFacts:
    with path.open("rb") as file:
        return FileFacts(hashlib.file_digest(file, "sha256").hexdigest(), path.stat().st_size)


def _manifest(version: str, facts: Facts, files: Mapping[str, FileFacts]) -> Documents:
    return {
        "schema_version": SCHEMA_VERSION,
        "version": version,
        "created_at": facts.created_at.isoformat(),
        "data_window": {"start": _iso(facts.window_start_at), "end": _iso(facts.window_end_at)},
        "config": facts.config,
        "metrics": facts.metrics,
        "commit": _commit(),
        "files": {name: asdict(file) for name, file in files.items()},
    }


def _version(created_at: datetime, files: Mapping[str, FileFacts]) -> str:
    """Sortable by time; microseconds keep two runs within one second in order."""
    content = "".join(f"{name}{file.sha256}" for name, file in sorted(files.items()))
    return f"{created_at:%Y%m%dT%H%M%S.%fZ}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _commit() -> str:
    """The source's git commit where there is a checkout, else the installed version."""
    source = Path(__file__).resolve().parent
    try:
        command = ["git", "-C", str(source), "rev-parse", "--short=12", "HEAD"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        return answer.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return _installed_version()


def _installed_version() -> str:
    try:
        return metadata.version("endcap")
    except metadata.PackageNotFoundError:
        return "unknown"


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat()


def _json_bytes(document: object) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_dir(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
