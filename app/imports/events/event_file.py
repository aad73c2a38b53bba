"""Import events from a file of JSON, each in the form that the API takes: one a line, a list, or a body of the API."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import polars as pl

from app.domain import Event
from app.errors import BadInput
from app.history.rows import event_rows
from app.imports.events.columns import INDEX, event_columns
from app.imports.journal.history_imports import check_early, store
from app.imports.journal.records import BY_NOBODY, ImportRecord, Intake, import_id_of
from app.imports.journal.reports import report_of
from app.imports.quality.erased import IsErased, nobody, reported, without_erased_objects
from app.imports.reading.json_table import JsonObject, json_objects
from app.imports.report import ImportReport, Reject, Rejects
from app.imports.staging import EventStaging
from app.ingest.schema import EventRow, RejectedEvent
from app.ports import StageProgress
from app.settings import Settings

TABLE = "events"
BATCH_COUNT = 50_000
VALUE_LENGTH = 200
FIELDS = frozenset(EventRow.model_fields)
IDS = [name for name in FIELDS if name == "id" or name.endswith("_id")]

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
    total = _size(path)
    with (
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
        erased_count = 0
        for batch in checked_events(path, validate, now=now, is_erased=intake.is_erased):
            staging.add(batch.rows)
            rejects.add(batch.rejects)
            erased_count += batch.erased_count
            progress(min(batch.done, total), total)
        staging.number_rows()
        refused_count = rejects.rows + erased_count
        record = replace(record, rows_read=staging.rows + refused_count, rows_rejected=refused_count)
        stored = store(settings, staging, record, intake, shift=None, now=now)
        record = replace(record, rows_rejected=refused_count + stored.erased_count)
        report = report_of(record, rejects, added=stored.added, begun_s=begun_s)
        return replace(reported(report, erased_count + stored.erased_count), import_id=stored.import_id)


class CheckedEvents(NamedTuple):
    """The history's rows of some events, what is refused, how many are of erased people, and the bytes read so far."""

    rows: pl.DataFrame
    rejects: list[Reject]
    erased_count: int
    done: int


def checked_events(
    path: Path, validate: Validate, *, now: datetime, is_erased: IsErased = nobody
) -> Iterator[CheckedEvents]:
    """The events of the file, in batches."""
    objects = json_objects(path)
    while batch := list(islice(objects, BATCH_COUNT)):
        kept, erased_count = without_erased_objects(batch, is_erased)
        yield CheckedEvents(*_rows(kept, validate, now=now), erased_count, batch[-1].end)


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give a file of JSON lines") from None
    if size == 0:
        raise BadInput(f"{path}: the file is empty; give one JSON event a line")
    return size


def _as_api(value: Mapping[str, object]) -> dict[str, object]:
    """The event without fields that nobody knows, numbers that are ids as text, a time without a zone as UTC."""
    known = {name: field for name, field in value.items() if name in FIELDS}
    for name in IDS:
        if isinstance(known.get(name), int) and not isinstance(known[name], bool):
            known[name] = str(known[name])
    time = known.get("time")
    if isinstance(time, str):
        with suppress(ValueError):
            at = datetime.fromisoformat(time)
            known["time"] = (at if at.tzinfo else at.replace(tzinfo=UTC)).isoformat()
    return known


def _rows(batch: Sequence[JsonObject], validate: Validate, *, now: datetime) -> tuple[pl.DataFrame, list[Reject]]:
    """The history rows of a batch: what is plain by the column, everything else one by one."""
    plain = event_columns([each.value or {} for each in batch], now=now)
    if plain.height == len(batch):
        return plain.drop(INDEX), []
    single = sorted(set(range(len(batch))).difference(plain[INDEX].to_list()))
    events, refused = _validated([(position, batch[position]) for position in single], validate)
    positions = pl.Series(INDEX, [position for position, _ in events], plain.schema[INDEX])
    others = event_rows(event for _, event in events).with_columns(positions)
    return pl.concat([plain, others.select(plain.columns)]).sort(INDEX, maintain_order=True).drop(INDEX), refused


def _reject(each: JsonObject, pointer: str, message: str, raw: str) -> Reject:
    """What is wrong at the pointer, and the value there."""
    value: object = each.value
    for part in pointer.strip("/").split("/"):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
    written = "" if value is None or value is each.value else str(value)
    return Reject(each.line, pointer, written[:VALUE_LENGTH], message.removeprefix(f"{pointer}: "), raw)


def _validated(
    batch: Sequence[tuple[int, JsonObject]], validate: Validate
) -> tuple[list[tuple[int, Event]], list[Reject]]:
    """The events, each with the position that its object was given with, and what is refused."""
    events: list[tuple[int, Event]] = []
    refused: list[Reject] = []
    for position, each in batch:
        raw = each.text.decode(errors="replace").rstrip("\r\n")
        if each.value is None:
            refused.append(Reject(each.line, "", "", each.fault, raw))
            continue
        try:
            events += [(position, event) for event in validate(_as_api(each.value))]
        except BadInput as error:
            faults = error.faults if isinstance(error, RejectedEvent) else ((error.pointer or "", error.message),)
            refused += (_reject(each, pointer, message, raw) for pointer, message in faults)
    return events, refused
