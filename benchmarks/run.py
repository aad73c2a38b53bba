"""What `make bench` runs: the measurements of speed one after the other, as one JSON object.

    python -m benchmarks.run --data-dir var

Writes nothing but to the screen; the events that freshness sends stay in the data directory's Valkey.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.support import machine

TIMEOUT_S = 1800


def result_of(module: str, words: Sequence[str]) -> object:
    """What one benchmark printed: its object, or its objects where it prints one a line; what failed is reported."""
    print(f"{module} …", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        return {"failed_with_status": done.returncode}
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> None:
    """Prints one JSON object; status 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    given = parser.parse_args()
    if not (given.data_dir / "bundles" / "current").exists():
        raise SystemExit(f"{given.data_dir} holds no bundle; run `make demo ARGS=--check` first")
    data_dir = ["--data-dir", str(given.data_dir)]
    facts = machine.facts()
    results = {name: result_of(name, data_dir) for name in ("stages", "full_path", "freshness")}
    results["import_speed"] = result_of("import_speed", [])
    machine.show({**facts, "results": results})
    if any(isinstance(result, dict) and "failed_with_status" in result for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
