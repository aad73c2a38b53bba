"""The same rows in other kinds of files are the same history, row for row; several files can be one table."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from app.errors import BadInput
from app.history import History
from app.imports import ImportReport
from app.imports.mapping.load import shipped_mappings
from app.imports.run import Sources, run_imports
from app.settings import Settings
from tests.support.world import no_progress

NOW = datetime(2026, 11, 29, tzinfo=UTC)
ROWS = [
    {
        "InvoiceNo": 536365 + number // 3,
        "StockCode": "85123A" if number % 2 else 71053,
        "Description": f'HEART "{number}", white',
        "Quantity": 1 + number % 6 if number % 7 else -1,
        "InvoiceDate": datetime(2010, 12, 1 + number % 20, 8, 26 + number % 30, tzinfo=UTC),
        "UnitPrice": 2.55 if number % 2 else 1.5,
        "CustomerID": 17850 + number % 4 if number % 5 else None,
        "Country": "United Kingdom",
    }
    for number in range(60)
]


def brought(tmp_path: Path, *files: Path, mapping: str | None = None) -> tuple[pl.DataFrame, list[ImportReport]]:
    """The history of a new directory into which the files are imported, in order, and the reports."""
    settings = Settings.load(data_dir=tmp_path / f"var-{files[0].name}")
    sources = Sources(files=files, mapping=mapping)
    reports = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    history = History(settings.history_dir).scan().collect()
    return history.drop("import_id").sort("row_id"), reports


def _csv(path: Path, *, floats: bool) -> None:
    frame = pl.DataFrame([row | {"StockCode": str(row["StockCode"])} for row in ROWS])
    # As pandas writes a column of numbers where some are missing.
    ids = frame["CustomerID"].cast(pl.Float64).cast(pl.String) if floats else frame["CustomerID"].cast(pl.String)
    frame.with_columns(ids, pl.col("InvoiceDate").dt.strftime("%-m/%-d/%Y %-H:%M")).write_csv(path)


def _parquet(path: Path, *, floats: bool) -> None:
    frame = pl.DataFrame([row | {"StockCode": str(row["StockCode"])} for row in ROWS])
    frame.with_columns(pl.col("CustomerID").cast(pl.Float64 if floats else pl.Int64)).write_parquet(path)


def _xlsx(path: Path, *, floats: bool) -> None:
    book = xlsxwriter.Workbook(path, {"remove_timezone": True})
    sheet, dates = book.add_worksheet("Online Retail"), book.add_format({"num_format": "m/d/yyyy h:mm"})
    sheet.write_row(0, 0, list(ROWS[0]))
    for position, row in enumerate(ROWS, start=1):
        for column, (name, value) in enumerate(row.items()):
            if isinstance(value, datetime):
                sheet.write_datetime(position, column, value, dates)
            elif name == "CustomerID" and value is not None and not floats:
                sheet.write_string(position, column, str(value))
            elif value is not None:
                sheet.write(position, column, value)
    book.close()


@pytest.mark.parametrize("floats", [False, True], ids=["ids", "float ids"])
@pytest.mark.parametrize(("suffix", "write"), [("csv", _csv), ("parquet", _parquet), ("xlsx", _xlsx)])
def test_one_history_whatever_the_file(
    tmp_path: Path, suffix: str, write: Callable[..., None], *, floats: bool
) -> None:
    _csv(tmp_path / "plain.csv", floats=False)
    write(tmp_path / f"other.{suffix}", floats=floats)
    expected, _ = brought(tmp_path, tmp_path / "plain.csv")
    found, [report] = brought(tmp_path, tmp_path / f"other.{suffix}")
    assert found.equals(expected)
    assert (found.height, report.rows_rejected, report.guest_rows) == (60, 0, 12)


def test_parts_of_a_folder_are_one_table_in_which_equal_rows_are_several(tmp_path: Path) -> None:
    folder = tmp_path / "sales"
    folder.mkdir()
    for part in ("part-0", "part-1"):
        pl.DataFrame({"customer_id": ["c1"], "product_id": ["p1"]}).write_parquet(folder / f"{part}.parquet")
    (folder / "_SUCCESS").touch()
    history, [report] = brought(tmp_path, folder)
    assert history.height == 2
    assert "2 files" in report.notes
    (folder / "part-2.csv").write_text("customer_id,product_id,amount\nc1,,1\n")
    with pytest.raises(BadInput, match=r"part-2.csv: has other columns than part-0.parquet \(amount\)"):
        brought(tmp_path, folder)


def test_zip_and_patterns_are_the_files_that_they_hold(tmp_path: Path) -> None:
    (tmp_path / "sales-1.csv").write_text("customer_id,product_id\nc1,p1\n")
    (tmp_path / "sales-2.csv").write_text("customer_id,product_id\nc2,p2\n")
    history, reports = brought(tmp_path, tmp_path / "sales-*.csv")
    assert (history.height, len(reports)) == (2, 2)
    with pytest.raises(BadInput, match="no file matches"):
        brought(tmp_path, tmp_path / "none-*.csv")


def test_further_files_of_a_mapping_are_joined_by_key(tmp_path: Path) -> None:
    (tmp_path / "order_products__prior.csv").write_text(
        "order_id,product_id,add_to_cart_order,reordered\n2,33120,1,1\n3,28985,1,0\n9,1,1,0\n"
    )
    lines = tmp_path / "order_products__prior.csv"
    with pytest.raises(BadInput, match=r"needs orders.csv next to it, for each row's order_id"):
        brought(tmp_path, lines)
    (tmp_path / "orders.csv").write_text(
        "order_id,user_id,eval_set,order_number,order_dow,order_hour_of_day,days_since_prior_order\n"
        "3,7,prior,2,1,08,15.0\n2,7,prior,1,2,08,\n"
    )
    history, [report] = brought(tmp_path, lines)
    days = history.sort("time").select("customer_id", "product_id", pl.col("time").dt.date().cast(pl.String)).rows()
    assert (None, "1", None) in days
    assert ("7", "33120", "2017-01-01") in days
    assert ("7", "28985", "2017-01-16") in days
    assert report.guest_rows == 1


def test_two_further_files_lead_from_the_order_to_the_customer(tmp_path: Path) -> None:
    (tmp_path / "olist_order_items_dataset.csv").write_text(
        "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value\n"
        "o1,1,p1,s1,2017-09-19 09:45:35,58.90,13.29\no2,1,p2,s1,2017-09-19 09:45:35,10.00,1.00\n"
    )
    (tmp_path / "olist_orders_dataset.csv").write_text(
        "order_id,customer_id,order_status,order_purchase_timestamp\n"
        "o1,k1,delivered,2017-09-13 08:59:02\no2,k2,canceled,2017-09-14 08:59:02\n"
    )
    (tmp_path / "olist_customers_dataset.csv").write_text("customer_id,customer_unique_id\nk1,u1\nk2,u2\n")
    history, [report] = brought(tmp_path, tmp_path / "olist_order_items_dataset.csv")
    assert history.select("customer_id", "basket_id", "amount_minor").rows() == [("u1", "o1", 5890)]
    assert report.left_out == {"nothing was bought": 1}


def test_lists_that_nobody_needs_and_ids_as_numbers_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "sales.parquet"
    pl.DataFrame({"customer_id": [17850.0], "product_id": ["22423"], "tags": [["a"]]}).write_parquet(path)
    history, _ = brought(tmp_path, path)
    assert history.select("customer_id", "product_id").rows() == [("17850", "22423")]
    pl.DataFrame({"customer_id": [b"abc", b"\xff\x00"], "product_id": [True, False]}).write_parquet(path)
    with pytest.raises(BadInput, match="holds bytes that are no UTF-8"):
        brought(tmp_path, path)


def test_every_known_source_that_joins_files_is_tried_here() -> None:
    assert {name for name, mapping in shipped_mappings().items() if mapping.with_} == {"instacart", "olist"}


def test_zones_of_stores_that_come_in_with_the_lines_count(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text("customer_id,product_id,store_id,timestamp\nc,p,s,2026-07-01 12:00\n")
    (tmp_path / "stores.csv").write_text("store_id,time_zone\ns,Europe/Berlin\n")
    settings = Settings.load(data_dir=tmp_path / "var")
    sources = Sources(tmp_path / "sales.csv", stores=tmp_path / "stores.csv")
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    assert History(settings.history_dir).scan().collect()["time"].to_list() == [datetime(2026, 7, 1, 10, tzinfo=UTC)]
