"""Keys in the ledger: two live ones per client, only hashes, revoked for good; the same on both engines."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest

from app.domain import Scope
from app.errors import BadInput
from app.stores.sql.access.keys import (
    KEY_BYTES,
    PREFIX,
    Grant,
    KeyNotFound,
    TooManyKeys,
    create_key,
    create_publishable_key,
    hash_of,
    list_keys,
    may_have_live_key,
    read_keys,
    revoke_key,
)
from app.stores.sql.access.publishable import PER_SECOND, Publishable
from app.stores.sql.database.engine import Ledger, open_ledger

SHOP_PAGES = Publishable("-----BEGIN PUBLIC KEY-----", ("https://shop.example",))
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)


def made(ledger: Ledger, client: str = "till-12", *scopes: Scope, per_second: int | None = None) -> tuple[str, str]:
    return create_key(ledger, client, scopes or (Scope.REDEEM,), per_second=per_second, now=NOW)


def test_key_has_256_random_bits_and_only_its_hash_is_kept(ledger: Ledger) -> None:
    key_id, key = made(ledger, "till-12", Scope.REDEEM, Scope.DECIDE, per_second=50)
    assert KEY_BYTES * 8 == 256
    assert len(key) == len(PREFIX) + 43
    grant = Grant(key_id, "till-12", frozenset({Scope.REDEEM, Scope.DECIDE}), 50)
    assert read_keys(ledger).grants == {hash_of(key.encode()): grant}


def test_admin_implies_every_scope_and_staff_none(ledger: Ledger) -> None:
    made(ledger, "office", Scope.ADMIN)
    made(ledger, "counter", Scope.STAFF)
    held = {grant.client: grant.scopes for grant in read_keys(ledger).grants.values()}
    assert held == {"office": frozenset(Scope), "counter": {Scope.STAFF}}


def test_third_live_key_of_a_client_is_refused_until_one_is_revoked(ledger: Ledger) -> None:
    (first, _), (second, _) = made(ledger), made(ledger)
    with pytest.raises(TooManyKeys, match=r"till-12.*endcap keys revoke"):
        made(ledger)
    made(ledger, "till-13")
    revoke_key(ledger, first, now=NOW)
    third, _ = made(ledger)
    assert {grant.key_id for grant in read_keys(ledger).grants.values() if grant.client == "till-12"} == {second, third}


def test_keys_made_at_once_by_many_are_two(ledger_url: str) -> None:
    barrier, refused = Barrier(8), []

    def make() -> None:
        own = open_ledger(ledger_url)
        barrier.wait()
        try:
            made(own)
        except TooManyKeys as error:
            refused.append(error)
        finally:
            own.close()

    threads = [Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger = open_ledger(ledger_url)
    assert (len(read_keys(ledger).grants), len(refused)) == (2, 6)
    ledger.close()


def test_revoked_key_stays_listed_with_its_first_instant(ledger: Ledger) -> None:
    key_id, _ = made(ledger)
    revoke_key(ledger, key_id, now=NOW)
    revoke_key(ledger, key_id, now=NOW + timedelta(days=1))
    [listed] = list_keys(ledger)
    assert (listed.key_id, listed.created_at, listed.revoked_at) == (key_id, NOW, NOW)
    book = read_keys(ledger)
    assert (dict(book.grants), book.is_empty) == ({}, False)


def test_unknown_key_cannot_be_revoked(ledger: Ledger) -> None:
    with pytest.raises(KeyNotFound, match="key_x"):
        revoke_key(ledger, "key_x", now=NOW)


@pytest.mark.parametrize("client", ["", "bootstrap", "local", "-dash", "till 12", "till/12", "x" * 101, "kasse-ä"])
def test_client_that_cannot_be_distinguished_is_refused(ledger: Ledger, client: str) -> None:
    with pytest.raises(BadInput, match="client"):
        made(ledger, client)
    assert read_keys(ledger).is_empty


def test_key_without_scopes_and_rate_below_nothing_are_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="needs a scope"):
        create_key(ledger, "till-12", (), per_second=None, now=NOW)
    with pytest.raises(BadInput, match="-1 requests per second"):
        made(ledger, per_second=-1)


def test_publishable_key_is_kept_without_anything_secret_and_with_a_rate_for_persons(ledger: Ledger) -> None:
    key_id, key = create_publishable_key(ledger, "web-shop", SHOP_PAGES, per_second=None, now=NOW)
    assert key.startswith("endcap_pub_")
    assert len(key) == len("endcap_pub_") + 43
    grant = Grant(key_id, "web-shop", frozenset(), PER_SECOND, SHOP_PAGES)
    assert read_keys(ledger).grants == {hash_of(key.encode()): grant}
    made(ledger, "web-shop", Scope.DECIDE)
    listed = {(one.origins, one.scopes) for one in list_keys(ledger)}
    assert listed == {(SHOP_PAGES.origins, ()), (None, (Scope.DECIDE,))}
    with pytest.raises(TooManyKeys):
        create_publishable_key(ledger, "web-shop", SHOP_PAGES, per_second=None, now=NOW)
    revoke_key(ledger, key_id, now=NOW)
    assert hash_of(key.encode()) not in read_keys(ledger).grants


def test_endcap_that_knows_no_publishable_keys_reads_one_as_a_key_that_may_do_nothing(ledger: Ledger) -> None:
    create_publishable_key(ledger, "web-shop", SHOP_PAGES, per_second=None, now=NOW)
    columns = "key_id, client, slot, key_hash, scopes, per_second, created_at, revoked_at"
    with ledger.engine.begin() as connection:
        [row] = connection.exec_driver_sql(f"SELECT {columns} FROM api_keys").all()
        assert row.scopes in ("[]", [])
        # As it makes keys itself: without the columns that it does not know.
        connection.exec_driver_sql(
            "INSERT INTO api_keys (key_id, client, slot, key_hash, scopes, created_at)"
            " VALUES ('key_old', 'till-12', 1, 'hash', '[\"redeem\"]', '2026-11-20 09:00:00')"
        )
    assert read_keys(ledger).grants["hash"] == Grant("key_old", "till-12", frozenset({Scope.REDEEM}))


def test_a_ledger_that_cannot_be_read_may_hold_a_live_key(ledger: Ledger) -> None:
    assert not may_have_live_key(ledger)
    made(ledger)
    assert may_have_live_key(ledger)
    bare = open_ledger("sqlite://" + "/nowhere/ledger.db")
    assert may_have_live_key(bare)
    bare.close()
