"""What commands share on their way to a person or a program: options, progress, text and JSON."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where everything is kept. [default: var]")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

UNBOUND_WIDTH = 400

screen = Console(stderr=True)


class Bar:
    """One line per named task on a progress display; call it with name, done and total (None = unknown)."""

    def __init__(self, display: Progress) -> None:
        self._display = display
        self._tasks: dict[str, Any] = {}

    def __call__(self, name: str, done: int, total: int | None) -> None:
        task = self._tasks.get(name)
        if task is None:
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
    with Progress(*columns, console=screen) as display:
        yield Bar(display)


def show(as_json: bool, facts: dict[str, Any], text: str | Table) -> None:
    """The command's outcome: for machines on standard output, for people as text or as a table."""
    if as_json:
        show_json(facts)
    else:
        # Without a terminal there is no width to fit into: nothing is cut for a file or a pipe.
        width = None if isinstance(text, str) or sys.stdout.isatty() else UNBOUND_WIDTH
        Console(soft_wrap=isinstance(text, str), width=width, highlight=False, markup=False).print(text)


def show_json(facts: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    print(json.dumps(facts, default=str))  # noqa: T201 - the command's answer


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """A table of text for people."""
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    return table
