"""The command line as people expect it: version, help, one clear line on mistakes, results apart from notices."""

import json
import tomllib
from pathlib import Path

import pytest
import typer

from app.cli import cli, run_command
from app.settings import Settings
from tests.support.repository import ROOT


def commands() -> list[list[str]]:
    """The words of every command and group of commands."""
    found: list[list[str]] = [[]]
    group = typer.main.get_command(cli)
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # cli is a group
        found += [[name], *([name, part] for part in getattr(command, "commands", {}))]
    return found


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run_command(["--version"]) == 0
    assert capsys.readouterr().out == f"endcap {stated}\n"


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_short_and_long_option_show_the_same_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    helps = []
    for option in ("-h", "--help"):
        assert run_command([*words, option]) == 0
        helps.append(capsys.readouterr().out)
    assert helps[0] == helps[1]
    assert "Usage: endcap" in helps[0]


@pytest.mark.parametrize("name", ["host", "port", "data_dir"])
def test_help_shows_the_default_of_the_setting(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_command(["up", "--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"ENDCAP_{name.upper()}, else {Settings.model_fields[name].default}" in shown


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["modls"], "endcap: No such command 'modls'. Did you mean 'models'? (see `endcap --help`)"),
        (["train", "--nope"], "endcap: No such option: --nope (see `endcap train --help`)"),
        (["keys", "revoke"], "endcap: Missing argument 'KEY_ID' (see `endcap keys revoke --help`)"),
        (["recommend"], "endcap: Missing option '--requests' (see `endcap recommend --help`)"),
    ],
)
def test_mistake_on_the_command_line_is_one_line_and_status_2(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words) == 2
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", f"{line}\n")


def test_input_that_cannot_be_used_is_one_line_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["import", "--data-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("endcap: nothing to import: name a file")
    assert error.count("\n") == 1


def test_something_found_wrong_is_status_1_and_the_result_is_on_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["doctor", "--data-dir", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "FAIL history: " in shown.out
    assert shown.err == ""


def test_import_reports_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "lines.csv").write_text("customer_id,product_id\nanna,tea\n,tea\n")
    command = ["import", "--transactions", str(tmp_path / "lines.csv"), "--data-dir", str(tmp_path / "var")]
    assert run_command(command) == 1
    first, *_, second = capsys.readouterr().out.splitlines()
    assert first.startswith("transactions: 2 rows read, 1 added, 0 known, 1 rejected (")
    assert second.startswith(f"  rejected rows with reasons: {tmp_path}")
    assert run_command([*command, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["imports"][0]["rows_known"] == 1


def test_misspelt_variable_is_a_warning_on_standard_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ENDCAP_CURENCY", "USD")
    assert run_command(["models", "--json", "--data-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == {"models": []}
    assert shown.err == "warning: unknown variable ENDCAP_CURENCY: did you mean ENDCAP_CURRENCY?\n"
