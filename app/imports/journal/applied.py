"""Which imports are in the data, wherever their tables lie."""

from collections.abc import Collection

from app.composition.history import history_of
from app.imports.journal.records import Journal
from app.settings import Settings
from app.stores.tables.layers import REFERENCE_TABLES, LayeredTable


def journal_of(settings: Settings) -> Journal:
    """The journal of a data directory."""

    def applied(import_ids: Collection[str]) -> set[str]:
        layered = (LayeredTable(settings.tables_dir, kind).layers().import_ids() for kind in REFERENCE_TABLES.values())
        return history_of(settings).applied(import_ids) | set().union(*layered).intersection(import_ids)

    return Journal(settings.tables_dir, applied)
