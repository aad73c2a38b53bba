"""A list of prices: each in its store's currency and from its day on, reported once and overruled by what is newer."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from app.composition.stores import opened_ledger
from app.errors import BadInput
from app.imports import ImportReport, import_prices
from app.imports.places.prices import AGAIN, EARLIER
from app.imports.undo import list_imports, undo_import
from app.places.prices import PriceReport, ReferenceRules
from app.places.stores import EVERYWHERE, Store
from app.settings import Settings
from app.stores.sql.places.prices import apply_prices, changed_prices, price_history_of
from app.stores.sql.places.stores import put_stores
from tests.support.world import no_progress
from tests.unit.imports.places.test_stores import refused

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEAD = "store_id,product_id,price,currency,valid_from"


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str) -> Settings:
    """A retailer in euros, with a store in Zurich."""
    settings = Settings.load(data_dir=tmp_path / "var", database_url=ledger_url)
    with opened_ledger(settings) as ledger:
        stores = [Store("s1"), Store("zh", currency="CHF")]
        ledger.write(lambda connection: put_stores(connection, stores, now=NOW))
    return settings


def brought(settings: Settings, rows: str, *, at: datetime = NOW, head: str = HEAD) -> ImportReport:
    """The import of these rows, which blanks part."""
    file = settings.data_dir.parent / "prices.csv"
    file.write_text("\n".join([head, *rows.split()]) + "\n", encoding="utf-8")
    return import_prices(settings, file, now=at, progress=no_progress)


def there(settings: Settings) -> dict[str, tuple[int | None, str]]:
    """The prices by store and product."""
    with opened_ledger(settings) as ledger:
        found = ledger.read(lambda connection: changed_prices(connection, 0, limit=1000))
    return {f"{one.store_id} {one.product_id}": (one.price_minor, one.currency) for one in found}


def history(settings: Settings, store_id: str, product_id: str) -> list[tuple[datetime, int | None]]:
    with opened_ledger(settings) as ledger:
        points = ledger.read(lambda connection: price_history_of(connection, store_id, product_id))
    return [(point.effective_at, point.price.price_minor) for point in points]


def test_prices_count_in_their_store_or_everywhere_from_their_day_on(settings: Settings) -> None:
    report = brought(
        settings, "s1,tea,2.19,EUR,2026-11-20T06:00:00Z zh,tea,2.505,, ,tea,1.99,EUR, ,mug,5,,2026-11-19T14:00:00Z"
    )
    assert there(settings) == {
        "s1 tea": (219, "EUR"), "zh tea": (250, "CHF"), " tea": (199, "EUR"), " mug": (500, "EUR"),
    }  # fmt: skip
    assert history(settings, "s1", "tea") == [(NOW.replace(hour=6), 219)]
    assert history(settings, EVERYWHERE, "tea") == [(NOW, 199)]
    assert (report.rows_read, report.rows_added, report.rows_known, report.rows_rejected) == (4, 4, 0, 0)
    [listed] = list_imports(settings)
    assert (listed.record.first_at, listed.record.last_at) == ("2026-11-19T14:00:00+00:00", NOW.isoformat())


def test_list_without_stores_counts_everywhere_and_again_changes_nothing(settings: Settings) -> None:
    assert brought(settings, "tea,1.99 mug,5", head="sku,price").rows_added == 2
    assert brought(settings, "tea,1.99 mug,5", head="sku,price", at=NOW + HOUR).rows_added == 0
    assert there(settings) == {" tea": (199, "EUR"), " mug": (500, "EUR")}
    report = brought(settings, "tea,1.99 mug,4", head="sku,price", at=NOW + 2 * HOUR)
    assert (report.rows_added, report.rows_known) == (1, 1)


def test_other_currency_is_refused_with_both_names(settings: Settings) -> None:
    report = brought(settings, "zh,tea,2,EUR, s1,tea,2,CHF, ,tea,2,USD, s1,mug,2,Euro, s1,pen,2,what,")
    assert [(line, column, reason) for line, column, reason in refused(report)] == [
        ("2", "currency", "currency_mismatch: EUR is not CHF, the currency of the store"),
        ("3", "currency", "currency_mismatch: CHF is not EUR, the currency of the store"),
        ("4", "currency", "currency_mismatch: USD is not EUR, the retailer's own (ENDCAP_CURRENCY)"),
        ("6", "currency", "not a currency: write a code as EUR"),
    ]
    assert there(settings) == {"s1 mug": (200, "EUR")}


def test_bad_rows_are_refused_with_their_remedy(settings: Settings) -> None:
    report = brought(
        settings,
        "s1,tea,-1,, s1,mug,,, s1,pen,NULL,, s9,tea,1,, s1,cup,1,,2026-11-21 s1,,1,, s1,pot,x,, s1,jar,3,,",
    )
    assert [(column, reason[:36]) for _, column, reason in refused(report)] == [
        ("price", "negative"),
        ("price", "missing"),
        ("price", "missing"),
        ("store_id", "store_not_found: import it first as "),
        ("valid_from", "in the future: import the price when"),
        ("product_id", "missing"),
        ("price", "not a number: write 1234.56"),
    ]
    assert there(settings) == {"s1 jar": (300, "EUR")}


def test_of_prices_that_have_counted_for_long_the_latest_is_reported(settings: Settings) -> None:
    report = brought(settings, "s1,tea,1,,2026-01-01 s1,tea,3,,2026-06-01 s1,tea,2,,2026-03-01 s1,tea,4,,2026-11-20")
    assert history(settings, "s1", "tea") == [(NOW - 36 * HOUR, 300), (NOW.replace(hour=0), 400)]
    assert dict(report.left_out) == {EARLIER: 2}
    assert (report.rows_read, there(settings)) == (4, {"s1 tea": (400, "EUR")})


def test_product_with_two_prices_at_once_is_refused_and_a_repetition_is_left_out(settings: Settings) -> None:
    report = brought(settings, "tea,1 mug,3 tea,2 mug,3", head="product_id,price")
    assert [(line, column) for line, column, _ in refused(report)] == [("2", "product_id"), ("4", "product_id")]
    assert (there(settings), dict(report.left_out)) == ({" mug": (300, "EUR")}, {AGAIN: 1})
    assert (report.rows_read, report.rows_added, report.rows_rejected) == (4, 1, 2)


def test_corrected_list_of_the_same_day_counts_whether_it_is_dearer_or_cheaper(settings: Settings) -> None:
    for price in (200, 300, 250):
        brought(settings, f"s1,tea,{price / 100},,2026-11-20")
        assert there(settings) == {"s1 tea": (price, "EUR")}


def test_newer_prices_stand_and_are_said(settings: Settings) -> None:
    event = PriceReport("erp", "e1", NOW - HOUR, None, 500, "EUR")
    with opened_ledger(settings) as ledger:
        ledger.write(lambda c: apply_prices(c, [("s1", "tea", event)], rules=ReferenceRules(), now=NOW))
    report = brought(settings, "s1,tea,2,,2026-11-20 s1,mug,2,,2026-11-20")
    assert there(settings) == {"s1 tea": (500, "EUR"), "s1 mug": (200, "EUR")}
    assert report.notes == ("of 1 products a newer price is known, which counts",)


def test_prices_go_in_by_many_transactions_and_cannot_be_taken_back(settings: Settings) -> None:
    seen: list[tuple[str, int, int | None]] = []
    file = settings.data_dir.parent / "prices.csv"
    file.write_text("\n".join([HEAD, *(f"s1,p{number},2,," for number in range(1500))]))
    report = import_prices(settings, file, now=NOW, progress=lambda *how_far: seen.append(how_far))
    assert [one for one in seen if one[0] == "prices reported"] == [
        ("prices reported", 1000, 1500),
        ("prices reported", 1500, 1500),
    ]
    with pytest.raises(BadInput, match=r"brought prices, .* stays; import the right file on top of it"):
        undo_import(settings, str(report.import_id), now=NOW)


def test_reductions_of_a_list_name_what_the_settings_let_them(settings: Settings) -> None:
    settings.tables_dir.mkdir(parents=True, exist_ok=True)
    table = pl.DataFrame({"product_id": ["milk", "oil"], "shelf_life_days": ["5", "700"]})
    table.write_parquet(settings.tables_dir / "products.parquet")
    lenient = settings.model_copy(update={"perishable_shelf_life_days": 7})
    for days, price in enumerate((5, 6, 4)):
        at = NOW + timedelta(days=days)
        brought(lenient, f"s1,milk,{price},, s1,oil,{price},,", at=at)
    with opened_ledger(settings) as ledger:
        found = ledger.read(lambda connection: changed_prices(connection, 0, limit=1000))
    assert {one.product_id: one.reference_minor for one in found} == {"milk": 600, "oil": None}
