"""All application transactions at once are those that deltalake gives one at a time."""

from pathlib import Path

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from app.history.log import transaction_versions


def _commit(table: Path, **versions: int) -> None:
    transactions = [Transaction(name, version) for name, version in versions.items()]
    rows = pl.DataFrame({"n": [1]}).to_arrow()
    write_deltalake(table, rows, mode="append", commit_properties=CommitProperties(app_transactions=transactions))


def _one_at_a_time(table: Path, *names: str) -> dict[str, int | None]:
    return {name: DeltaTable(table).transaction_version(name) for name in names}


def test_the_newest_version_of_each_counts(tmp_path: Path) -> None:
    table = tmp_path / "table"
    assert transaction_versions(table) == {}
    for number in range(12):
        _commit(table, **{f"import:{number}": 1, "imports": number})
    _commit(table, **{"import:3": 2})
    expected = {f"import:{number}": 1 for number in range(12)} | {"imports": 11, "import:3": 2}
    assert transaction_versions(table) == expected == _one_at_a_time(table, *expected)


def test_a_checkpoint_stands_for_the_commits_before_it(tmp_path: Path) -> None:
    table = tmp_path / "table"
    _commit(table, early=1, changed=1)
    _commit(table)
    DeltaTable(table).create_checkpoint()
    _commit(table, changed=2, late=1)
    for commit in sorted((table / "_delta_log").glob("*.json"))[:2]:
        commit.unlink()
    expected = {"early": 1, "changed": 2, "late": 1}
    assert transaction_versions(table) == expected == _one_at_a_time(table, *expected)
    DeltaTable(table).create_checkpoint()
    assert transaction_versions(table) == expected


def test_a_checkpoint_without_any_transaction_is_read(tmp_path: Path) -> None:
    table = tmp_path / "table"
    _commit(table)
    DeltaTable(table).create_checkpoint()
    assert transaction_versions(table) == {}
    _commit(table, late=7)
    assert transaction_versions(table) == {"late": 7}
