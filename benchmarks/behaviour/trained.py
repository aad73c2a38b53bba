"""One training with a fixed seed: imported, learned, and what came out of it as figures."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.behaviour.executable import Executable
from benchmarks.behaviour.stable import StableNames
from benchmarks.behaviour.store import PRICES, write_prices

SEED = 7
OWN_ORDER = frozenset({".faiss", ".cbm"})
"""Files of libraries, whose bytes promise nothing: decisions show what they hold."""


def import_and_train(endcap: Executable) -> None:
    """The Complete Journey with its own dates, a price list, and a training whose tuning does not look at the clock."""
    endcap.data_dir.mkdir()
    endcap.run("import", "--source", "complete-journey")
    endcap.run("import", "--products", str(write_prices(endcap.folder / PRICES)))
    # No minute of tuning means exactly one trial, however fast the machine is.
    endcap.run("train", "--budget-minutes", "0", "--seed", str(SEED))


def facts_of_training(data_dir: Path, names: StableNames) -> dict[str, Any]:
    """The live bundle's documents and arrays, and the report of its evaluation."""
    version = (data_dir / "bundles" / "current").read_text().strip()
    folder = data_dir / "bundles" / version
    manifest = json.loads((folder / "manifest.json").read_text())
    now = datetime.fromisoformat(manifest["created_at"])
    report = json.loads((data_dir / "reports" / f"{version}.json").read_text())
    return {
        "bundle": {name: names.clean(facts, now=now) for name, facts in _files(folder)},
        "report": names.clean(report, now=now),
    }


def _files(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".json":
            yield path.name, json.loads(path.read_text())
        elif path.suffix == ".npy":
            yield path.name, _array(np.load(path))
        elif path.suffix not in OWN_ORDER:
            yield path.name, hashlib.sha256(path.read_bytes()).hexdigest()


def _array(values: "np.ndarray[Any, Any]") -> Mapping[str, object]:
    """What an array is and holds: sums that see a changed value, and one that sees a changed place."""
    facts: dict[str, object] = {"type": str(values.dtype), "shape": list(values.shape)}
    flat = np.nan_to_num(values.ravel().astype(np.float64))
    if not flat.size:
        return facts
    positions = np.arange(flat.size) % 997 + 1.0
    return facts | {
        "sum": float(flat.sum()),
        "sum_of_squares": float((flat * flat).sum()),
        "sum_by_place": float((flat * positions).sum()),
        "smallest": float(flat.min()),
        "largest": float(flat.max()),
        "not_finite": int(np.count_nonzero(~np.isfinite(values.astype(np.float64)))),
    }
