"""Everything that may fail, one thing after the other, under an open-loop load; exits with 1 when a promise breaks.

    python -m benchmarks.chaos all --data-dir var
    python -m benchmarks.chaos valkey-frozen worker-killed --data-dir var --seconds 10
    python -m benchmarks.chaos soak --data-dir var --minutes 30

60 requests a second: questions of customers, events, and orders that tills pay with a coupon's code. Each fault runs on
a copy of the data directory, which must be a trained one that nothing runs on. `--seconds` makes a fault shorter than
it is by itself. A fault that this machine cannot make is skipped, and says why.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.chaos.faults import FAULTS
from benchmarks.chaos.run import RATE_PER_S, run_fault
from benchmarks.chaos.soak import soak
from benchmarks.support import machine


def main() -> None:
    """Prints one JSON object a fault, then one with the names of those that broke a promise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("all", "soak", *FAULTS))
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--seconds", type=float, help="how long each fault lasts")
    parser.add_argument("--per-second", type=float, default=RATE_PER_S, help="requests")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long the soak lasts")
    given = parser.parse_args()
    facts = machine.facts()
    if given.what == ["soak"]:
        found = soak(given.data_dir, minutes=given.minutes)
        machine.show({"benchmark": "soak", **facts, **found})
        sys.exit(bool(found["broken"]))
    names = tuple(FAULTS) if "all" in given.what else given.what
    broken: dict[str, object] = {}
    skipped = []
    for name in names:
        found = run_fault(name, given.data_dir, seconds=given.seconds, rate_per_s=given.per_second)
        machine.show(found)
        skipped += [name] if "skipped" in found else []
        broken |= {name: found["broken"]} if found.get("broken") else {}
    machine.show({"benchmark": "chaos", **facts, "faults": len(names), "skipped": skipped, "broken": broken})
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
