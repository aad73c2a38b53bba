"""`endcap import`: from what the caller named to the imports, one after the other."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from app.errors import BadInput
from app.imports.catalogue import import_products, import_stores
from app.imports.complete_journey import import_complete_journey
from app.imports.event_file import import_events
from app.imports.report import ImportReport
from app.imports.transactions import import_transactions
from app.ingest.schema import parse_event
from app.settings import Settings

KNOWN_SOURCES = ("complete-journey",)

Named = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Sources:
    """What to import: files, a known data set, or several of them."""

    transactions: Path | None = None
    products: Path | None = None
    stores: Path | None = None
    events: Path | None = None
    known: str | None = None


def run_imports(
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Named
) -> list[ImportReport]:
    """Imports all that is named, catalogue first; raises BadInput when nothing is, or for an unknown data set."""
    reports: list[ImportReport] = []
    if sources.products is not None:
        reports.append(import_products(settings, sources.products, now=now, progress=partial(progress, "products")))
    if sources.stores is not None:
        reports.append(import_stores(settings, sources.stores, now=now, progress=partial(progress, "stores")))
    if sources.transactions is not None:
        named = partial(progress, "transactions")
        reports.append(
            import_transactions(settings, sources.transactions, shift_to_now=shift_to_now, now=now, progress=named)
        )
    if sources.events is not None:
        reports.append(_events(settings, sources.events, now, partial(progress, "events")))
    if sources.known is not None:
        reports += _known(settings, sources.known, shift_to_now=shift_to_now, now=now, progress=progress)
    if not reports:
        raise BadInput("nothing to import: name --transactions, --products, --stores, --events or --source")
    return reports


def _events(settings: Settings, path: Path, now: datetime, progress: Callable[[int, int | None], None]) -> ImportReport:
    return import_events(settings, path, validate=partial(parse_event, now=now), progress=progress)


def _known(settings: Settings, name: str, *, shift_to_now: bool, now: datetime, progress: Named) -> list[ImportReport]:
    if name not in KNOWN_SOURCES:
        raise BadInput(f"--source {name!r} is not known; known: {', '.join(KNOWN_SOURCES)}")
    return import_complete_journey(settings, shift_to_now=shift_to_now, now=now, progress=partial(progress, name))
