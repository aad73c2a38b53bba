"""Import events from a file of JSON lines, each in the form that the API takes."""

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

import orjson

from app.domain import Event
from app.errors import BadInput
from app.history import event_rows
from app.imports.journal.history_imports import check_early, store
from app.imports.journal.records import BY_NOBODY, ImportRecord, Intake, import_id_of
from app.imports.report import ImportReport, Reject, Rejects
from app.imports.staging import EventStaging
from app.ports import StageProgress
from app.settings import Settings

TABLE = "events"
BATCH_BYTES = 16 * 2**20

Validate = Callable[[dict[str, object]], Sequence[Event]]
"""Makes events of a JSON object, one a line of its basket, or raises BadInput; its `pointer` names the field."""


def import_events(
    settings: Settings,
    path: Path,
    *,
    validate: Validate,
    now: datetime,
    progress: StageProgress,
    intake: Intake = BY_NOBODY,
) -> ImportReport:
    """Add the events that the history lacks, by their id; raises BadInput when the file cannot be read.

    Lines that are no JSON object or that `validate` refuses go to the rejects file. An event with several
    products counts as so many rows.
    """
    begun_s = perf_counter()
    with (
        _opened(path) as file,
        Rejects(settings.rejects_dir, table=TABLE, source=path) as rejects,
        EventStaging(settings.data_dir) as staging,
    ):
        record = ImportRecord(
            import_id=import_id_of(TABLE, rejects.content, intake.mapping),
            table=TABLE,
            file=path.name,
            content=rejects.content,
            mapping=intake.mapping,
            by=intake.by,
            at=now.isoformat(),
        )
        check_early(settings, record, intake)
        for lines in _numbered_lines(file):
            events, refused = _validated(lines, validate)
            staging.add(event_rows(events))
            rejects.add(refused)
            progress(file.tell(), path.stat().st_size)
        staging.number_rows()
        record = replace(record, rows_read=staging.rows + rejects.rows, rows_rejected=rejects.rows)
        stored = store(settings, staging, record, intake, shift=None, now=now)
        return ImportReport(
            table=TABLE,
            rows_read=record.rows_read,
            rows_added=stored.added,
            rows_known=staging.rows - stored.added,
            rows_rejected=rejects.rows,
            rejects_path=rejects.finish(),
            seconds=perf_counter() - begun_s,
            import_id=stored.import_id,
        )


def _opened(path: Path) -> BinaryIO:
    try:
        if path.stat().st_size == 0:
            raise BadInput(f"{path}: the file is empty; give one JSON event a line")
        return path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a file of JSON lines") from None


def _numbered_lines(file: BinaryIO) -> Iterator[list[tuple[int, bytes]]]:
    """Lists of lines with their numbers, from 1, blank ones left out."""
    number = 1
    # Editors put a byte order mark first.
    file.seek(len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0)
    while lines := file.readlines(BATCH_BYTES):
        yield [(position, line) for position, line in enumerate(lines, start=number) if line.strip()]
        number += len(lines)


def _validated(lines: list[tuple[int, bytes]], validate: Validate) -> tuple[list[Event], list[Reject]]:
    events: list[Event] = []
    refused: list[Reject] = []
    for number, line in lines:
        try:
            events += validate(_json_object(line))
        except BadInput as error:
            raw = line.decode(errors="replace").rstrip("\r\n")
            refused.append(Reject(number, error.pointer or "", "", error.message, raw))
    return events, refused


def _json_object(line: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"not JSON ({error}); write one object a line") from None
    if not isinstance(value, dict):
        raise BadInput(f"a JSON {type(value).__name__} where an event object is expected")
    return value
