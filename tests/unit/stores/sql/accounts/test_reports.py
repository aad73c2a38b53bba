"""What funders owe and where a campaign's budget went adds up to what was redeemed and rolled back."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from app.cli import cli
from app.composition.stores import opened_ledger
from app.errors import BadInput
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms, Points
from app.settings import Settings
from app.stores.sql.accounts.reports import FunderTotal, campaign_budget, settlement
from app.stores.sql.campaigns.campaigns import CampaignNotFound
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import redemptions, rollbacks
from app.stores.sql.redemption.rollback import ReturnedLine
from tests.support.tills import START, give, pay, return_lines, run_campaign

DAY = timedelta(days=1)
FUNDERS = {"own": "retailer", "dairy": "Dairy Ltd", "dairy-2": "Dairy Ltd", "snacks": "Snacks Inc"}
CHANNELS = ("store", "web", "app")


def three_euros_off() -> OfferTerms:
    return OfferTerms(name="3 off", discount=Amount(type="amount", amount_minor=300), uses_per_code=None)


def settle(ledger: Ledger, from_at: datetime, to_at: datetime) -> list[FunderTotal]:
    return ledger.read(lambda connection: settlement(connection, from_at, to_at))


@pytest.fixture
def busy_ledger(ledger: Ledger) -> Ledger:
    """Ten days with redemptions in all channels, of which some come back later, whole or in part."""
    random = np.random.default_rng(3)
    coupons = []
    for campaign_id, funder in FUNDERS.items():
        terms = CampaignTerms(name=campaign_id, funder=funder, currency="EUR", budget_minor=100_000)
        run_campaign(ledger, campaign_id, terms, three_euros_off())
        coupons.append(give(ledger, f"{campaign_id}-0", "anna"))
    for number in range(40):
        at = START + DAY * int(random.integers(10))
        amounts = [int(amount) for amount in random.integers(1, 400, 3)]
        redemption_id = pay(ledger, coupons[number % 4], amounts, channel=CHANNELS[number % 3], now=at)
        if number % 8 == 1:
            return_lines(ledger, redemption_id, now=at + DAY)
        if number % 5 == 2:
            return_lines(ledger, redemption_id, ReturnedLine("1"), now=at + 2 * DAY)
    return ledger


def redeemed_minus_returned(ledger: Ledger, from_at: datetime, to_at: datetime) -> int:
    def work(connection):  # type: ignore[no-untyped-def]  # a Connection
        spent = select(func.sum(redemptions.c.discount_minor)).where(
            redemptions.c.redeemed_at >= from_at, redemptions.c.redeemed_at < to_at
        )
        back = select(func.sum(rollbacks.c.amount_minor)).where(
            rollbacks.c.rolled_back_at >= from_at, rollbacks.c.rolled_back_at < to_at
        )
        return (connection.execute(spent).scalar_one() or 0) - (connection.execute(back).scalar_one() or 0)

    return int(ledger.read(work))


@pytest.mark.parametrize("days", [(0, 30), (0, 4), (4, 5), (5, 12), (20, 30)])
def test_bills_of_a_period_add_up_to_its_redemptions_without_its_rollbacks(
    busy_ledger: Ledger, days: tuple[int, int]
) -> None:
    from_at, to_at = (START + DAY * day for day in days)
    totals = settle(busy_ledger, from_at, to_at)
    assert sum(total.net_minor for total in totals) == redeemed_minus_returned(busy_ledger, from_at, to_at)
    for total in totals:
        assert total.net_minor == sum(one.net_minor for one in total.campaigns)


def test_each_campaign_is_on_the_bill_of_its_funder(busy_ledger: Ledger) -> None:
    totals = settle(busy_ledger, START, START + 30 * DAY)
    assert {total.funder: [one.campaign_id for one in total.campaigns] for total in totals} == {
        "Dairy Ltd": ["dairy", "dairy-2"],
        "Snacks Inc": ["snacks"],
        "retailer": ["own"],
    }
    assert sum(total.spent_count for total in totals) == 40


def test_periods_that_follow_each_other_bill_all_once(busy_ledger: Ledger) -> None:
    whole = sum(total.net_minor for total in settle(busy_ledger, START, START + 30 * DAY))
    daily = [settle(busy_ledger, START + DAY * day, START + DAY * (day + 1)) for day in range(30)]
    assert sum(total.net_minor for totals in daily for total in totals) == whole


def test_a_period_without_money_bills_nobody(busy_ledger: Ledger) -> None:
    assert settle(busy_ledger, START - 9 * DAY, START) == []


def test_currencies_are_billed_apart(ledger: Ledger) -> None:
    for currency in ("EUR", "CHF"):
        terms = CampaignTerms(name=currency, funder="Dairy Ltd", currency=currency)
        run_campaign(ledger, currency, terms, three_euros_off())
        pay(ledger, give(ledger, f"{currency}-0", "anna"), [1000], currency=currency)
    found = [(one.funder, one.currency, one.net_minor) for one in settle(ledger, START, START + DAY)]
    assert found == [("Dairy Ltd", "CHF", 300), ("Dairy Ltd", "EUR", 300)]


def test_points_are_billed_at_their_cost(ledger: Ledger) -> None:
    offer = OfferTerms(name="points", discount=Points(type="points", points=50, point_cost_minor=2))
    run_campaign(ledger, "points", CampaignTerms(name="points", currency="EUR"), offer)
    pay(ledger, give(ledger, "points-0", "anna"), [1000])
    assert [one.net_minor for one in settle(ledger, START, START + DAY)] == [100]


def test_channels_of_a_campaign_add_up_to_what_it_spent(busy_ledger: Ledger) -> None:
    for campaign_id, funder in FUNDERS.items():
        report = busy_ledger.read(lambda connection, one=campaign_id: campaign_budget(connection, one))  # type: ignore[misc]
        assert sum(one.net_minor for one in report.channels) == report.spent_minor > 0
        assert {one.channel for one in report.channels} <= set(CHANNELS)
        assert report.remaining_minor == 100_000 - report.spent_minor
        assert report.funder == funder


def test_last_entries_come_first(busy_ledger: Ledger) -> None:
    report = busy_ledger.read(lambda connection: campaign_budget(connection, "own", entry_count=3))
    ids = [entry.entry_id for entry in report.entries]
    assert len(ids) == 3
    assert ids == sorted(ids, reverse=True)


def test_a_campaign_without_money_has_its_budget_and_no_channel(ledger: Ledger) -> None:
    run_campaign(ledger, "new", CampaignTerms(name="new", currency="EUR", budget_minor=5), three_euros_off())
    report = ledger.read(lambda connection: campaign_budget(connection, "new"))
    assert (report.spent_minor, report.channels) == (0, ())
    assert [(entry.kind, entry.amount_minor) for entry in report.entries] == [("budget", 5)]


def test_an_unknown_campaign_is_not_found(ledger: Ledger) -> None:
    with pytest.raises(CampaignNotFound, match="'nobody'"):
        ledger.read(lambda connection: campaign_budget(connection, "nobody"))


def output_of(capsys: pytest.CaptureFixture[str], data_dir: Path, *words: str) -> str:
    """What `endcap settlement` prints for November."""
    command = ["settlement", "--from", "2026-11-01", "--to", "2026-12-01", "--data-dir", str(data_dir), *words]
    cli(command, standalone_mode=False)
    return capsys.readouterr().out


@pytest.fixture
def billed(tmp_path: Path) -> Path:
    """A data directory whose ledger has one redemption of three euros."""
    settings = Settings.load(data_dir=tmp_path / "var")
    with opened_ledger(settings) as ledger:
        run_campaign(ledger, "own", CampaignTerms(name="own", currency="EUR"), three_euros_off())
        pay(ledger, give(ledger, "own-0", "anna"), [1000])
    return settings.data_dir


def test_command_tells_the_bill_to_people_programs_and_spreadsheets(
    billed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = output_of(capsys, billed)
    assert "retailer" in words
    assert "3.00" in words
    funders = json.loads(output_of(capsys, billed, "--json"))["funders"]
    assert [(one["funder"], one["net_minor"]) for one in funders] == [("retailer", 300)]
    header, row = output_of(capsys, billed, "--csv").splitlines()
    assert dict(zip(header.split(","), row.split(","), strict=True))["net_minor"] == "300"


def test_command_says_what_is_missing_or_wrong(billed: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no ledger yet"):
        cli(["settlement", "--from", "2026-11-01", "--to", "2026-12-01", "--data-dir", str(tmp_path)],
            standalone_mode=False)  # fmt: skip
    for begin, end, words in (
        ("soon", "2026-12-01", "not a day or time"),
        ("2026-12-01", "2026-12-01", "after --from"),
    ):
        with pytest.raises(BadInput, match=words):
            cli(["settlement", "--from", begin, "--to", end, "--data-dir", str(billed)], standalone_mode=False)
