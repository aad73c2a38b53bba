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
from app.imports.journal.records import BY_NOBODY, Intake
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

    def is_one_replaceable_file(self) -> bool:
        """Whether a single file is named, of a table whose imports can be replaced."""
        files = [file for file in (self.transactions, self.products, self.stores, self.events) if file is not None]
        return len(files) == 1 and self.known is None and self.campaign_files() == CampaignFiles()

    def campaign_files(self) -> CampaignFiles:
        """The files about campaigns."""
        return CampaignFiles(
            campaign_file("campaigns", self.campaigns),
            campaign_file("offers", self.offers),
            campaign_file("audience", self.audience),
            campaign_file("redemptions", self.redemptions),
        )


def run_imports(
    settings: Settings,
    sources: Sources,
    *,
    shift_to_now: bool,
    now: datetime,
    progress: Progress,
    intake: Intake = BY_NOBODY,
) -> list[ImportReport]:
    """Imports all that is named, catalogue first.

    Raises BadInput when nothing is, for an unknown data set, or for a file that came in before, read in another way,
    where `intake` does not say what is to become of that; and StoreUnavailable when the disk takes no more.
    """
    if intake.replaces is not None and not sources.is_one_replaceable_file():
        raise BadInput(
            "--replace takes the place of one import; give it with one file of --transactions, --products, --stores or"
            " --events"
        )
    with _writing(settings.data_dir):
        return _run(settings, sources, shift_to_now=shift_to_now, now=now, progress=progress, intake=intake)


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
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Progress, intake: Intake
) -> list[ImportReport]:
    reports: list[ImportReport] = []
    if sources.products is not None:
        named = partial(progress, "products")
        reports.append(import_products(settings, sources.products, now=now, progress=named, intake=intake))
    if sources.stores is not None:
        named = partial(progress, "stores")
        reports.append(import_stores(settings, sources.stores, now=now, progress=named, intake=intake))
    if sources.transactions is not None:
        named = partial(progress, "transactions")
        reports.append(
            import_transactions(
                settings, sources.transactions, shift_to_now=shift_to_now, now=now, progress=named, intake=intake
            )
        )
    if sources.events is not None:
        reports.append(_events(settings, sources.events, now, partial(progress, "events"), intake))
    reports += _campaigns(settings, sources, shift_to_now=shift_to_now, now=now, progress=progress, intake=intake)
    if sources.known is not None:
        reports += _known(settings, sources.known, shift_to_now=shift_to_now, now=now, progress=progress, intake=intake)
    if not reports:
        raise BadInput(
            "nothing to import: name --transactions, --products, --stores, --events, --campaigns, --offers, --audience,"
            " --redemptions or --source"
        )
    return reports


def _events(settings: Settings, path: Path, now: datetime, progress: StageProgress, intake: Intake) -> ImportReport:
    validate = partial(parse_event, client=LOCAL, now=now)
    return import_events(settings, path, validate=validate, now=now, progress=progress, intake=intake)


def _campaigns(
    settings: Settings, sources: Sources, *, shift_to_now: bool, now: datetime, progress: Progress, intake: Intake
) -> list[ImportReport]:
    """The campaigns, on the time line of the transactions where that was moved."""
    files = sources.campaign_files()
    if files == CampaignFiles():
        return []
    # Without a last_at, because campaigns never choose a shift of their own.
    shift_days = days_to_shift(settings.tables_dir, TABLE, last_at=None, now=now) if shift_to_now else 0
    if shift_days is None:
        raise BadInput("--shift-to-now moves campaigns as far as transactions; import those first, with --shift-to-now")
    return import_campaigns(settings, files, shift_days=shift_days, now=now, progress=progress, intake=intake)


def _known(
    settings: Settings, name: str, *, shift_to_now: bool, now: datetime, progress: Progress, intake: Intake
) -> list[ImportReport]:
    if name not in KNOWN_SOURCES:
        raise BadInput(f"--source {name!r} is not known; known: {', '.join(KNOWN_SOURCES)}")
    return import_complete_journey(settings, shift_to_now=shift_to_now, now=now, progress=progress, intake=intake)
