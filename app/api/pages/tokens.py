"""A person's short-lived token (JWT), signed by the retailer's server: who sends a request from a page or an app.

What a token says of its own verification is not believed (RFC 8725): the algorithm is that of the registered key, and
`kid`, `jku` and the like name no other.
"""

from collections import OrderedDict
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import jwt
from pydantic import TypeAdapter, ValidationError

from app.bounds import Id
from app.stores.sql.access.keys import Grant
from app.stores.sql.access.publishable import token_key_of

if TYPE_CHECKING:
    from app.stores.sql.access.publishable import PublicKey

AUDIENCE = "endcap"
"""So that no token that the retailer signs for another service opens this one."""
MAX_TOKEN_BYTES = 4096
MAX_LIFETIME_S = 3600
LEEWAY_S = 60
"""The signer's clock may be off by so much."""
MAX_KNOWN = 10_000
"""Memory for so many verified tokens; then those used longest ago are verified again."""
_LATEST_S = 2**40
"""Far beyond any instant, and small enough to count with: JSON knows larger numbers, and Python NaN besides."""
_OPTIONS: Any = {
    "require": ["aud", "exp", "iat"],
    "strict_aud": True,
    # Checked below, by our `now`.
    **dict.fromkeys(("verify_exp", "verify_iat", "verify_nbf"), False),
    # Nobody uses these.
    **dict.fromkeys(("verify_iss", "verify_sub", "verify_jti"), False),
}
_ID: TypeAdapter[str] = TypeAdapter(Id)


class Person(NamedTuple):
    """Whom a token is for; at least one of the two is there."""

    customer_id: str | None
    anonymous_id: str | None


class InvalidToken(Exception):
    """The token proves nothing; the message says what is wrong with it."""


class Tokens:
    """Verifies tokens, each of them once; belongs to one event loop."""

    def __init__(self, *, max_known: int = MAX_KNOWN) -> None:
        self._max_known = max_known
        self._known: OrderedDict[bytes, tuple[Person, float]] = OrderedDict()

    def person(self, token: bytes, grant: Grant, *, now_s: float) -> Person:
        """Whom the token is for, by the token key of this publishable key; raises InvalidToken. `now_s`: unix seconds.

        A signature costs some 0.1 ms, a token that is known a hash.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise InvalidToken(f"the token has {len(token):,} bytes; at most {MAX_TOKEN_BYTES:,} are taken")
        # With the key: what another client's key has signed is known for that one alone.
        name = sha256(b"%b %b" % (grant.key_id.encode(), token)).digest()
        known = self._known.get(name)
        if known is not None:
            person, until_s = known
            _check_end(until_s, now_s)
            self._known.move_to_end(name)
            return person
        person, until_s = _verified(token, grant, now_s)
        self._known[name] = person, until_s
        if len(self._known) > self._max_known:
            self._known.popitem(last=False)
        return person


@lru_cache(maxsize=256)
def _loaded(token_key: str) -> "tuple[PublicKey, str]":
    return token_key_of(token_key.encode())


def _verified(token: bytes, grant: Grant, now_s: float) -> tuple[Person, float]:
    """The person, and the unix second at which the token ends."""
    if grant.publishable is None:
        raise InvalidToken("a secret key has no token key")
    key, algorithm = _loaded(grant.publishable.token_key)
    try:
        claims = jwt.decode(token, key, algorithms=[algorithm], audience=AUDIENCE, options=_OPTIONS)
    except jwt.MissingRequiredClaimError as error:
        raise InvalidToken(f"the token has no claim {error.claim!r}; aud, iat and exp are needed") from None
    except jwt.InvalidAudienceError:
        raise InvalidToken(f"the token's aud must be {AUDIENCE!r}") from None
    except jwt.PyJWTError:
        raise InvalidToken(
            f"the token is not signed with the token key of this publishable key ({algorithm})"
        ) from None
    until_s = _check_times(claims, now_s)
    return _person(claims), until_s


def _check_times(claims: dict[str, Any], now_s: float) -> float:
    issued_s, until_s, not_before_s = claims["iat"], claims["exp"], claims.get("nbf", 0)
    for name, instant_s in (("iat", issued_s), ("exp", until_s), ("nbf", not_before_s)):
        # A bool is an int, too.
        if type(instant_s) not in (int, float) or not 0 <= instant_s <= _LATEST_S:
            raise InvalidToken(f"the token's {name} must be an instant in unix seconds")
    if max(issued_s, not_before_s) > now_s + LEEWAY_S:
        raise InvalidToken("the token is not valid yet (iat, nbf): check the clock of the server that signs it")
    if not 0 < until_s - issued_s <= MAX_LIFETIME_S:
        raise InvalidToken(f"the token lasts {until_s - issued_s:.0f} s (exp - iat); 1 to {MAX_LIFETIME_S} are allowed")
    _check_end(until_s, now_s)
    return float(until_s)


def _check_end(until_s: float, now_s: float) -> None:
    if now_s >= until_s + LEEWAY_S:
        raise InvalidToken(f"the token ended {now_s - until_s:.0f} s ago (exp): get a new one from your server")


def _person(claims: dict[str, Any]) -> Person:
    ids = [_id_of(claims, name) for name in Person._fields]
    if ids == [None, None]:
        raise InvalidToken("the token names nobody: customer_id or anonymous_id is needed")
    return Person(*ids)


def _id_of(claims: dict[str, Any], name: str) -> str | None:
    given = claims.get(name)
    try:
        return None if given is None else _ID.validate_python(given)
    except ValidationError as error:
        raise InvalidToken(f"the token's {name} is no id: {error.errors()[0]['msg']}") from None
