"""Erases a person from Redis, and copies out what it holds of them.

What leads to other keys goes last: an erasure that was killed finds all of it again. It says nothing about what comes
later: a worker that has an event in hand, a server with a decision not yet written, a projection under way. Whoever
erases keeps those from writing, or erases once more.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Any

import orjson
from redis.exceptions import RedisError, WatchError

from app.domain import Event, JsonObject
from app.errors import StoreUnavailable
from app.offers.terms.codes import shown_code
from app.stores.feast.online_row import decode_hash
from app.stores.redis.erasure.found import (
    Entry,
    Places,
    decisions_with,
    entries_of,
    events_in,
    guesses_of,
    read_each,
)
from app.stores.redis.keys import WORKER_GROUP, RedisKeys, WorkerClient
from app.stores.redis.stream import PAGE, stream_entries
from app.stores.redis.wallets import MADE, unpack_wallet

LISTS = ("live", "cart", "saved")
ATTEMPTS = 5


def erase_in_redis(
    client: WorkerClient,
    keys: RedisKeys,
    names: Collection[str],
    *,
    sendings: Collection[str] = (),
    coupons: Collection[str] = (),
) -> dict[str, int]:
    """How many keys and entries of which kind are gone now; nothing where the person was gone already.

    `names` are all identity keys of one person. `sendings` are those of their events in the history (`Event.sending`),
    whose marks would name them for days; of what is still in Redis they are found here. `coupons` are ids and codes of
    their coupons, before those are erased in SQL; of the wallet in Redis they are found here.

    A kept decision goes if it names one of the coupons, or if an event in Redis names it. One that does neither holds
    products and no name, belongs to nobody without the event that named it, and ends with ENDCAP_DECISION_KEEP_S.
    Raises StoreUnavailable; then it is safe to go on by calling it again.
    """
    with _answering():
        return dict(_erase(client, Places(frozenset(names), keys), sendings, coupons))


def _erase(client: WorkerClient, places: Places, sendings: Collection[str], coupons: Collection[str]) -> Counter[str]:
    gone: Counter[str] = Counter()
    by_kind = places.by_kind()
    events = list(_listed_events(client, by_kind))
    _unlink(client, gone, "seen", [places.keys.seen(one) for one in {*sendings, *(one.sending for one in events)}])
    _unlink(client, gone, "decisions", _decisions(client, by_kind, events, coupons))
    for kind, streams in places.streams().items():
        for stream in streams:
            entries = list(entries_of(client, [stream], places.names))
            _unlink_named(client, gone, entries, places.keys)
            taken = _take(client, stream, entries) if kind == "events" else _copy_without(client, stream, entries)
            if taken:
                gone[kind] += taken
    _unlink(client, gone, "guesses", guesses_of(client, places.names))
    for kind, found in by_kind.items():
        _unlink(client, gone, kind, found)
    return gone


def _unlink_named(client: WorkerClient, gone: Counter[str], entries: Sequence[Entry], keys: RedisKeys) -> None:
    """Deletes what the entries name, before them."""
    events = [event for entry in entries if (event := entry.event) is not None]
    _unlink(client, gone, "seen", {keys.seen(event.sending) for event in events})
    named = {keys.decision(event.decision_id) for event in events if event.decision_id is not None}
    _unlink(client, gone, "decisions", named)


def _take(client: WorkerClient, stream: str, entries: Sequence[Entry]) -> int:
    """Takes entries out of a stream of events and from whoever had them in hand; how many were there still."""
    taken = 0
    for start in range(0, len(entries), PAGE):
        ids = [entry.entry_id for entry in entries[start : start + PAGE]]
        pipeline = client.pipeline(transaction=True)
        # Else a worker would claim them again and again.
        pipeline.xack(stream, WORKER_GROUP, *ids)
        pipeline.xdel(stream, *ids)
        taken += pipeline.execute()[-1]
    return taken


def _copy_without(client: WorkerClient, stream: str, entries: Sequence[Entry]) -> int:
    """Puts a copy without these entries in place of a stream that nobody reads in a group.

    A deleted entry would stay in its block, in memory and in the file, as long as one of its neighbours is there, and
    dead letters are there for long.
    """
    if not entries:
        return 0
    left_out, copy = {entry.entry_id for entry in entries}, f"{stream}:copy"
    for _ in range(ATTEMPTS):
        pipeline: Any
        with client.pipeline() as pipeline, suppress(WatchError):
            pipeline.watch(stream)
            client.delete(copy)
            count = 0
            for entry_id, fields in stream_entries(client, stream):
                if entry_id not in left_out:
                    values: dict[Any, Any] = dict(fields)
                    client.xadd(copy, values, id=entry_id)
                    count += 1
            pipeline.multi()
            if count:
                pipeline.rename(copy, stream)
            else:
                pipeline.delete(stream)
            pipeline.execute()
            return len(entries)
    raise StoreUnavailable(f"stream {stream} changes all the time; try again")


def find_in_redis(client: WorkerClient, keys: RedisKeys, names: Collection[str]) -> dict[str, list[JsonObject]]:
    """By kind everything that `erase_in_redis` would take, as documents; kinds without any are left out.

    Raises StoreUnavailable, and ValueError where a hash is none of Feast's.
    """
    places = Places(frozenset(names), keys)
    with _answering():
        return {kind: found for kind, found in _find(client, places).items() if found}


def _find(client: WorkerClient, places: Places) -> dict[str, list[JsonObject]]:
    by_kind = places.by_kind()
    found: dict[str, list[JsonObject]] = {
        kind: [event_document(event) for event in _events(client, by_kind[kind])] for kind in LISTS
    }
    events = list(_listed_events(client, by_kind))
    for kind, streams in places.streams().items():
        entries = list(entries_of(client, streams, places.names))
        found[kind] = [_entry_document(entry) for entry in entries]
        events += [event for entry in entries if (event := entry.event) is not None]
    found["persons"] = [{"document": orjson.loads(one)} for one in _values(client, by_kind["persons"])]
    found["wallets"] = [{"wallet": orjson.loads(one)} for one in _values(client, by_kind["wallets"])]
    hashes = read_each(client, by_kind["features"], lambda pipeline, key: pipeline.hgetall(key))
    found["features"] = [decode_hash(one) for one in hashes if one]
    found["guesses"] = [{"key": _text(key)} for key in guesses_of(client, places.names)]
    seen = sorted({places.keys.seen(event.sending) for event in events})
    there = read_each(client, seen, lambda pipeline, key: pipeline.exists(key))
    found["seen"] = [{"key": key} for key, is_there in zip(seen, there, strict=True) if is_there]
    decisions = sorted(_decisions(client, by_kind, events, ()))
    found["decisions"] = [orjson.loads(body) for body in _values(client, decisions)]
    return found


def event_document(event: Event) -> JsonObject:
    """An event with all its fields, its time in ISO 8601."""
    return asdict(event) | {"time": event.time.isoformat()}


def _entry_document(entry: Entry) -> JsonObject:
    event = entry.event
    fields = {_text(name): _text(value) for name, value in entry.fields.items() if name != b"e"}
    body = {"packed": _text(entry.fields.get(b"e", b""))} if event is None else event_document(event)
    return {"entry_id": _text(entry.entry_id)} | fields | body


def _decisions(
    client: WorkerClient, by_kind: dict[str, list[Any]], events: Iterable[Event], coupons: Collection[str]
) -> set[bytes]:
    """Keys of the kept decisions that an event names, or that name a coupon of theirs."""
    named = {RedisKeys.decision(event.decision_id).encode() for event in events if event.decision_id is not None}
    return named | {key for key, _ in decisions_with(client, {*coupons, *_coupons(client, by_kind)})}


def _coupons(client: WorkerClient, by_kind: dict[str, list[Any]]) -> Iterator[str]:
    """Ids and codes of the coupons in the wallets, codes as people read them too."""
    for packed in _values(client, by_kind["wallets"]):
        wallet = unpack_wallet(packed, [MADE, b"1"])
        for coupon in wallet.coupons if wallet is not None else ():
            yield from (coupon.coupon_id, coupon.code, shown_code(coupon.code))


def _listed_events(client: WorkerClient, by_kind: dict[str, list[Any]]) -> Iterator[Event]:
    for kind in LISTS:
        yield from _events(client, by_kind[kind])


def _events(client: WorkerClient, lists: Collection[Any]) -> Iterator[Event]:
    for packed in read_each(client, list(lists), lambda pipeline, key: pipeline.lrange(key, 0, -1)):
        yield from events_in(packed)


def _values(client: WorkerClient, keys: Collection[Any]) -> list[bytes]:
    """The values of those keys that are there."""
    found = read_each(client, list(keys), lambda pipeline, key: pipeline.get(key))
    return [one for one in found if one is not None]


def _unlink(client: WorkerClient, gone: Counter[str], kind: str, keys: Iterable[Any]) -> None:
    """Deletes the keys, as far as they are there."""
    count = sum(read_each(client, list(keys), lambda pipeline, key: pipeline.delete(key)))
    if count:
        gone[kind] += count


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


@contextmanager
def _answering() -> Iterator[None]:
    try:
        yield
    except (RedisError, OSError) as error:
        raise StoreUnavailable(
            f"Redis does not answer: {error!r}; the same call goes on where this one ended"
        ) from error
