"""How well the product ranks with its own commands and defaults: import, train, recommend, compare with the truth.

    python -m benchmarks.quality [--budget-minutes 1] [--ml1m DIRECTORY] [--nowplaying DIRECTORY]

Data directories are temporary. The Complete Journey comes from the demo extra; ML-1M is measured where its files
are given (`train.csv.gz` and `test.csv.gz` with customer_id and product_id), nowplaying where its sessions are.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import orjson

from benchmarks import machine
from benchmarks.protocols import Protocol, all_unseen, first_basket, next_view
from benchmarks.ranked import Lists, judge, plain_als, popular

COMMAND_TIMEOUT_S = 3600.0


def measure(protocol: Protocol, folder: Path, *, budget_minutes: float) -> dict[str, object]:
    """The product's figures, and beside them popularity and plain ALS on the same lines."""
    lists, seconds, model = _ask_endcap(protocol, folder, budget_minutes=budget_minutes)
    known = _known(protocol) if protocol.exclude_known else {}
    ways = {
        "endcap": lists,
        "popularity": popular(protocol.lines, protocol.truth, k=protocol.k, exclude=known),
        "als, 64 factors, alpha 1": plain_als(
            protocol.lines, protocol.truth, k=protocol.k, exclude_known=protocol.exclude_known
        ),
    }
    return {
        "protocol": protocol.name,
        "customers": len(protocol.truth),
        "training_lines": protocol.lines.height,
        "products": protocol.lines["product_id"].n_unique(),
        "quality": {name: judge(lists, protocol.truth, k=protocol.k) for name, lists in ways.items()},
        "seconds": seconds,
        "trained": model,
    }


def _known(protocol: Protocol) -> dict[str, frozenset[str]]:
    bought = protocol.lines.group_by("customer_id").agg("product_id")
    return {customer_id: frozenset(products) for customer_id, products in bought.iter_rows()}


def _ask_endcap(
    protocol: Protocol, folder: Path, *, budget_minutes: float
) -> tuple[Lists, dict[str, float], dict[str, object]]:
    """The lists that `endcap recommend` writes, how long each command took, and what `endcap train` reported."""
    data_dir = ["--data-dir", str(folder / "var"), "--json"]
    options = [word for name, path in protocol.import_options.items() for word in (name, str(path))]
    requests, answers = folder / "requests.jsonl", folder / "answers.jsonl"
    customers = list(protocol.truth)
    requests.write_bytes(b"\n".join(orjson.dumps(protocol.question(name)) for name in customers))
    _, import_s = _endcap(["import", *options, *data_dir])
    model, train_s = _endcap(["train", "--budget-minutes", str(budget_minutes), *data_dir])
    report, recommend_s = _endcap(["recommend", "--requests", str(requests), "--output", str(answers), *data_dir])
    assert report["answered_count"] == len(customers), report
    lists = {
        name: [proposition["product_id"] for proposition in orjson.loads(line)["propositions"]]
        for name, line in zip(customers, answers.read_bytes().splitlines(), strict=True)
    }
    seconds = {"import": round(import_s, 1), "train": round(train_s, 1), "recommend": round(recommend_s, 1)}
    return lists, seconds, model


def _endcap(words: Sequence[str]) -> tuple[dict[str, object], float]:
    started = perf_counter()
    command = [sys.executable, "-m", "app.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"endcap {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    answer: dict[str, object] = json.loads(done.stdout)
    return answer, perf_counter() - started


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--ml1m", type=Path, help="folder with train.csv.gz and test.csv.gz")
    parser.add_argument("--nowplaying", type=Path, help="folder with train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--no-journey", action="store_true", help="leave the Complete Journey out")
    given = parser.parse_args()
    found = []
    protocols: list[Callable[[Path], Protocol]] = [] if given.no_journey else [first_basket]
    if given.ml1m is not None:
        protocols.append(lambda folder: all_unseen(folder, given.ml1m))
    if given.nowplaying is not None:
        protocols.append(lambda folder: next_view(folder, given.nowplaying))
    for protocol in protocols:
        with TemporaryDirectory(prefix="endcap-quality-") as made:
            found.append(measure(protocol(Path(made)), Path(made), budget_minutes=given.budget_minutes))
    machine.show({"benchmark": "quality", **machine.facts(), "budget_minutes": given.budget_minutes, "results": found})


if __name__ == "__main__":
    main()
