"""What a warm start saves, and what it costs in quality: a bundle a week old, then a cold and a warm training.

    python -m benchmarks.warm_start [--budget-minutes 1] [--days 7]

The Complete Journey, through the product's own commands. The first bundle learns from all lines up to `--days` before
the cut; then the missing days are imported, and two copies of the data directory are trained, one cold, one warm. All
answer the question of `benchmarks.quality`: the first basket after the cut.
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import orjson
import polars as pl

from benchmarks import machine
from benchmarks.protocols import CUT_AT, Protocol, first_basket
from benchmarks.ranked import Lists, judge

COMMAND_TIMEOUT_S = 3600.0


def measure(folder: Path, *, days: float, budget_minutes: float) -> dict[str, object]:
    """Seconds by step and quality of the bundle that is `days` old, of a cold and of a warm training after them."""
    protocol = first_basket(folder)
    data_dirs = {name: folder / name for name in ("old", "cold", "warm")}
    requests = folder / "requests.jsonl"
    requests.write_bytes(b"\n".join(orjson.dumps(protocol.question(name)) for name in protocol.truth))
    budget = ["--budget-minutes", str(budget_minutes)]
    older = protocol.lines.filter(pl.col("timestamp") < CUT_AT - timedelta(days=days))
    older.write_parquet(folder / "older.parquet")
    products = ["--products", str(protocol.import_options["--products"])]
    _endcap(data_dirs["old"], ["import", "--transactions", str(folder / "older.parquet"), *products])
    found = {"old": _trained(data_dirs["old"], budget, requests, protocol)}
    _endcap(data_dirs["old"], ["import", "--transactions", str(protocol.import_options["--transactions"])])
    for name, how in (("cold", budget), ("warm", ["--warm-start"])):
        shutil.copytree(data_dirs["old"], data_dirs[name], ignore=shutil.ignore_patterns("*.lock", "*.sock"))
        found[name] = _trained(data_dirs[name], how, requests, protocol)
    return {"customers": len(protocol.truth), "lines": protocol.lines.height, "lines_of_old": older.height, **found}


def _trained(data_dir: Path, how: Sequence[str], requests: Path, protocol: Protocol) -> dict[str, object]:
    """Trains, publishes whatever came out, and asks; the gate's own opinion is told beside."""
    started = perf_counter()
    report = _endcap(data_dir, ["train", "--no-publish", *how])
    train_s = perf_counter() - started
    released = _endcap(data_dir, ["publish", str(report["version"]), "--force", "--reason", "measured beside another"])
    answers = requests.with_suffix(".answers")
    _endcap(data_dir, ["recommend", "--requests", str(requests), "--output", str(answers)])
    lists: Lists = {
        name: [proposition["product_id"] for proposition in orjson.loads(line)["propositions"]]
        for name, line in zip(protocol.truth, answers.read_bytes().splitlines(), strict=True)
    }
    return {
        "train_s": round(train_s, 1),
        "seconds": report["seconds"],
        "quality": judge(lists, protocol.truth, k=protocol.k),
        "gate": released["findings"],
    }


def _endcap(data_dir: Path, words: Sequence[str]) -> dict[str, object]:
    command = [sys.executable, "-m", "app.cli", *words, "--data-dir", str(data_dir), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"endcap {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


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
