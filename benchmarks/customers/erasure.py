"""How long an erasure takes, and whether anything of the person is left anywhere, also when it is killed.

    python -m benchmarks.customers.erasure --data-dir var
    python -m benchmarks.customers.erasure --data-dir var --kills 10
    python -m benchmarks.customers.erasure --data-dir var --kills 10 --note-first

A whole `endcap up` on a copy of the data gets a customer with something in every place. They are erased, and the bytes
of every file of the data directory, Valkey's append-only file among them, and the memory of every process are read for
their names. Then late events are sent, the features are computed and a bundle is trained, a backup from before is
restored, and all of it is read again. `--kills` ends the worker so often with SIGKILL while the erasure runs.

The last command is the control: a step is noted before it is done, so that one who was killed does not do it again, and
what is left must be found. Exits with 1 when it came out otherwise.
"""

import argparse
import os
import random
import shutil
import signal
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep
from typing import Any

from benchmarks.support import machine
from tests.e2e.processes.canary import CANARY, NEEDLES, erase, event, found_in, pids, plant, receipt_of
from tests.support.running import Up, command_of, endcap_up, run_endcap
from tests.support.server import wait_until
from tests.support.traces import files_with

DONE_WITHIN_S = 600.0
NOTE_FIRST = """
from app.erasure.run import Erasing
from functools import partial
from app.stores.sql.customers.erasures import note_step

def do(self, erasure, step, work):
    note = partial(note_step, erasure_id=erasure.erasure_id, step=step, erased={}, now=self._now())
    self._places.ledger.write(note)
    work()

Erasing._do = do
"""
"""What the processes of the control begin with."""


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--budget-minutes", type=float, default=1, help="of the training after it")
    parser.add_argument("--note-first", action="store_true")
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-erasure-") as folder:
        data_dir, control = Path(folder) / "var", Path(folder) / "control"
        shutil.copytree(given.data_dir, data_dir, ignore=shutil.ignore_patterns("valkey", "ledger.db*"))
        environment = {"ENDCAP_API_PROCESS_COUNT": "2"}
        if given.note_first:
            control.mkdir()
            (control / "sitecustomize.py").write_text(NOTE_FIRST)
            environment["PYTHONPATH"] = str(control)
        with endcap_up(data_dir, environment=environment) as up:
            found = proof(up, given)
    left = {place: count for place, count in found["left"].items() if count}
    machine.show({"benchmark": "erasure", **machine.facts(), "kills": given.kills, **found, "left": left})
    sys.exit(bool(left) != given.note_first)


def proof(up: Up, given: argparse.Namespace) -> dict[str, Any]:
    """What is found before, how long it takes, and what is left afterwards."""
    folder = up.data_dir.parent
    plant(up)
    run_endcap(up.data_dir, "features")
    wait_until(lambda: files_with(up.data_dir / "history", NEEDLES), "the events are in the history")
    run_endcap(up.data_dir, "backup", str(folder / "backup"))
    before = by_part(files_with(up.data_dir, NEEDLES)) | in_memory(up)
    begun = perf_counter()
    erasure_id = erase(up.client)
    kill(up, erasure_id, random.Random(given.seed), count=given.kills)
    wait_until(lambda: receipt_of(up.client, erasure_id), "it is done", timeout_s=DONE_WITHIN_S)
    seconds = perf_counter() - begun
    left = by_part(files_with(up.data_dir, NEEDLES)) | in_memory(up)
    found = {"before": before, "seconds": round(seconds, 1), "left": left}
    if given.kills:
        return found
    late = [event("view_item", customer_id=CANARY, product_id="1") for _ in range(100)]
    found["late_events_refused"] = sum(row["code"] == "erased" for row in up.send(late))
    run_endcap(up.data_dir, "features")
    run_endcap(up.data_dir, "train", "--budget-minutes", str(given.budget_minutes))
    left |= {f"{name} later": count for name, count in by_part(files_with(up.data_dir, NEEDLES)).items()}
    run_endcap(folder / "restored", "restore", str(folder / "backup"))
    left |= {f"{name} restored": count for name, count in by_part(files_with(folder / "restored", NEEDLES)).items()}
    found["doctor"] = [line for line in run_endcap(up.data_dir, "doctor").splitlines() if "ledger" in line]
    return found


def by_part(files: dict[str, int]) -> dict[str, int]:
    """The same by the first folder."""
    parts: Counter[str] = Counter()
    for name, count in files.items():
        parts[name.split("/")[0]] += count
    return dict(parts)


def in_memory(up: Up) -> dict[str, int]:
    """How often each process holds a name."""
    return {f"memory of {' '.join(sorted(command_of(pid)))[:60]} {pid}": found_in(pid) for pid in pids(up)}


def kill(up: Up, erasure_id: str, chance: random.Random, *, count: int) -> None:
    """Ends the worker at random moments, every second time just when a step was noted."""
    for number in range(count):
        if number % 2:
            sleep(chance.uniform(0.1, 2.0))
        else:
            noted = steps_done(up, erasure_id)
            deadline = perf_counter() + 5
            while steps_done(up, erasure_id) == noted and perf_counter() < deadline:
                sleep(0.01)
        wait_until(lambda: "worker" in up.parts(), "a worker runs")
        os.kill(up.parts()["worker"], signal.SIGKILL)


def steps_done(up: Up, erasure_id: str) -> int:
    done: int = up.client.get(f"/v1/erasures/{erasure_id}").json()["steps_done"]
    return done


if __name__ == "__main__":
    main()
