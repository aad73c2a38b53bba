"""What commands share on their way to a person or a program: options, warnings, progress, text, tables and JSON."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from app.commands.text_table import TextTable
from app.settings import Settings, unknown_variables

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder where everything is kept.", show_default="ENDCAP_DATA_DIR, else var"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

UNBOUND_WIDTH = 400
notices = Console(stderr=True, highlight=False, markup=False)
"""For what a person may want to read while a command works; results go to standard output instead."""


def load_settings(data_dir: Path | None, **given: object) -> Settings:
    """The settings of a command that talks to a person, who is warned of variables that no setting reads.

    `given` as in `Settings.load`, which raises BadSetting.
    """
    for line in unknown_variables():
        notify(f"warning: {line}")
    return Settings.load(data_dir=data_dir, **given)


def notify(text: str) -> None:
    """A notice on standard error."""
    notices.print(text, soft_wrap=True)


class Bar:
    """One line per stage on a progress display; call it with name, done and total (None = unknown)."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, name: str, done: int, total: int | None, /) -> None:
        task = self._tasks.get(name)
        if task is None:
            # Not before there is something to show: an empty display would leave an empty line.
            self._display.start()
            task = self._tasks[name] = self._display.add_task(name, total=total)
        self._display.update(task, completed=done, total=total)


@contextmanager
def progress_bar() -> Iterator[Bar]:
    """A progress display on standard error."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    display = Progress(*columns, console=notices)
    try:
        yield Bar(display)
    finally:
        if display.live.is_started:
            display.stop()


def show(as_json: bool, facts: Mapping[str, object], *outcome: str | TextTable) -> None:
    """The command's result on standard output: `facts` for machines, else `outcome` for people, one below the other."""
    if as_json:
        print(json.dumps(facts, default=str))  # noqa: T201 - the command's result
    else:
        show_text(*outcome)


def show_text(*outcome: str | TextTable) -> None:
    """A result for people on standard output, one part below the other, tables set apart by empty lines."""
    for position, part in enumerate(outcome):
        # Without a terminal there is no width to fit into: nothing is cut for a file or a pipe.
        width = None if sys.stdout.isatty() else UNBOUND_WIDTH
        console = Console(width=width, highlight=False, markup=False)
        if position and not (isinstance(part, str) and isinstance(outcome[position - 1], str)):
            console.print()
        console.print(part, soft_wrap=isinstance(part, str))
