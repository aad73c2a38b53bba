"""`endcap import`: from what the caller named to the imports, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import duckdb
import polars as pl

from app.domain import LOCAL
from app.errors import BadInput, StoreUnavailable
from app.imports.campaigns import CampaignFiles, campaign_file, import_campaigns
from app.imports.catalogue import import_reference
from app.imports.events.event_file import import_events
from app.imports.inputs import expanded
from app.imports.journal.records import BY_NOBODY, STAYING_TABLES, Intake
from app.imports.mapping.load import load_mapping, mapping_names, named_mapping
from app.imports.mapping.model import FileForm, Mapping
from app.imports.places.prices import import_prices
from app.imports.places.stock import import_stock
from app.imports.plan import AS_FOUND, Plan, plan_of, zones_of_stores
from app.imports.promotions import import_promotions
from app.imports.reading.scratch import importing
from app.imports.report import ImportReport
from app.imports.shift import days_to_shift
from app.imports.sources.complete_journey import import_complete_journey
from app.imports.transactions import TABLE, import_transactions
from app.ingest.schema import parse_event
from app.ports import Progress
from app.settings import Settings
from app.stores.tables.layers import REFERENCE_TABLES

NO_SPACE = "No space left on device"
KNOWN_SOURCES = ("complete-journey",)
"""Data sets that need no file; files of other known sources are imported by their mapping of that name."""
CAMPAIGN_TABLES = ("campaigns", "offers", "audience", "redemptions")
ONE_FILE = "--replace takes the place of one import: give it with one file of transactions, products, stores or events"
ORDER = ("products", "stores", "stock", "prices", "transactions", "promotions", "events", *CAMPAIGN_TABLES)


@dataclass(frozen=True, slots=True)
class Sources:
    """What to import: files by table, files whose table they show themselves, a known data set, or several of them."""

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
    stock: Path | None = None
    prices: Path | None = None
    files: tuple[Path, ...] = ()
    mapping: str | None = None
    """A mapping file, or the name of a shipped one or of one that is kept."""
    stated: FileForm = AS_FOUND
    partial_stock: bool = False
    """Whether files of stock have only some products of their stores."""

    def named(self) -> list[tuple[str | None, Path]]:
        """Each file with its table, None where that is to be found."""
        by_table = [
            ("products", self.products),
            ("stores", self.stores),
            ("stock", self.stock),
            ("prices", self.prices),
            ("promotions", self.promotions),
            ("transactions", self.transactions),
            ("events", self.events),
            ("campaigns", self.campaigns),
            ("offers", self.offers),
            ("audience", self.audience),
            ("redemptions", self.redemptions),
        ]
        return [
            *((table, path) for table, path in by_table if path is not None),
            *((None, path) for path in self.files),
        ]


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
    if intake.replaces is not None and not (len(sources.named()) == 1 and sources.known not in KNOWN_SOURCES):
        raise BadInput(ONE_FILE)
    with _writing(settings.data_dir), planned(settings, sources) as plans, importing(settings.data_dir):
        if intake.replaces is not None and [plan.table in STAYING_TABLES for plan in plans] != [False]:
            raise BadInput(ONE_FILE)
        work = _Run(settings, sources, shift_to_now=shift_to_now, now=now, progress=progress, intake=intake)
        return work.run(plans)


@contextmanager
def planned(settings: Settings, sources: Sources) -> Iterator[list[Plan]]:
    """How each file that is named comes in, in the order of the imports; raises BadInput where that is not clear."""
    mapping = _mapping(settings.tables_dir, sources)
    named = sources.named()
    if not named and sources.known not in KNOWN_SOURCES:
        needs_file = f"{sources.known or sources.mapping} needs a file" if sources.known or sources.mapping else ""
        raise BadInput(needs_file or "nothing to import: name a file, or --source complete-journey")
    with ExitStack() as opened:
        plans = []
        for table, path in named:
            files = expanded([path], room=settings.data_dir, max_bytes=settings.import_max_bytes)
            for file in opened.enter_context(files):
                plans.append(
                    plan_of(
                        file,
                        table,
                        time_zone=settings.time_zone,
                        store_zones=zones_of_stores(settings.tables_dir),
                        stated=sources.stated,
                        mapping=mapping,
                    )
                )
        # Rows of later tables are checked against those of earlier ones.
        yield sorted(plans, key=lambda plan: ORDER.index(plan.table))


def _mapping(tables_dir: Path, sources: Sources) -> Mapping | None:
    name = sources.mapping or (sources.known if sources.known not in KNOWN_SOURCES else None)
    if name is None:
        return None
    if (named := named_mapping(tables_dir, name)) is not None:
        return named
    if sources.mapping is None or (not Path(name).exists() and "." not in name):
        raise BadInput(f"{name!r} is no known source; known: {', '.join((*KNOWN_SOURCES, *mapping_names(tables_dir)))}")
    return load_mapping(Path(name))


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


class _Run:
    """Imports on their way, all with one clock and one shift."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        *,
        shift_to_now: bool,
        now: datetime,
        progress: Progress,
        intake: Intake,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._shift_to_now = shift_to_now
        self._now = now
        self._progress = progress
        self._intake = intake

    def run(self, plans: Sequence[Plan]) -> list[ImportReport]:
        reports = [self._import(plan) for plan in plans if plan.table not in CAMPAIGN_TABLES]
        reports += self._campaigns([plan for plan in plans if plan.table in CAMPAIGN_TABLES])
        if self._sources.known in KNOWN_SOURCES:
            shift, now = self._shift_to_now, self._now
            reports += import_complete_journey(
                self._settings, shift_to_now=shift, now=now, progress=self._progress, intake=self._intake
            )
        return reports

    def _import(self, plan: Plan) -> ImportReport:
        settings, now, intake = self._settings, self._now, self._intake
        progress = partial(self._progress, plan.table)
        if plan.table in REFERENCE_TABLES:
            table = REFERENCE_TABLES[plan.table]
            return import_reference(table, settings, plan.path, now=now, progress=progress, plan=plan, intake=intake)
        if plan.table == "events":
            validate = partial(parse_event, client=LOCAL, now=now)
            return import_events(settings, plan.path, validate=validate, now=now, progress=progress, intake=intake)
        if plan.table == "promotions":
            days = self._shift_days("promotions")
            return import_promotions(
                settings, plan.path, shift_days=days, now=now, progress=progress, plan=plan, intake=intake
            )
        # Once more, because stores may have come in just before.
        plan = plan.in_zones(zones_of_stores(settings.tables_dir))
        if plan.table == "stock":
            whole = not self._sources.partial_stock
            return import_stock(
                settings, plan.path, now=now, progress=self._progress, plan=plan, intake=intake, is_complete=whole
            )
        if plan.table == "prices":
            return import_prices(settings, plan.path, now=now, progress=self._progress, plan=plan, intake=intake)
        return import_transactions(
            settings,
            plan.path,
            shift_to_now=self._shift_to_now,
            now=now,
            progress=progress,
            plan=plan,
            intake=intake,
        )

    def _campaigns(self, plans: Sequence[Plan]) -> list[ImportReport]:
        """The campaigns, on the time line of the transactions where that was moved."""
        if not plans:
            return []
        settings, now, shift_days = self._settings, self._now, self._shift_days("campaigns")
        files = CampaignFiles(**{plan.table: campaign_file(plan) for plan in plans})
        return import_campaigns(
            settings, files, shift_days=shift_days, now=now, progress=self._progress, intake=self._intake
        )

    def _shift_days(self, what: str) -> int:
        """How far the transactions were moved, and so must be what belongs to them."""
        if not self._shift_to_now:
            return 0
        # Without a last_at, because what belongs to transactions never chooses a shift of its own.
        days = days_to_shift(self._settings.tables_dir, TABLE, last_at=None, now=self._now)
        if days is None:
            raise BadInput(
                f"--shift-to-now moves {what} as far as transactions; import those first, with --shift-to-now"
            )
        return days
