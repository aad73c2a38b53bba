"""When a process that died is started again, and when everything ends instead."""

import subprocess
import sys
from time import monotonic, sleep

import pytest

from app.errors import BadSetting
from app.processes.child import MANY_DEATHS, Child, Process

BRIEF = "import time; time.sleep(0.05); raise SystemExit(3)"


def dying(code: str = BRIEF) -> Process:
    """A Python that runs this code."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code])


def revive(child: Child, *, times: int) -> None:
    """Starts it again until it died so often, or raises what reviving raises."""
    deadline = monotonic() + 30
    pids = {child.pid}
    while len(pids - {None}) <= times:
        assert monotonic() < deadline
        child.revive()
        pids.add(child.pid)
        sleep(0.001)


def test_part_that_never_lived_ends_everything_and_says_its_status() -> None:
    child = Child("broken", dying)
    child.start()
    with pytest.raises(BadSetting, match=f"broken died {MANY_DEATHS} times in a row \\(status 3\\)"):
        revive(child, times=100)


def test_part_that_has_lived_is_started_again_however_often_it_dies() -> None:
    lives = iter(["import time; time.sleep(0.5)"])
    child = Child("unlucky", lambda: dying(next(lives, BRIEF)), long_life_s=0.2)
    child.start()
    revive(child, times=MANY_DEATHS + 1)
    child.wait(monotonic())


def test_part_that_cannot_even_be_started_is_tried_again() -> None:
    obstacles = iter([None, PermissionError("read-only"), PermissionError("read-only"), None])

    def spawn() -> Process:
        obstacle = next(obstacles)
        if obstacle is not None:
            raise obstacle
        return dying("import time; time.sleep(0.5)")

    child = Child("shut out", spawn, long_life_s=0.2)
    child.start()
    revive(child, times=1)
    assert next(obstacles, "none left") == "none left"
    child.wait(monotonic())


def test_killed_part_is_started_again_however_young_it_was() -> None:
    child = Child("victim", lambda: dying("import time; time.sleep(60)"))
    child.start()
    for _ in range(MANY_DEATHS + 1):
        killed = child.pid
        child.wait(monotonic())
        while child.pid in {None, killed}:
            child.revive()
    child.wait(monotonic())
