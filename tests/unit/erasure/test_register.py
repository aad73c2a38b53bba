"""The register of who was erased, next to backups."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.erasure.register import REGISTER, note_in_backups, read_register
from app.errors import BadInput

AT = datetime(2026, 11, 1, tzinfo=UTC)


def test_every_backup_in_reach_gets_a_line_for_each_tombstone(tmp_path: Path) -> None:
    near, gone = tmp_path / "near", tmp_path / "gone"
    near.mkdir()
    assert note_in_backups([near, gone], {"a": AT, "b": AT}) == {"backups": 1, "backups_out_of_reach": 1}
    note_in_backups([near], {"c": AT})
    assert read_register(near / REGISTER) == {"a": AT, "b": AT, "c": AT}
    assert read_register(gone / REGISTER) == {}


@pytest.mark.parametrize("line", ["{", "[]", "{}", '{"tombstone": "a", "at": "never"}'])
def test_damaged_register_is_refused_by_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / REGISTER
    file.write_text(f'{{"tombstone": "a", "at": "{AT.isoformat()}"}}\n{line}\n')
    with pytest.raises(BadInput, match="line 2"):
        read_register(file)
