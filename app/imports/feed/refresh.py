"""The products feed by URL: fetched when it changed, imported, and compared with what it said before."""

import hashlib
import logging
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import polars as pl

from app.errors import BadInput, EndcapError
from app.files import replace_durably, replace_whole_durably, turn
from app.imports.feed.changes import KEY, Changes, Feed, changes_of, read_feed
from app.imports.feed.fetch import Validators, fetch
from app.imports.journal.records import Intake
from app.imports.report import ImportReport
from app.imports.run import Sources, planned, run_imports
from app.settings import Settings
from app.stores.tables.feed_state import FeedState, read_state, write_state
from app.stores.tables.layers import GIVEN, PRODUCTS, LayeredTable

BY = "product feed"
LEAST_RATIO = 0.5
"""A feed with fewer of the products that it had before is taken for cut off."""
REPORTS_KEPT = 50
RECOMMENDABLE = "recommendable"

_log = logging.getLogger(__name__)


class FeedRefused(BadInput):
    """The feed came, and cannot be right."""

    code = "feed_refused"


@dataclass(frozen=True, slots=True)
class FeedReport:
    """What became of one look at the feed."""

    is_changed: bool
    changes: Changes = field(default_factory=Changes)
    imports: tuple[ImportReport, ...] = ()
    withdrawn_count: int = 0
    returned_count: int = 0

    def to_dict(self) -> dict[str, object]:
        """The same in plain JSON types."""
        return {
            "is_changed": self.is_changed,
            "changes": self.changes.to_dict(),
            "imports": [one.to_dict() for one in self.imports],
            "withdrawn": self.withdrawn_count,
            "returned": self.returned_count,
        }

    def lines(self) -> list[str]:
        """The same for people."""
        if not self.is_changed:
            return ["the feed is the one of before"]
        counted = ", ".join(f"{count:,} {name}" for name, count in self.changes.counts.items())
        moved = f"{self.withdrawn_count:,} withdrawn, {self.returned_count:,} back"
        return [f"feed: {counted}; {moved}", *(line for one in self.imports for line in one.lines())]


def refresh(settings: Settings, *, now: datetime, accepts_fewer: bool = False) -> FeedReport:
    """One look at the feed; what it lacks of before is withdrawn. A look that fails changes nothing, and is noted.

    Raises BadInput without a URL, FeedUnavailable, FeedRefused, and what an import raises.
    """
    if settings.product_feed_url is None:
        raise BadInput("there is no feed; set ENDCAP_PRODUCT_FEED_URL, see docs/import.md#products-by-url")
    folder = settings.feeds_dir
    with _alone(folder):
        look = _Look(settings, settings.product_feed_url, folder, read_state(folder), now)
        try:
            report, state = look.taken(accepts_fewer=accepts_fewer)
        except EndcapError as error:
            write_state(folder, replace(look.state, attempted_at=now.timestamp(), problem=error.message))
            raise
        write_state(folder, state)
        return report


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with turn(folder / "lock"):
        yield


@dataclass(frozen=True, slots=True)
class _Look:
    settings: Settings
    url: str
    folder: Path
    state: FeedState
    now: datetime

    def taken(self, *, accepts_fewer: bool) -> tuple[FeedReport, FeedState]:
        """What became of it, and the state after it."""
        at = self.now.timestamp()
        source = hashlib.sha256(self.url.encode()).hexdigest()
        known = Validators(self.state.etag, self.state.modified) if self.state.source == source else None
        with TemporaryDirectory(prefix=".fetch-", dir=self.folder) as scratch:
            limit = self.settings.import_max_bytes
            fetched = fetch(self.url, Path(scratch), max_bytes=limit, known=known)
            if fetched is None:
                return FeedReport(is_changed=False), replace(self.state, attempted_at=at, succeeded_at=at, problem=None)
            state = replace(self.state, source=source, **asdict(fetched.validators), attempted_at=at, succeeded_at=at)
            report, withdrawn, count = self._imported(fetched.path, accepts_fewer=accepts_fewer)
        return report, replace(state, problem=None, product_count=count, withdrawn=tuple(sorted(withdrawn)))

    def _imported(self, path: Path, *, accepts_fewer: bool) -> tuple[FeedReport, Set[str], int]:
        settings, now = self.settings, self.now
        sources = Sources(products=path, mapping=settings.product_feed_mapping)
        with planned(settings, sources) as plans:
            feed = read_feed(plans, currency=settings.currency)
        before = self._before()
        known = set() if before is None else set(before[KEY])
        if not feed.products.height:
            raise FeedRefused("the feed holds no product that can be taken; nothing was changed")
        kept = len(feed.named & known)
        if not accepts_fewer and kept < LEAST_RATIO * len(known):
            raise FeedRefused(
                f"the feed has {kept:,} of the {len(known):,} products that it had before, fewer than half: nothing was"
                " changed; if that is right, run `endcap feed --accept-fewer`"
            )
        reports = run_imports(
            settings, sources, shift_to_now=False, now=now, progress=_silent, intake=Intake(BY, keeps_both=True)
        )
        # Of lines that cannot be read nobody knows which products they are.
        gone = known - feed.named if feed.is_whole else set()
        withdrawn, returned = self._settle(feed, gone)
        changes = Changes() if before is None else changes_of(before, feed, gone)
        report = FeedReport(True, changes, tuple(reports), len(gone & withdrawn), len(returned))
        self._keep(feed, before, report)
        return report, withdrawn, feed.products.height

    def _before(self) -> pl.DataFrame | None:
        path = self.folder / "products.parquet"
        return pl.read_parquet(path) if path.exists() else None

    def _settle(self, feed: Feed, gone: Set[str]) -> tuple[Set[str], Set[str]]:
        """Withdraws what is gone and takes back what is there again; which products the feed keeps withdrawn now."""
        table = LayeredTable(self.settings.tables_dir, PRODUCTS)
        earlier = set(self.state.withdrawn)
        returned = earlier & feed.named
        with table.held():
            stored = table.stored()
            # What somebody else withdrew is not for the feed to bring back.
            hidden = (
                set(stored.filter(pl.col(RECOMMENDABLE) == "no")[KEY]) if RECOMMENDABLE in stored.columns else set()
            )
            withdrawn = gone - hidden
            cells: list[tuple[str, str | None]] = [(one, "no") for one in sorted(withdrawn)]
            if RECOMMENDABLE not in feed.products.columns:
                cells += [(one, None) for one in sorted(returned)]
            if cells:
                rows = pl.DataFrame(cells, schema={KEY: pl.String, RECOMMENDABLE: pl.String}, orient="row")
                given = pl.Series(GIVEN, [[RECOMMENDABLE]] * len(cells), pl.List(pl.String))
                table.put_cells(rows.with_columns(given), now=self.now)
        return (earlier - returned) | withdrawn, returned

    def _keep(self, feed: Feed, before: pl.DataFrame | None, report: FeedReport) -> None:
        """The products to compare the next feed with, and the report; the log has its counts."""
        _log.info("product feed imported", extra=report.changes.counts | {"withdrawn": report.withdrawn_count})
        products = feed.products
        if not feed.is_whole and before is not None:
            unread = before.join(products, on=KEY, how="anti")
            products = pl.concat([products, unread], how="diagonal").sort(KEY)
        if before is not None and not any(report.changes.counts.values()):
            return
        name = f"report-{self.now:%Y-%m-%dT%H-%M-%S}.json"
        replace_durably(self.folder / name, orjson.dumps(report.to_dict(), option=orjson.OPT_INDENT_2))
        for path in sorted(self.folder.glob("report-*.json"))[:-REPORTS_KEPT]:
            path.unlink()
        replace_whole_durably(self.folder / "products.parquet", products.write_parquet)


def _silent(name: str, done: int, total: int | None, /) -> None:
    pass
