"""Whether ever more goods are put aside than there are, and whether they come back, on SQLite and PostgreSQL.

    python -m benchmarks.places.reservations --seeds 50
    python -m benchmarks.places.reservations --seeds 5 --without-guard

Five hundred customers at once for five pieces over three stores, from several processes; then a fifth of them with
pieces for all, and one of the processes is killed with -9 amid its orders. The second command takes the condition out
of the claim: then more must be put aside than there is, or this benchmark would prove nothing. Exits with 1 when it
came out otherwise.
"""

import argparse
import sys
from time import perf_counter

from benchmarks.support import machine
from benchmarks.support.crowd import PIECES, kill, race
from benchmarks.support.databases import ENGINES, database_on


def main() -> None:
    """Prints a line per engine and question, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--customers", type=int, default=500)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--without-guard", action="store_true")
    given = parser.parse_args()
    facts = machine.facts()
    rows = []
    for engine in given.engines:
        with database_on(engine) as url:
            rows.append(races(url, engine, given))
            if not given.without_guard:
                rows.append(kills(url, engine, given))
    machine.show({"benchmark": "reservations", **facts, "without_guard": given.without_guard, "rows": rows})
    is_right = [row["right"] == (0 if given.without_guard else row["seeds"]) for row in rows]
    sys.exit(not all(is_right))


def races(url: str, engine: str, given: argparse.Namespace) -> dict[str, object]:
    """All seeds of the race for five pieces."""
    begun = perf_counter()
    results = [
        race(
            url, seed=seed, customers=given.customers, processes=given.processes, is_guarded=not given.without_guard
        )
        for seed in range(given.seeds)
    ]  # fmt: skip
    return shown(
        {
            "engine": engine,
            "question": f"{given.customers} customers for {sum(PIECES.values())} pieces",
            "seeds": given.seeds,
            "right": sum(not result.faults for result in results),
            "served_least": min(result.served for result in results),
            "served_most": max(result.served for result in results),
            "seconds": round(perf_counter() - begun, 1),
            "faults": [fault for result in results for fault in result.faults][:5],
        }
    )


def kills(url: str, engine: str, given: argparse.Namespace) -> dict[str, object]:
    """All seeds of the process that is killed; what it held comes back by the sweep and by the next order in turns."""
    begun = perf_counter()
    customers = given.customers // 5
    results = [
        kill(url, seed=seed, customers=customers, processes=given.processes, is_swept=seed % 2 == 0)
        for seed in range(given.seeds)
    ]
    return shown(
        {
            "engine": engine,
            "question": f"{customers} customers, a process of theirs killed",
            "seeds": given.seeds,
            "right": sum(not result.faults for result in results),
            "killed_amid": sum(result.missing > 0 for result in results),
            "came_back": sum(result.reserved for result in results),
            "seconds": round(perf_counter() - begun, 1),
            "faults": [fault for result in results for fault in result.faults][:5],
        }
    )


def shown(row: dict[str, object]) -> dict[str, object]:
    """The row, printed."""
    print(*row.values(), sep=" | ", flush=True)
    return row


if __name__ == "__main__":
    main()
