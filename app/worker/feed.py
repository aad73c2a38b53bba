"""The products feed on its schedule: a look each interval, in a process of its own, for a large feed takes memory."""

import logging
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event as Flag
from threading import Thread
from time import time

from app.settings import Settings
from app.stores.tables.feed_state import read_state

CHECK_S = 5.0
END_S = 0.2

_log = logging.getLogger(__name__)


@contextmanager
def feed_schedule(settings: Settings, command: Sequence[str], *, check_s: float = CHECK_S) -> Iterator[None]:
    """The feed is looked at until the block ends; where none is set nothing is."""
    if settings.product_feed_url is None:
        yield
        return
    stop = Flag()
    thread = Thread(target=_run, args=(settings, command, stop, check_s), name="product feed")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _run(settings: Settings, command: Sequence[str], stop: Flag, check_s: float) -> None:
    tried_at = 0.0
    while not stop.is_set():
        # Of a look of another worker too, and of before this one began.
        last_at = max(read_state(settings.feeds_dir).attempted_at or 0.0, tried_at)
        if time() - last_at >= settings.product_feed_interval_s:
            tried_at = time()
            _look([*command, "feed", "--data-dir", str(settings.data_dir)], stop)
        stop.wait(check_s)


def _look(command: Sequence[str], stop: Flag) -> None:
    """One look; ended with the worker, which changes nothing or all of it."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    with process:
        while process.poll() is None:
            if stop.wait(END_S):
                process.terminate()
                break
        _, words = process.communicate()
    if process.returncode and not stop.is_set():
        _log.error("product feed failed", extra={"detail": words[-500:].strip()})
