"""What a warm start saves, and what it costs in quality: a bundle a week old, then a cold and a warm training.

    python -m benchmarks.speed.warm_start [--budget-minutes 1] [--days 7]

The Complete Journey, through the product's own commands. The first bundle learns from all lines up to `--days` before
the cut; then the missing days are imported, and two copies of the data directory are trained, one cold, one warm. All
answer the question of `benchmarks.quality`: the first basket after the cut.
"""

import argparse
import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from benchmarks.ranking.protocols import CUT_AT, Protocol, first_basket
from benchmarks.ranking.ranked import mean_metrics
from benchmarks.support import machine
from benchmarks.support.commands import ask, endcap, import_files


def measure(folder: Path, *, days: float, budget_minutes: float) -> dict[str, object]:
    """Seconds by step and quality of the bundle that is `days` old, of a cold and of a warm training after them."""
    protocol = first_basket(folder, with_promotions=False)
    data_dirs = {name: folder / name for name in ("old", "cold", "warm")}
    budget = ["--budget-minutes", str(budget_minutes)]
    older = protocol.lines.filter(pl.col("timestamp") < CUT_AT - timedelta(days=days))
    older.write_parquet(folder / "older.parquet")
    import_files(data_dirs["old"], {**protocol.import_options, "--transactions": folder / "older.parquet"})
    found = {"old": _trained(data_dirs["old"], budget, protocol, folder)}
    import_files(data_dirs["old"], {"--transactions": protocol.import_options["--transactions"]})
    for name, how in (("cold", budget), ("warm", ["--warm-start"])):
        shutil.copytree(data_dirs["old"], data_dirs[name], ignore=shutil.ignore_patterns("*.lock", "*.sock"))
        found[name] = _trained(data_dirs[name], how, protocol, folder)
    return {"customers": len(protocol.truth), "lines": protocol.lines.height, "lines_of_old": older.height, **found}


def _trained(data_dir: Path, how: Sequence[str], protocol: Protocol, folder: Path) -> dict[str, object]:
    """Trains, publishes whatever came out, and asks; the gate's own opinion is reported too."""
    report, train_s = endcap(data_dir, ["train", "--no-publish", *how])
    forced = ["--force", "--reason", "measured next to another"]
    released, _ = endcap(data_dir, ["publish", str(report["version"]), *forced])
    lists = ask(data_dir, protocol, folder).lists
    return {
        "train_s": round(train_s, 1),
        "seconds": report["seconds"],
        "quality": mean_metrics(lists, protocol.truth, k=protocol.k),
        "gate": released["checks"],
    }


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--days", type=float, default=7.0)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-warm-start-") as made:
        found = measure(Path(made), days=given.days, budget_minutes=given.budget_minutes)
    settings = {"budget_minutes": given.budget_minutes, "days": given.days}
    machine.show({"benchmark": "warm_start", **machine.facts(), **settings, "results": found})


if __name__ == "__main__":
    main()
