"""What came in and is still there, and taking one import back, whatever table it went to."""

from dataclasses import dataclass, replace
from datetime import datetime

from app.errors import BadInput
from app.imports.journal import history_imports
from app.imports.journal.applied import journal_of
from app.imports.journal.records import (
    HISTORY_TABLES,
    LEDGER_TABLES,
    PLACE_TABLES,
    STAYING_TABLES,
    ImportRecord,
    find_live,
)
from app.settings import Settings
from app.stores.tables.layers import REFERENCE_TABLES, LayeredTable, check_takeable

DONE, UNDONE, REPLACED, UNFINISHED = "done", "undone", "replaced", "unfinished"


@dataclass(frozen=True, slots=True)
class Listed:
    """An import and what has become of it."""

    record: ImportRecord
    status: str


def list_imports(settings: Settings) -> list[Listed]:
    """All imports in the order in which they came in; those that are on their way, or were cut off, are left out."""
    journal = journal_of(settings)
    live = {one.import_id for one in journal.live()}
    listed = []
    for record in sorted(journal.records(), key=lambda one: one.at):
        if record.import_id in live:
            listed.append(Listed(record, DONE))
        elif record.ended_at is not None:
            listed.append(Listed(record, UNDONE if record.replaced_by is None else REPLACED))
        elif not record.is_finished:
            listed.append(Listed(record, UNFINISHED))
    return listed


def undo_import(settings: Settings, import_id: str, *, now: datetime) -> tuple[ImportRecord, int]:
    """Takes back what an import brought, all or nothing; returns its record and how many rows went.

    Raises BadInput when the import is not there, or cannot be taken back.
    """
    journal = journal_of(settings)
    with journal.held() as live:
        record = find_live(import_id, live, journal=journal)
        if record.table in LEDGER_TABLES:
            raise BadInput(
                f"import {import_id} brought {record.table} into the ledger, where coupons were issued and money is"
                " booked, and stays; end its campaigns instead (POST /v1/campaigns/{campaign_id}/end)"
            )
        if record.table in PLACE_TABLES:
            raise BadInput(
                f"import {import_id} brought {record.table}, which later reports overrule and which stays; import the"
                " right file on top of it"
            )
        if record.table in STAYING_TABLES:
            raise BadInput(
                f"import {import_id} brought {record.table}, which stay; import a corrected table, whose rows take the"
                " place of those of the same product, store and start"
            )
        if record.table in HISTORY_TABLES:
            return record, history_imports.undo(settings, record, live, now=now)
        return record, _remove_layer(settings, record, now=now)


def _remove_layer(settings: Settings, record: ImportRecord, *, now: datetime) -> int:
    kind = REFERENCE_TABLES[record.table]
    table = LayeredTable(settings.tables_dir, kind)
    with table.held():
        check_takeable(kind, table.layers(), record.import_id)
        before = table.stored()
        journal_of(settings).write(replace(record, ended_at=now.isoformat(), replaced_by=None))
        table.remove_import(record.import_id)
        return before.join(table.stored(), on=kind.key, how="anti").height
