"""Failures on purpose against a whole `endcap up`, each measured.

    python -m benchmarks.failures.chaos freeze --data-dir var --seconds 20
    python -m benchmarks.failures.chaos crash --data-dir var
    python -m benchmarks.failures.chaos events --data-dir var --events 10000
    python -m benchmarks.failures.chaos publications --data-dir var --count 100
    python -m benchmarks.failures.chaos damage --data-dir var --count 500

`publications` and `damage` write bundles into the data directory and remove them again: use a copy. A copy
must be made while nothing runs on the original.
"""

import argparse
from pathlib import Path

from app.settings import Settings
from benchmarks.failures import lost_events, lost_store, publications
from benchmarks.support import machine


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fault", choices=("freeze", "crash", "events", "publications", "damage"))
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--seconds", type=float, default=20.0, help="how long Valkey stays frozen")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=8, help="how often a process is killed while events come in")
    parser.add_argument("--count", type=int, default=100, help="how many publications, or spoiled bundles")
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    machine.show({"benchmark": f"chaos {given.fault}", **machine.facts(), **run(settings, given)})


def run(settings: Settings, given: argparse.Namespace) -> dict[str, object]:
    """The figures of one fault."""
    if given.fault == "freeze":
        return lost_store.freeze(settings, seconds=given.seconds)
    if given.fault == "crash":
        return lost_store.crash(settings)
    if given.fault == "events":
        return lost_events.lose_nothing(settings, event_count=given.events, kill_count=given.kills)
    if given.fault == "publications":
        return publications.publish_under_load(settings, count=given.count)
    return publications.refuse_damage(settings, count=given.count)


if __name__ == "__main__":
    main()
