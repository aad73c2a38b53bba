"""Imports, their undoing and their replacement killed with -9 at random moments: each happened whole or not at all.

    python -m benchmarks.chaos.import_kill --moments 12 --lines 300000

Each operation first runs to its end on a copy of the same data directory, which shows how long it takes and what it
leads to. Then it is killed on further copies, each at a moment of its own, and looked at: rows and journal must both be
as before, or both as after. Run again, it must lead to the same as without the kill. As a control the same file comes
in as two commits, killed between them: that must be found.
"""

import argparse
import random
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import polars as pl
import polars.selectors as cs

from app.composition.history import history_of
from app.history.rows import CUSTOMER_ID, PRODUCT_ID, ROW_ID, SCHEMA
from app.imports.journal.records import FOLDER
from app.imports.run import Sources, run_imports
from app.imports.undo import list_imports
from app.settings import Settings
from benchmarks.support import machine

BEFORE, AFTER, TORN = "before", "after", "torn"
EARLIEST_RATIO = 0.25
"""Before that share of its time an operation loads modules, and a kill shows nothing."""
CLOSE_RATIO = 0.2
LOOK_S = 0.001
PRODUCT_COUNT = 20_000
OPERATIONS = ("import", "undo", "replace", "import products", "undo products", "replace products")


@dataclass(frozen=True, slots=True)
class State:
    """Everything that an import may change, as a reader finds it."""

    rows: int
    content: int
    products: int
    imports: tuple[tuple[str, str], ...]


def main() -> None:
    """Prints one JSON object; exits with 1 when anything was torn, or the control was not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=12, help="kills of each operation")
    parser.add_argument("--lines", type=int, default=300_000, help="till lines in a file")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-import-kill-") as folder:
        found = run(Path(folder), moment_count=given.moments, line_count=given.lines, seed=given.seed)
    machine.show({"benchmark": "import kill", **machine.facts(), **found})
    sys.exit(bool(found["broken"]))


def run(
    folder: Path, *, moment_count: int, line_count: int, seed: int, names: Collection[str] = OPERATIONS
) -> dict[str, object]:
    """What was found after each operation's kills, what did not hold, and whether the control was found torn."""
    chance = random.Random(seed)
    base, files = folder / "base", _files(folder, line_count)
    ids = {name: _bring(base, name, files[name]) for name in ("transactions-1", "transactions-2", "products-1")}
    outcomes: dict[str, Counter[str]] = {}
    broken = []
    operations = _operations(files, ids)
    for name in names:
        words = operations[name]
        before = state(base)
        whole = _copy(base, folder / "whole")
        began = perf_counter()
        _finished(words, whole)
        taken_s, after = perf_counter() - began, state(whole)
        outcomes[name] = Counter()
        for number in range(moment_count):
            killed = _copy(base, folder / "killed")
            # Every second one around the commit: the journal is written just before and after it.
            is_close = number % 2 == 1
            earliest, latest = (0.0, CLOSE_RATIO) if is_close else (EARLIEST_RATIO, 1.0)
            moment_s = taken_s * chance.uniform(earliest, latest)
            _killed(words, killed, moment_s=moment_s, after_journal=is_close)
            outcome = {before: BEFORE, after: AFTER}.get(state(killed), TORN)
            outcomes[name][outcome] += 1
            _finished(words, killed, may_be_done=outcome == AFTER)
            if outcome == TORN or state(killed) != after:
                broken.append(f"{name} killed after {moment_s:.2f} s is {outcome}, and run again {state(killed)}")
    control = _control(folder, base, files["transactions-3"])
    if control != TORN:
        broken.append(f"the control is {control} instead of {TORN}")
    return {"outcomes": {name: dict(count) for name, count in outcomes.items()}, "control": control, "broken": broken}


def state(data_dir: Path) -> State:
    """What a reader finds; two states are equal when their rows and their lists of imports are."""
    settings = Settings.load(data_dir=data_dir)
    rows = history_of(settings).scan().sort(ROW_ID).collect()
    table = settings.tables_dir / "products.parquet"
    products = pl.read_parquet(table) if table.exists() else pl.DataFrame()
    # Columns that later files brought may stand in another order, and what is run again is listed later.
    products = products.select(sorted(products.columns)).with_columns(cs.temporal().is_null())
    listed = sorted((one.record.import_id, one.status) for one in list_imports(settings))
    return State(rows.height, _hash(rows), _hash(products), tuple(listed))


def import_in_two_commits(data_dir: Path, file: Path) -> None:
    """The control: what an import without one commit would be. Waits between the two until it is killed."""
    lines = pl.read_csv(file, infer_schema=False)
    rows = lines.select(pl.col(CUSTOMER_ID), pl.col(PRODUCT_ID)).with_row_index(ROW_ID)
    rows = pl.concat([pl.DataFrame(schema=SCHEMA), rows.cast(pl.String)], how="diagonal")
    history_of(Settings.load(data_dir=data_dir)).append_new(rows.head(rows.height // 2))
    print("half", flush=True)
    sys.stdin.read()


def _files(folder: Path, line_count: int) -> dict[str, Path]:
    """Three files of lines of which each holds half of the one before, and two of products."""
    frames = {}
    for number in range(1, 4):
        start = number * line_count // 2
        frames[f"transactions-{number}"] = pl.select(
            customer_id=pl.int_range(start, start + line_count) % 5000,
            product_id=pl.int_range(start, start + line_count) % PRODUCT_COUNT,
            basket_id=pl.int_range(start, start + line_count),
            amount=pl.lit("2.50"),
        )
    for number in range(1, 3):
        ids = pl.int_range(number * 10, number * 10 + PRODUCT_COUNT)
        frames[f"products-{number}"] = pl.select(product_id=ids, name=pl.format(f"{number} of {{}}", ids))
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    return {name: folder / f"{name}.csv" for name in frames}


def _bring(data_dir: Path, name: str, file: Path) -> str:
    sources = Sources(**{name.split("-")[0]: file})  # type: ignore[arg-type]  # of its many fields one by its name
    now = datetime.now(UTC)
    (report,) = run_imports(
        Settings.load(data_dir=data_dir), sources, shift_to_now=False, now=now, progress=lambda *_: None
    )
    return str(report.import_id)


def _operations(files: Mapping[str, Path], ids: Mapping[str, str]) -> dict[str, Sequence[str]]:
    lines = ("import", "--transactions", str(files["transactions-3"]))
    products = ("import", "--products", str(files["products-2"]))
    return {
        "import": lines,
        "undo": ("imports", "undo", ids["transactions-1"]),
        "replace": (*lines, "--replace", ids["transactions-1"]),
        "import products": products,
        "undo products": ("imports", "undo", ids["products-1"]),
        "replace products": (*products, "--replace", ids["products-1"]),
    }


def _command(words: Sequence[str], data_dir: Path) -> list[str]:
    return [sys.executable, "-m", "app.cli", *words, "--data-dir", str(data_dir)]


def _finished(words: Sequence[str], data_dir: Path, *, may_be_done: bool = False) -> None:
    """Runs it to its end; one that is done already may say so."""
    done = subprocess.run(_command(words, data_dir), capture_output=True, text=True, check=False)
    if done.returncode and not (may_be_done and " was " in done.stderr):
        raise RuntimeError(f"{words} ended with {done.returncode}: {done.stderr}")


def _killed(words: Sequence[str], data_dir: Path, *, moment_s: float, after_journal: bool) -> None:
    journal = data_dir / "tables" / FOLDER
    before_ns = journal.stat().st_mtime_ns
    process = subprocess.Popen(_command(words, data_dir), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while after_journal and journal.stat().st_mtime_ns == before_ns and process.poll() is None:
            sleep(LOOK_S)
        process.wait(moment_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _control(folder: Path, base: Path, file: Path) -> str:
    data_dir = _copy(base, folder / "control")
    before = state(data_dir)
    script = (
        "import sys; from pathlib import Path; from benchmarks.chaos.import_kill import import_in_two_commits as run;"
    )
    command = [sys.executable, "-c", f"{script} run(Path(sys.argv[1]), Path(sys.argv[2]))", str(data_dir), str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    found = state(data_dir)
    whole = found.rows - before.rows == pl.scan_csv(file).select(pl.len()).collect().item()
    return BEFORE if found == before else AFTER if whole else TORN


def _copy(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def _hash(frame: pl.DataFrame) -> int:
    return int(frame.hash_rows().sum()) if frame.width else 0


if __name__ == "__main__":
    main()
