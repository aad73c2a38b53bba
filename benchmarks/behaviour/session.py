"""One recording, from an empty directory to a document: train, set campaigns up, decide, take events, sell."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx

from benchmarks.behaviour import campaigns, decisions, events, till
from benchmarks.behaviour.executable import Executable
from benchmarks.behaviour.ledger import read_ledger
from benchmarks.behaviour.recording import Recorder
from benchmarks.behaviour.stable import StableNames
from benchmarks.behaviour.store import NEW_PRODUCTS, PLACEMENTS, write_new_products, write_placements
from benchmarks.behaviour.trained import facts_of_training, import_and_train

REQUEST_TIMEOUT_S = 120.0
TRAINED = "trained"
SETTINGS = {
    "ENDCAP_CURRENCY": "USD",
    # A busy machine may be late; a recording must not depend on that.
    "ENDCAP_FEATURE_TIMEOUT_MS": "10000",
    "ENDCAP_INGEST_TIMEOUT_MS": "10000",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}

Part = Callable[[Recorder], None]


def record(path: Path, folder: Path, *, trained: Path | None = None) -> dict[str, Any]:
    """What the executable at `path` does, recorded in an empty `folder`.

    The folder keeps a copy of the data directory as it was after the training. With `trained`, such a copy that this
    very executable has made before, nothing is learned again.
    """
    settings = SETTINGS | {"ENDCAP_PLACEMENTS_FILE": str(write_placements(folder / PLACEMENTS))}
    endcap = Executable(path, folder, settings)
    if trained is None:
        with _timed("training"):
            import_and_train(endcap)
        shutil.copytree(endcap.data_dir, folder / TRAINED)
    else:
        shutil.copytree(trained, endcap.data_dir)
    names = StableNames({str(endcap.data_dir): "<data>"})
    recording: dict[str, Any] = {"training": facts_of_training(endcap.data_dir, names)}
    recording |= _served(endcap, names, {"campaigns": campaigns.set_up})
    endcap.run("import", "--products", str(write_new_products(folder / NEW_PRODUCTS)))
    # Wallets in Redis are renewed after each write and again a little later: this is the state they all come to.
    endcap.run("project")
    first = {"decisions": decisions.decide, "replenishment": decisions.replenish, "planning": decisions.plan}
    recording |= _served(endcap, names, first | {"events": events.send_events})
    endcap.run("project")
    recording |= _served(endcap, names, {"decisions_again": _again, "till": till.run_the_till})
    recording["ledger"] = read_ledger(endcap.data_dir / "ledger.db", names)
    return recording


def _again(recorder: Recorder) -> None:
    decisions.decide_again(recorder, events.SHOPPERS)
    decisions.ask_replenishment(recorder, events.SHOPPERS)


def _served(endcap: Executable, names: StableNames, parts: Mapping[str, Part]) -> dict[str, Any]:
    """The entries of each part, answered by one `endcap up`."""
    recorded = {}
    with endcap.up() as address, httpx.Client(base_url=address, timeout=REQUEST_TIMEOUT_S) as client:
        for name, part in parts.items():
            recorder = Recorder(client, names, prefix=name)
            with _timed(name):
                part(recorder)
            recorded[name] = recorder.entries
    return recorded


@contextmanager
def _timed(name: str) -> Iterator[None]:
    started = perf_counter()
    yield
    print(f"{name}: {perf_counter() - started:.0f} s", file=sys.stderr, flush=True)


def write_recording(recording: dict[str, Any], output: Path) -> None:
    """One JSON document, to be read by people as well."""
    output.write_text(json.dumps(recording, ensure_ascii=False, indent=1) + "\n")
