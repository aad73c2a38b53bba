"""What a recording keeps of a training: the same for the same model, another for a changed one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.behaviour.stable import StableNames
from benchmarks.behaviour.trained import facts_of_training


def facts_of(data_dir: Path, version: str, weights: list[float], *, seed: int = 7, took_min: int = 1) -> dict[str, Any]:
    """The facts of a bundle with one array, published so many minutes after its training began."""
    folder = data_dir / "bundles" / version
    folder.mkdir(parents=True)
    (data_dir / "reports").mkdir()
    (data_dir / "bundles" / "current").write_text(version)
    manifest = {"version": version, "created_at": "2026-11-28T16:47:39+00:00", "config": {"seed": seed}, "seconds": 3.2}
    manifest["releases"] = [{"published_at": f"2026-11-28T17:{took_min:02}:00+00:00"}]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    np.save(folder / "weights.npy", np.array(weights, np.float32))
    (data_dir / "reports" / f"{version}.json").write_text(json.dumps({"ndcg": 0.2, "commit": version[-8:]}))
    return facts_of_training(data_dir, StableNames({}))


def test_two_trainings_of_one_model_have_the_same_facts(tmp_path: Path) -> None:
    first = facts_of(tmp_path / "1", "20261128T164739.780020Z-08e65850", [1.0, 2.0, 3.0])
    second = facts_of(tmp_path / "2", "20261129T080000.000001Z-ffffffff", [1.0, 2.0, 3.0], took_min=20)
    assert first == second
    assert first["report"] == {"ndcg": 0.2}
    assert first["bundle"]["manifest.json"]["config"] == {"seed": 7}


@pytest.mark.parametrize("weights", [[1.0, 3.0, 2.0], [1.0, 2.0, 3.5], [1.0, 2.0], [1.0, 2.0, float("nan")]])
def test_changed_array_shows(tmp_path: Path, weights: list[float]) -> None:
    version = "20261128T164739.780020Z-08e65850"
    assert facts_of(tmp_path / "1", version, [1.0, 2.0, 3.0]) != facts_of(tmp_path / "2", version, weights)


def test_changed_setting_shows(tmp_path: Path) -> None:
    version = "20261128T164739.780020Z-08e65850"
    assert facts_of(tmp_path / "1", version, [1.0]) != facts_of(tmp_path / "2", version, [1.0], seed=8)
