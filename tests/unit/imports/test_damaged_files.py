"""Files that were damaged at random are read or refused in one line; 2,000 of them: benchmarks/imports/mutations.py."""

from benchmarks.imports.mutations import contents, import_damaged


def test_no_damage_ends_in_anything_but_rows_and_a_line() -> None:
    ends = import_damaged(contents(), count=120, seed=1)
    assert set(ends) <= {"refused", "in part", "read"}
    assert ends["refused"]
    assert ends["read"]
