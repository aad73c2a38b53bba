"""The report of an import, made of its record and of what it refused and left out."""

from collections import Counter
from time import perf_counter

from app.imports.journal.records import ImportRecord
from app.imports.reading.block import TableFile
from app.imports.report import ImportReport, Rejects


def report_of(
    record: ImportRecord,
    rejects: Rejects,
    file: TableFile | None = None,
    *,
    added: int,
    begun_s: float,
    left_out: Counter[str] | None = None,
) -> ImportReport:
    """What a finished import reports; `record.rows_read` are its sound and its refused rows.

    `begun_s` is what `perf_counter` gave at its begin. The list of refused rows is complete from here on.
    """
    apart = left_out or Counter()
    return ImportReport(
        table=record.table,
        rows_read=record.rows_read + apart.total(),
        rows_added=added,
        rows_known=record.rows_read - record.rows_rejected - added,
        rows_rejected=record.rows_rejected,
        rejects_path=rejects.finish(),
        seconds=perf_counter() - begun_s,
        ignored_columns=() if file is None else file.ignored,
        left_out=dict(apart),
        notes=() if file is None else file.notes,
        import_id=record.import_id,
        reasons=rejects.reasons(),
        examples=rejects.examples(),
    )
