"""A preview as a person reads it in a terminal."""

from collections.abc import Iterator

from app.commands.text_table import TextTable
from app.imports.preview.preview import Preview
from app.offers.terms.money import format_amount

REASONS = 8
"""So many reasons of refusal are shown, the most frequent first."""


def preview_parts(preview: Preview) -> Iterator[str | TextTable]:
    """Lines and tables, one below the other."""
    what = f"{preview.table}, as {preview.source}" if preview.table else "not clear yet"
    yield f"{preview.path}: {what}"
    yield from (f"  {note}" for note in preview.notes)
    columns = [
        (view.name, view.meaning or "–", view.confidence, view.read_as, f"{view.missing:.0%}", " · ".join(view.samples))
        for view in preview.columns
    ]
    if columns:
        yield TextTable(("column", "is", "how sure", "read as", "empty", "for example"), columns)
    yield from _rows(preview)
    if preview.differences is not None:
        yield "Compared with what is known:"
        yield from (f"  {words}" for words in preview.differences.lines())
    if preview.missing:
        yield "What the file lacks:"
        yield from (f"  {words}" for words in preview.missing)
    if preview.mapping:
        yield "The same as a mapping, to be saved and changed where it is wrong (--mapping FILE):"
        yield preview.mapping
    if preview.question:
        yield f"To be said first: {preview.question}"
    elif preview.is_refused_whole():
        yield "As it is no row of it would come in: say in a mapping, or with options, what the reasons above ask for."
    else:
        yield f"To import it: {preview.command}"


def _rows(preview: Preview) -> Iterator[str]:
    if preview.rows:
        yield "Rows: " + ", ".join(f"{count:,} {kind}" for kind, count in preview.rows.most_common())
    if set(preview.rows) == {"purchase"} and preview.table == "transactions" and not preview.kind_columns:
        yield f"  all {preview.rows['purchase']:,} rows are taken as purchases: no column says otherwise"
    counted = {name: count for name, count in preview.counts.items() if count}
    if counted:
        yield "  " + ", ".join(f"{count:,} {name}" for name, count in counted.items())
    if preview.first_at is not None:
        yield f"  from {preview.first_at:%Y-%m-%d %H:%M} to {preview.last_at:%Y-%m-%d %H:%M}"
    for currency, total in preview.totals.items():
        yield f"  {format_amount(total, currency, thousands=',')} {currency} in all, refunds taken off"
    for reason, count in preview.refused.most_common(REASONS):
        yield f"  refused: {count:,} × {reason}; {preview.examples[reason]}"
