"""Imports, their undoing and their replacement killed -9: each happened whole or not at all."""

from pathlib import Path

from benchmarks.chaos.import_kill import run


def test_killed_import_undo_or_replacement_is_whole_or_never_was(tmp_path: Path) -> None:
    # benchmarks.chaos.import_kill does the same at many more moments, with larger files and of products too.
    found = run(tmp_path, moment_count=3, line_count=20_000, seed=1, names=("import", "undo", "replace"))
    assert found["broken"] == []
    assert found["control"] == "torn"
