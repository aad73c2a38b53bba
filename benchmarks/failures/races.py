"""Whether a ledger ever pays more than it may, on SQLite and on a PostgreSQL of the benchmark's own.

    python -m benchmarks.failures.races --seeds 50
    python -m benchmarks.failures.races --seeds 5 --without-guards

Fifty orders for each one that a campaign can pay, at once, from three processes. The second command takes the
conditions out of the claims: then orders must win that should not, or this benchmark would prove nothing. Exits with 1
when a race came out otherwise.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from app.errors import BadSetting
from app.stores.sql.database.engine import Ledger, open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.failures.constraints import CONSTRAINTS, Constraint, race
from benchmarks.failures.workload import LoadGenerator
from benchmarks.support import machine
from benchmarks.support.postgres import binaries
from tests.support.postgres import running_postgres


def main() -> None:
    """Prints a line per race, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--winners", type=int, default=3, help="orders that the campaign can pay; 50 times as many run")
    parser.add_argument("--engines", nargs="+", choices=("sqlite", "postgresql"), default=("sqlite", "postgresql"))
    parser.add_argument("--constraints", nargs="+", choices=CONSTRAINTS, default=tuple(CONSTRAINTS))
    parser.add_argument("--without-guards", action="store_true")
    given = parser.parse_args()
    facts = machine.facts()
    rows = []
    with LoadGenerator() as load:
        for engine in given.engines:
            with ledger_on(engine) as ledger:
                rows += [row_of(ledger, load, engine, name, given) for name in given.constraints]
    machine.show({"benchmark": "races", **facts, "without_guards": given.without_guards, "races": rows})
    sound = [row["sound"] == row["seeds"] for row in rows]
    noticed = [row["sound"] == 0 for row in rows]
    sys.exit(not all(noticed if given.without_guards else sound))


def row_of(ledger: Ledger, load: LoadGenerator, engine: str, name: str, given: argparse.Namespace) -> dict[str, object]:
    """All seeds of one constraint on one engine."""
    constraint: Constraint = CONSTRAINTS[name]
    begun = perf_counter()
    results = [
        race(
            ledger, load, constraint, winner_count=given.winners, seed=seed, now=datetime.now(UTC),
            without_guards=given.without_guards,
        )
        for seed in range(given.seeds)
    ]  # fmt: skip
    orders = sum(result.order_count for result in results)
    row: dict[str, object] = {
        "engine": engine,
        "constraint": name,
        "seeds": given.seeds,
        "sound": sum(not result.faults for result in results),
        "orders": orders,
        "attempts": sum(result.attempt_count for result in results),
        "winners_least": min(result.winner_count for result in results),
        "winners_most": max(result.winner_count for result in results),
        "seconds": round(perf_counter() - begun, 1),
        "faults": sorted({fault for result in results for fault in result.faults})[:5],
    }
    print(*row.values(), sep=" | ", flush=True)
    return row


@contextmanager
def ledger_on(engine: str) -> Iterator[Ledger]:
    """An empty ledger that goes with the block."""
    with TemporaryDirectory() as folder:
        if engine == "sqlite":
            url = f"sqlite:///{Path(folder) / 'ledger.db'}"
            yield from _opened(url)
        else:
            programs = binaries()
            if programs is None:
                raise BadSetting("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
            with running_postgres(programs) as server, server.database() as url:
                yield from _opened(url)


def _opened(url: str) -> Iterator[Ledger]:
    ledger = open_ledger(url)
    upgrade(ledger)
    try:
        yield ledger
    finally:
        ledger.close()


if __name__ == "__main__":
    main()
