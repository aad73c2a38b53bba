"""`endcap settlement`: the bill of each funder for a period."""

import csv
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from app.commands.terminal import AsJson, DataDir, load_settings, show
from app.commands.text_table import TextTable
from app.composition.stores import opened_ledger
from app.errors import BadInput
from app.offers.terms.money import format_amount
from app.settings import Settings
from app.stores.sql.accounts.reports import FunderTotal, settlement
from app.stores.sql.database.schema import has_ledger

COLUMNS = (
    "funder",
    "currency",
    "campaign_id",
    "spent_minor",
    "returned_minor",
    "net_minor",
    "spent_count",
    "returned_count",
)

From = Annotated[str, typer.Option("--from", help="First day or instant of the period, such as 2026-11-01.")]
To = Annotated[str, typer.Option("--to", help="First day or instant after the period, such as 2026-12-01.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print a row per funder and campaign as CSV.")]


def settle(from_: From, to: To, data_dir: DataDir = None, as_csv: AsCsv = False, as_json: AsJson = False) -> None:
    """Show what each funder owes for the coupons redeemed and reversed in a period."""
    settings = load_settings(data_dir)
    from_at, to_at = _instant(from_, "--from", settings), _instant(to, "--to", settings)
    if to_at <= from_at:
        raise BadInput(f"--to {to} must be after --from {from_}")
    if not has_ledger(settings):
        raise BadInput(f"{settings.data_dir} has no ledger yet; import campaigns or start the service first")
    with opened_ledger(settings) as ledger:
        totals = ledger.read(lambda connection: settlement(connection, from_at, to_at))
    if as_csv:
        _print_csv(totals)
        return
    facts = {"from": from_at.isoformat(), "to": to_at.isoformat(), "funders": [total.to_dict() for total in totals]}
    columns = ("funder", "currency", "redeemed", "reversed", "owes", "coupons")
    show(as_json, facts, TextTable(columns, [_row(total) for total in totals]))


def _instant(text: str, option: str, settings: Settings) -> datetime:
    """A day begins in the retailer's time zone, and so do times without a zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(f"{option} {text!r} is not a day or time; write 2026-11-01 or 2026-11-01T00:00:00Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(settings.time_zone))


def _row(total: FunderTotal) -> Sequence[str]:
    minors = (total.spent_minor, total.returned_minor, total.net_minor)
    amounts = (format_amount(minor, total.currency, thousands=",") for minor in minors)
    return total.funder, total.currency, *amounts, f"{total.spent_count:,}"


def _print_csv(totals: Sequence[FunderTotal]) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(COLUMNS)
    for total in totals:
        for one in total.campaigns:
            writer.writerow((total.funder, total.currency, *(getattr(one, name) for name in COLUMNS[2:])))
