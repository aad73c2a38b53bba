"""Copies of bundles under another name, altered where a test wants it, whose manifests keep their promises."""

import hashlib
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from app.domain import Floats
from app.model.bundle import current_version
from app.model.verification.manifest import MANIFEST, sealed

NOTHING: Mapping[str, object] = {}


def copied(
    bundles_dir: Path,
    suffix: str,
    *,
    arrays: Mapping[str, npt.NDArray[np.generic]] | None = None,
    documents: Mapping[str, object] = NOTHING,
    manifest: Mapping[str, object] = NOTHING,
    without: Collection[str] = (),
) -> str:
    """The version of a copy of the live bundle: `arrays` and `documents` (by file name) replaced, with checksums,
    and the files `without` forgotten."""
    current = current_version(bundles_dir)
    version = f"{current}-{suffix}"
    folder = bundles_dir / version
    shutil.copytree(bundles_dir / current, folder)
    for name, array in (arrays or {}).items():
        np.save(folder / name, array)
    for name, document in documents.items():
        (folder / name).write_bytes(orjson.dumps(document))
    stated = orjson.loads((folder / MANIFEST).read_bytes())
    for name in (*(arrays or {}), *documents):
        content = (folder / name).read_bytes()
        stated["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    stated["files"] = {name: facts for name, facts in stated["files"].items() if name not in without}
    (folder / MANIFEST).write_bytes(sealed({**stated, "version": version, **manifest}))
    return version


def worse(bundles_dir: Path) -> str:
    """The version of a planted bundle: sound in every file, and the worst candidates come first."""
    scoring = document_of(bundles_dir, "scoring.json")
    backwards = {name: -weight for name, weight in scoring["weights"].items()}
    return copied(bundles_dir, "worse", documents={"scoring.json": {**scoring, "weights": backwards}})


def document_of(bundles_dir: Path, name: str) -> Any:
    """One document of the live bundle."""
    return orjson.loads((bundles_dir / current_version(bundles_dir) / name).read_bytes())


def damage(folder: Path, name: str = "item_factors.npy") -> None:
    """Flips the last bit of one file."""
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def array_of(bundles_dir: Path, name: str) -> Floats:
    """One array of the live bundle."""
    found: Floats = np.load(bundles_dir / current_version(bundles_dir) / name)
    return found
