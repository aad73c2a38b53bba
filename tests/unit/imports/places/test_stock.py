"""A file of stock is compared with what is known, store by store, and counts from its instant on."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import select

from app.composition.stores import opened_ledger
from app.errors import BadInput
from app.imports import ImportReport, import_stock
from app.imports.journal.records import REPEATED_WITHIN
from app.imports.report import Difference, Differences
from app.imports.undo import list_imports, undo_import
from app.places.stock import StockReport
from app.places.stores import Store
from app.settings import Settings
from app.stores.sql.database.place_tables import stock
from app.stores.sql.places.stock import apply_stock
from app.stores.sql.places.stores import put_stores
from tests.support.world import no_progress
from tests.unit.imports.places.test_stores import refused

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
Bring = Callable[..., ImportReport]


@pytest.fixture
def settings(tmp_path: Path, ledger_url: str) -> Settings:
    """Two stores and a warehouse on either engine."""
    settings = Settings.load(data_dir=tmp_path / "var", database_url=ledger_url)
    with opened_ledger(settings) as ledger:
        stores = [Store("s1", time_zone="Europe/Berlin"), Store("s2"), Store("w1")]
        ledger.write(lambda connection: put_stores(connection, stores, now=NOW))
    return settings


def brought(
    settings: Settings, rows: str, *, at: datetime = NOW, head: str = "store_id,product_id,quantity", whole: bool = True
) -> ImportReport:
    """The import of these rows, which blanks part."""
    file = settings.data_dir.parent / "stock.csv"
    file.write_text("\n".join([head, *rows.split()]) + "\n", encoding="utf-8")
    return import_stock(settings, file, now=at, progress=no_progress, is_complete=whole)


def sold(settings: Settings, store_id: str, product_id: str, *, milli: int, at: datetime) -> None:
    """A till's report."""
    report = StockReport("till", f"{store_id} {product_id} {at}", at, None, change_milli=-milli)
    with opened_ledger(settings) as ledger:
        ledger.write(lambda connection: apply_stock(connection, [(store_id, product_id, report)], now=at))


def there(settings: Settings) -> dict[str, float | None]:
    """What is known, by store and product."""
    with opened_ledger(settings) as ledger:
        columns = stock.c.store_id, stock.c.product_id, stock.c.quantity_milli
        rows = ledger.read(lambda connection: connection.execute(select(*columns)).all())
    return {f"{store} {product}": None if milli is None else milli / 1000 for store, product, milli in rows}


def test_file_counts_from_its_instant_on_and_reports_what_was_known_otherwise(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s1,mug,3 s1,pen,2.5 s2,tea,4")
    sold(settings, "s1", "mug", milli=1000, at=NOW + HOUR)
    report = brought(settings, "s1,tea,5 s1,mug,4 s1,cup,9", at=NOW + 2 * HOUR)
    assert there(settings) == {"s1 tea": 5, "s1 mug": 4, "s1 pen": 0, "s1 cup": 9, "s2 tea": 4}
    firsts = (Difference("s1", "cup", None, 9), Difference("s1", "mug", 2, 4), Difference("s1", "pen", 2.5, 0))
    assert report.differences == Differences(1, 2, 0, missing=1, emptied=1, first=firsts)
    assert (report.rows_read, report.rows_added, report.rows_known) == (3, 2, 1)
    assert "  store s1, product mug: 2 → 4" in report.lines()
    assert json.loads(json.dumps(report.to_dict()))["differences"]["first"][1] == {
        "store_id": "s1", "product_id": "mug", "was": 2.0, "now": 4.0,
    }  # fmt: skip


def test_file_that_is_sent_again_changes_nothing_though_something_was_sold_since(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s1,mug,3")
    sold(settings, "s1", "tea", milli=2000, at=NOW + HOUR)
    report = brought(settings, "s1,tea,5 s1,mug,3", at=NOW + 2 * HOUR)
    assert there(settings) == {"s1 tea": 3, "s1 mug": 3}
    assert (report.rows_added, report.rows_known) == (0, 2)
    [listed] = list_imports(settings)
    assert (listed.status, listed.record.rows_added, listed.record.at) == ("done", 2, NOW.isoformat())


@pytest.mark.parametrize("later", [REPEATED_WITHIN, 30 * HOUR, 100 * HOUR])
def test_same_numbers_a_night_later_are_a_new_count(settings: Settings, later: timedelta) -> None:
    brought(settings, "s1,tea,5")
    sold(settings, "s1", "tea", milli=2000, at=NOW + HOUR)
    assert brought(settings, "s1,tea,5", at=NOW + later).rows_added == 1
    assert there(settings) == {"s1 tea": 5}


def test_first_file_counts_again_after_another_one(settings: Settings) -> None:
    for number, rows in enumerate(("s1,tea,5", "s1,tea,1", "s1,tea,5")):
        brought(settings, rows, at=NOW + number * HOUR)
    assert there(settings) == {"s1 tea": 5}


def test_corrected_file_of_the_same_instant_counts_whether_it_has_more_or_less(settings: Settings) -> None:
    head = "store_id,product_id,quantity,as_of"
    for quantity in (5, 7, 6):
        brought(settings, f"s1,tea,{quantity},2026-11-20T06:00:00Z", head=head)
        assert there(settings) == {"s1 tea": quantity}


def test_instant_of_a_store_is_that_of_its_earliest_row_in_the_store_s_zone(settings: Settings) -> None:
    head = "store_id;product_id;quantity;as_of"
    (settings.tables_dir).mkdir(parents=True)
    pl.DataFrame({"store_id": ["s1"], "time_zone": ["Europe/Berlin"]}).write_parquet(
        settings.tables_dir / "stores.parquet"
    )
    brought(settings, "s1;tea;5;2026-11-20T08:00 s1;mug;5;2026-11-20T07:00 s2;tea;5;2026-11-20T07:00", head=head)
    for minute in (30, 90):
        at = NOW.replace(hour=6) + timedelta(minutes=minute)
        for cell in ("s1 tea", "s1 mug", "s2 tea"):
            sold(settings, *cell.split(), milli=1000, at=at)
    # Berlin's 7 is 6 in UTC: both sales are after it.
    assert there(settings) == {"s1 tea": 3, "s1 mug": 3, "s2 tea": 4}
    [listed] = list_imports(settings)
    assert (listed.record.first_at, listed.record.last_at) == (
        "2026-11-20T06:00:00+00:00",
        "2026-11-20T07:00:00+00:00",
    )


def test_newer_reports_stand_and_are_counted(settings: Settings) -> None:
    brought(settings, "s1,tea,5")
    head = "store_id,product_id,quantity,as_of"
    report = brought(settings, "s1,tea,9,2026-11-20T06:00:00Z", head=head)
    assert there(settings) == {"s1 tea": 5}
    assert report.differences == Differences(0, 0, 1, missing=0, emptied=0)


def test_bad_rows_are_refused_with_their_remedy_and_empty_nothing(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s1,mug,3 s2,tea,4 s2,mug,2")
    head = "store_id,product_id,quantity,as_of"
    report = brought(
        settings,
        "s1,tea,many, s1,pen,1, s9,tea,1, s1,,2, s1,cup,, s1,cap,2000000, s1,jar,1,2026-11-17 s1,pot,1,2026-11-21"
        " s2,tea,1,",
        head=head,
        at=NOW + HOUR,
    )
    assert [(column, reason[:31]) for _, column, reason in refused(report)] == [
        ("quantity", "not a number: write 1234.56"),
        ("store_id", "store_not_found: import it firs"),
        ("product_id", "missing"),
        ("quantity", "missing"),
        ("quantity", "beyond 1,000,000"),
        ("as_of", "more than 2 days ago: send a ne"),
        ("as_of", "after now: it cannot have happe"),
    ]
    # Store s1 has refused rows, so what the file lacks of it is not taken for gone; s2 has all of its own.
    assert there(settings) == {"s1 tea": 5, "s1 mug": 3, "s1 pen": 1, "s2 tea": 1, "s2 mug": 0}
    assert "stores with refused rows, where products that the file lacks stay as they are: s1" in report.notes


def test_row_without_a_store_leaves_every_store_incomplete(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s2,mug,3")
    report = brought(settings, "s1,pen,1 ,cup,3 s2,cup,3", at=NOW + HOUR)
    assert there(settings) == {"s1 tea": 5, "s1 pen": 1, "s2 mug": 3, "s2 cup": 3}
    assert report.notes[-1].startswith("of some refused rows nobody knows the store")


def test_several_lines_of_one_product_are_all_refused(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s1,mug,3")
    report = brought(settings, "s1,tea,2 s1,cup,1 s1,tea,4", at=NOW + HOUR)
    assert there(settings) == {"s1 tea": 5, "s1 mug": 3, "s1 cup": 1}
    assert [(line, column) for line, column, _ in refused(report)] == [("2", "product_id"), ("4", "product_id")]
    assert (report.rows_read, report.rows_added, report.rows_rejected) == (3, 1, 2)
    assert report.rejects_path is not None
    assert '{"store_id":"s1","product_id":"tea","quantity":4.0}' in report.rejects_path.read_text().replace('""', '"')


def test_part_of_a_stock_leaves_the_rest(settings: Settings) -> None:
    brought(settings, "s1,tea,5 s1,mug,3")
    report = brought(settings, "s1,tea,4", at=NOW + HOUR, whole=False)
    assert there(settings) == {"s1 tea": 4, "s1 mug": 3}
    assert report.differences == Differences(0, 1, 0, missing=0, emptied=0, first=(Difference("s1", "tea", 5, 4),))


def test_stock_cannot_be_taken_back_but_overruled(settings: Settings) -> None:
    report = brought(settings, "s1,tea,5")
    with pytest.raises(BadInput, match=r"brought stock, .* stays; import the right file on top of it"):
        undo_import(settings, str(report.import_id), now=NOW)


def test_import_that_was_cut_off_is_listed_and_goes_on_as_of_the_same_instant(settings: Settings) -> None:
    def break_off(stage: str, done: int, total: int | None) -> None:
        if stage == "stock compared":
            raise KeyboardInterrupt

    rows = [f"s1,p{number},2" for number in range(1500)]
    file = settings.data_dir.parent / "stock.csv"
    file.write_text("\n".join(["store_id,product_id,quantity", *rows]))
    with pytest.raises(KeyboardInterrupt):
        import_stock(settings, file, now=NOW, progress=break_off)
    assert [one.status for one in list_imports(settings)] == ["unfinished"]
    assert len(there(settings)) == 1000
    sold(settings, "s1", "p0", milli=1000, at=NOW + HOUR)
    report = import_stock(settings, file, now=NOW + 2 * HOUR, progress=no_progress)
    assert (report.rows_added, report.rows_known) == (500, 1000)
    assert (there(settings)["s1 p0"], len(there(settings))) == (1, 1500)
    assert [one.status for one in list_imports(settings)] == ["done"]


def test_german_export_is_read_with_its_names_and_its_decimal_comma(settings: Settings) -> None:
    file = settings.data_dir.parent / "bestand.csv"
    file.write_bytes("Filiale;Artikel-Nr.;Verfügbarer Bestand\ns1;tea;1.250,5\ns1;mug;0,25\n".encode("cp1252"))
    import_stock(settings, file, now=NOW, progress=no_progress)
    assert there(settings) == {"s1 tea": 1250.5, "s1 mug": 0.25}
