"""Which imports are in the data, wherever their tables lie."""

from collections.abc import Sequence

from app.composition.history import history_of
from app.imports.journal.records import HISTORY_TABLES, ImportRecord, Journal
from app.settings import Settings
from app.stores.tables.layers import REFERENCE_TABLES, LayeredTable


def journal_of(settings: Settings) -> Journal:
    """The journal of a data directory."""

    def applied(records: Sequence[ImportRecord]) -> set[str]:
        layered = (LayeredTable(settings.tables_dir, kind).layers().import_ids() for kind in REFERENCE_TABLES.values())
        in_history = history_of(settings).applied(one.import_id for one in records if one.table in HISTORY_TABLES)
        return in_history | set().union(*layered).intersection(one.import_id for one in records)

    return Journal(settings.tables_dir, applied)
