"""Bundles are visible whole or not at all, and the pointer moves only to what is there."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from app.errors import BadInput, BundleMissing
from app.model.release import TRIALS, CanaryTrial, ShadowTrial, Trials, read_trials
from app.model.verification.manifest import SEAL
from training.release.publish import (
    Facts,
    current_version_or_none,
    list_versions,
    note_release,
    point_to,
    prune,
    rollback,
    set_canary,
    set_shadow,
    write_bundle,
)

NOW = datetime(2026, 11, 21, 17, tzinfo=UTC)


def write(folder: Path, minute: int = 0, *, documents: Mapping[str, object] | None = None) -> str:
    facts = Facts(NOW + timedelta(minutes=minute), NOW, NOW, config={"seed": 1}, metrics={"ndcg@10": 0.2})
    arrays = {"popularity": np.arange(3, dtype=np.float32)}
    given = {"product_ids": ["ä"]} if documents is None else documents
    return write_bundle(folder, facts, arrays=arrays, documents=given, blobs={"ranker.cbm": b"\x01"})


def publish(folder: Path, minute: int) -> str:
    version = write(folder, minute)
    point_to(folder, version)
    return version


def test_manifest_states_hash_and_size_of_every_file(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["files"]) == {path.name for path in folder.iterdir()} - {"manifest.json"}
    for name, stated in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert stated == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert manifest["version"] == folder.name
    assert manifest["data_window"] == {"start": NOW.isoformat(), "end": NOW.isoformat()}


def test_array_and_document_read_back_as_written(tmp_path: Path) -> None:
    folder = tmp_path / write(tmp_path)
    assert np.load(folder / "popularity.npy").tolist() == [0, 1, 2]
    assert json.loads((folder / "product_ids.json").read_text()) == ["ä"]


def test_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write(tmp_path, documents={"als": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_versions_sort_by_time_of_creation(tmp_path: Path) -> None:
    written = [write(tmp_path, minute) for minute in (2, 0, 1)]
    assert list_versions(tmp_path) == [written[1], written[2], written[0]]


def test_writing_does_not_publish(tmp_path: Path) -> None:
    write(tmp_path)
    assert current_version_or_none(tmp_path) is None


def test_pointer_refuses_a_version_that_is_not_there(tmp_path: Path) -> None:
    version = publish(tmp_path, 0)
    with pytest.raises(BundleMissing, match="'nowhere'"):
        point_to(tmp_path, "nowhere")
    assert current_version_or_none(tmp_path) == version


def test_rollback_skips_bundles_that_never_were_current(tmp_path: Path) -> None:
    first = publish(tmp_path, 0)
    write(tmp_path, 1)
    publish(tmp_path, 2)
    assert rollback(tmp_path) == first
    assert current_version_or_none(tmp_path) == first


def test_rollback_without_an_older_bundle_changes_nothing(tmp_path: Path) -> None:
    version = publish(tmp_path, 0)
    with pytest.raises(BundleMissing, match="older"):
        rollback(tmp_path)
    assert current_version_or_none(tmp_path) == version


def test_prune_keeps_the_newest_and_the_current(tmp_path: Path) -> None:
    versions = [publish(tmp_path, minute) for minute in range(4)]
    point_to(tmp_path, versions[0])
    assert prune(tmp_path, keep_count=2) == [versions[1]]
    assert list_versions(tmp_path) == [versions[0], *versions[2:]]


def test_prune_to_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="keep_count=0"):
        prune(tmp_path, keep_count=0)


def test_no_folder_has_no_versions(tmp_path: Path) -> None:
    assert list_versions(tmp_path / "none") == []


def test_rollback_to_a_published_version_skips_those_between(tmp_path: Path) -> None:
    versions = [publish(tmp_path, minute) for minute in range(3)]
    assert rollback(tmp_path, versions[0]) == versions[0]
    assert current_version_or_none(tmp_path) == versions[0]


def test_rollback_to_a_version_that_never_was_published_is_refused(tmp_path: Path) -> None:
    live = publish(tmp_path, 1)
    refused = write(tmp_path, 0)
    with pytest.raises(BundleMissing, match="never published"):
        rollback(tmp_path, refused)
    assert current_version_or_none(tmp_path) == live


def test_prune_keeps_what_is_on_trial_and_a_way_back(tmp_path: Path) -> None:
    first, second = publish(tmp_path, 0), publish(tmp_path, 1)
    shadow, canary, forgotten = (write(tmp_path, minute) for minute in (2, 3, 4))
    newest = [write(tmp_path, minute) for minute in (5, 6)]
    set_canary(tmp_path, CanaryTrial(canary, 5))
    set_shadow(tmp_path, ShadowTrial(shadow, 5))
    assert prune(tmp_path, keep_count=2) == [forgotten]
    assert list_versions(tmp_path) == [first, second, shadow, canary, *newest]


def test_trials_of_a_version_end_when_it_is_published_and_do_not_come_back(tmp_path: Path) -> None:
    publish(tmp_path, 0)
    version = write(tmp_path, 1)
    set_canary(tmp_path, CanaryTrial(version, 5))
    set_shadow(tmp_path, ShadowTrial(version, 5))
    point_to(tmp_path, version)
    assert read_trials(tmp_path) == Trials()
    rollback(tmp_path)
    assert read_trials(tmp_path) == Trials()


def test_trial_of_a_version_that_is_not_there_is_refused(tmp_path: Path) -> None:
    publish(tmp_path, 0)
    with pytest.raises(BundleMissing, match="'nowhere'"):
        set_canary(tmp_path, CanaryTrial("nowhere", 5))
    assert read_trials(tmp_path) == Trials()


def test_broken_file_of_trials_is_replaced_by_the_next_change(tmp_path: Path) -> None:
    version = publish(tmp_path, 0)
    (tmp_path / TRIALS).write_text("{")
    assert set_shadow(tmp_path, ShadowTrial(version, 5)) == Trials(None, ShadowTrial(version, 5))
    assert read_trials(tmp_path) == Trials(None, ShadowTrial(version, 5))


def test_manifest_keeps_every_release_and_its_promises(tmp_path: Path) -> None:
    version = write(tmp_path)
    before = json.loads((tmp_path / version / "manifest.json").read_text())
    note_release(tmp_path, version, {"reason": "first"})
    note_release(tmp_path, version, {"reason": "second"})
    manifest = json.loads((tmp_path / version / "manifest.json").read_text())
    assert manifest.pop(SEAL) != before.pop(SEAL)
    assert manifest == before | {"releases": [{"reason": "first"}, {"reason": "second"}]}
    assert {path.name for path in tmp_path.iterdir()} == {version}
