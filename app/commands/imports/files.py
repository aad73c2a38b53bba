"""`endcap import`: what a person names, imported, and what became of it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.models import OptionInfo

from app.commands.imports.journal import FOLLOW, KeepBoth, Replace, login_name
from app.commands.terminal import AsJson, DataDir, load_settings, progress_bar, show
from app.settings import Settings

if TYPE_CHECKING:
    from app.imports.journal.records import Intake
    from app.imports.run import Sources

ALL_REJECTED = 3
"""Exit status where no row came in because all were refused; 1 where some were."""

FORM = "How the file is written, where it does not show itself"


def _form(words: str) -> OptionInfo:
    option: OptionInfo = typer.Option(help=words, rich_help_panel=FORM)
    return option


Files = Annotated[
    list[Path] | None,
    typer.Argument(help="Files, patterns, folders, archives, or - for standard input; what they are is found out."),
]
Table = Annotated[Path | None, typer.Option(help="File of this table.", rich_help_panel="Tables")]
Source = Annotated[
    str | None, typer.Option(help="A known source by its name, as shopify-orders; complete-journey needs no file.")
]
MappingName = Annotated[
    str | None, typer.Option(help="A mapping file, or the name of a known source or of a mapping that was sent.")
]
Encoding = Annotated[str | None, _form("As utf-8 or cp1252.")]
Separator = Annotated[str | None, _form("Between columns.")]
Columns = Annotated[str | None, _form("Names for the columns of a file without a header, with commas between.")]
SkipLines = Annotated[int | None, typer.Option(min=0, help="Lines before the header.", rich_help_panel=FORM)]
SheetName = Annotated[str | None, _form("Of a workbook.")]
Decimal = Annotated[Literal["point", "comma"] | None, _form("What stands before cents.")]
DateOrder = Annotated[Literal["day-first", "month-first"] | None, _form("Of dates such as 11/12/2025.")]
DateFormat = Annotated[str | None, _form("As %d.%m.%Y, or excel for days as a spreadsheet counts them.")]
TimeZone = Annotated[str | None, _form("Of times that name none, as Europe/Berlin; ENDCAP_TIME_ZONE otherwise.")]
Look = Annotated[
    bool, typer.Option("--preview", help="Only show what the files are and what would become of them; write nothing.")
]
PartialStock = Annotated[
    bool,
    typer.Option(
        "--partial-stock", help="The stock has some products of its stores only; the others stay as they are."
    ),
]
ShiftToNow = Annotated[bool, typer.Option("--shift-to-now", help="Move all times so that the history ends yesterday.")]


def import_(
    files: Files = None,
    transactions: Table = None,
    products: Table = None,
    stores: Table = None,
    events: Table = None,
    campaigns: Table = None,
    offers: Table = None,
    audience: Table = None,
    redemptions: Table = None,
    promotions: Table = None,
    stock: Table = None,
    prices: Table = None,
    source: Source = None,
    mapping: MappingName = None,
    encoding: Encoding = None,
    separator: Separator = None,
    columns: Columns = None,
    skip_lines: SkipLines = None,
    sheet: SheetName = None,
    decimal: Decimal = None,
    date_order: DateOrder = None,
    date_format: DateFormat = None,
    time_zone: TimeZone = None,
    partial_stock: PartialStock = False,
    preview: Look = False,
    shift_to_now: ShiftToNow = False,
    replace: Replace = None,
    keep_both: KeepBoth = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Import history, catalogue, stores, stock, prices and campaigns; rows that were imported before change nothing."""
    from app.erasure.refused import erased_people
    from app.imports.journal.records import Intake
    from app.imports.mapping.load import file_form
    from app.imports.run import Sources

    stated = file_form(
        encoding=encoding,
        separator=separator,
        columns=None if columns is None else tuple(name.strip() for name in columns.split(",")),
        skip_lines=skip_lines,
        sheet=sheet,
        decimal=decimal,
        date_order=date_order,
        date_format=date_format,
        time_zone=time_zone,
    )
    tables = (transactions, products, stores, events, source, campaigns, offers, audience, redemptions, promotions)
    sources = Sources(*tables, stock, prices, tuple(files or ()), mapping, stated, partial_stock=partial_stock)
    settings = load_settings(data_dir)
    if preview:
        _look(settings, sources, as_json=as_json)
    else:
        intake = Intake(login_name(), replaces=replace, keeps_both=keep_both, is_erased=erased_people(settings))
        _bring(settings, sources, intake, shift_to_now=shift_to_now, as_json=as_json)


def _look(settings: Settings, sources: "Sources", *, as_json: bool) -> None:
    from app.commands.imports.look import previews
    from app.commands.imports.preview_text import preview_parts

    found = previews(settings, sources, now=datetime.now(UTC))
    show(
        as_json,
        {"files": [each.to_dict() for each in found]},
        *(part for each in found for part in preview_parts(each)),
    )
    if any(each.question for each in found):
        raise typer.Exit(1)


def _bring(settings: Settings, sources: "Sources", intake: "Intake", *, shift_to_now: bool, as_json: bool) -> None:
    from app.commands.imports.look import answered, is_confirmed
    from app.imports.run import run_imports

    now = datetime.now(UTC)
    sources = answered(settings, sources)
    if not is_confirmed(settings, sources, now=now):
        raise typer.Exit(1)
    with progress_bar() as bar:
        reports = run_imports(settings, sources, shift_to_now=shift_to_now, now=now, progress=bar, intake=intake)
    lines = [line for report in reports for line in report.lines()]
    lines += [] if intake.replaces is None else [f"  import {intake.replaces} is replaced; {FOLLOW}"]
    show(as_json, {"imports": [report.to_dict() for report in reports]}, *lines)
    rejected = sum(report.rows_rejected for report in reports)
    if rejected:
        came_in = sum(report.rows_read - report.rows_rejected for report in reports)
        raise typer.Exit(1 if came_in else ALL_REJECTED)
