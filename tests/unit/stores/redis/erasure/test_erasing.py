"""Erasing one person from Redis: nothing of them is left in any key, and nobody else's is touched."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
import redis

from app.customers.identities import customer_id_of
from app.customers.person import Person
from app.domain import Event, ProductId, Wallet, WalletCoupon
from app.errors import StoreUnavailable
from app.ingest.accept import Acceptance
from app.offers.terms.codes import new_code, new_id, shown_code
from app.stores.feast.online_row import customer_key, entity_key, feature_field, timestamp_field
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.documents import pack_person
from app.stores.redis.dead_letters import DeadLetters
from app.stores.redis.erasure.erasing import erase_in_redis, find_in_redis
from app.stores.redis.events import RedisEvents
from app.stores.redis.keys import RedisKeys, pack_event, worker_client
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.stream import EventStream
from app.stores.redis.wallets import pack_wallet
from tests.support.tills import START

KEYS = RedisKeys(4)
MINE = ("c:900", "c:~loyalty_card:900", "a:900")
OTHERS = ("c:90", "c:1900", "c:9000", "c:x:900", "a:90", "a:c:900", "c:~loyalty_card:1900", "c:~till_account:900")
KINDS = {
    "live", "cart", "saved", "persons", "wallets", "features", "events", "dead_letters", "guesses", "seen", "decisions",
}  # fmt: skip


@pytest.fixture
def client(valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(valkey) as client:
        yield client


def snapshot(client: Any) -> dict[bytes, Any]:
    """What every key holds."""
    reads = {
        b"string": client.get, b"list": lambda key: client.lrange(key, 0, -1), b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1), b"set": client.smembers,
        b"stream": lambda key: client.xrange(key),
    }  # fmt: skip
    return {key: reads[client.type(key)](key) for key in client.scan_iter()}


def canary(name: str) -> str:
    return f"canary-{name.replace(':', '-').replace('~', '')}-end"


def event_of(name: str, kind: str, number: int = 0) -> Event:
    customer_id = customer_id_of(name)
    return Event(
        f"{canary(name)}-{kind}-{number}",
        kind,
        START + timedelta(seconds=number),
        customer_id=customer_id,
        anonymous_id=None if customer_id is not None else name[2:],
        product_id=ProductId("p1"),
        basket_id=f"{canary(name)}-basket",
        decision_id=f"{canary(name)}-decision" if number else None,
    )


def plant(url: str, client: Any, names: tuple[str, ...]) -> None:
    """All that Redis can hold of each of them: events that a worker has and that none has, and dead letters."""
    events = [event_of(name, kind) for name in names for kind in ("view_item", "add_to_cart", "add_to_wishlist")]
    accept(url, events)
    stream = EventStream(client, KEYS, "worker")
    stream.join()
    stream.read(100)
    accept(url, [event_of(name, "purchase", 1) for name in names])
    for name in names:
        partition = KEYS.partition(name)
        letter = {b"e": pack_event(event_of(name, "refund", 2)), b"reason": canary(name).encode(), b"id": b"1-1"}
        client.xadd(KEYS.dead(partition), letter)
        client.xadd(KEYS.dead(partition), {b"e": orjson.dumps(["old form", canary(name), name]), b"id": b"1-1"})
        client.set(KEYS.seen(event_of(name, "refund", 2).sending), 1)
        client.set(KEYS.person(name), pack_person(7, Person((name, canary(name)))))
        client.set(KEYS.decision(f"{canary(name)}-decision"), b"{}")
        if (customer_id := customer_id_of(name)) is not None:
            plant_customer(client, name, customer_id)
    client.set(KEYS.decision("of-nobody"), orjson.dumps({"coupon_id": None, "product_id": "900"}))
    client.set(KEYS.persons_mark(0), 1)
    client.hset(entity_key("product_id", "900"), timestamp_field("product_statistics"), b"\x08\x01")


def plant_customer(client: Any, name: str, customer_id: str) -> None:
    coupon_id, code = new_id("cpn"), new_code()
    client.set(KEYS.wallet(customer_id), pack_wallet(Wallet([WalletCoupon(coupon_id, code, canary(name), None, None)])))
    client.set(KEYS.decision(new_id("d")), orjson.dumps({"coupon_id": coupon_id, "canary": canary(name)}))
    client.set(KEYS.decision(new_id("d")), orjson.dumps([{"code": shown_code(code)}, canary(name)]))
    tier = canary(name).encode()
    client.hset(customer_key(customer_id), feature_field("customer_profile", "home_store_id"), b"\x12\x03abc")
    client.hset(customer_key(customer_id), b"other", tier)
    for web in ("web", "till-7"):
        client.zadd(KEYS.guesses(web, customer_id)[0], {canary(name): 1})
        client.zadd(KEYS.guesses(web, customer_id)[1], {"token": 1})


def accept(url: str, events: list[Event]) -> None:
    async def run() -> None:
        redis = PipelinedRedis(url)
        store = RedisEvents(
            redis,
            KEYS,
            Breaker(in_flight_count=4),
            timeout_s=5,
            seen_keep_s=60,
            live_count=100,
            live_keep_s=60,
            secret=b"secret",
        )
        try:
            assert set(await store.accept([[event] for event in events])) == {Acceptance.NEW}
        finally:
            await redis.aclose()

    asyncio.run(run())


def holding(found: dict[bytes, Any], names: tuple[str, ...]) -> list[bytes]:
    """Keys that hold a canary of these people, in their name or anywhere in their value."""
    canaries = [canary(name) for name in names]
    return [key for key, value in found.items() if any(one in repr((key, value)) for one in canaries)]


def test_nothing_of_an_erased_person_is_left_and_nothing_of_others_is_gone(valkey: str, client: Any) -> None:
    plant(valkey, client, OTHERS)
    others = snapshot(client)
    plant(valkey, client, MINE)
    assert holding(snapshot(client), MINE)
    gone = erase_in_redis(client, KEYS, MINE)
    left = snapshot(client)
    assert holding(left, MINE) == []
    assert left.keys() - others.keys() <= {KEYS.guesses("web", "900")[1].encode()}
    assert {key: left.get(key) for key in others} == others
    assert gone.keys() == KINDS
    # One event of each kind a name, less what no list keeps.
    assert (gone["events"], gone["dead_letters"], gone["persons"]) == (12, 6, 3)


def test_erased_events_are_pending_with_no_worker(valkey: str, client: Any) -> None:
    plant(valkey, client, MINE)
    erase_in_redis(client, KEYS, MINE)
    for partition in range(KEYS.partition_count):
        assert client.xpending(KEYS.stream(partition), "history")["pending"] == 0
    assert EventStream(client, KEYS, "other").claim(100, idle_ms=0) == []
    assert list(DeadLetters(worker_client(valkey), KEYS).each()) == []


def test_second_erasure_finds_nothing(valkey: str, client: Any) -> None:
    plant(valkey, client, MINE)
    assert erase_in_redis(client, KEYS, MINE)
    assert erase_in_redis(client, KEYS, MINE) == {}
    assert find_in_redis(client, KEYS, MINE) == {}


def test_export_has_everything_that_the_erasure_takes(valkey: str, client: Any) -> None:
    plant(valkey, client, MINE)
    found = find_in_redis(client, KEYS, MINE)
    gone = erase_in_redis(client, KEYS, MINE)
    assert found.keys() == gone.keys() == KINDS
    assert {kind: len(found[kind]) for kind in KINDS - {"live", "cart", "saved"}} == {
        kind: gone[kind] for kind in KINDS - {"live", "cart", "saved"}
    }
    assert found["features"] == [{"customer_profile:home_store_id": "abc"}] * 2
    assert {one["event_id"] for one in found["cart"]} >= {event_of(name, "add_to_cart").event_id for name in MINE}
    assert orjson.loads(orjson.dumps(found)) == found


class Dying:
    """A client whose process is killed at the command of this number."""

    def __init__(self, client: Any, commands: int) -> None:
        self._client, self._left = client, commands

    def __getattr__(self, name: str) -> Any:
        if name in ("pipeline", "scan_iter", "xrange", "xrevrange"):
            self._left -= 1
            if self._left < 0:
                raise redis.ConnectionError("killed")
        return getattr(self._client, name)


def test_killed_erasure_is_finished_by_the_next_wherever_it_ended(valkey: str, client: Any) -> None:
    step, was_killed = 0, True
    while was_killed:
        client.flushdb()
        plant(valkey, client, MINE)
        try:
            erase_in_redis(Dying(client, step), KEYS, MINE)  # type: ignore[arg-type]  # a client that dies
            was_killed = False
        except StoreUnavailable:
            erase_in_redis(client, KEYS, MINE)
        assert holding(snapshot(client), MINE) == []
        step += 5
    assert step > 40


def test_marks_and_decisions_that_only_the_caller_knows_of_go_too(valkey: str, client: Any) -> None:
    event = replace(event_of("c:900", "view_item"), event_id="long ago")
    client.set(KEYS.seen(event.sending), 1)
    client.set(KEYS.decision("d"), orjson.dumps({"slate": [{"code": "ABCD-EFGH-JKMN-PQRS"}]}))
    assert erase_in_redis(client, KEYS, MINE, sendings=[event.sending], coupons=["ABCD-EFGH-JKMN-PQRS"]) == {
        "seen": 1,
        "decisions": 1,
    }
