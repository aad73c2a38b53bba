"""Half of what the machine can bear, for long, with a new bundle a minute: nothing may grow, and nothing get slower."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic, sleep
from urllib.request import urlopen

from scipy.stats import theilslopes

from benchmarks.chaos.answers import Decision
from benchmarks.chaos.faults import Rig
from benchmarks.chaos.load import Load, running
from benchmarks.chaos.run import NO_NEEDS, rig_for, settings_of
from benchmarks.chaos.shop import open_shop
from benchmarks.chaos.stalls import Stalls, watched_machine
from benchmarks.chaos.verdict import ANSWERED_RATIO, own_s, quantiles_ms
from benchmarks.failures.publications import Copies, copies_of_live_bundle

RATES_PER_S = (50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0, 800.0)
STEP_S = 6.0
BEARABLE_P99_MS = 50.0
"""The machine bears the highest of these rates at which the 99th percentile of decisions is below this."""
SAMPLE_EVERY_S = 5.0
PUBLISH_EVERY_S = 60.0
KEPT_VERSIONS = 3
WARM_UP_RATIO = 0.2
WARM_UP_PUBLICATIONS = 24
"""In the warm-up: memory grows with the first twenty bundles, then it is used again."""
COMPARED_S = 600.0
"""The first and the last ten minutes are compared; in a shorter soak its thirds."""
MAX_GROWTH_MB_PER_H = 1.0
MAX_SLOWER_RATIO = 1.1
PARTS = ("serve", "worker", "valkey-server")
GROWS_WITH_DATA = "valkey-server"
"""It keeps every event's id for days."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What all processes of one part held at one instant."""

    at: float
    resident_mb: float
    open_files: int
    threads: int
    tasks: int
    """Of the event loops, requests under way among them; 0 where there is no loop."""


def soak(data_dir: Path, *, minutes: float) -> dict[str, object]:
    """The figures; `broken` names what grew or got slower."""
    with rig_for(NO_NEEDS, data_dir) as rig, copies_of_live_bundle(settings_of(rig)) as copies:
        address = f"http://127.0.0.1:{rig.service.server.port}"
        load = Load(rig.service.server.port, open_shop(address, settings_of(rig)), rate_per_s=0.0)
        with watched_machine() as stalls, running(load):
            capacity_per_s = _capacity(load, stalls)
            print(f"capacity: {capacity_per_s:.0f} requests/s", file=sys.stderr, flush=True)
            load.forget()
            load.rate_per_s = capacity_per_s / 2
            started_at = monotonic()
            samples = _sampled(rig, copies, started_at=started_at, seconds=minutes * 60)
            ended_at = monotonic()
        return {
            "minutes": minutes,
            "capacity_per_s": capacity_per_s,
            "rate_per_s": load.rate_per_s,
            "publications": copies.made_count,
            **_facts(load.answers.decisions, samples, stalls, (started_at, ended_at)),
            "stalls": stalls.facts(),
        }


def _capacity(load: Load, stalls: Stalls) -> float:
    borne_per_s = RATES_PER_S[0]
    for rate_per_s in RATES_PER_S:
        load.forget()
        load.rate_per_s = rate_per_s
        sleep(STEP_S)
        load.rate_per_s = 0.0
        sleep(1.0)
        taken = quantiles_ms([own_s(one, stalls) for one in load.answers.decisions])
        if taken["p99"] > BEARABLE_P99_MS:
            break
        borne_per_s = rate_per_s
    return borne_per_s


def _sampled(rig: Rig, copies: Copies, *, started_at: float, seconds: float) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {part: [] for part in PARTS}
    warm_up_s = WARM_UP_RATIO * seconds
    publish_at = started_at
    while monotonic() < started_at + seconds:
        sleep(SAMPLE_EVERY_S)
        for part in PARTS:
            tasks = _loop_tasks(rig) if part == "serve" else 0
            samples[part].append(_sample(rig.service.parts(part), tasks))
        if monotonic() >= publish_at:
            is_warm = monotonic() > started_at + warm_up_s
            publish_at += PUBLISH_EVERY_S if is_warm else warm_up_s / WARM_UP_PUBLICATIONS
            copies.publish(copies.make())
            for version in copies.versions[:-KEPT_VERSIONS]:
                shutil.rmtree(copies.bundles_dir / version)
                copies.versions.remove(version)
    return samples


def _loop_tasks(rig: Rig) -> int:
    with urlopen(f"http://127.0.0.1:{rig.service.server.port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int(float(next(line for line in lines if line.startswith("endcap_asyncio_tasks ")).split()[1]))


def _sample(pids: Sequence[int], tasks: int) -> Sample:
    folders = [Path("/proc") / str(pid) for pid in pids]
    pages = sum(int((folder / "statm").read_text().split()[1]) for folder in folders)
    return Sample(
        monotonic(),
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        sum(len(list((folder / "fd").iterdir())) for folder in folders),
        sum(len(list((folder / "task").iterdir())) for folder in folders),
        tasks,
    )


def _facts(
    decisions: Sequence[Decision], samples: dict[str, list[Sample]], stalls: Stalls, span: tuple[float, float]
) -> dict[str, object]:
    started_at, ended_at = span
    compared_s = min(COMPARED_S, (ended_at - started_at) / 3)
    first = quantiles_ms([own_s(one, stalls) for one in decisions if one.due_at < started_at + compared_s])
    last = quantiles_ms([own_s(one, stalls) for one in decisions if one.due_at > ended_at - compared_s])
    parts = {part: _part_facts(samples[part]) for part in PARTS}
    answered_ratio = sum(one.status == 200 for one in decisions) / max(1, len(decisions))
    checks = {
        "answered": answered_ratio >= ANSWERED_RATIO,
        "p99": last["p99"] <= MAX_SLOWER_RATIO * first["p99"],
        **{f"{part} grows": not facts.grows or part == GROWS_WITH_DATA for part, facts in parts.items()},
        **{f"{part} holds more": not facts.holds_more for part, facts in parts.items()},
    }
    return {
        "broken": [name for name, holds in checks.items() if not holds],
        "decisions": len(decisions),
        "answered_ratio": round(answered_ratio, 5),
        "compared_s": round(compared_s),
        "first_ms": first,
        "last_ms": last,
        "parts": {part: facts.shown() for part, facts in parts.items()},
    }


@dataclass(frozen=True, slots=True)
class Growth:
    """How the processes of one part changed after the warm-up: Theil and Sen's slope with its 95 % interval."""

    resident_mb: tuple[float, float]
    mb_per_h: tuple[float, float, float]
    open_files: tuple[float, float]
    threads: tuple[float, float]
    tasks: tuple[float, float]

    @property
    def grows(self) -> bool:
        """True when the memory surely grows faster than it may."""
        return self.mb_per_h[1] > MAX_GROWTH_MB_PER_H

    @property
    def holds_more(self) -> bool:
        """True when the last third has a tenth more open files, threads or tasks than the first, and two at least."""
        held = (self.open_files, self.threads, self.tasks)
        return any(last > first * 1.1 and last >= first + 2 for first, last in held)

    def shown(self) -> dict[str, object]:
        """As figures."""
        slope, low, high = (round(value, 2) for value in self.mb_per_h)
        return {
            "resident_mb": [round(value, 1) for value in self.resident_mb],
            "mb_per_h": {"slope": slope, "low": low, "high": high},
            "open_files": self.open_files,
            "threads": self.threads,
            "tasks": self.tasks,
        }


def _part_facts(samples: Sequence[Sample]) -> Growth:
    warm = samples[int(len(samples) * WARM_UP_RATIO) :]
    third = max(1, len(warm) // 3)
    found = theilslopes([one.resident_mb for one in warm], [one.at / 3600 for one in warm])

    def ends(values: Sequence[float]) -> tuple[float, float]:
        return median(values[:third]), median(values[-third:])

    return Growth(
        ends([one.resident_mb for one in warm]),
        (float(found[0]), float(found[2]), float(found[3])),
        ends([one.open_files for one in warm]),
        ends([one.threads for one in warm]),
        ends([one.tasks for one in warm]),
    )
