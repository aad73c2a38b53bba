"""Data whose period is over, deleted once a day: docs/privacy.md#retention has the table."""

import logging
from datetime import datetime, timedelta
from time import monotonic

from app.erasure.places import Places
from app.stores.sql.customers.audit import delete_looks
from app.stores.sql.customers.changes import delete_old_changes

EVERY_S = 86_400.0
FIRST_AFTER_S = 60.0
"""Whoever has just been started has more urgent things to do."""

_log = logging.getLogger(__name__)


class Retention:
    """Deletes what is kept no longer, once a day in each worker; what Redis and the ledger keep for hours they expire
    by themselves."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._due_s = monotonic() + FIRST_AFTER_S

    def is_due(self) -> bool:
        """True where the last turn was a day ago."""
        return monotonic() >= self._due_s

    def turn(self) -> None:
        """One turn, where it is due. Raises StoreUnavailable: then the next one comes a day later all the same."""
        if not self.is_due():
            return
        self._due_s = monotonic() + EVERY_S
        deleted = expire(self._places, now=self._places.ledger.now())
        if any(deleted.values()):
            detail = ", ".join(f"{count:,} {what}" for what, count in deleted.items() if count)
            _log.info("periods are over", extra={"detail": f"deleted: {detail}"})


def expire(places: Places, *, now: datetime) -> dict[str, int]:
    """Deletes what is older than its period; returns how much, by kind."""
    settings = places.settings
    rows = places.history.expire(
        timedelta(days=settings.purchases_keep_days), timedelta(days=settings.behaviour_keep_days)
    )
    looked_before = now - timedelta(days=settings.audit_keep_days)
    looks = places.ledger.write(lambda connection: delete_looks(connection, before=looked_before))
    places.ledger.write(lambda connection: delete_old_changes(connection, now=now))
    refused_before = (now - timedelta(days=settings.rejects_keep_days)).timestamp()
    files = 0
    for path in settings.rejects_dir.glob("*"):
        if path.is_file() and path.stat().st_mtime < refused_before:
            path.unlink(missing_ok=True)
            files += 1
    return {"rows of the history": rows, "looks of staff": looks, "files of refused rows": files}
