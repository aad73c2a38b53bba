"""When a process that died is started again, and when everything ends instead."""

import subprocess
import sys
from time import monotonic, sleep

import pytest

from app.errors import BadSetting
from app.processes.child import MANY_DEATHS, Child, Process


def dying(code: str = "raise SystemExit(3)") -> Process:
    """A Python that runs this code."""
    return subprocess.Popen([sys.executable, "-I", "-S", "-c", code])


def revive_until_dead(child: Child, deaths: int) -> None:
    """Starts it again until it died so often, or raises what reviving raises."""
    deadline = monotonic() + 30
    while child.restart_count < deaths:
        assert monotonic() < deadline
        child.revive()
        sleep(0.01)


def test_part_that_never_lived_ends_everything_and_says_its_status() -> None:
    child = Child("broken", dying)
    child.start()
    with pytest.raises(BadSetting, match=f"broken died {MANY_DEATHS} times in a row \\(status 3\\)"):
        revive_until_dead(child, deaths=100)


def test_part_that_has_lived_is_started_again_however_often_it_dies() -> None:
    lives = iter(["import time; time.sleep(0.5)"])
    child = Child("unlucky", lambda: dying(next(lives, "raise SystemExit(3)")), long_life_s=0.2)
    child.start()
    revive_until_dead(child, deaths=MANY_DEATHS + 1)
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
    revive_until_dead(child, deaths=1)
    assert next(obstacles, "none left") == "none left"
    child.wait(monotonic())


def test_killed_part_is_started_again_without_a_wait() -> None:
    child = Child("victim", lambda: dying("import time; time.sleep(60)"))
    child.start()
    begun = monotonic()
    for deaths in range(MANY_DEATHS + 1):
        child.wait(monotonic())
        revive_until_dead(child, deaths + 1)
    child.wait(monotonic())
    assert monotonic() - begun < 5
