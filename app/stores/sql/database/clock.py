"""What time it is by the database, so that processes whose own clocks differ agree on what has begun and ended."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import CLOCK_BOOTTIME, clock_gettime

from sqlalchemy import Connection, text

from app.errors import StoreUnavailable

READ_EVERY_S = 15.0
"""A clock that is steered by NTP is off by less than 10 ms after so long."""


class DatabaseClock:
    """PostgreSQL's clock, read along with other work and counted on by what passes on this machine."""

    def __init__(self) -> None:
        self._read: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """In UTC, whatever this machine's clock says; raises StoreUnavailable before the database was reached once."""
        if self._read is None:
            raise StoreUnavailable("the ledger was not reached yet, and its clock is the one that counts; try again")
        read_at, at_s = self._read
        return read_at + timedelta(seconds=_passed_s() - at_s)

    def look(self, connection: Connection) -> None:
        """Reads the clock again where that is due: one statement of 0.1 ms."""
        if self._read is None or _passed_s() - self._read[1] > READ_EVERY_S:
            # Not now(): that is when the transaction began.
            read_at: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
            self._read = (read_at.astimezone(UTC), _passed_s())


class MachineClock:
    """This machine's own clock: all processes on one SQLite file run here."""

    def now(self) -> datetime:
        """In UTC."""
        return datetime.now(UTC)

    def look(self, connection: Connection) -> None:
        """Nothing to read."""


class SteadyClock:
    """Another clock, which no jump takes forward: for what cannot be undone and so may be late, and never early."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._began: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The clock's time, but no later than its first time and what has passed since."""
        now, passed_s = self._clock(), _passed_s()
        began_at, at_s = self._began = self._began or (now, passed_s)
        return min(now, began_at + timedelta(seconds=passed_s - at_s))


def _passed_s() -> float:
    """Seconds since the machine began: no setting of its clock changes them, and a suspension counts."""
    return clock_gettime(CLOCK_BOOTTIME)
