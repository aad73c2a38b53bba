"""Stores, stock and prices by command, as a retailer sends them each night, on either database."""

import json
import subprocess
import zipfile
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from app.places.simulation.places import simulate, write_tables
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.place_tables import prices, stock, stores
from app.stores.sql.places.overview import stock_of_product
from tests.support.running import bare_environment, endcap
from tests.unit.places.test_simulation import till_lines

ALL_CAME_IN, SOME_REFUSED, NOTHING_DONE = 0, 1, 2


def run(data_dir: Path, ledger_url: str, *words: str) -> tuple[int, dict[str, Any], str]:
    """The exit status, what is printed for machines, and what for people."""
    environment = bare_environment() | {"ENDCAP_DATABASE_URL": ledger_url, "ENDCAP_CURRENCY": "USD"}
    command = [*endcap(*words), "--data-dir", str(data_dir), "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def counted(ledger_url: str) -> dict[str, int]:
    """The rows of each table of places."""
    ledger = open_ledger(ledger_url)
    try:
        tables = (stores, stock, prices)
        return ledger.read(lambda connection: {one.name: len(connection.execute(one.select()).all()) for one in tables})
    finally:
        ledger.close()


def test_night_after_night_by_command(tmp_path: Path, ledger_url: str) -> None:
    data_dir, now = tmp_path / "var", datetime.now(UTC)
    places = simulate(till_lines(4000, stores=6, products=60), seed=1, now=now - timedelta(hours=1), head_count=20)
    files = write_tables(places, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "night.zip", "w") as archive:
        # In an order in which no import could take them.
        for path in (files.stock, files.prices, files.stores):
            archive.write(path, path.name)
    rows = {"stores": len(places.stores), "stock": places.stock_table().height, "prices": places.prices_table().height}

    status, looked, _ = run(data_dir, ledger_url, "import", str(tmp_path / "night.zip"), "--preview")
    assert (status, {one["table"]: one["rows"] for one in looked["files"]}) == (
        ALL_CAME_IN,
        {name: {name: count} for name, count in rows.items()},
    )
    assert counted(ledger_url) == {"stores": 0, "stock": 0, "prices": 0}

    status, done, said = run(data_dir, ledger_url, "import", str(tmp_path / "night.zip"))
    assert (status, {one["table"]: one["rows_added"] for one in done["imports"]}) == (ALL_CAME_IN, rows), said
    assert counted(ledger_url) == rows

    # The next count: of one store a product is sold out, and another is not in the file.
    count = places.stock_table().with_columns(
        pl.col("as_of") + timedelta(minutes=30), pl.col("quantity").cast(pl.Int64)
    )
    store_id, gone = count.row(0)[:2]
    sold_out = count.filter(pl.col("store_id") == store_id).row(1)[1]
    is_cell = (pl.col("store_id") == store_id) & (pl.col("product_id") == sold_out)
    count = count[1:].with_columns(pl.when(is_cell).then(0).otherwise(pl.col("quantity") + 1).alias("quantity"))
    count.write_parquet(tmp_path / "next.parquet")
    next_file = ("import", "--stock", str(tmp_path / "next.parquet"))
    status, done, _ = run(data_dir, ledger_url, *next_file)
    [report] = done["imports"]
    assert (status, report["rows_added"], report["differences"]["missing"]) == (ALL_CAME_IN, rows["stock"] - 1, 1)
    ledger = open_ledger(ledger_url)
    left = [ledger.read(partial(stock_of_product, product_id=product_id)) for product_id in (gone, sold_out)]
    ledger.close()
    assert [{one.store_id: one.quantity_milli for one in found}[store_id] for found in left] == [0, 0]

    assert run(data_dir, ledger_url, *next_file)[1]["imports"][0]["rows_added"] == 0
    status, _, said = run(data_dir, ledger_url, "imports", "undo", report["import_id"])
    assert (status, "import the right file on top of it" in said) == (NOTHING_DONE, True)
    status, listed, _ = run(data_dir, ledger_url, "imports")
    assert [(one["table"], one["status"]) for one in listed["imports"]] == [
        (name, "done") for name in ("stores", "stock", "prices", "stock")
    ]
    (tmp_path / "odd.csv").write_text(f"store_id,product_id,quantity\nnowhere,p1,1\n{store_id},p1,1\n")
    assert run(data_dir, ledger_url, "import", str(tmp_path / "odd.csv"), "--partial-stock")[0] == SOME_REFUSED
