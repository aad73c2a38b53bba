"""Waiting for what comes soon, in a test that would otherwise have to sleep."""

from time import monotonic, sleep


def wait_until(holds: object, what: str, *, timeout_s: float = 20.0) -> None:
    """Returns once `holds()` is true; fails when that takes too long."""
    assert callable(holds)
    deadline = monotonic() + timeout_s
    while monotonic() < deadline:
        if holds():
            return
        sleep(0.01)
    raise AssertionError(f"waited {timeout_s} s in vain until {what}")
