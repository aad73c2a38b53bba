"""Everything that Redis holds of one person: found for an export, and erased.

Kept decisions are not among it: they name nobody, and are gone after ENDCAP_DECISION_KEEP_S.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import orjson
from redis.exceptions import RedisError

from app.customers.identities import customer_ids_of
from app.domain import Event, JsonObject
from app.errors import StoreUnavailable
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer
from app.stores.redis.keys import WORKER_GROUP, RedisKeys, WorkerClient, unpack_event
from app.stores.redis.stream import stream_entries

GUESSES = "{p*}:guesses:*"


def find_in_redis(client: WorkerClient, keys: RedisKeys, names: Collection[str]) -> dict[str, list[JsonObject]]:
    """What there is of whoever has these identities, by kind; raises StoreUnavailable."""
    try:
        found: dict[str, list[JsonObject]] = {
            kind: [_document(event) for key in lists for event in _events(client, key)]
            for kind, lists in _lists(keys, names).items()
        }
        found["waiting_events"] = [_document(event) for *_, event in _waiting(client, keys, names)]
        found["dead_letters"] = [_document(event) for *_, event in _dead(client, keys, names)]
        customer_ids = customer_ids_of(names)
        found["person"] = _loaded(client, map(keys.person, names))
        found["wallet"] = _loaded(client, map(keys.wallet, customer_ids))
        found["features"] = [row for one in customer_ids if (row := _features(client, one)) is not None]
        return found
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not say what it holds of somebody: {error!r}") from error


def erase_in_redis(client: WorkerClient, keys: RedisKeys, names: Collection[str]) -> dict[str, int]:
    """Erases it, and returns how much by kind. Cut off at any point, and called again, it ends the same.

    Raises StoreUnavailable.
    """
    try:
        counts = {"waiting_events": 0, "dead_letters": 0}
        seen: set[str] = set()
        for partition, entry_id, event in list(_waiting(client, keys, names)):
            pipeline = client.pipeline(transaction=True)
            pipeline.xack(keys.stream(partition), WORKER_GROUP, entry_id)
            pipeline.xdel(keys.stream(partition), entry_id)
            pipeline.execute()
            seen.add(keys.seen(event.sending))
            counts["waiting_events"] += 1
        for partition, entry_id, event in list(_dead(client, keys, names)):
            client.xdel(keys.dead(partition), entry_id)
            seen.add(keys.seen(event.sending))
            counts["dead_letters"] += 1
        every = _lists(keys, names)
        seen |= {
            keys.seen(event.sending) for lists in every.values() for key in lists for event in _events(client, key)
        }
        customer_ids = customer_ids_of(names)
        every |= {
            "person": [keys.person(name) for name in names],
            "wallet": [keys.wallet(one) for one in customer_ids],
            "seen": sorted(seen),
            "guesses": [key for key in _text(client.scan_iter(match=GUESSES, count=1000)) if _is_of(key, names)],
        }
        for kind, found in every.items():
            counts[kind] = _delete(client, found)
        counts["features"] = _delete(client, [customer_key(one) for one in customer_ids])
        return counts
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not erase somebody: {error!r}") from error


def _lists(keys: RedisKeys, names: Collection[str]) -> dict[str, list[str]]:
    kinds = {"live": keys.live, "cart": keys.cart, "saved": keys.saved}
    return {kind: [of(name) for name in names] for kind, of in kinds.items()}


def _loaded(client: WorkerClient, documents: Iterable[str]) -> list[JsonObject]:
    """Those that are there."""
    each: list[Any] = [client.get(key) for key in documents]
    return [{"document": orjson.loads(packed)} for packed in each if packed is not None]


def _events(client: WorkerClient, key: str) -> list[Event]:
    packed: Any = client.lrange(key, 0, -1)
    return [unpack_event(one) for one in packed]


def _waiting(client: WorkerClient, keys: RedisKeys, names: Collection[str]) -> Iterator[tuple[int, bytes, Event]]:
    for partition in range(keys.partition_count):
        yield from _of_stream(client, keys.stream(partition), partition, names)


def _dead(client: WorkerClient, keys: RedisKeys, names: Collection[str]) -> Iterator[tuple[int, bytes, Event]]:
    for partition in range(keys.partition_count):
        yield from _of_stream(client, keys.dead(partition), partition, names)


def _of_stream(
    client: WorkerClient, stream: str, partition: int, names: Collection[str]
) -> Iterator[tuple[int, bytes, Event]]:
    """The entries that are about one of these."""
    for entry_id, fields in stream_entries(client, stream):
        try:
            event = unpack_event(fields.get(b"e", b""))
        # What is no event is about nobody.
        except ValueError:
            continue
        if event.subject in names:
            yield partition, entry_id, event


def _is_of(key: str, names: Collection[str]) -> bool:
    return any(key.endswith(f":{name}") for name in names)


def _text(found: Iterator[bytes]) -> Iterator[str]:
    return (key.decode(errors="replace") for key in found)


def _delete(client: WorkerClient, found: Sequence[str | bytes]) -> int:
    # One by one: in a cluster they lie on several servers.
    pipeline = client.pipeline(transaction=False)
    for key in found:
        pipeline.delete(key)
    return sum(pipeline.execute())


def _features(client: WorkerClient, customer_id: str) -> JsonObject | None:
    values: Any = client.hmget(customer_key(customer_id), CUSTOMER_FIELDS)  # type: ignore[arg-type]  # bytes are names, too
    features = decode_customer(values)
    if features is None:
        return None
    columns = ("bought_keys", "bought_count", "bought_first_day", "bought_last_day")
    bought = {name: getattr(features, name).tolist() for name in columns}
    return {"as_of_at": features.as_of_at, **features.scalars, **bought}


def _document(event: Event) -> JsonObject:
    return asdict(event)
