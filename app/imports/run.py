"""`endcap import`: from what the caller named to the imports, one after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from app.domain import LOCAL
from app.errors import BadInput, StoreUnavailable
from app.imports.campaigns import CampaignFiles, campaign_file, import_campaigns
from app.imports.catalogue import import_products, import_stores
from app.imports.event_file import import_events
from app.imports.promotions import import_promotions
from app.imports.report import ImportReport
from app.imports.shift import days_to_shift
from app.imports.sources.complete_journey import import_complete_journey
from app.imports.transactions import TABLE, import_transactions
from app.ingest.schema import parse_event
from app.ports import Progress, StageProgress
from app.settings import Settings

NO_SPACE = "No space left on device"
KNOWN_SOURCES = ("complete-journey",)


@dataclass(frozen=True, slots=True)
class Sources:
    """What to import: files, a known data set, or several of them."""

    transactions: Path | None = None
    products: Path | None = None
    stores: Path | None = None
    events: Path | None = None
    known: str | None = None
    campaigns: Path | None = None
    offers: Path | None = None
    audience: Path | None = None
    redemptions: Path | None = None
    promotions: Path | None = None

    def campaign_files(self) -> CampaignFiles:
        """The files about campaigns."""
        return CampaignFiles(
            campaign_file("campaigns", self.campaigns),
            campaign_file("offers", self.offers),
            campaign_file("audience", self.audience),
            campaign_file("redemptions", self.redemptions),
        )


def run_imports(
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Progress
) -> list[ImportReport]:
    """Imports all that is named, catalogue first.

    Raises BadInput when nothing is, or for an unknown data set, and StoreUnavailable when the disk takes no more.
    """
    with _writing(settings.data_dir):
        return _run(settings, sources, shift_to_now=shift_to_now, now=now, progress=progress)


@contextmanager
def _writing(data_dir: Path) -> Iterator[None]:
    """Says in one line that the disk is full, or fails, whichever library met it."""
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, duckdb.Error) as error:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        if not isinstance(error, OSError) and NO_SPACE not in words:
            raise
        why = NO_SPACE if NO_SPACE in words else words
        raise StoreUnavailable(f"{data_dir} cannot be written ({why}); make room there and import again") from error


def _run(
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Progress
) -> list[ImportReport]:
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
    if sources.promotions is not None:
        shift_days = _shift_days(settings, "promotions", shift_to_now=shift_to_now, now=now)
        reports.append(
            import_promotions(
                settings, sources.promotions, shift_days=shift_days, progress=partial(progress, "promotions")
            )
        )
    reports += _campaigns(settings, sources, shift_to_now=shift_to_now, now=now, progress=progress)
    if sources.known is not None:
        reports += _known(settings, sources.known, shift_to_now=shift_to_now, now=now, progress=progress)
    if not reports:
        raise BadInput(
            "nothing to import: name --transactions, --products, --stores, --promotions, --events, --campaigns,"
            " --offers, --audience, --redemptions or --source"
        )
    return reports


def _events(settings: Settings, path: Path, now: datetime, progress: StageProgress) -> ImportReport:
    return import_events(settings, path, validate=partial(parse_event, client=LOCAL, now=now), progress=progress)


def _campaigns(
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Progress
) -> list[ImportReport]:
    """The campaigns, on the time line of the transactions where that was moved."""
    files = sources.campaign_files()
    if files == CampaignFiles():
        return []
    shift_days = _shift_days(settings, "campaigns", shift_to_now=shift_to_now, now=now)
    return import_campaigns(settings, files, shift_days=shift_days, now=now, progress=progress)


def _shift_days(settings: Settings, what: str, *, shift_to_now: bool, now: datetime) -> int:
    """How far the transactions were moved, and so must be what belongs to them."""
    # Without a last_at, because campaigns and promotions never choose a shift of their own.
    shift_days = days_to_shift(settings.tables_dir, TABLE, last_at=None, now=now) if shift_to_now else 0
    if shift_days is None:
        raise BadInput(f"--shift-to-now moves {what} as far as transactions; import those first, with --shift-to-now")
    return shift_days


def _known(
    settings: Settings, name: str, *, shift_to_now: bool, now: datetime, progress: Progress
) -> list[ImportReport]:
    if name not in KNOWN_SOURCES:
        raise BadInput(f"--source {name!r} is not known; known: {', '.join(KNOWN_SOURCES)}")
    return import_complete_journey(settings, shift_to_now=shift_to_now, now=now, progress=progress)
