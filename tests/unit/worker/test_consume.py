"""The worker on a real Valkey and a real table: once, whatever dies; poison is set aside."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event as Flag
from time import sleep
from typing import Any, cast

import orjson
import pytest
from deltalake import DeltaTable
from redis import Redis

from app.domain import Event, ProductId
from app.errors import StoreUnavailable
from app.history import History
from app.history.rows import event_rows
from app.stores.redis.keys import WORKER_TASKS, RedisKeys, pack_event, worker_client
from app.stores.redis.stream import EventStream
from app.worker import consume
from app.worker.activity import activity_row
from app.worker.consume import MAX_DELIVERIES, PUSH_EVERY_S, Duties, Worker
from app.worker.receipts import Arrival
from tests.support.rows import event_ids

KEYS = RedisKeys(2)


def event(number: int) -> Event:
    return Event(
        event_id=f"e{number}",
        type="view_item",
        time=datetime(2026, 10, 1, 12, number % 60, tzinfo=UTC),
        customer_id=f"c{number}",
        product_id=ProductId("p"),
        channel="web",
        store_id="s1",
    )


@pytest.fixture
def client(valkey: str) -> Iterator["Redis"]:
    with worker_client(valkey) as client:
        yield client


def stream(client: "Redis", name: str) -> EventStream:
    joined = EventStream(client, KEYS, name)
    joined.join()
    return joined


def send(client: "Redis", *events: Event) -> None:
    for sent in events:
        client.xadd(KEYS.stream(KEYS.partition(sent.subject)), {"e": pack_event(sent)})


def nothing(*_: object) -> None:
    return None


DUTIES = Duties(issue=nothing, push=nothing, sweep=nothing)


def worker(client: "Redis", history: History, name: str = "w", *, batch_count: int = 100) -> Worker:
    return Worker(stream(client, name), history, DUTIES, batch_count=batch_count, interval_s=0.01)


def ids(history: History) -> list[str]:
    return event_ids(history.scan())


def waiting(client: "Redis") -> int:
    lengths: list[Any] = [client.xlen(KEYS.stream(partition)) for partition in range(2)]
    return sum(lengths)


def test_events_enter_the_history_and_leave_the_stream(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    send(client, *map(event, range(5)))
    assert worker(client, history).step() == 5
    assert ids(history) == [f"e{number}" for number in range(5)]
    assert waiting(client) == 0


def test_batch_that_was_stored_but_not_acknowledged_is_stored_once(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    send(client, event(1))
    dead = stream(client, "dead")
    assert len(dead.read(10)) == 1
    worker(client, history).step()
    assert ids(history) == []
    History(tmp_path / "history").append_events(event_rows([event(1)]))
    successor = stream(client, "successor")
    claimed = successor.claim(10, idle_ms=0)
    assert [entry.packed for entry in claimed] == [pack_event(event(1))]
    Worker(successor, history, DUTIES, batch_count=10, interval_s=0.01).handle(claimed)
    assert ids(history) == ["e1"]
    assert waiting(client) == 0


def test_poison_is_set_aside_with_its_reason_and_holds_nobody_up(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    client.xadd(KEYS.stream(0), {"e": b"no event"})
    client.xadd(KEYS.stream(0), {"other": b"field"})
    send(client, event(1))
    worker(client, history).step()
    assert ids(history) == ["e1"]
    assert client.xlen(KEYS.dead(0)) == 2
    assert waiting(client) == 0


def test_event_that_cannot_be_handled_holds_up_nothing_and_ends_among_the_dead_letters(
    client: "Redis", tmp_path: Path
) -> None:
    issued: list[str] = []

    def issue(arrivals: Sequence[Arrival]) -> None:
        if any(one.event.event_id == "e5" for one in arrivals):
            raise OverflowError("date value out of range")
        issued.extend(one.event.event_id for one in arrivals)

    history = History(tmp_path / "history")
    send(client, *map(event, range(9)))
    busy = stream(client, "w")
    consumer = Worker(busy, history, replace(DUTIES, issue=issue), batch_count=100, interval_s=0.01)
    consumer.step()
    assert sorted(issued) == [f"e{number}" for number in range(9) if number != 5]
    assert ids(history) == [f"e{number}" for number in range(9)]
    for delivery in range(2, MAX_DELIVERIES + 1):
        assert waiting(client) == 1, f"given up before delivery {delivery}"
        consumer.handle(busy.claim(10, idle_ms=0))
    assert waiting(client) == 0
    dead: Any = [letter for at in range(2) for letter in cast("Any", client.xrange(KEYS.dead(at)))]
    ((_, letter),) = dead
    assert letter[b"reason"] == b"OverflowError('date value out of range')"
    assert len(issued) == 8


def test_store_that_is_away_makes_no_dead_letters(client: "Redis", tmp_path: Path) -> None:
    def away(_: Sequence[Arrival]) -> None:
        raise StoreUnavailable("no ledger")

    send(client, event(1))
    busy = stream(client, "w")
    consumer = Worker(busy, History(tmp_path / "h"), replace(DUTIES, issue=away), batch_count=10, interval_s=0.01)
    for _ in range(2 * MAX_DELIVERIES):
        with pytest.raises(StoreUnavailable):
            consumer.handle(busy.read(10) or busy.claim(10, idle_ms=0))
    assert waiting(client) == 1


def test_push_that_fails_keeps_the_history_going(client: "Redis", tmp_path: Path) -> None:
    def failing(_: Sequence[Event]) -> None:
        raise StoreUnavailable("no feature store")

    history = History(tmp_path / "history")
    send(client, event(1))
    duties = replace(DUTIES, push=failing)
    Worker(stream(client, "w"), history, duties, batch_count=10, interval_s=0.01).step()
    assert ids(history) == ["e1"]


def test_history_is_compacted_while_events_keep_coming(
    client: "Redis", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consume, "COMPACT_AFTER_COMMITS", 5)
    history, stop = History(tmp_path / "history"), Flag()
    busy = Worker(stream(client, "w"), history, DUTIES, batch_count=1, interval_s=0.0)
    for number in range(41):
        send(client, event(number))
        busy.step()
    stop.set()
    busy.run(stop)
    busy.step()
    assert sorted(ids(history)) == sorted(f"e{number}" for number in range(41))
    files = DeltaTable(tmp_path / "history").file_uris()
    assert len(files) < 20


def test_features_are_pushed_before_the_history_is_written(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    pushed: list[str] = []
    duties = replace(DUTIES, push=lambda events: pushed.extend(one.event_id for one in events))
    patient = Worker(stream(client, "w"), history, duties, batch_count=10, interval_s=3600)
    send(client, event(1))
    patient.step()
    send(client, event(2))
    sleep(PUSH_EVERY_S)
    patient.step()
    assert pushed == ["e1", "e2"]
    assert ids(history) == ["e1"]
    stop = Flag()
    stop.set()
    patient.run(stop)
    assert ids(history) == ["e1", "e2"]


def test_batch_whose_coupons_could_not_be_issued_comes_again(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    issued: list[Arrival] = []

    def failing(_: Sequence[Arrival]) -> None:
        raise StoreUnavailable("no ledger")

    send(client, event(1))
    failed = stream(client, "failed")
    with pytest.raises(StoreUnavailable):
        Worker(failed, history, replace(DUTIES, issue=failing), batch_count=10, interval_s=0.01).step()
    assert waiting(client) == 1
    duties = replace(DUTIES, issue=issued.extend)
    claimed = failed.claim(10, idle_ms=0)
    Worker(failed, history, duties, batch_count=10, interval_s=0.01).handle(claimed)
    assert [one.event for one in issued] == [event(1)]
    assert ids(history) == ["e1"]
    assert waiting(client) == 0


def test_what_waits_is_stored_though_every_batch_waits_for_the_ledger(client: "Redis", tmp_path: Path) -> None:
    def away(arrivals: Sequence[Arrival]) -> None:
        if any(arrival.event.event_id == "e3" for arrival in arrivals):
            raise StoreUnavailable("no ledger")

    history = History(tmp_path / "history")
    duties = replace(DUTIES, issue=away)
    busy = Worker(stream(client, "w"), history, duties, batch_count=10, interval_s=1.0)
    for number in (1, 2):
        send(client, event(number))
        busy.step()
    assert ids(history) == ["e1"]
    sleep(1.0)
    send(client, event(3))
    with pytest.raises(StoreUnavailable):
        busy.step()
    assert ids(history) == ["e1", "e2", "e3"]


def test_event_is_accepted_when_the_stream_took_it(client: "Redis", tmp_path: Path) -> None:
    arrivals: list[Arrival] = []
    accepted_at = datetime(2026, 10, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    entry_id = f"{int(accepted_at.timestamp() * 1000)}-3"
    client.xadd(KEYS.stream(0), {"e": pack_event(event(1))}, id=entry_id)
    duties = replace(DUTIES, issue=arrivals.extend)
    Worker(stream(client, "w"), History(tmp_path / "history"), duties, batch_count=10, interval_s=0.01).step()
    assert arrivals == [Arrival(event(1), accepted_at)]


def test_ledger_that_cannot_be_swept_does_not_hold_events_up(client: "Redis", tmp_path: Path) -> None:
    def failing() -> None:
        raise StoreUnavailable("no ledger")

    history = History(tmp_path / "history")
    send(client, event(1))
    duties = replace(DUTIES, sweep=failing)
    Worker(stream(client, "w"), history, duties, batch_count=10, interval_s=0.01).step()
    assert ids(history) == ["e1"]


def test_duties_that_break_hold_no_event_up_and_are_reported(client: "Redis", tmp_path: Path) -> None:
    stop = Flag()

    def broken() -> None:
        raise RuntimeError("a mistake of ours")

    def broken_push(_: Sequence[Event]) -> None:
        stop.set()
        broken()

    history = History(tmp_path / "history")
    send(client, event(1))
    duties = replace(DUTIES, sweep=broken, push=broken_push)
    Worker(stream(client, "w"), history, duties, batch_count=10, interval_s=0.01).run(stop)
    assert ids(history) == ["e1"]
    found: Any = client.get(WORKER_TASKS)
    reported = orjson.loads(found)
    assert reported == {"events": None, "erasures": None} | dict.fromkeys(
        ("ledger upkeep", "pushed features"), "RuntimeError('a mistake of ours')"
    )


def test_stream_that_vanished_is_joined_again(client: "Redis", tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    busy = worker(client, history)
    client.flushdb()
    send(client, event(1))
    busy.step()
    assert ids(history) == ["e1"]


def test_activity_is_what_the_last_events_say() -> None:
    rows = [event(1), event(3), event(2)]
    now_s = datetime(2026, 10, 2, 12, 2, 30, tzinfo=UTC).timestamp()
    row = activity_row("c", rows, now_s=now_s)
    assert row.last_seen_at == event(3).time.timestamp()
    assert (row.last_channel, row.last_store_id, row.event_count_24h) == ("web", "s1", 1)
    assert row.last_purchase_at_live is None
