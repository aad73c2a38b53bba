"""Whether the ledger stays right to the cent when servers are killed -9 amid redemptions, and databases too.

    python -m benchmarks.failures.crashes --orders 2000 --kills 24

Eight clients place orders with two servers on one ledger. Kill after kill hits one of the servers amid their requests;
a client whose request is cut off sends it again with the same key. On PostgreSQL one kill takes a backend along, one
the whole database server. Exits with 1 when anything is wrong in the end.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import psycopg

from app.errors import BadSetting
from app.settings import Settings
from app.stores.redis.server.embedded import redis_for
from app.stores.sql.database.engine import open_ledger
from app.stores.sql.database.schema import upgrade
from benchmarks.failures.crash_test import Servers, faults_of, pay_while_killing, prepare_orders
from benchmarks.support import machine
from benchmarks.support.postgres import binaries
from tests.support.postgres import running_postgres

Fault = Callable[[], None]


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--engines", nargs="+", choices=("sqlite", "postgresql"), default=("sqlite", "postgresql"))
    given = parser.parse_args()
    facts = machine.facts()
    rows = []
    for engine in given.engines:
        with TemporaryDirectory() as folder, ledger_on(engine, Path(folder)) as (url, faults):
            found = run_crash_test(
                url, Path(folder), order_count=given.orders, kill_count=given.kills, seed=given.seed, faults=faults
            )
        rows.append({"engine": engine, **found})
    machine.show({"benchmark": "crashes", **facts, "runs": rows})
    sys.exit(any(row["faults"] for row in rows))


def run_crash_test(
    url: str, data_dir: Path, *, order_count: int, kill_count: int, seed: int, faults: list[Fault]
) -> dict[str, object]:
    """What came of so many orders amid so many kills; `faults` are spread over the kills too."""
    begun = perf_counter()
    ledger = open_ledger(url)
    upgrade(ledger)
    orders = prepare_orders(ledger, order_count=order_count, seed=seed)
    after_kill = {
        round((position + 1) * kill_count / (len(faults) + 1)): fault for position, fault in enumerate(faults)
    }
    words = ["--data-dir", str(data_dir)]
    with (
        redis_for(Settings.load(data_dir=data_dir)) as redis_url,
        Servers(words, environment(url, redis_url), log_path=data_dir / "servers.log") as servers,
    ):
        log = pay_while_killing(servers, orders, kill_count=kill_count, seed=seed, faults=after_kill)
        servers.wait_until_ready(0)
        wrong = faults_of(ledger, servers, log)
    ledger.close()
    steps = [(key.split("-")[0], answers[0].status) for key, answers in log.responses.items()]
    return {
        "orders": order_count,
        "kills": kill_count,
        "database_faults": len(faults),
        "redeemed": steps.count(("redeem", 201)),
        "refused": steps.count(("redeem", 409)) + steps.count(("reserve", 409)),
        "reserved": steps.count(("reserve", 201)),
        "rolled_back": steps.count(("return", 200)),
        "requests_cut_off": log.cut_off_count,
        "cut_off_after_commit": log.replayed_first_count(),
        "seconds": round(perf_counter() - begun, 1),
        "faults": wrong[:5],
    }


def environment(url: str, redis_url: str) -> dict[str, str]:
    """This environment with these stores and no other setting of Endcap."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ENDCAP_")}
    return bare | {"ENDCAP_DATABASE_URL": url, "ENDCAP_REDIS_URL": redis_url, "OMP_NUM_THREADS": "1"}


@contextmanager
def ledger_on(engine: str, folder: Path) -> Iterator[tuple[str, list[Fault]]]:
    """The address of an empty database, and what may go wrong with it."""
    if engine == "sqlite":
        yield f"sqlite:///{folder / 'ledger.db'}", []
        return
    programs = binaries()
    if programs is None:
        raise BadSetting("PostgreSQL is not installed (Debian, Ubuntu: apt-get install postgresql)")
    with running_postgres(programs) as server, restarted(server.url) as database, server.database() as url:
        yield url, [lambda: kill_backend(url), database.crash]


def kill_backend(url: str) -> None:
    """kill -9 of one process that works for a client: PostgreSQL ends all others and recovers from its log."""
    query = (
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND backend_type = 'client backend' ORDER BY state = 'active' DESC LIMIT 1"
    )
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    if row is not None:
        os.kill(row[0], signal.SIGKILL)


@dataclass(slots=True)
class Database:
    """A PostgreSQL server that can be crashed: how it was started, by whom, and its process."""

    words: list[str]
    folder: Path
    user_id: int
    group_id: int
    pid: int
    process: "subprocess.Popen[bytes] | None" = None

    def crash(self) -> None:
        """What `pg_ctl stop -m immediate` does, and a start."""
        os.kill(self.pid, signal.SIGQUIT)
        while Path(f"/proc/{self.pid}/cmdline").exists() and Path(f"/proc/{self.pid}/cmdline").read_bytes():
            sleep(0.01)
        self.process = subprocess.Popen(
            self.words, cwd=self.folder, user=self.user_id, group=self.group_id, extra_groups=[],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.pid = self.process.pid


@contextmanager
def restarted(url: str) -> Iterator[Database]:
    """The server at this address; one that was started here ends with the block."""
    with psycopg.connect(f"{url}/postgres") as connection:
        (folder,) = connection.execute("SHOW data_directory").fetchone() or ("",)
    pid = int((Path(folder) / "postmaster.pid").read_text().split("\n", 1)[0])
    owner = Path(f"/proc/{pid}").stat()
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]
    database = Database(words, Path(folder), owner.st_uid, owner.st_gid, pid)
    yield database
    if database.process is not None:
        database.process.send_signal(signal.SIGINT)
        database.process.wait(20)


if __name__ == "__main__":
    main()
