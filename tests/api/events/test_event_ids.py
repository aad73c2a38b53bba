"""An event id is unique for its sender and source, alike in the answers, in Redis and in the history."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import Any

import httpx
import pytest

from app.composition.history import history_of
from app.composition.stores import redis_client
from app.composition.worker import opened_worker
from app.domain import Scope
from app.settings import Settings
from tests.api.test_access import MakeKey, guarded
from tests.support.server import wait_until

Row = dict[str, object]
TIME = datetime.now(UTC).isoformat()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, api_key="a-key-of-decent-length", worker_interval_ms=10)


@pytest.fixture
def service(settings: Settings, valkey: str) -> Iterator[tuple[httpx.Client, MakeKey]]:
    with guarded(settings, valkey) as parts:
        yield parts


@contextmanager
def working(settings: Settings, redis_url: str) -> Iterator[None]:
    """A worker in a thread of its own."""
    stop = Flag()
    with opened_worker(settings, redis_url) as worker:
        thread = Thread(target=worker.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def event(event_id: str, customer_id: str, **fields: object) -> Row:
    return {"id": event_id, "type": "view_item", "time": TIME, "customer_id": customer_id, "product_id": "tea"} | fields


def send(client: httpx.Client, headers: dict[str, str], *rows: Row) -> list[str]:
    answer = client.post("/v1/events", json={"events": rows}, headers=headers)
    assert answer.status_code == 202, answer.text
    return [result["status"] for result in answer.json()["results"]]


def stored(settings: Settings, redis_url: str) -> Sequence[tuple[Any, ...]]:
    """Customer and product of each row in the history, once the stream is empty."""
    streams = [f"{{p{partition}}}:events" for partition in range(settings.stream_partition_count)]
    with working(settings, redis_url), redis_client(redis_url) as client:
        wait_until(lambda: not any(client.xlen(stream) for stream in streams), "the stream is empty")
    return sorted(history_of(settings).scan().select("customer_id", "product_id").collect().rows())


def test_id_of_another_person_is_no_new_event(
    service: tuple[httpx.Client, MakeKey], settings: Settings, valkey: str
) -> None:
    client, make = service
    _, key = make(Scope.INGEST)
    # So many that their streams and partitions cannot all be the same.
    statuses = send(client, key, *(event("e-1", f"c{number}") for number in range(20)))
    assert statuses == ["accepted", *["duplicate"] * 19]
    assert stored(settings, valkey) == [("c0", "tea")]


def test_every_sender_and_every_source_counts_by_itself(
    service: tuple[httpx.Client, MakeKey], settings: Settings, valkey: str
) -> None:
    client, make = service
    _, web = make(Scope.INGEST, client="web")
    _, tills = make(Scope.INGEST, client="tills")
    assert send(client, web, event("1", "ann")) == ["accepted"]
    assert send(client, tills, event("1", "ann", source="1"), event("1", "ben", source="2")) == ["accepted"] * 2
    # An id that reads like a source and an id is no event of that source.
    assert send(client, tills, event("2 1", "eve"), event("1", "ben", source="2")) == ["accepted", "duplicate"]
    assert stored(settings, valkey) == [("ann", "tea"), ("ann", "tea"), ("ben", "tea"), ("eve", "tea")]


def test_items_of_an_event_take_no_other_event_s_id(
    service: tuple[httpx.Client, MakeKey], settings: Settings, valkey: str
) -> None:
    client, make = service
    _, key = make(Scope.INGEST)
    several = event("r", "ann", product_id=None, items=[{"product_id": name} for name in ("tea", "jam")])
    assert send(client, key, several, event("r:1", "ann", product_id="oil")) == ["accepted"] * 2
    assert stored(settings, valkey) == [("ann", "jam"), ("ann", "oil"), ("ann", "tea")]


def test_counter_that_begins_again_after_the_seen_marks_are_gone_loses_nothing(
    service: tuple[httpx.Client, MakeKey], settings: Settings, valkey: str
) -> None:
    client, make = service
    _, key = make(Scope.INGEST)
    first = event("0001", "ann", time="2026-11-01T10:00:00Z")
    assert send(client, key, first) == ["accepted"]
    with redis_client(valkey) as redis:
        redis.delete(*redis.keys("*seen*"))
    assert send(client, key, event("0001", "ben", time="2026-11-20T10:00:00Z")) == ["accepted"]
    with redis_client(valkey) as redis:
        redis.delete(*redis.keys("*seen*"))
    # The very same event, sent again as late, is stored once all the same.
    assert send(client, key, first) == ["accepted"]
    assert stored(settings, valkey) == [("ann", "tea"), ("ben", "tea")]
