"""Whether links, separations, events, coupons, limits and consent in any order end as a model of them says.

    python -m benchmarks.customers.histories --histories 500
    python -m benchmarks.customers.histories --histories 20 --without-move

On SQLite and on PostgreSQL, with a real Valkey. The second command leaves uses under the name that redeemed them when
names are joined: then a limit must be exceeded, or this benchmark would prove nothing. Exits with 1 when it came out
otherwise.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from app.stores.sql.customers import links
from app.stores.sql.database.engine import open_ledger
from benchmarks.support import machine
from benchmarks.support.databases import ENGINES, database_on
from tests.invariants.customer_histories import STEPS, run_histories


def main() -> None:
    """Prints a line per engine, then one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=500)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--without-move", action="store_true")
    given = parser.parse_args()
    facts = machine.facts()
    if given.without_move:
        links.__dict__["recount"] = lambda connection, counted_as: None
    rows = [outcome(engine, given.histories) for engine in given.engines]
    machine.show({"benchmark": "customer histories", **facts, "without_move": given.without_move, "rows": rows})
    sys.exit(any((row["failed"] is None) == given.without_move for row in rows))


def outcome(engine: str, count: int) -> dict[str, object]:
    """Runs the histories on one database; `failed` is what first differed, None where nothing did."""
    begun, failed = perf_counter(), None
    with (
        TemporaryDirectory() as folder,
        redis_for(Settings.load(data_dir=Path(folder))) as redis_url,
        database_on(engine) as url,
    ):
        ledger = open_ledger(url)
        try:
            run_histories(ledger, redis_url, range(count))
        except AssertionError as error:
            failed = f"{' '.join(error.__notes__)}: {error}"[:300]
        finally:
            ledger.close()
    taken_s = perf_counter() - begun
    print(f"{engine}: {count} histories of {STEPS} steps in {taken_s:.0f} s, {failed or 'as the model says'}")
    return {"engine": engine, "histories": count, "steps": STEPS, "failed": failed, "seconds": round(taken_s)}


if __name__ == "__main__":
    main()
