"""One supervised process: started, watched, started again when it dies, ended."""

import logging
import signal
import subprocess
from collections.abc import Callable
from time import monotonic

from app.errors import BadSetting, EndcapError

MANY_DEATHS = 5
LONG_LIFE_S = 10.0
FIRST_WAIT_S, LAST_WAIT_S = 0.2, 4.0
# What ends so was killed by somebody else, and says nothing against the part itself.
KILLED = (-signal.SIGKILL, -signal.SIGTERM)
Process = subprocess.Popen[bytes]

_log = logging.getLogger(__name__)


class Child:
    """How to start a process, and how often it died young.

    A part that never lived for `long_life_s` ends everything when it keeps dying: there is a mistake to correct. One
    that did is started again for as long as it takes, after longer and longer waits: what it needs may come back.
    """

    def __init__(
        self,
        name: str,
        spawn: Callable[[], Process],
        *,
        on_restart: Callable[[], None] = lambda: None,
        long_life_s: float = LONG_LIFE_S,
    ) -> None:
        self.name = name
        self._on_restart = on_restart
        self._long_life_s = long_life_s
        self._spawn = spawn
        self._process: Process | None = None
        self._started_at = self._start_again_at = 0.0
        self._young_deaths = 0
        self._has_lived = self._is_exchanged = False

    @property
    def pid(self) -> int | None:
        """Its process id; None while it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> Process:
        """Starts the process; raises what starting it raises."""
        self._started_at = monotonic()
        self._process = self._spawn()
        return self._process

    def revive(self) -> None:
        """Starts it again if it died, once its wait is over; raises BadSetting when it never lived."""
        now = monotonic()
        if self.pid is not None:
            self._has_lived |= now - self._started_at >= self._long_life_s
            return
        if self._is_exchanged:
            self._is_exchanged = False
            self.start()
            return
        if self._process is not None:
            self._died(self._process.returncode, now)
        if now < self._start_again_at:
            return
        try:
            self.start()
        except (OSError, EndcapError) as error:
            self._died(str(error), now)
        else:
            self._on_restart()

    def _died(self, status: int | str, now: float) -> None:
        self._process = None
        if status not in KILLED:
            self._young_deaths = self._young_deaths + 1 if now - self._started_at < self._long_life_s else 1
        if self._young_deaths >= MANY_DEATHS and not self._has_lived:
            raise BadSetting(f"{self.name} died {MANY_DEATHS} times in a row (status {status})")
        wait_s = min(FIRST_WAIT_S * 2 ** (self._young_deaths - 2), LAST_WAIT_S) if self._young_deaths > 1 else 0.0
        self._start_again_at = now + wait_s
        _log.warning("part died, starting it again", extra={"part": self.name, "status": status, "wait_s": wait_s})

    def exchange(self) -> None:
        """Ends it in order; then revive() starts it, and nothing counts as a death."""
        self._is_exchanged = self.pid is not None
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Sends it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def wait(self, until: float) -> None:
        """Returns once it ended; kills it when `until` (of time.monotonic) is past."""
        if self._process is None:
            return
        try:
            self._process.wait(max(0.0, until - monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
