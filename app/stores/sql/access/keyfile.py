"""The keys as they were last read: a server that starts while the ledger is away knows its callers."""

import logging
from pathlib import Path
from time import time

import orjson

from app.domain import Scope
from app.files import replace_atomically
from app.stores.sql.access.keys import Grant, KeyBook
from app.stores.sql.access.publishable import Publishable

_log = logging.getLogger(__name__)


class KeyFile:
    """One file, which holds hashes of keys and never a key; whoever can write it can let somebody in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, book: KeyBook) -> None:
        """Writes the book as read now; a disk that does not take it is logged, and costs the next start alone."""
        keys = {
            key_hash: [grant.key_id, grant.client, sorted(grant.scopes), grant.per_second]
            for key_hash, grant in book.grants.items()
            if grant.publishable is None
        }
        # Apart from the others: an Endcap that knows none of these reads the file all the same, and lets none in.
        publishable = {
            key_hash: [grant.key_id, grant.client, grant.per_second, of_page.token_key, of_page.origins]
            for key_hash, grant in book.grants.items()
            if (of_page := grant.publishable) is not None
        }
        document = {"read_at_s": time(), "is_empty": book.is_empty, "keys": keys, "publishable": publishable}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            replace_atomically(self._path, lambda path: path.write_bytes(orjson.dumps(document)))
        except OSError as error:
            _log.warning("keys not kept for a start without the ledger", extra={"detail": str(error)})

    def load(self) -> tuple[KeyBook, float] | None:
        """The book and how many seconds ago it was read; None when there is none that can be used."""
        try:
            document = orjson.loads(self._path.read_bytes())
            grants = {
                key_hash: Grant(key_id, client, frozenset(map(Scope, scopes)), per_second)
                for key_hash, (key_id, client, scopes, per_second) in document["keys"].items()
            }
            grants |= {
                key_hash: Grant(key_id, client, frozenset(), per_second, Publishable(token_key, tuple(origins)))
                for key_hash, (key_id, client, per_second, token_key, origins) in document.get(
                    "publishable", {}
                ).items()
            }
            # An instant after now is a clock that went back: then nobody knows how old the book is.
            age_s = time() - float(document["read_at_s"])
            return (KeyBook(grants, is_empty=bool(document["is_empty"])), age_s) if age_s >= 0 else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
