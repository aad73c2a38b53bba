"""What commands share on their way to a person or a program: options, warnings, progress, text, tables and JSON."""

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from app.settings import Settings, unknown_variables

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder where everything is kept.", show_default="ENDCAP_DATA_DIR, else var"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]

UNBOUND_WIDTH = 400
NUMBER = re.compile(r"[-+]?\d[\d,.]*( %)?")
FIGURE = re.compile(r"[-+]?\d.*|–|\S*")

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


def show(as_json: bool, facts: Mapping[str, object], *outcome: str | Table) -> None:
    """The command's result on standard output: `facts` for machines, else `outcome` for people, one below the other."""
    if as_json:
        print(json.dumps(facts, default=str))  # noqa: T201 - the command's result
    else:
        show_text(*outcome)


def show_text(*outcome: str | Table) -> None:
    """A result for people on standard output, one part below the other."""
    for part in outcome:
        # Without a terminal there is no width to fit into: nothing is cut for a file or a pipe.
        width = None if sys.stdout.isatty() else UNBOUND_WIDTH
        Console(width=width, highlight=False, markup=False).print(part, soft_wrap=isinstance(part, str))


def table_of(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None) -> Table:
    """A table of text for people: words wrap where it is too narrow, figures never."""
    # Lines between columns would cost 80-column terminals two characters each.
    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False)
    kept = [tuple(row) for row in rows]
    for place, name in enumerate(columns):
        cells = [row[place] for row in kept if row[place]]
        has_figures = any(cell[:1].isdigit() or cell[:2].lstrip("+-")[:1].isdigit() for cell in cells)
        table.add_column(
            name,
            no_wrap=has_figures and all(FIGURE.fullmatch(cell) for cell in cells),
            justify="right" if cells and all(NUMBER.fullmatch(cell) or cell == "–" for cell in cells) else "left",
        )
    for row in kept:
        table.add_row(*row)
    return table
