"""A whole `endcap up` under a shop's traffic: Locust without a screen, for a bounded time.

python -m benchmarks.load --data-dir var --users 16 --seconds 60
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.support import machine
from benchmarks.support.servers import Server, endcap_up

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


def measure(data_dir: Path, *, users: int, seconds: int) -> dict[str, object]:
    """Locust's figures per kind of request, and what the API's process used meanwhile."""
    with endcap_up(data_dir) as service:
        api = Server(service.server.port, service.part("serve"))
        before_s = api.cpu_s()
        rows = run_locust(service.server.port, data_dir, users=users, seconds=seconds)
        used_s, resident_bytes = api.cpu_s() - before_s, api.resident_bytes()
    return {
        "users": users,
        "seconds": seconds,
        "requests_per_s": round(sum(int(str(row["num_requests"])) for row in rows) / seconds, 1),
        "failures": sum(int(str(row["num_failures"])) for row in rows),
        "requests": {row["name"]: figures(row) for row in rows},
        "api_cpu_share": round(used_s / seconds, 2),
        "api_resident_mib": round(resident_bytes / 2**20),
    }


def run_locust(port: int, data_dir: Path, *, users: int, seconds: int) -> list[dict[str, object]]:
    """Locust's own JSON, one row a kind of request."""
    with TemporaryDirectory(prefix="endcap-load-") as folder:
        result = Path(folder) / "result"
        command = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
        bounds = ["-u", str(users), "-r", str(users), "-t", f"{seconds}s", "--stop-timeout", "5"]
        target = ["--host", f"http://127.0.0.1:{port}", "--json-file", str(result)]
        environment = os.environ | {"ENDCAP_DATA_DIR": str(data_dir.absolute())}
        done = subprocess.run(
            [*command, *bounds, *target], env=environment, capture_output=True, text=True, timeout=seconds + 120
        )
        written = result.with_suffix(".json")
        if not written.exists():
            raise SystemExit(f"locust ended with {done.returncode}: {done.stderr[-2000:]}")
        rows: list[dict[str, object]] = json.loads(written.read_text())
        return rows


def figures(row: dict[str, object]) -> dict[str, object]:
    """Count and quantiles of one kind of request; Locust rounds what it counts per millisecond."""
    times = row["response_times"]
    assert isinstance(times, dict)
    taken = sorted((float(taken_ms), count) for taken_ms, count in times.items())
    return {
        "count": row["num_requests"],
        "failures": row["num_failures"],
        "p50_ms": quantile(taken, 0.5),
        "p99_ms": quantile(taken, 0.99),
        "max_ms": round(float(str(row["max_response_time"])), 1),
    }


def quantile(taken: list[tuple[float, int]], share: float) -> float | None:
    """The value that `share` of the counted values do not exceed."""
    wanted = share * sum(count for _, count in taken)
    seen = 0
    for value, count in taken:
        seen += count
        if seen >= wanted:
            return value
    return None


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--users", type=int, default=16)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    found = measure(given.data_dir, users=given.users, seconds=given.seconds)
    machine.show({"benchmark": "load", **machine.facts(), **found})


if __name__ == "__main__":
    main()
