"""Tables of text as a terminal shows them: within its width, figures whole."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions
from rich.table import Table

NUMBER = re.compile(r"[-+]?\d[\d,.]*( %)?")
FIRST_OF_FIGURE = re.compile(r"[-+]?\d")
FIGURE = re.compile(r"[-+]?\d.*|\S*")
"""What must not be broken: numbers, instants, intervals, versions; single words have no place to break."""
ABSENT = "–"
NONE = "(none)"
GAP = 3
"""Characters between two columns."""


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table of text: words wrap where a terminal is narrow, figures never; too wide a table is listed row by row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str | None = None

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[str | Table]:
        if not self.rows:
            yield NONE if self.title is None else f"{self.title}: {NONE}"
        elif self._width(self.columns) <= options.max_width:
            yield self._table(self.columns)
        elif self._width(self._narrow_headings(), wraps=True) <= options.max_width:
            yield self._table(self._narrow_headings())
        else:
            yield from self._row_by_row()

    def _cells(self, position: int) -> list[str]:
        return [row[position] for row in self.rows if row[position]]

    def _holds_figures(self, position: int) -> bool:
        cells = self._cells(position)
        return any(map(FIRST_OF_FIGURE.match, cells)) and all(map(FIGURE.fullmatch, cells))

    def _narrow_headings(self) -> list[str]:
        """A column that never wraps is as wide as its longest line: its heading has a word a line."""
        return [
            re.sub(r"\s|(?<=-)(?=.)", "\n", heading) if self._holds_figures(position) else heading
            for position, heading in enumerate(self.columns)
        ]

    def _width(self, headings: Sequence[str], *, wraps: bool = False) -> int:
        """Characters that a line takes; where it `wraps`, the fewest with which no figure and no word is broken."""
        widths = []
        for position, heading in enumerate(headings):
            split = str.split if wraps and not self._holds_figures(position) else str.splitlines
            parts = [part for text in (heading, *self._cells(position)) for part in split(text)]
            widths.append(max(map(len, parts), default=0))
        return sum(widths) + GAP * (len(widths) - 1)

    def _table(self, headings: Sequence[str]) -> Table:
        # Lines between columns would cost a narrow terminal two characters each.
        table = Table(
            title=self.title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False
        )
        for position, heading in enumerate(headings):
            is_figures = self._holds_figures(position)
            is_numbers = is_figures and all(NUMBER.fullmatch(cell) or cell == ABSENT for cell in self._cells(position))
            table.add_column(heading, no_wrap=is_figures, justify="right" if is_numbers else "left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def _row_by_row(self) -> Iterator[str]:
        if self.title is not None:
            yield self.title
        for first, *others in self.rows:
            yield first
            for name, cell in zip(self.columns[1:], others, strict=True):
                if cell:
                    yield f"  {name}: {cell}" if name else f"  {cell}"
