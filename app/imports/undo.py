"""What came in and is still there, and taking one import back, whatever table it went to."""

from dataclasses import dataclass
from datetime import datetime

from app.composition.history import history_of
from app.errors import BadInput
from app.imports.journal import history_imports
from app.imports.journal.records import ImportRecord, Journal, find_live
from app.settings import Settings

DONE, UNDONE, REPLACED = "done", "undone", "replaced"


@dataclass(frozen=True, slots=True)
class Listed:
    """An import and what has become of it."""

    record: ImportRecord
    status: str


def list_imports(settings: Settings) -> list[Listed]:
    """All imports in the order in which they came in; those that are on their way, or were cut off, are left out."""
    journal = Journal(settings.tables_dir)
    live = {one.import_id for one in _live(settings, journal)}
    listed = []
    for record in sorted(journal.records(), key=lambda one: one.at):
        if record.import_id in live:
            listed.append(Listed(record, DONE))
        elif record.ended_at is not None:
            listed.append(Listed(record, UNDONE if record.replaced_by is None else REPLACED))
    return listed


def undo_import(settings: Settings, import_id: str, *, now: datetime) -> tuple[ImportRecord, int]:
    """Takes back what an import brought, all or nothing; returns its record and how many rows went.

    Raises BadInput when the import is not there, or cannot be taken back.
    """
    journal = Journal(settings.tables_dir)
    with journal.held():
        record = find_live(import_id, _live(settings, journal), journal=journal)
        if record.table not in history_imports.TABLES:
            raise BadInput(f"import {import_id} cannot be taken back")
        return record, history_imports.undo(settings, record, now=now)


def _live(settings: Settings, journal: Journal) -> list[ImportRecord]:
    return journal.live(history_of(settings).applied, *history_imports.TABLES)
