"""The product's own commands as a benchmark runs them: JSON out, measured, and the run ends when one fails."""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.ranking.protocols import PLACEMENTS, Protocol
from benchmarks.ranking.ranked import Lists

TIMEOUT_S = 3600.0
NO_SETTINGS: Mapping[str, str] = {}
LOOK_EVERY_S = 0.2
"""How often a command's memory is looked at: its peak is gone with the process."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a command reported and what it took: seconds of the clock and of the processors (user and system), memory.

    `peak_mib` is the most that the command and what it started held resident, what they share counted once.
    """

    report: dict[str, object]
    seconds: float
    cpu_seconds: float
    peak_mib: int


@dataclass(frozen=True, slots=True)
class Answers:
    """The products proposed to each customer, best first, and the probability of each."""

    lists: Lists
    chances: Mapping[str, Sequence[float]]
    seconds: float


def measured(data_dir: Path, words: Sequence[str], *, settings: Mapping[str, str] = NO_SETTINGS) -> Measured:
    """The command's report and cost; `settings` are variables of its environment.

    One at a time, because the cost is that of all processes that ended meanwhile.
    """
    command = [sys.executable, "-m", "app.cli", *words, "--data-dir", str(data_dir), "--json"]
    started, before = perf_counter(), _cpu_seconds()
    peak_mib = 0
    environment = os.environ | settings
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True) as process:
        while True:
            try:
                written, complaints = process.communicate(timeout=LOOK_EVERY_S)
                break
            except subprocess.TimeoutExpired:
                # Not ru_maxrss: the kernel counts into it what this process held when it started the command.
                peak_mib = max(peak_mib, sum(map(_held_mib, _with_children(process.pid))))
                if perf_counter() - started > TIMEOUT_S:
                    process.kill()
    if process.returncode:
        raise SystemExit(f"endcap {words[0]} ended with {process.returncode}: {complaints[-2000:]}")
    return Measured(json.loads(written), perf_counter() - started, _cpu_seconds() - before, peak_mib)


def endcap(
    data_dir: Path, words: Sequence[str], *, settings: Mapping[str, str] = NO_SETTINGS
) -> tuple[dict[str, object], float]:
    """What the command reported, and the seconds that it took; `settings` are variables of its environment."""
    run = measured(data_dir, words, settings=settings)
    return run.report, run.seconds


def import_files(data_dir: Path, options: Mapping[str, Path]) -> float:
    """Seconds of `endcap import` with these options."""
    return endcap(data_dir, ["import", *(str(word) for option in options.items() for word in option)])[1]


def ask(data_dir: Path, protocol: Protocol, folder: Path) -> Answers:
    """What `endcap recommend` writes for the protocol's customers."""
    requests, written = folder / "requests.jsonl", folder / "answers.jsonl"
    requests.write_bytes(b"\n".join(orjson.dumps(protocol.request(name)) for name in protocol.truth))
    placements = folder / "placements.json"
    placements.write_bytes(orjson.dumps(PLACEMENTS))
    words = ["recommend", "--requests", str(requests), "--output", str(written)]
    report, taken_s = endcap(data_dir, words, settings={"ENDCAP_PLACEMENTS_FILE": str(placements)})
    assert report["answered_count"] == len(protocol.truth), report
    shown = {
        name: orjson.loads(line)["propositions"]
        for name, line in zip(protocol.truth, written.read_bytes().splitlines(), strict=True)
    }
    return Answers(
        {name: [one["product_id"] for one in propositions] for name, propositions in shown.items()},
        {name: [one["probability"] for one in propositions] for name, propositions in shown.items()},
        taken_s,
    )


def _cpu_seconds() -> float:
    """Of all processes of this one that have ended, and of those that they waited for."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime


def _with_children(pid: int) -> list[int]:
    """The process, those that it started, and theirs."""
    found = [pid]
    for one in found:
        try:
            tasks = Path(f"/proc/{one}/task").iterdir()
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _held_mib(pid: int) -> int:
    """What the process holds resident now, its share of what it shares; 0 where the system does not say."""
    try:
        found = re.search(r"^Pss:\s*(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), flags=re.MULTILINE)
    except OSError:
        return 0
    return int(found[1]) // 1024 if found else 0
