"""`endcap backup` and `endcap restore`: what nothing else has, to a folder and back."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, progress_bar, show

Target = Annotated[Path, typer.Argument(metavar="DEST", help="A folder that is new or empty.", show_default=False)]
Source = Annotated[Path, typer.Argument(metavar="SRC", help="A folder that `endcap backup` wrote.", show_default=False)]

Erased = Annotated[
    list[Path] | None,
    typer.Option(help="A register of who was erased since (erased.jsonl), where the one in SRC lacks somebody."),
]


def backup(target: Target, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Copy ledger, history, bundles, tables and waiting events to a folder, while everything runs."""
    from app.backup.run import back_up

    settings = load_settings(data_dir)
    with progress_bar() as bar:
        facts = back_up(settings, target, now=datetime.now(UTC), progress=bar)
    live = facts["live_bundle"] or "none"
    show(as_json, facts, f"backup in {target}: {facts['waiting_events']:,} waiting events, live bundle {live}")


def restore(source: Source, erased: Erased = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Put a backup into an empty data directory and, with ENDCAP_DATABASE_URL, an empty database."""
    from app.backup.run import restore as put_back

    settings = load_settings(data_dir)
    with progress_bar() as bar:
        facts = put_back(settings, source, registers=erased or (), progress=bar)
    lines = (
        f"{facts['erased_again']} names of people who were erased since are erased from it",
        f"restored the backup of {facts['created_at']} to {settings.data_dir}",
        "then: endcap features; endcap project",
    )
    show(as_json, facts, *lines)
