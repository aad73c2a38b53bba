"""What an export and an erasure work on; light, so that a server that does neither loads nothing for it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.settings import Settings
from app.stores.redis.keys import RedisKeys, WorkerClient
from app.stores.sql.database.engine import Ledger

if TYPE_CHECKING:
    from app.history import History

STEPS = ("redis", "ledger", "files", "late", "backups", "disk", "memory")
"""What an erasure does, in this order (docs/privacy.md#erasure)."""


@dataclass(frozen=True, slots=True)
class Places:
    """Every store that may hold something of a person."""

    settings: Settings
    ledger: Ledger
    client: WorkerClient
    keys: RedisKeys
    secret: bytes

    @property
    def history(self) -> "History":
        """Every purchase and event."""
        # A server needs none of what it loads.
        from app.composition.history import history_of

        return history_of(self.settings)
