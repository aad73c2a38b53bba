"""The keys as one server process knows them: read from the ledger every second, looked up on every request."""

import asyncio
import hmac
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from math import inf
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from app.domain import LOCAL, Scope
from app.errors import StoreUnavailable
from app.stores.sql.access.keyfile import KeyFile
from app.stores.sql.access.keys import BOOTSTRAP, PREFIX, Grant, KeyBook, hash_of

READ_EVERY_S = 1.0
READ_AGAIN_S = 0.1
"""Unknown keys make the ledger be read at once, but no more often than this."""
WAIT_S = 2.0
"""So long a request with an unknown key waits for that."""
KEEP_EVERY_S = 60.0
"""So often the file is written again, so that it says when the keys were last read; a changed book is at once."""

_MADE = PREFIX.encode()
"""What begins so was made for a ledger: it is this one's first key, or somebody reached the wrong service."""
_BOOTSTRAP = Grant(BOOTSTRAP, BOOTSTRAP, frozenset(Scope))
_LOCAL = Grant(LOCAL, LOCAL, frozenset(Scope), per_second=0)

_log = logging.getLogger(__name__)


class KeyRing:
    """Answers from memory who holds a key; belongs to one event loop, and reads in a thread of its own.

    `may_be_open`: whether a service without any key answers everybody. `hold_s`: so long what was read last stays true
    while the ledger cannot be read, also by a process that begins then and finds it in `file`.
    """

    def __init__(
        self,
        read: Callable[[], KeyBook],
        *,
        bootstrap: str | None,
        may_be_open: bool,
        hold_s: float,
        file: KeyFile | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._bootstrap = bootstrap.encode() if bootstrap else None
        self._may_be_open = may_be_open and bootstrap is None
        self._hold_s = hold_s
        self._file = file
        self._book: KeyBook | None = None
        self._kept: KeyBook | None = None
        self._kept_at = -inf
        # One read after the other on one thread: an older book never replaces a newer one.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="keys")
        self._grants: Mapping[str, Grant] = {}
        self.origins: frozenset[bytes] = frozenset()
        """Where pages of any live publishable key come from."""
        self._is_open = False
        self._known_until = self._read_at = -inf
        self._next_read: asyncio.Task[bool] | None = None
        self._reads: set[asyncio.Task[bool]] = set()

    def find(self, key: bytes) -> Grant | None:
        """The key's grant (b"" for none given), None when it is not known here.

        Raises StoreUnavailable when the keys could not be read for `hold_s`; the bootstrap key needs no ledger.
        """
        if self._clock() > self._known_until:
            if self._bootstrap is not None and hmac.compare_digest(key, self._bootstrap):
                return _BOOTSTRAP
            # Fails closed: the key may have been revoked since the last read.
            raise StoreUnavailable("the keys cannot be read from the ledger; try again")
        if self._is_open and not key.startswith(_MADE):
            return _LOCAL
        # Whoever measures how long this takes learns of a hash at best, never of a key.
        return self._grants.get(hash_of(key)) if key else None

    async def find_again(self, key: bytes) -> Grant | None:
        """The key's grant after a read that began after this call: so a key works as soon as it is made.

        Raises StoreUnavailable when the ledger does not answer.
        """
        if self._next_read is None:
            self._next_read = asyncio.create_task(self._read_when_due())
            # asyncio refers to tasks weakly: without the set a read could be collected before it ends.
            self._reads.add(self._next_read)
            self._next_read.add_done_callback(self._reads.discard)
        reading = self._next_read
        # Unlike wait_for(), wait() does not cancel the read at its timeout: others wait for the same one.
        await asyncio.wait({reading}, timeout=WAIT_S)
        if not reading.done() or not reading.result():
            raise StoreUnavailable("the key is not known, and the keys cannot be read from the ledger; try again")
        return self.find(key)

    async def refresh(self) -> bool:
        """Reads the keys; False, with all as it was, when the ledger does not let it."""
        began_at = self._clock()
        in_thread = asyncio.get_running_loop().run_in_executor
        try:
            book = await in_thread(self._thread, self._read)
        # Whatever SQL fails on, requests live on the keys that were read last.
        except (StoreUnavailable, SQLAlchemyError) as error:
            _log.warning("keys cannot be read", extra={"detail": str(error)})
            if self._book is None and self._file is not None:
                self._take_kept(await in_thread(self._thread, self._file.load))
            return False
        # Counted from the start of the read: a key revoked while it ran may still be in the book.
        self._take(book, read_at=began_at)
        if self._file is not None and (book != self._kept or began_at > self._kept_at + KEEP_EVERY_S):
            self._kept, self._kept_at = book, began_at
            await in_thread(self._thread, self._file.save, book)
        return True

    def _take_kept(self, kept: tuple[KeyBook, float] | None) -> None:
        if kept is None:
            return
        book, age_s = kept
        self._take(book, read_at=self._clock() - age_s)
        _log.warning("keys taken from the file of the last read", extra={"detail": f"{age_s:.0f} s old"})

    def _take(self, book: KeyBook, *, read_at: float) -> None:
        self._book = book
        bootstrap = {} if self._bootstrap is None else {hash_of(self._bootstrap): _BOOTSTRAP}
        self._grants = {**book.grants, **bootstrap}
        self.origins = frozenset(
            origin.encode()
            for grant in book.grants.values()
            if grant.publishable
            for origin in grant.publishable.origins
        )
        self._is_open = self._may_be_open and book.is_empty
        self._known_until = read_at + self._hold_s

    async def aclose(self) -> None:
        """Ends what is under way; a read that hangs is left to itself."""
        for reading in self._reads:
            reading.cancel()
        if self._reads:
            await asyncio.wait(self._reads)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _read_when_due(self) -> bool:
        await asyncio.sleep(max(0.0, self._read_at + READ_AGAIN_S - self._clock()))
        self._read_at = self._clock()
        # Whoever comes from now on may hold a key that this read does not see.
        self._next_read = None
        return await self.refresh()
