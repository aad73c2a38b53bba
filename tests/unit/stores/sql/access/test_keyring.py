"""The keys as a server knows them: at once, for a while without the ledger, and never longer."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.domain import LOCAL, Scope
from app.errors import StoreUnavailable
from app.stores.sql.access.keyfile import KeyFile
from app.stores.sql.access.keyring import KeyRing
from app.stores.sql.access.keys import BOOTSTRAP, Grant, KeyBook, hash_of
from app.stores.sql.access.publishable import Publishable

TILL = Grant("key_1", "till-12", frozenset({Scope.REDEEM}))
SHOP_PAGES = Grant("key_2", "web-shop", frozenset(), 5, Publishable("PEM", ("https://shop.example",)))
FIRST_KEY = b"first-key-of-all"
HOLD_S = 100.0


@dataclass
class OfferIndex:
    """Keys that can be read, or not, at an instant that the test sets."""

    keys: dict[bytes, Grant] = field(default_factory=dict)
    is_there: bool = True
    now_s: float = 1000.0
    read_count: int = 0

    def read(self) -> KeyBook:
        self.read_count += 1
        if not self.is_there:
            raise StoreUnavailable("away")
        return KeyBook({hash_of(key): grant for key, grant in self.keys.items()}, is_empty=not self.keys)

    def ring(self, *, bootstrap: str | None = None, may_be_open: bool = True, file: KeyFile | None = None) -> KeyRing:
        return KeyRing(
            self.read, bootstrap=bootstrap, may_be_open=may_be_open, hold_s=HOLD_S, file=file, clock=lambda: self.now_s
        )


def run(ring: KeyRing, work: Coroutine[Any, Any, None]) -> None:
    async def whole() -> None:
        try:
            await work
        finally:
            await ring.aclose()

    asyncio.run(whole())


def test_nothing_is_known_before_the_first_read() -> None:
    with pytest.raises(StoreUnavailable):
        OfferIndex().ring().find(b"")


def test_without_keys_everybody_is_local_but_only_where_nobody_else_reaches() -> None:
    for may_be_open, expected in ((True, LOCAL), (False, None)):
        ring = OfferIndex().ring(may_be_open=may_be_open)

        async def work(ring: KeyRing = ring, expected: str | None = expected) -> None:
            assert await ring.refresh()
            found = ring.find(b"")
            assert (found and found.client) == expected

        run(ring, work())


def test_first_key_ends_the_open_service() -> None:
    offer_index = OfferIndex()
    ring = offer_index.ring()

    async def work() -> None:
        await ring.refresh()
        offer_index.keys[b"k"] = TILL
        await ring.refresh()
        assert (ring.find(b""), ring.find(b"other"), ring.find(b"k")) == (None, None, TILL)

    run(ring, work())


def test_open_service_does_not_take_a_made_key_for_anybody_s() -> None:
    offer_index = OfferIndex()
    ring = offer_index.ring()

    async def work() -> None:
        await ring.refresh()
        assert ring.find(b"endcap_x") is None
        assert await ring.find_again(b"endcap_x") is None
        offer_index.keys[b"endcap_x"] = TILL
        assert await ring.find_again(b"endcap_x") == TILL
        assert ring.find(b"") is None

    run(ring, work())


def test_bootstrap_key_has_all_scopes_and_closes_the_service() -> None:
    ring = OfferIndex().ring(bootstrap=FIRST_KEY.decode())

    async def work() -> None:
        await ring.refresh()
        assert ring.find(FIRST_KEY) == Grant(BOOTSTRAP, BOOTSTRAP, frozenset(Scope))
        assert ring.find(b"") is None

    run(ring, work())


def test_server_that_begins_without_the_ledger_knows_the_keys_that_another_read(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "var" / "keys.json")
    first, second, third = (OfferIndex({b"k": TILL}) for _ in range(3))
    second.is_there = third.is_there = False

    async def work() -> None:
        rings = [offer_index.ring(file=file, may_be_open=True) for offer_index in (first, second, third)]
        assert await rings[0].refresh()
        assert not await rings[1].refresh()
        assert (rings[1].find(b"k"), rings[1].find(b"unknown")) == (TILL, None)
        second.now_s += HOLD_S + 1
        with pytest.raises(StoreUnavailable):
            rings[1].find(b"k")
        (tmp_path / "var" / "keys.json").write_text("no book")
        assert not await rings[2].refresh()
        with pytest.raises(StoreUnavailable):
            rings[2].find(b"k")
        for ring in rings:
            await ring.aclose()

    asyncio.run(work())
    assert b"k" not in file_words(tmp_path)


def test_publishable_key_comes_out_of_the_file_as_it_went_in(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    book = KeyBook({hash_of(b"k"): TILL, hash_of(b"p"): SHOP_PAGES}, is_empty=False)
    file.save(book)
    loaded = file.load()
    assert loaded is not None
    assert loaded[0] == book


def test_file_is_read_by_an_endcap_that_knows_no_publishable_key_and_one_of_its_here(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "keys.json")
    file.save(KeyBook({hash_of(b"k"): TILL, hash_of(b"p"): SHOP_PAGES}, is_empty=False))
    document = orjson.loads((tmp_path / "keys.json").read_bytes())
    # All that there is for it: four facts of each key, and no key that it would take for a secret one.
    assert document["keys"] == {hash_of(b"k"): ["key_1", "till-12", ["redeem"], None]}
    del document["publishable"]
    (tmp_path / "keys.json").write_bytes(orjson.dumps(document))
    loaded = file.load()
    assert loaded is not None
    assert loaded[0].grants == {hash_of(b"k"): TILL}


def test_ring_knows_the_origins_of_live_publishable_keys() -> None:
    offer_index = OfferIndex({b"k": TILL, b"p": SHOP_PAGES})
    ring = offer_index.ring()

    async def work() -> None:
        assert ring.origins == frozenset()
        await ring.refresh()
        assert ring.origins == {b"https://shop.example"}
        del offer_index.keys[b"p"]
        await ring.refresh()
        assert ring.origins == frozenset()

    run(ring, work())


def file_words(folder: Path) -> set[bytes]:
    """Every word that the folder's files hold."""
    return {word for path in folder.rglob("*") if path.is_file() for word in path.read_bytes().split(b'"')}


def test_last_known_keys_hold_for_a_while_and_then_only_the_bootstrap_key() -> None:
    offer_index = OfferIndex({b"k": TILL})
    ring = offer_index.ring(bootstrap=FIRST_KEY.decode())

    async def work() -> None:
        await ring.refresh()
        offer_index.is_there = False
        offer_index.now_s += HOLD_S
        assert not await ring.refresh()
        assert ring.find(b"k") == TILL
        offer_index.now_s += 0.001
        for key in (b"k", b"", b"unknown"):
            with pytest.raises(StoreUnavailable):
                ring.find(key)
        assert ring.find(FIRST_KEY) is not None
        offer_index.is_there = True
        await ring.refresh()
        assert ring.find(b"k") == TILL

    run(ring, work())


def test_unknown_key_is_looked_up_and_not_called_unknown_while_nobody_can_tell() -> None:
    offer_index = OfferIndex({b"k": TILL})
    ring = offer_index.ring()

    async def work() -> None:
        await ring.refresh()
        offer_index.keys[b"new"] = TILL
        assert await ring.find_again(b"new") == TILL
        offer_index.is_there = False
        with pytest.raises(StoreUnavailable):
            await ring.find_again(b"newer")

    run(ring, work())


def test_unknown_keys_at_once_share_one_read() -> None:
    offer_index = OfferIndex({b"k": TILL})
    ring = offer_index.ring()

    async def work() -> None:
        await ring.refresh()
        found = await asyncio.gather(*(ring.find_again(b"%d" % number) for number in range(200)))
        assert set(found) == {None}
        assert offer_index.read_count == 2

    run(ring, work())
