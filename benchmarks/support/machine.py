"""Where and when a figure was measured: without that it is worth nothing."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import orjson

CHECKOUT = Path(__file__).resolve().parent.parent


def facts() -> dict[str, object]:
    """Processor, cores, memory, Python, date and commit of this run."""
    return {
        "machine": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "python": platform.python_version(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": _commit(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def load() -> dict[str, object]:
    """How busy the machine was in the last minute."""
    return {"load": round(os.getloadavg()[0], 2)}


def show(found: dict[str, object]) -> None:
    """Prints one JSON object."""
    print(as_json(found).decode(), flush=True)


def as_json(found: dict[str, object]) -> bytes:
    """One JSON object, indented; arrays of numpy are lists."""
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _commit() -> str:
    """The short commit, marked when files differ from it; "unknown" outside a checkout."""
    command = ["git", "-C", str(CHECKOUT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
