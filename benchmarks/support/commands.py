"""The product's own commands as a benchmark runs them: with JSON out, timed, and an end of the run when one fails."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import orjson

from benchmarks.ranking.protocols import PLACEMENTS, Protocol
from benchmarks.ranking.ranked import Lists

TIMEOUT_S = 3600.0
NO_SETTINGS: Mapping[str, str] = {}


def endcap(
    data_dir: Path, words: Sequence[str], *, settings: Mapping[str, str] = NO_SETTINGS
) -> tuple[dict[str, object], float]:
    """What the command reported, and the seconds that it took; `settings` are variables of its environment."""
    started = perf_counter()
    command = [sys.executable, "-m", "app.cli", *words, "--data-dir", str(data_dir), "--json"]
    environment = os.environ | settings
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise SystemExit(f"endcap {words[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    report: dict[str, object] = json.loads(done.stdout)
    return report, perf_counter() - started


def import_files(data_dir: Path, options: Mapping[str, Path]) -> float:
    """Seconds of `endcap import` with these options."""
    return endcap(data_dir, ["import", *(str(word) for option in options.items() for word in option)])[1]


def ask(data_dir: Path, protocol: Protocol, folder: Path) -> tuple[Lists, float]:
    """The lists that `endcap recommend` writes for the protocol's customers, and the seconds that it took."""
    requests, answers = folder / "requests.jsonl", folder / "answers.jsonl"
    requests.write_bytes(b"\n".join(orjson.dumps(protocol.request(name)) for name in protocol.truth))
    placements = folder / "placements.json"
    placements.write_bytes(orjson.dumps(PLACEMENTS))
    words = ["recommend", "--requests", str(requests), "--output", str(answers)]
    report, taken_s = endcap(data_dir, words, settings={"ENDCAP_PLACEMENTS_FILE": str(placements)})
    assert report["answered_count"] == len(protocol.truth), report
    lists = {
        name: [proposition["product_id"] for proposition in orjson.loads(line)["propositions"]]
        for name, line in zip(protocol.truth, answers.read_bytes().splitlines(), strict=True)
    }
    return lists, taken_s
