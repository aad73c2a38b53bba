"""A trained model becomes an immutable folder that servers may trust: the last step of a training run."""

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field, replace
from datetime import datetime
from importlib import metadata
from pathlib import Path
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from app.errors import BadInput, BundleMissing, BundleRefused
from app.files import replace_durably, sync_folder, write_synced
from app.model.bundle import POINTER
from app.model.release import TRIALS, CanaryTrial, ShadowTrial, Trials, read_trials
from app.model.verification.manifest import MANIFEST, SCHEMA_VERSION, read_manifest, sealed

KEPT_VERSION_COUNT = 5
PUBLISHED = "published"
"""Every version that ever was current, one a line: a bundle that failed its gate is no way back."""

Arrays = Mapping[str, npt.NDArray[np.generic]]
Documents = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Facts:
    """How a bundle came about, for its manifest; instants are aware UTC, None without timestamps."""

    created_at: datetime
    window_start_at: datetime | None = None
    window_end_at: datetime | None = None
    _: KW_ONLY
    config: Documents = field(default_factory=dict)
    metrics: Documents = field(default_factory=dict)


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
        write_synced(folder / MANIFEST, sealed(_manifest(version, facts, files)))
        sync_folder(folder)
        folder.rename(bundles_dir / version)
    # Ctrl-C, too, must leave no half-written folder.
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(bundles_dir)
    return version


def point_to(bundles_dir: Path, version: str) -> None:
    """Make `version` the one that servers load, in one atomic step; raises BundleMissing where it is not.

    Its trials end: nobody is to meet it again as a canary after it was rolled back.
    """
    check_there(bundles_dir, version)
    # Before the pointer: whatever is live has to be a version that one can roll back to.
    names = sorted({*published_versions(bundles_dir), version})
    replace_durably(bundles_dir / PUBLISHED, "\n".join(names).encode())
    replace_durably(bundles_dir / POINTER, version.encode())
    _end_trials(bundles_dir, version)


def current_version_or_none(bundles_dir: Path) -> str | None:
    """The version that servers load, or None before the first publication."""
    pointer = bundles_dir / POINTER
    return pointer.read_text().strip() if pointer.exists() else None


def list_versions(bundles_dir: Path) -> list[str]:
    """All complete versions, oldest first."""
    if not bundles_dir.is_dir():
        return []
    # Folders with a dot in front are being written or deleted.
    return sorted(path.parent.name for path in bundles_dir.glob("[!.]*/manifest.json"))


def published_versions(bundles_dir: Path) -> set[str]:
    """Every version that ever was current, there or not."""
    path = bundles_dir / PUBLISHED
    return set(path.read_text().split()) if path.exists() else set()


def rollback(bundles_dir: Path, version: str | None = None) -> str:
    """Point to the published version before the current one, or to `version`, and return it.

    Raises BundleMissing when there is none, or when `version` was never published.
    """
    current = current_version_or_none(bundles_dir)
    there = sorted(published_versions(bundles_dir) & set(list_versions(bundles_dir)))
    if version is not None and version not in there:
        raise BundleMissing(f"{version!r} was never published in {bundles_dir}; to go back to there are {there}")
    # Versions begin with their instant, so names sort by time.
    older = [name for name in there if current is not None and name < current]
    if version is None and not older:
        raise BundleMissing(f"no published bundle older than {current!r} in {bundles_dir} to roll back to")
    target = version or older[-1]
    point_to(bundles_dir, target)
    if current is not None:
        _end_trials(bundles_dir, current)
    return target


def set_canary(bundles_dir: Path, canary: CanaryTrial | None) -> Trials:
    """Have servers give a share of all people to a bundle, or to none; raises BundleMissing where it is not."""
    if canary is not None:
        check_there(bundles_dir, canary.version)
    return _set_trials(bundles_dir, replace(_trials(bundles_dir), canary=canary))


def set_shadow(bundles_dir: Path, shadow: ShadowTrial | None) -> Trials:
    """Have servers rank with a bundle that is not served, or with none; raises BundleMissing where it is not."""
    if shadow is not None:
        check_there(bundles_dir, shadow.version)
    return _set_trials(bundles_dir, replace(_trials(bundles_dir), shadow=shadow))


def note_release(bundles_dir: Path, version: str, release: Documents) -> None:
    """Add to the manifest how the bundle was released, and seal it; the promises about its files stay as they are.

    Raises BundleRefused for a manifest that was not sound: a new seal must not cover damage.
    """
    path = bundles_dir / version / MANIFEST
    manifest, document = read_manifest(path.read_bytes(), path.parent)
    content = sealed({**document, "releases": [*manifest.releases, release]})
    # A bundle's folder holds the files of its manifest and no other, not even for a moment.
    replace_durably(path, content, staging_dir=bundles_dir)


def prune(bundles_dir: Path, *, keep_count: int = KEPT_VERSION_COUNT) -> list[str]:
    """Delete all but the newest `keep_count` versions and return those deleted.

    What serves, what is on trial and the newest `keep_count` published versions stay as well: however many
    bundles were refused since, there is a way back.
    """
    if keep_count < 1:
        raise BadInput(f"keep_count={keep_count}: at least 1 bundle must stay")
    there = list_versions(bundles_dir)
    published = [version for version in there if version in published_versions(bundles_dir)]
    kept = {current_version_or_none(bundles_dir), *_trials(bundles_dir).versions, *published[-keep_count:]}
    doomed = [version for version in there[:-keep_count] if version not in kept]
    for version in doomed:
        # Out of sight first, so that nobody sees a version with a part of its files.
        hidden = bundles_dir / f".tmp-{uuid4().hex}"
        (bundles_dir / version).rename(hidden)
        shutil.rmtree(hidden)
    return doomed


def check_there(bundles_dir: Path, version: str) -> None:
    """Raises BundleMissing, naming those that are there, unless `version` is one of them."""
    if version not in list_versions(bundles_dir):
        raise BundleMissing(f"no bundle {version!r} in {bundles_dir}; there are {list_versions(bundles_dir)}")


def _trials(bundles_dir: Path) -> Trials:
    """What is on trial; a file that cannot be read keeps nothing on trial, and the next change replaces it."""
    try:
        return read_trials(bundles_dir)
    except BundleRefused:
        return Trials()


def _set_trials(bundles_dir: Path, trials: Trials) -> Trials:
    replace_durably(bundles_dir / TRIALS, trials.document())
    return trials


def _end_trials(bundles_dir: Path, version: str) -> None:
    trials = _trials(bundles_dir)
    if version in trials.versions:
        _set_trials(bundles_dir, trials.without(version))


def _write_files(
    folder: Path, *, arrays: Arrays, documents: Documents, blobs: Mapping[str, bytes]
) -> dict[str, FileFacts]:
    for name, array in arrays.items():
        with (folder / f"{name}.npy").open("xb") as file:
            # np.save() would keep a transposed array's order of axes; servers take rows, which should lie in one piece.
            np.save(file, np.ascontiguousarray(array), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
    for name, document in documents.items():
        write_synced(folder / f"{name}.json", _json_bytes(document))
    for name, content in blobs.items():
        write_synced(folder / name, content)
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
    # By default json writes NaN, which is no JSON, and which servers refuse to parse.
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1).encode()
