"""How well the product ranks with its own commands and defaults: import, train, recommend, compare with the truth.

    python -m benchmarks.quality [--budget-minutes 1] [--no-promotions] [--ml1m DIRECTORY] [--nowplaying DIRECTORY]

Data directories are temporary. The Complete Journey comes from the demo extra; ML-1M is measured where its files
are given (`train.csv.gz` and `test.csv.gz` with customer_id and product_id), nowplaying where its sessions are.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.ranking.plain import plain_lists
from benchmarks.ranking.protocols import Protocol, all_unseen, first_basket, next_view
from benchmarks.ranking.ranked import Lists, mean_metrics
from benchmarks.support import machine
from benchmarks.support.commands import ask, import_files, measured


def measure(protocol: Protocol, folder: Path, *, budget_minutes: float) -> dict[str, object]:
    """The product's figures, and next to them plain rankings of the same lines."""
    lists, seconds, model = _ask_endcap(protocol, folder, budget_minutes=budget_minutes)
    ways = {"endcap": lists} | plain_lists(protocol)
    return {
        "protocol": protocol.name,
        "customers": len(protocol.truth),
        "training_lines": protocol.lines.height,
        "products": protocol.lines["product_id"].n_unique(),
        "quality": {name: mean_metrics(lists, protocol.truth, k=protocol.k) for name, lists in ways.items()},
        "seconds": seconds,
        "trained": model,
    }


def _ask_endcap(
    protocol: Protocol, folder: Path, *, budget_minutes: float
) -> tuple[Lists, dict[str, float], dict[str, object]]:
    """The lists that `endcap recommend` writes, how long each command took, and what `endcap train` reported."""
    data_dir = folder / "var"
    import_s = import_files(data_dir, protocol.import_options)
    training = measured(data_dir, ["train", "--budget-minutes", str(budget_minutes)])
    answers = ask(data_dir, protocol, folder)
    taken = {"import": import_s, "train": training.seconds, "recommend": answers.seconds}
    cost = {name: round(seconds, 1) for name, seconds in taken.items()}
    cost |= {"train, cpu": round(training.cpu_seconds, 1), "train, peak MiB": training.peak_mib}
    return answers.lists, cost, training.report


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--ml1m", type=Path, help="folder with train.csv.gz and test.csv.gz")
    parser.add_argument("--nowplaying", type=Path, help="folder with train.jsonl.gz and test.jsonl.gz")
    parser.add_argument("--no-journey", action="store_true", help="leave the Complete Journey out")
    parser.add_argument("--no-promotions", action="store_true", help="the Complete Journey without its promotions")
    given = parser.parse_args()
    found = []
    protocols: list[Callable[[Path], Protocol]] = []
    if not given.no_journey:
        protocols.append(partial(first_basket, with_promotions=not given.no_promotions))
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
