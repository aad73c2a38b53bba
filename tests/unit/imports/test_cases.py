"""Files in the shapes that shops export, and what becomes of each: cases/*.toml tell both in words.

A line of `outcome` is a row of the history (type, customer, product, quantity, money, further columns), a product, what
was refused and why, what was left out, or the one line with which the whole file is refused.
"""

import csv
import gzip
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from app.errors import BadInput
from app.history import History
from app.imports import ImportReport
from app.imports.mapping.load import file_form
from app.imports.run import Sources, run_imports
from app.offers.terms.money import format_amount
from app.settings import Settings
from tests.support.world import no_progress

FOLDER = Path(__file__).parent / "cases"
NOW = datetime(2026, 11, 29, tzinfo=UTC)
CASES = {
    f"{file.stem}: {name}": case
    for file in sorted(FOLDER.glob("*.toml"))
    for name, case in tomllib.loads(file.read_text(encoding="utf-8")).items()
}


def file_of(case: Mapping[str, object], folder: Path) -> Path:
    """The case's file, written to the folder."""
    content = str(case["content"]).encode(str(case.get("encoding", "utf-8")))
    path = folder / str(case["file"])
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def outcome_of(settings: Settings, sources: Sources, folder: Path) -> list[str]:
    """What became of the files, in lines."""
    try:
        reports = run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    except BadInput as error:
        return [error.message.replace(f"{folder}/", "")]
    return [line for report in reports for line in _lines(settings, report)]


def _lines(settings: Settings, report: ImportReport) -> Iterator[str]:
    if report.table == "products":
        yield from map(_product, pl.read_parquet(settings.tables_dir / "products.parquet").rows(named=True))
        yield from (f"warning: {warning}" for warning in report.warnings)
    elif report.table in ("transactions", "events"):
        yield from map(_row, History(settings.history_dir).scan().collect().rows(named=True))
    if report.rejects_path is not None:
        with report.rejects_path.open(encoding="utf-8", newline="") as file:
            for each in csv.DictReader(file):
                yield f"refused: line {each['line']}, {each['column']} {each['value'][:20]!r}: {each['reason'][:60]}"
    yield from (f"left out: {count}, {reason}" for reason, count in report.left_out.items())
    if report.guest_rows:
        yield f"guests: {report.guest_rows}"
    yield from (f"note: {note}" for note in report.notes)


def _row(row: dict[str, Any]) -> str:
    amount, currency = row["amount_minor"], row["currency"]
    money = "" if amount is None else f" {format_amount(amount, currency)} {currency}"
    at = "" if row["time"] is None else f" {row['time']:%Y-%m-%dT%H:%M:%S}"
    who = row["customer_id"] or (f"~{row['anonymous_id']}" if row["anonymous_id"] else "nobody")
    further = ("basket_id", "store_id", "channel", "coupon_id", "session_id", "discount_minor")
    rest = "".join(f" {name.removesuffix('_id')}={row[name]}" for name in further if row[name] is not None)
    return f"{row['type']} {who} {row['product_id']} x{row['quantity']:g}{money}{at}{rest}"


def _product(row: dict[str, Any]) -> str:
    money = ("price_minor", "unit_cost_minor", "currency")
    shown = ("name", *money, "brand", "category", "recommendable", "image_url", "url", "rating", "rating_count")
    rest = "".join(f" {name.removesuffix('_minor')}={row[name]}" for name in shown if row.get(name) is not None)
    return f"product {row['product_id']}{rest}"


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_this_shape_becomes_what_it_should(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    settings = Settings.load(data_dir=tmp_path / "var")
    sources = Sources(
        files=(file_of(case, tmp_path),), mapping=case.get("mapping"), stated=file_form(**case.get("stated", {}))
    )
    assert outcome_of(settings, sources, tmp_path) == case["outcome"]
