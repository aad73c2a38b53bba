"""How well the product ranks with its own commands and defaults: import, train, recommend, compare with the truth.

    python -m benchmarks.quality [--shared DIRECTORY] [--sets NAME,NAME] [--budget-minutes 1] [--json FILE]

Prints one table; the file gets everything as one JSON object. The Complete Journey comes from the demo extra, the
catalogue is made up; the shared directory holds `ml-1m` (`train.csv.gz` and `test.csv.gz` with customer_id and
product_id) and `nowplaying` (`train.jsonl.gz` and `test.jsonl.gz`). Data directories are temporary.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.ranking.cuts import last_purchase, made_up_catalogue
from benchmarks.ranking.plain import plain_lists
from benchmarks.ranking.protocols import Protocol, all_unseen, first_basket, next_view
from benchmarks.ranking.quality_table import Ranking, SetResult, as_table
from benchmarks.ranking.ranked import calibration
from benchmarks.support import machine
from benchmarks.support.commands import ask, import_files, measured

OWN: Mapping[str, Callable[[Path], Protocol]] = {
    "journey": partial(first_basket, with_promotions=False),
    "promotions": partial(first_basket, with_promotions=True),
    "catalogue": made_up_catalogue,
}
SHARED: Mapping[str, tuple[Callable[..., Protocol], str]] = {
    "ml1m": (all_unseen, "ml-1m"),
    "sessions": (next_view, "nowplaying"),
    "single": (last_purchase, "nowplaying"),
}
ORDER = ("journey", "promotions", "ml1m", "sessions", "single", "catalogue")


def measure(protocol: Protocol, folder: Path, *, budget_minutes: float) -> SetResult:
    """The product's figures, and next to them plain rankings of the same lines."""
    data_dir = folder / "var"
    import_s = import_files(data_dir, protocol.import_options)
    training = measured(data_dir, ["train", "--budget-minutes", str(budget_minutes)])
    answers = ask(data_dir, protocol, folder)
    rankings = [Ranking.of("endcap", answers.lists, protocol)]
    rankings += [Ranking.of(name, lists, protocol) for name, lists in plain_lists(protocol).items()]
    return SetResult(
        protocol=protocol.name,
        k=protocol.k,
        customers=len(protocol.truth),
        training_lines=protocol.lines.height,
        products=protocol.lines["product_id"].n_unique(),
        rankings=rankings,
        calibration=calibration(answers.lists, answers.chances, protocol.truth, k=protocol.k),
        cpu_seconds=round(training.cpu_seconds, 1),
        peak_mib=training.peak_mib,
        seconds={
            "import": round(import_s, 1),
            "train": round(training.seconds, 1),
            "recommend": round(answers.seconds, 1),
        },
        trained=training.report,
    )


def makers(given: argparse.Namespace) -> dict[str, Callable[[Path], Protocol]]:
    """The chosen sets in their order; all that there are data for when none are chosen."""
    made = dict(OWN)
    if given.shared is not None:
        made |= {name: partial(_of_source, make, given.shared / folder) for name, (make, folder) in SHARED.items()}
    chosen = given.sets.split(",") if given.sets else [name for name in ORDER if name in made]
    unknown = sorted(set(chosen) - set(ORDER))
    if unknown:
        raise SystemExit(f"unknown sets {', '.join(unknown)}: choose of {', '.join(ORDER)}")
    lacking = sorted(set(chosen) - set(made))
    if lacking:
        raise SystemExit(f"{', '.join(lacking)}: give the data's directory by --shared")
    return {name: made[name] for name in ORDER if name in chosen}


def _of_source(make: Callable[[Path, Path], Protocol], source: Path, folder: Path) -> Protocol:
    return make(folder, source)


def main() -> None:
    """Prints the table; status 1 when a set could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--shared", type=Path, help="folder with ml-1m and nowplaying")
    parser.add_argument("--sets", help=f"of {','.join(ORDER)}; all that there are data for when left out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything as one JSON object")
    given = parser.parse_args()
    facts = machine.facts()
    results: dict[str, SetResult] = {}
    failed: dict[str, str] = {}
    for name, make in makers(given).items():
        print(f"{name} …", file=sys.stderr, flush=True)
        with TemporaryDirectory(prefix="endcap-quality-") as made:
            try:
                results[name] = measure(make(Path(made)), Path(made), budget_minutes=given.budget_minutes)
            except SystemExit as end:
                # The other sets have taken minutes: they are not lost for one.
                failed[name] = str(end)
                print(end, file=sys.stderr, flush=True)
    print(as_table(results, facts | {"budget_minutes": given.budget_minutes}))
    if given.json is not None:
        document = {"benchmark": "quality", **facts, "budget_minutes": given.budget_minutes}
        document |= {"results": {name: one.document() for name, one in results.items()}, "failed": failed}
        given.json.write_bytes(machine.as_json(document))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
