"""Memory of processes: freed memory keeps its bytes, so processes that served somebody are exchanged for new ones."""

import os
from pathlib import Path

SERVES = "--parent-pid"
"""Stands in the command of every process that `app.commands.supervisor` exchanges. Valkey is none of them, and is
started so that what it frees keeps nothing; nor is what others start, as Python's own helper of a training."""
TICKS = os.sysconf("SC_CLK_TCK")


def older_children(parent_pid: int, *, than_s: float) -> list[int]:
    """The children that serve and began before this instant (unix seconds) and are still there."""
    found = []
    for task in Path(f"/proc/{parent_pid}/task").glob("*/children"):
        for pid in map(int, task.read_text().split()):
            try:
                command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
                if SERVES in command and _began_s(pid) < than_s:
                    found.append(pid)
            # It ended meanwhile.
            except (OSError, IndexError):
                continue
    return found


def _began_s(pid: int) -> float:
    """When a process began, in unix seconds."""
    # After the name, which may hold spaces and brackets; field 22 counts from 1.
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    booted = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    return int(booted.split()[1]) + ticks / TICKS
