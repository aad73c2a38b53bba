"""Files are replaced whole or not at all, and nothing unfinished is left."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.files import (
    replace_atomically,
    replace_durably,
    replace_whole_durably,
    shared_turn,
    try_turn,
    turn,
    write_synced,
)


def test_replacement_has_the_new_content_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table"
    replace_atomically(path, lambda unfinished: unfinished.write_text("old"))
    replace_durably(path, b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_text("old")

    def break_off(unfinished: Path) -> None:
        unfinished.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        replace_atomically(path, break_off)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "replace",
    [
        lambda path: replace_durably(path, b"new"),
        lambda path: replace_whole_durably(path, lambda unfinished: unfinished.write_text("new")),
    ],
)
def test_durable_replacement_syncs_the_file_before_and_the_folder_after_the_rename(
    replace: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, steps = tmp_path / "table", []
    path.write_text("old")
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        steps.append((name.startswith(".tmp-"), name == tmp_path.name, path.read_text()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    replace(path)
    assert steps == [(True, False, "old"), (False, True, "new")]


def test_unfinished_file_is_written_in_the_staging_folder(tmp_path: Path) -> None:
    staging = tmp_path / "staging"
    staging.mkdir()

    def check_folder(unfinished: Path) -> None:
        assert unfinished.parent == staging
        unfinished.touch()

    replace_atomically(tmp_path / "table", check_folder, staging_dir=staging)
    assert (tmp_path / "table").exists()
    with pytest.raises(FileExistsError):
        write_synced(tmp_path / "table", b"")


def test_those_who_share_a_turn_keep_out_only_who_wants_it_alone(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with shared_turn(lock), shared_turn(lock), try_turn(lock) as is_alone:
        assert not is_alone
    with turn(lock), try_turn(lock) as is_alone:
        assert not is_alone
    with try_turn(lock) as is_alone:
        assert is_alone
