"""Campaigns of any retailer arrive row by row in the ledger and in the tables that training reads."""

import csv
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import Connection, func, select

from app.errors import BadInput
from app.imports.report import ImportReport
from app.imports.run import Sources, run_imports
from app.imports.undo import list_imports
from app.imports.values import NO_TIME
from app.offers.terms.records import CouponStatus
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms, Percent
from app.settings import ProductSelector, Settings
from app.stores.sql.accounts.backfill import BudgetTooSmall
from app.stores.sql.accounts.outcomes import export_if_there, export_outcomes
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.accounts.reports import campaign_budget, settlement
from app.stores.sql.campaigns.campaigns import act_on_campaign, change_offer, find_campaign, find_offer, list_offers
from app.stores.sql.coupons.issuing import coupons_of
from app.stores.sql.database.engine import Ledger
from app.stores.sql.database.tables import audience, coupons, metadata
from tests.support.tills import START, give, pay, return_lines, run_campaign
from tests.support.world import no_progress
from training.coupons.history import coupon_history

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FILES = {
    "campaigns": """campaign_id,name,funder,currency,budget,starts_at,ends_at
spring,Spring,Dairy Ltd,EUR,100.00,2026-03-01,2026-04-01
autumn,,,EUR,,2026-11-01,2026-12-01
winter,Winter,,EUR,,2026-12-01,
""",
    "offers": """offer_id,campaign_id,product_id,name,amount,percent
milk,spring,milk-1,Milk,0.50,
milk,spring,milk-2,Milk,0.50,
tea,autumn,tea-1,,,10
all,autumn,*,,1.00,
skis,winter,skis-1,,5,
""",
    "audience": """campaign_id,customer_id,timestamp
spring,anna,
spring,ben,2026-03-05
autumn,anna,
autumn,ben,
winter,anna,
""",
    "redemptions": """offer_id,customer_id,timestamp,discount,channel
milk,anna,2026-03-09T10:00:00Z,0.45,store
milk,anna,2026-03-10,0.50,Store
milk,carl,2026-03-11,,
tea,ben,2026-11-03T18:00:00Z,1.20,app
""",
}


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str) -> Settings:
    """A data directory of its own, and the ledger on either engine."""
    return Settings.load(data_dir=tmp_path / "var", database_url=ledger_url)


def bring(
    settings: Settings, folder: Path, files: dict[str, str] = FILES, *, now: datetime = NOW
) -> dict[str, ImportReport]:
    """Imports the files and gives the reports by table."""
    sources = written(folder, files)
    reports = run_imports(settings, sources, shift_to_now=False, now=now, progress=no_progress)
    return {report.table: report for report in reports}


def written(folder: Path, files: dict[str, str], *, transactions: Path | None = None) -> Sources:
    """The files in the folder, named for the import."""
    for table, text in files.items():
        (folder / f"{table}.csv").write_text(text)
    path = {table: folder / f"{table}.csv" for table in files}
    return Sources(
        transactions,
        campaigns=path.get("campaigns"),
        offers=path.get("offers"),
        audience=path.get("audience"),
        redemptions=path.get("redemptions"),
    )


def counts(reports: dict[str, ImportReport]) -> dict[str, tuple[int, int, int]]:
    return {table: (one.rows_added, one.rows_known, one.rows_rejected) for table, one in reports.items()}


def reasons(report: ImportReport) -> list[tuple[str, str, str]]:
    """Line, column and reason of what was refused."""
    assert report.rejects_path is not None
    with report.rejects_path.open(newline="") as file:
        return [(row["line"], row["column"], row["reason"]) for row in csv.DictReader(file)]


def contents(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table but the queue, which notes when something was looked at."""

    def work(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
        tables = [table for table in metadata.sorted_tables if table.name != "projection_queue"]
        return {table.name: sorted(map(tuple, connection.execute(select(table))), key=repr) for table in tables}

    return ledger.read(work)


def test_every_row_arrives(settings: Settings, tmp_path: Path) -> None:
    assert counts(bring(settings, tmp_path)) == {
        "campaigns": (3, 0, 0),
        "offers": (5, 0, 0),
        "audience": (5, 0, 0),
        "redemptions": (4, 0, 0),
        "coupons": (3, 1, 0),
    }


def test_the_same_files_again_change_nothing(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    before = contents(ledger)
    again = bring(settings, tmp_path)
    assert contents(ledger) == before
    assert [one.rows_added for one in again.values()] == [0] * 5
    assert [one.rows_known for one in again.values()] == [3, 5, 5, 4, 4]


def test_campaigns_and_offers_are_what_the_files_say(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    spring = ledger.read(partial(find_campaign, campaign_id="spring"))
    assert spring.terms == CampaignTerms(
        name="Spring",
        funder="Dairy Ltd",
        currency="EUR",
        budget_minor=10_000,
        starts_at=datetime(2026, 3, 1, tzinfo=UTC),
        ends_at=datetime(2026, 4, 1, tzinfo=UTC),
    )
    offers = {offer.offer_id: offer.terms for offer in ledger.read(list_offers)}
    assert offers["milk"] == OfferTerms(
        name="Milk",
        discount=Amount(type="amount", amount_minor=50),
        applies_to=(ProductSelector(product_ids=("milk-1", "milk-2")),),
        combinable=True,
    )
    assert offers["tea"].discount == Percent(type="percent", percent=10)
    assert [offers[name].name for name in ("tea", "all", "skis")] == ["10 % off", "1.00 EUR off", "5.00 EUR off"]
    assert offers["all"].applies_to == ()


def test_only_campaigns_that_run_now_give_coupons(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    wallets = {
        name: [(coupon.offer_id, coupon.status) for coupon in ledger.read(
            partial(coupons_of, customer_ids=[name], open_only=True))]
        for name in ("anna", "ben", "carl")
    }  # fmt: skip
    assert {name: sorted(offer for offer, _ in wallet) for name, wallet in wallets.items()} == {
        "anna": ["all", "tea"],
        "ben": ["all"],  # the coupon for tea is redeemed
        "carl": [],
    }


def test_redemptions_spend_the_budget_of_their_day(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    report = ledger.read(partial(campaign_budget, campaign_id="spring"))
    assert (report.spent_minor, report.remaining_minor) == (95, 9905)
    assert [(one.channel, one.net_minor) for one in report.channels] == [("store", 95), (None, 0)]
    march = ledger.read(partial(settlement, from_at=START.replace(month=3), to_at=START.replace(month=4)))
    assert [(total.funder, total.net_minor, total.spent_count) for total in march] == [("Dairy Ltd", 95, 3)]


def test_the_ledger_reconciles_after_an_import(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path, {table: text for table, text in FILES.items() if table != "redemptions"})
    bring(settings, tmp_path)
    assert ledger.read(reconcile) == []


def test_redemptions_beyond_the_budget_are_refused_whole(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    too_much = FILES | {"redemptions": "offer_id,customer_id,timestamp,discount\nmilk,anna,2026-03-09,100.01\n"}
    with pytest.raises(BudgetTooSmall, match="'spring'"):
        bring(settings, tmp_path, too_much)
    assert ledger.read(lambda connection: connection.execute(select(func.count()).select_from(coupons)).scalar()) == 0


def test_a_redemption_uses_up_the_coupon_that_is_out(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    without = {table: text for table, text in FILES.items() if table != "redemptions"}
    bring(settings, tmp_path, without)
    [before] = [one for one in ledger.read(partial(coupons_of, customer_ids=["ben"], open_only=True))
                if one.offer_id == "tea"]  # fmt: skip
    bring(settings, tmp_path, {"redemptions": FILES["redemptions"]})
    [after] = [one for one in ledger.read(partial(coupons_of, customer_ids=["ben"], open_only=False))
               if one.offer_id == "tea"]  # fmt: skip
    assert (after.coupon_id, after.status, after.uses) == (before.coupon_id, CouponStatus.REDEEMED, 1)


def test_training_reads_what_was_imported(settings: Settings, tmp_path: Path) -> None:
    bring(settings, tmp_path)
    history = coupon_history(settings)
    assert history is not None
    assert history.offers.rows() == [
        ("milk", "spring", "milk-1"),
        ("milk", "spring", "milk-2"),
        ("skis", "winter", "skis-1"),
        ("tea", "autumn", "tea-1"),
    ]
    march, april = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    assert ("anna", "spring", march, april) in history.assigned.rows()
    assert ("ben", "spring", march + timedelta(days=4), april) in history.assigned.rows()
    assert ("carl", "spring", march + timedelta(days=10), april) in history.assigned.rows()
    assert sorted(history.redeemed["customer_id"]) == ["anna", "anna", "ben", "carl"]


def test_what_tills_redeem_is_exported_and_what_comes_back_is_not(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    offer = OfferTerms(name="1 off", discount=Amount(type="amount", amount_minor=100), applies_to=(
        ProductSelector(attribute="category", values=("tea",)), ProductSelector(product_ids=("cup",))))  # fmt: skip
    run_campaign(ledger, "now", CampaignTerms(name="now", currency="EUR"), offer.model_copy(update={"applies_to": ()}))
    coupon = give(ledger, "now-0", "anna")
    redemption_id = pay(ledger, coupon, [500])
    ledger.write(partial(change_offer, offer_id="now-0", terms=offer, revision=None, now=NOW))
    settings.tables_dir.mkdir(parents=True)
    pl.DataFrame({"product_id": ["t1", "t2", "c1"], "category": ["tea", "tea", "cake"]}).write_parquet(
        settings.tables_dir / "products.parquet"
    )
    assert export_outcomes(ledger, settings) == {"coupon_offers": 3, "coupon_audience": 1, "coupon_redemptions": 1}
    assert pl.read_parquet(settings.tables_dir / "coupon_offers.parquet")["product_id"].to_list() == ["cup", "t1", "t2"]
    return_lines(ledger, redemption_id, now=NOW)
    export_if_there(settings)
    history = coupon_history(settings)
    assert history is not None
    assert history.redeemed.is_empty()
    assert history.assigned.rows() == [("anna", "now", START, None)]


def test_without_campaigns_nothing_is_exported(settings: Settings, tmp_path: Path) -> None:
    export_if_there(settings)
    export_if_there(Settings.load(data_dir=tmp_path / "empty"))
    assert not settings.tables_dir.exists()
    assert not (tmp_path / "empty").exists()


def test_each_fault_is_reported_with_its_line(settings: Settings, tmp_path: Path) -> None:
    reports = bring(settings, tmp_path, {
        "campaigns": FILES["campaigns"] + "late,,,EUR,-5,2026-05-02,2026-05-01\n"
        "spring,Other,Dairy Ltd,EUR,100,2026-03-01,\n",
        "offers": FILES["offers"] + "milk,autumn,milk-3,Milk,0.50,\nboth,spring,p,,1,10\nneither,spring,p,,,\n"
        "odd,spring,p,,,10.001\nlost,nowhere,p,,1,\nbare,spring,,,1,\nmilk,spring,milk-4,Milk,0.60,\n"
        "tiny,spring,p,,,1e-9\n",
        "audience": FILES["audience"] + "nowhere,anna,\nspring,,\nspring,dora,soon\n",
        "redemptions": FILES["redemptions"] + "milk,anna,,1,\nfoo,anna,2026-03-09,1,\nmilk,anna,2026-03-09,-1,fax\n",
    })  # fmt: skip
    assert reasons(reports["campaigns"]) == [
        ("5", "budget", "negative"),
        ("5", "ends_at", "not after starts_at"),
        ("6", "ends_at", "not as in an earlier row of the same campaign_id"),
        ("6", "name", "not as in an earlier row of the same campaign_id"),
    ]
    assert reasons(reports["offers"]) == [
        ("7", "campaign_id", "not as in an earlier row of the same offer_id"),
        ("8", "amount", "give amount or percent, one of them"),
        ("9", "amount", "give amount or percent, one of them"),
        ("10", "percent", "more than two decimals"),
        ("11", "campaign_id", "the ledger has no such campaign: import it first"),
        ("12", "product_id", "missing"),
        ("13", "amount", "not as in an earlier row of the same offer_id"),
        ("14", "percent", "not 0.01 to 100"),
        ("14", "percent", "more than two decimals"),
    ]
    assert [reason for _, _, reason in reasons(reports["audience"])] == [
        "the ledger has no such campaign: import it first",
        "missing",
        NO_TIME,
    ]
    assert [(column, reason.split(":")[0]) for _, column, reason in reasons(reports["redemptions"])] == [
        ("timestamp", "missing"),
        ("offer_id", "the ledger has no such offer"),
        ("channel", "not one of web, app, store, email, push, social, qr, kiosk, call"),
        ("discount", "negative"),
    ]
    assert reports["offers"].rows_added == 5


def test_corrected_rows_add_their_products_to_the_offer(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    more = FILES["offers"] + "milk,spring,milk-3,Milk,0.50,\n"
    assert counts(bring(settings, tmp_path, {"offers": more}))["offers"] == (1, 5, 0)
    milk = ledger.read(partial(find_offer, offer_id="milk"))
    assert milk.revision == 2
    assert milk.terms.applies_to == (ProductSelector(product_ids=("milk-1", "milk-2", "milk-3")),)


def test_what_people_changed_since_stays(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    bring(settings, tmp_path)
    ledger.write(partial(act_on_campaign, campaign_id="autumn", action="pause", now=NOW))
    before = contents(ledger)
    cheaper = FILES["offers"].replace("0.50", "0.60")
    dearer = FILES["campaigns"].replace("100.00", "900.00")
    more = FILES["audience"] + "autumn,dora,\n"
    bring(settings, tmp_path, {"campaigns": dearer, "offers": cheaper})
    assert contents(ledger) == before
    assert counts(bring(settings, tmp_path, {"audience": more})) == {"audience": (1, 5, 0), "coupons": (0, 0, 0)}


def test_an_offer_of_another_campaign_is_refused(settings: Settings, tmp_path: Path) -> None:
    bring(settings, tmp_path)
    moved = "offer_id,campaign_id,product_id,amount\nmilk,autumn,milk-1,0.50\n"
    reports = bring(settings, tmp_path, {"offers": moved})
    assert reasons(reports["offers"]) == [("2", "offer_id", "the ledger has this offer in another campaign")]


def test_campaigns_move_with_the_transactions(settings: Settings, tmp_path: Path, ledger: Ledger) -> None:
    lines = tmp_path / "lines.csv"
    lines.write_text("customer_id,product_id,timestamp\nanna,p,2025-11-20\n")
    with pytest.raises(BadInput, match="import those first"):
        run_imports(settings, written(tmp_path, FILES), shift_to_now=True, now=NOW, progress=no_progress)
    sources = written(tmp_path, FILES, transactions=lines)
    run_imports(settings, sources, shift_to_now=True, now=NOW, progress=no_progress)
    spring = ledger.read(partial(find_campaign, campaign_id="spring"))
    assert spring.terms.starts_at == datetime(2027, 3, 1, tzinfo=UTC)


def test_customer_named_again_is_assigned_at_the_earliest_time(
    settings: Settings, tmp_path: Path, ledger: Ledger
) -> None:
    times = ("2026-03-05", "", "2026-03-03", "2026-03-04")
    lines = [f"spring,many{number},{at}" for number in range(50) for at in times]
    bring(settings, tmp_path, FILES | {"audience": "\n".join(["campaign_id,customer_id,timestamp", *lines, ""])})
    query = select(audience.c.assigned_at).where(audience.c.customer_id.like("many%"))
    found = ledger.read(lambda connection: connection.scalars(query).all())
    assert (len(found), set(found)) == (50, {datetime(2026, 3, 3, tzinfo=UTC)})


def test_rows_that_a_mapping_leaves_out_come_in_nowhere(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "till.toml").write_text(
        'mapping = 1\nname = "till"\ntable = "campaigns"\n[columns]\ncampaign_id = "no"\n'
        '[[keep]]\ncolumn = "kind"\none_of = ["coupon"]\nwhy = "a price cut"\n'
    )
    (tmp_path / "campaigns.csv").write_text("no,kind\nspring,coupon\nautumn,price\n")
    sources = Sources(campaigns=tmp_path / "campaigns.csv", mapping=str(tmp_path / "till.toml"))
    report, _ = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    assert (report.rows_read, report.rows_added, report.left_out) == (2, 1, {"a price cut": 1})
    [listed] = list_imports(settings)
    assert (listed.record.rows_added, listed.record.rows_known) == (1, 0)


def test_columns_of_campaigns_that_nobody_reads_are_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "campaigns.csv").write_text("campaign_id,colour\nspring,green\n")
    sources = Sources(campaigns=tmp_path / "campaigns.csv")
    report, _ = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    assert report.ignored_columns == ("colour",)
