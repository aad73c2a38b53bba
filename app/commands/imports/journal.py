"""The commands about what came in: list the imports, take one back."""

import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.commands.text_table import TextTable
from app.settings import Settings

COLUMNS = ("import", "table", "file", "mapping", "added", "known", "rejected", "from", "to", "by", "came in", "status")
FOLLOW = "run `endcap train`, or at least `endcap features`, so that model and features follow"

Replace = Annotated[
    str | None,
    typer.Option(
        "--replace", metavar="ID", help="Import whose place the file takes, as `endcap imports` shows it; both or none."
    ),
]
KeepBoth = Annotated[
    bool, typer.Option("--keep-both", help="Add a file that came in before and is read in another way now.")
]
ImportId = Annotated[str, typer.Argument(metavar="ID", help="Id of an import, as `endcap imports` shows it.")]

imports = typer.Typer(invoke_without_command=True, help="List what came in; take an import back.", add_completion=False)


@imports.callback()
def list_(context: typer.Context, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what came in: file, mapping, rows, range of time, who and when; take an import back."""
    if context.invoked_subcommand is not None:
        return
    listed = _listed(load_settings(data_dir))
    show(as_json, {"imports": listed}, TextTable(COLUMNS, [_row(one) for one in listed]))


def listing(settings: Settings) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The columns and rows of the list of imports."""
    return COLUMNS, [_row(one) for one in _listed(settings)]


def _listed(settings: Settings) -> list[dict[str, object]]:
    from app.imports.undo import list_imports

    return [{**asdict(one.record), "status": one.status} for one in list_imports(settings)]


@imports.command()
def undo(import_id: ImportId, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take back what an import brought, all or nothing; rows that another import or the API brought as well stay."""
    from app.imports.undo import undo_import

    record, gone = undo_import(load_settings(data_dir), import_id, now=datetime.now(UTC))
    outcome = f"import {import_id} of {record.file} ({record.table}) is undone, {gone:,} rows are gone; {FOLLOW}"
    show(as_json, {"undone": import_id, "rows_gone": gone}, outcome)


@imports.command(hidden=True)
def work(job: Annotated[Path, typer.Argument(help="Folder of the job.")], data_dir: DataDir = None) -> None:
    """Work on an import that the API took."""
    from app.commands.imports.work import work as work_on
    from app.telemetry import log_to_stderr

    log_to_stderr("INFO")
    work_on(job, data_dir)


def login_name() -> str:
    """Who is at the terminal."""
    try:
        return getuser()
    except (OSError, KeyError):
        return f"uid {os.getuid()}"


def _row(facts: Mapping[str, object]) -> tuple[str, ...]:
    status = str(facts["status"])
    if status == "replaced":
        status += f" by {facts['replaced_by']}"
    return (
        str(facts["import_id"]),
        str(facts["table"]),
        str(facts["file"]),
        str(facts["mapping"]),
        *(f"{facts[name]:,}" for name in ("rows_added", "rows_known", "rows_rejected")),
        *("" if facts[name] is None else str(facts[name])[:10] for name in ("first_at", "last_at")),
        str(facts["by"]),
        str(facts["at"])[:16].replace("T", " "),
        status,
    )
