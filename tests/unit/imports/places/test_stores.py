"""A table of stores puts each of its rows into the ledger as a store, and refuses those that are none."""

import csv
from datetime import UTC, datetime, time
from pathlib import Path

import polars as pl
import pytest

from app.composition.stores import opened_ledger
from app.errors import StoreUnavailable
from app.imports import ImportReport, import_stores
from app.places.stores import Fulfilment, OpeningHours, Position, Store, StoreKind, Way
from app.settings import Settings
from app.stores.sql.places.stores import list_stores, put_stores, stored_stores
from tests.support.world import no_progress

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OPEN = (time(7), time(20))
BERLIN = Store(
    "b1",
    name="Mitte",
    position=Position(52.52, 13.405),
    time_zone="Europe/Berlin",
    holiday_region="DE-BE",
    hours=OpeningHours(((OPEN,),) * 6 + ((),)),
    ways={Way.IN_STORE: Fulfilment(), Way.PICKUP: Fulfilment(lead_minutes=120)},
    currency="EUR",
)


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str) -> Settings:
    return Settings.load(data_dir=tmp_path / "var", database_url=ledger_url, time_zone="Europe/Vienna")


def brought(settings: Settings, content: str) -> ImportReport:
    file = settings.data_dir.parent / "stores.csv"
    file.write_text(content, encoding="utf-8")
    return import_stores(settings, file, now=NOW, progress=lambda done, total: no_progress("stores", done, total))


def there(settings: Settings) -> dict[str, Store]:
    with opened_ledger(settings) as ledger:
        return dict(ledger.read(stored_stores))


def put(settings: Settings, *stores: Store) -> None:
    with opened_ledger(settings) as ledger:
        ledger.write(lambda connection: put_stores(connection, stores, now=NOW))


def refused(report: ImportReport) -> list[tuple[str, str, str]]:
    """Line, column and reason of each fault."""
    assert report.rejects_path is not None
    with report.rejects_path.open(encoding="utf-8", newline="") as file:
        return [(each["line"], each["column"], each["reason"]) for each in csv.DictReader(file)]


def test_rows_become_stores_and_further_columns_stay_in_the_table(settings: Settings) -> None:
    report = brought(
        settings,
        "store_id,store_name,lat,lon,time_zone,holiday_region,currency,opening_hours,ways,sqm\n"
        "b1,Mitte,52.52,13.405,Europe/Berlin,DE-BE,EUR,Mo-Sa 07:00-20:00,in_store; pickup lead_minutes=120,900\n"
        "w9,,NULL,,,,,,,\n",
    )
    assert there(settings) == {
        "b1": BERLIN,
        "w9": Store("w9", time_zone="Europe/Vienna", ways={Way.IN_STORE: Fulfilment()}),
    }
    assert report.notes[-1].startswith("2 of 2 stores are new or changed")
    assert (report.rows_added, report.ignored_columns) == (2, ())
    table = pl.read_parquet(settings.tables_dir / "stores.parquet").row(
        by_predicate=pl.col("store_id") == "b1", named=True
    )
    assert (table["sqm"], table["name"], table["currency"]) == ("900", "Mitte", "EUR")


def test_ids_alone_add_stores_and_erase_nothing(settings: Settings) -> None:
    put(settings, BERLIN)
    report = brought(settings, "store_id,name\nb1,\nb2,\n")
    assert there(settings)["b1"] == BERLIN
    assert set(there(settings)) == {"b1", "b2"}
    assert report.notes[-1].startswith("1 of 2 stores")


def test_columns_that_a_file_lacks_stay_and_empty_ones_clear(settings: Settings) -> None:
    put(settings, BERLIN)
    brought(settings, "store_id,name,currency\nb1,Alex,\n")
    [document] = _documents(settings)
    assert (document["name"], "currency" in document, document["revision"]) == ("Alex", False, 2)
    assert there(settings)["b1"].hours == BERLIN.hours
    assert brought(settings, "store_id,name,currency\nb1,Alex,\n").notes[-1].startswith("0 of 1 stores")


def _documents(settings: Settings) -> list[dict[str, object]]:
    with opened_ledger(settings) as ledger:
        return ledger.read(list_stores)


def test_store_that_becomes_a_warehouse_loses_what_only_a_store_has(settings: Settings) -> None:
    put(settings, BERLIN)
    brought(settings, "store_id,kind\nb1,warehouse\n")
    assert (there(settings)["b1"].kind, there(settings)["b1"].ways) == (StoreKind.WAREHOUSE, {})


def test_bad_values_cost_their_rows_with_the_column_and_the_remedy(settings: Settings) -> None:
    report = brought(
        settings,
        "store_id,latitude,time_zone,holiday_region,opening_hours,ways\n"
        "a,far,,,,\n"
        "b,48.1,,,,\n"
        "c,,Mars/Base,,,\n"
        "d,,,DE-XX,,\n"
        "e,,,,Mo 20:00-08:00,\n"
        "f,,,,,fly\n"
        ",,,,,\n"
        "g,,,,,\n",
    )
    assert (report.rows_read, report.rows_rejected, set(there(settings))) == (8, 7, {"g"})
    found = [(line, column, reason[:40]) for line, column, reason in refused(report)]
    assert found == [
        ("2", "latitude", "write degrees as a decimal number, such "),
        ("3", "store_id", "longitude: is required"),
        ("4", "time_zone", found[2][2]),
        ("5", "holiday_region", "no holiday calendar for region 'DE-XX': "),
        ("6", "opening_hours", "weekly/monday/0: 20:00-08:00 ends before"),
        ("7", "ways", "fly: is no field of a store; check its s"),
        ("8", "store_id", "missing"),
    ]


def test_degrees_with_a_decimal_comma_are_read_as_such(settings: Settings) -> None:
    brought(settings, "Filiale;Breitengrad;Längengrad\nb1;52,52;13,405\n")
    assert there(settings)["b1"].position == Position(52.52, 13.405)


def test_ledger_that_is_away_is_said_and_the_file_again_puts_the_stores(tmp_path: Path) -> None:
    away = Settings.load(data_dir=tmp_path / "var", database_url="postgresql://127.0.0.1:1/none")
    with pytest.raises(StoreUnavailable):
        brought(away, "store_id\nb1\n")
    back = Settings.load(data_dir=tmp_path / "var")
    report = brought(back, "store_id\nb1\n")
    assert (report.rows_added, set(there(back))) == (0, {"b1"})
