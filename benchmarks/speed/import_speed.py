"""Measure the import of the Complete Journey, from Parquet and from CSV, first and again: one JSON line each.

Each run is a process of its own, so that its peak memory is its own:
    python -m benchmarks.speed.import_speed
"""

import json
import resource
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import polars as pl

from app.history import History
from app.imports import import_complete_journey, import_transactions
from app.imports.sources.complete_journey import data_folder
from app.settings import Settings

# Linux gives kibibytes, macOS bytes.
RSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024


def main() -> None:
    """Print one JSON object a run: seconds, peak memory, rows added and known."""
    with TemporaryDirectory(prefix="endcap-import-") as scratch:
        file = Path(scratch) / "transactions.csv"
        write_csv(file)
        runs: list[tuple[str, Callable[[Path, Path], None], str]] = [
            ("complete journey, first", from_package, "parquet"),
            ("complete journey, again", from_package, "parquet"),
            ("csv, first", from_csv, "csv"),
            ("csv, again", from_csv, "csv"),
        ]
        for name, run, data_dir in runs:
            measured(name, run, Path(scratch) / data_dir, file)


def write_csv(file: Path) -> None:
    """The Complete Journey's till lines as a canonical table."""
    lines = pl.scan_parquet(data_folder() / "transactions.parquet")
    lines.select(
        pl.col("household_id").alias("customer_id"),
        "product_id",
        "basket_id",
        pl.col("transaction_timestamp").dt.strftime("%Y-%m-%dT%H:%M:%SZ").alias("timestamp"),
        "quantity",
        pl.col("sales_value").alias("amount"),
        "store_id",
        pl.lit("store").alias("channel"),
        pl.col("retail_disc").alias("discount"),
        pl.lit("USD").alias("currency"),
    ).sink_csv(file)


def measured(name: str, run: Callable[[Path, Path], None], data_dir: Path, file: Path) -> None:
    """Run in a fresh process, which prints its own line."""
    process = get_context("spawn").Process(target=timed, args=(name, run, data_dir, file))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{name}: exit code {process.exitcode}")


def timed(name: str, run: Callable[[Path, Path], None], data_dir: Path, file: Path) -> None:
    """One run and its line; the seconds leave out the imports of modules."""
    begun_s = perf_counter()
    run(data_dir, file)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_BYTES
    line = {
        "run": name,
        "seconds": round(perf_counter() - begun_s, 2),
        "peak_mib": round(peak_bytes / 2**20),
        "rows": History(Settings.load(data_dir=data_dir).history_dir).scan().select(pl.len()).collect().item(),
        "csv_mib": round(file.stat().st_size / 2**20),
    }
    print(json.dumps(line), flush=True)


def from_package(data_dir: Path, _: Path) -> None:
    """Import all tables of the installed package."""
    import_complete_journey(
        Settings.load(data_dir=data_dir), shift_to_now=True, now=datetime.now(UTC), progress=_unnamed
    )


def from_csv(data_dir: Path, file: Path) -> None:
    """Import the CSV file."""
    import_transactions(
        Settings.load(data_dir=data_dir), file, shift_to_now=False, now=datetime.now(UTC), progress=_silent
    )


def _silent(done: int, total: int | None) -> None:
    pass


def _unnamed(name: str, done: int, total: int | None) -> None:
    pass


if __name__ == "__main__":
    main()
