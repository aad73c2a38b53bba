"""`endcap import` as a person and as a program meets it: looks, questions, exit status."""

import json
import os
import pty
import sys
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest

from app.cli import run_command
from app.history import History
from app.settings import Settings

SALES = "client;article;date;price\nanna;tee;01/10/2026;9,90\nbob;mug;02/10/2026;5,00\n"


def imported(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, *options: str) -> tuple[int, Any]:
    """The exit status and what is printed for machines."""
    path = tmp_path / "sales.csv"
    path.write_text(content)
    status = run_command(["import", str(path), "--json", "--data-dir", str(tmp_path / "var"), *options])
    printed = capsys.readouterr().out
    return status, json.loads(printed) if printed else {}


@pytest.mark.parametrize(
    ("rows", "status"),
    [("a,b\n", 0), ("", 0), ("a,b\nc,\n", 1), ("a,\nc,\n", 3)],
    ids=["all", "none", "some", "nothing"],
)
def test_exit_status_says_whether_rows_were_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, rows: str, status: int
) -> None:
    assert imported(capsys, tmp_path, f"customer_id,product_id\n{rows}")[0] == status


def test_a_look_gives_json_for_machines_and_writes_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, shown = imported(capsys, tmp_path, SALES, "--preview", "--date-order", "day-first")
    assert status == 0
    [file] = shown["files"]
    assert (file["rows"], file["first_at"]) == ({"purchase": 2}, "2026-10-01T00:00:00")
    assert file["command"].endswith("sales.csv --date-order day-first")
    assert not (tmp_path / "var").exists()


def test_a_look_at_an_unclear_file_ends_with_the_question(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, shown = imported(capsys, tmp_path, SALES, "--preview")
    assert status == 1
    assert "--date-order" in str(shown["files"])


def test_without_a_terminal_an_unclear_file_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert imported(capsys, tmp_path, SALES) == (2, {})
    assert not (tmp_path / "var").exists()


def test_a_person_decides_what_the_file_leaves_open_and_sees_it_before_the_first_import(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES)
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "import",
        str(tmp_path / "sales.csv"),
        "--data-dir",
        str(tmp_path / "var"),
    ]
    process = Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = _until(ours, b"day-first or month-first")
    os.write(ours, b"x\n")
    shown += _until(ours, b"or how it begins")
    os.write(ours, b"d\n")
    shown += _until(ours, b"Import this?")
    assert not (tmp_path / "var").exists()
    os.write(ours, b"\n")
    shown += _until(ours, None)
    assert process.wait() == 0, shown.decode()
    assert b"2 purchase" in shown
    history = History(Settings.load(data_dir=tmp_path / "var").history_dir).scan().collect()
    assert history["time"].dt.day().to_list() == [1, 2]


def _until(terminal: int, words: bytes | None) -> bytes:
    """What the terminal shows up to the words; up to its end where there are none."""
    shown = b""
    while words is None or words not in shown:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # what Linux says at the end of a terminal
            part = b""
        if not part:
            assert words is None, shown.decode()
            break
        shown += part
    return shown
