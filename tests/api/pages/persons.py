"""Tokens as a shop's server signs them, for a publishable key."""

from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from typing import Any

import jwt

from app.stores.sql.access.keys import create_publishable_key
from app.stores.sql.access.publishable import Publishable, new_token_key
from app.stores.sql.database.engine import Ledger

SHOP = "https://shop.example"


@dataclass(frozen=True, slots=True)
class PublishableKey:
    """The key of a shop's pages, and what its server signs with."""

    key_id: str
    key: str
    private_key: str

    def token(self, **claims: Any) -> str:
        """A sound token; a claim that is None is left out."""
        now = int(time())
        given = {"aud": "endcap", "iat": now, "exp": now + 600} | claims
        return jwt.encode(
            {name: value for name, value in given.items() if value is not None}, self.private_key, algorithm="ES256"
        )

    def headers(self, *, origin: str | None = SHOP, token: str | None = None, **claims: Any) -> dict[str, str]:
        """What a request of that person carries."""
        from_page = {} if origin is None else {"Origin": origin}
        return {"X-API-Key": self.key, "Authorization": f"Bearer {token or self.token(**claims)}"} | from_page


def publishable_key(
    ledger: Ledger, *origins: str, client: str = "web-shop", per_second: int | None = None
) -> PublishableKey:
    """A key in the ledger, for pages of these origins, or for apps where there are none."""
    private_key, public_key = new_token_key()
    about = Publishable(public_key, origins)
    key_id, key = create_publishable_key(ledger, client, about, per_second=per_second, now=datetime.now(UTC))
    return PublishableKey(key_id, key, private_key)
