"""What stays of somebody who was erased: hashes with a secret, by which nobody is found and late data are refused."""

import hmac
from collections.abc import Callable, Iterable
from hashlib import sha256

PSEUDONYM = "erased-"


def tombstone_of(secret: bytes, key: str) -> str:
    """The tombstone of an identity's key, 64 hexadecimal digits: nobody computes it without the secret."""
    return hmac.new(secret, key.encode(), sha256).hexdigest()


def tombstones_of(secret: bytes, keys: Iterable[str]) -> dict[str, str]:
    """By key its tombstone."""
    return {key: tombstone_of(secret, key) for key in keys}


def pseudonyms(secret: bytes) -> Callable[[str], str]:
    """What gives an id that the ledger has to keep its pseudonym; the same id always the same one."""

    def pseudonym_of(value: str) -> str:
        return PSEUDONYM + hmac.new(secret, f"pseudonym {value}".encode(), sha256).hexdigest()[:32]

    return pseudonym_of
