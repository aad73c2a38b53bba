"""Fitted arrays and documents become the files of a bundle, and a bundle as a server would load it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from app.model.bundle import Bundle, load_bundle
from app.model.ranker import RANKER_FILE
from training.release.publish import Facts, write_bundle


@dataclass(frozen=True, slots=True)
class BundleContents:
    """Arrays, documents and blobs of one bundle, ready to be written."""

    arrays: Mapping[str, npt.NDArray[np.generic]]
    documents: Mapping[str, object]
    trees: bytes | None = None


def write_contents(bundles_dir: Path, facts: Facts, contents: BundleContents) -> str:
    """The version under which `contents` were written; nothing points to it yet."""
    blobs = {} if contents.trees is None else {RANKER_FILE: contents.trees}
    return write_bundle(bundles_dir, facts, arrays=contents.arrays, documents=contents.documents, blobs=blobs)


def bundle_of(folder: Path, facts: Facts, contents: BundleContents) -> Bundle:
    """The bundle as a server would load it, by way of files under `folder`: evaluation sees what serving sees."""
    return load_bundle(folder / write_contents(folder, facts, contents))
