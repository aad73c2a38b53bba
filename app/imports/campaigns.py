"""Import campaigns: what was offered to whom and what was redeemed goes into the ledger, and from there to training."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from time import perf_counter

import polars as pl

from app.composition.stores import opened_ledger
from app.imports import campaign_rows as rows
from app.imports.checked import check, without_ignored
from app.imports.journal.applied import journal_of
from app.imports.journal.records import BY_NOBODY, Intake, new_record, recorded
from app.imports.journal.reports import report_of
from app.imports.plan import Plan, opened
from app.imports.quality.erased import reported, without_erased
from app.imports.reading.block import Block, TableFile
from app.imports.reading.table_file import whole
from app.imports.report import ImportReport, Rejects
from app.offers.terms.status import CampaignStatus
from app.ports import Progress
from app.settings import Settings
from app.stores.sql.accounts import backfill
from app.stores.sql.accounts.outcomes import export_outcomes
from app.stores.sql.campaigns.campaigns import find_campaign
from app.stores.sql.coupons.audience_issuing import issue_to_audience
from app.stores.sql.database.engine import Ledger

COLUMNS = {
    "campaigns": ("campaign_id", "name", "funder", "currency", "budget", "starts_at", "ends_at"),
    "offers": ("offer_id", "campaign_id", "product_id", "name", "amount", "percent"),
    "audience": ("campaign_id", "customer_id", "timestamp"),
    "redemptions": ("offer_id", "customer_id", "timestamp", "discount", "channel"),
}

Opener = Callable[[], TableFile]


@dataclass(frozen=True, slots=True)
class CampaignFiles:
    """What opens the tables, each with the columns in `COLUMNS`; None = not given."""

    campaigns: Opener | None = None
    offers: Opener | None = None
    audience: Opener | None = None
    redemptions: Opener | None = None


def campaign_file(plan: Plan) -> Opener:
    """What opens the planned file as one of the tables."""
    return partial(opened, plan)


def import_campaigns(
    settings: Settings,
    files: CampaignFiles,
    *,
    shift_days: int,
    now: datetime,
    progress: Progress,
    intake: Intake = BY_NOBODY,
) -> list[ImportReport]:
    """Adds to the ledger what it lacks of the files, each in one transaction; the same files again add nothing.

    Campaigns that run at `now` give coupons to their audience. Nobody else gets one: of a campaign that is over,
    offers and audience show who could have redeemed what. At the end the tables for training are written again.
    """
    with opened_ledger(settings) as ledger:
        work = _Import(settings, ledger, timedelta(days=shift_days), now, progress, intake)
        steps = {
            "campaigns": (files.campaigns, work.campaigns),
            "offers": (files.offers, work.offers),
            "audience": (files.audience, work.audience),
            "redemptions": (files.redemptions, work.redemptions),
        }
        # One after the other, because rows are checked against what the tables before have added to the ledger.
        reports = [step(opened()) for opened, step in steps.values() if opened is not None]
        if reports:
            reports.append(work.coupons())
            export_outcomes(ledger, settings)
        return reports


class _Import:
    """One import on its way, table by table; notes which campaigns it touched."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        shift: timedelta,
        now: datetime,
        progress: Progress,
        intake: Intake,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._shift = shift
        self._now = now
        self._progress = progress
        self._intake = intake
        self._touched: set[str] = set()

    def campaigns(self, file: TableFile) -> ImportReport:
        def keep(frame: pl.DataFrame) -> int:
            wanted = rows.campaign_terms(frame, time_zone=self._settings.time_zone, shift=self._shift)
            return self._ledger.write(partial(backfill.add_campaigns, wanted=wanted, now=self._now))

        parse = partial(rows.parse_campaigns, default_currency=self._settings.currency)
        return self._import("campaigns", file, parse, keep)

    def offers(self, file: TableFile) -> ImportReport:
        known = self._ledger.read(backfill.known_campaigns)

        def keep(frame: pl.DataFrame) -> int:
            wanted = rows.offer_terms(frame, campaigns=known)
            return self._ledger.write(partial(backfill.add_offers, wanted=wanted, now=self._now))

        offers = self._ledger.read(backfill.campaigns_of_offers)
        return self._import("offers", file, partial(rows.parse_offers, campaigns=known, offers=offers), keep)

    def audience(self, file: TableFile) -> ImportReport:
        known = self._ledger.read(backfill.known_campaigns)

        def keep(frame: pl.DataFrame) -> int:
            wanted = rows.assignments(frame, campaigns=known, shift=self._shift, now=self._now)
            return self._ledger.write(partial(backfill.add_assigned, assigned=wanted, now=self._now))

        parse = partial(rows.parse_audience, campaigns=known, shift=self._shift, now=self._now)
        return self._import("audience", file, parse, keep)

    def redemptions(self, file: TableFile) -> ImportReport:
        known, offers = self._ledger.read(backfill.known_campaigns), self._ledger.read(backfill.campaigns_of_offers)

        def keep(frame: pl.DataFrame) -> int:
            wanted = rows.past_redemptions(frame, shift=self._shift)
            return self._ledger.write(partial(backfill.add_redemptions, wanted=wanted, now=self._now))

        parse = partial(rows.parse_redemptions, campaigns=known, offers=offers, shift=self._shift, now=self._now)
        return self._import("redemptions", file, parse, keep)

    def coupons(self) -> ImportReport:
        """Issues what the touched campaigns that run now owe their audience."""
        begun_s = perf_counter()
        issued = known = 0
        for campaign_id in sorted(self._touched):
            campaign = self._ledger.read(partial(find_campaign, campaign_id=campaign_id))
            if campaign.status_at(self._now) is CampaignStatus.RUNNING:
                stage = partial(self._progress, f"coupons of {campaign_id}")
                outcome = issue_to_audience(self._ledger, campaign_id, offer_id=None, now=self._now, progress=stage)
                issued, known = issued + outcome.issued_count, known + outcome.known_count
        seconds = perf_counter() - begun_s
        return ImportReport(
            "coupons", issued + known, issued, known, rows_rejected=0, rejects_path=None, seconds=seconds
        )

    def _import(
        self,
        table: str,
        file: TableFile,
        parse: Callable[[Block], rows.Columns],
        keep: Callable[[pl.DataFrame], int],
    ) -> ImportReport:
        begun_s = perf_counter()
        with Rejects(self._settings.rejects_dir, table=table, source=file.path) as rejects:
            block, erased_count = without_erased(whole(file), self._intake.is_erased)
            block, left_out = without_ignored(block)
            checked = check(block, parse(block))
            rejects.add(checked.rejects)
            height = checked.frame.height
            record = new_record(
                table, file, rejects.content, self._intake, currency=self._settings.currency, now=self._now
            )
            refused_count = rejects.rows + erased_count
            record = replace(record, rows_read=height + refused_count, rows_rejected=refused_count)
            with recorded(journal_of(self._settings), record) as kept:
                added = kept(keep(checked.frame))
            if "campaign_id" in checked.frame.columns:
                self._touched.update(checked.frame["campaign_id"].unique())
            self._progress(table, file.total, file.total)
            report = report_of(record, rejects, file, added=added, begun_s=begun_s, left_out=left_out)
            return replace(reported(report, erased_count), shift_days=self._shift.days or None)
