"""Proves that behaviour was kept: records what an `endcap` executable answers, and compares two recordings.

    python -m benchmarks.behaviour record --endcap .venv/bin/endcap --output before.json
    python -m benchmarks.behaviour compare before.json after.json

A recording uses only what every user has: commands, HTTP, the ledger's file and the bundle's documents. So this
package records an older executable as well as a newer one. What is new on purpose stands in `renames.py`.
"""

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from benchmarks.behaviour.compare import differences, summary
from benchmarks.behaviour.session import record, write_recording


def main(words: Sequence[str] | None = None) -> int:
    """The exit status: 1 when recordings differ."""
    given = _parser().parse_args(words)
    return _record(given) if given.command == "record" else _compare(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="write down what one executable does")
    recording.add_argument("--endcap", type=Path, required=True, help="the executable")
    recording.add_argument("--output", type=Path, required=True)
    recording.add_argument("--keep", type=Path, help="a new folder for the data directory, else a temporary one")
    recording.add_argument("--trained", type=Path, help="`trained` of a folder kept before: no training")
    comparison = commands.add_parser("compare", help="print every difference; exit status 1 when there is one")
    comparison.add_argument("before", type=Path)
    comparison.add_argument("after", type=Path)
    comparison.add_argument("--ignore-text", action="store_true", help="compare reasons and errors by code only")
    return parser


def _record(given: argparse.Namespace) -> int:
    started = perf_counter()
    # By default SIGTERM ends Python at once, and what it started would run on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("recording ended by SIGTERM"))
    # Not `resolve`: the executable of a virtual environment may be a link.
    endcap = given.endcap.absolute()
    with TemporaryDirectory(prefix="endcap-behaviour-") as temporary:
        folder = Path(temporary) if given.keep is None else given.keep.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        write_recording(record(endcap, folder, trained=given.trained), given.output)
    print(f"{given.output}: {perf_counter() - started:.0f} s", file=sys.stderr)
    return 0


def _compare(given: argparse.Namespace) -> int:
    before, after = (json.loads(path.read_text()) for path in (given.before, given.after))
    found = list(differences(before, after, ignore_text=given.ignore_text))
    for one in found:
        print(one)
    print("\n".join([f"{len(found)} differences", *summary(found)]), file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
