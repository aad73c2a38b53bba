"""Whether every accepted event reaches the history exactly once while the processes on its way are killed."""

import http.client
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

import orjson
import polars as pl

from app.history import History
from app.history.rows import ROW_ID
from app.settings import Settings
from benchmarks.support.questions import Known, an_event, known_customers
from benchmarks.support.servers import Server, Service, endcap_up, post

SENDER_COUNT = 4
BATCH = 20
EVENTS_PER_S = 600.0
RETRY_S = 0.05
SEND_TIMEOUT_S = 120.0
DRAIN_TIMEOUT_S = 120.0
VICTIMS = ("worker", "valkey-server")

Events = Sequence[dict[str, object]]


@dataclass(slots=True)
class SentEvents:
    """The answers to the senders; `accepted` holds an id once a row of it was accepted or called a duplicate."""

    accepted: set[str] = field(default_factory=set)
    rows: Counter[str] = field(default_factory=Counter)
    failed_requests: int = 0
    status: Counter[int] = field(default_factory=Counter)


def lose_nothing(settings: Settings, *, event_count: int, kill_count: int) -> dict[str, object]:
    """Sends events while killing worker and Valkey in turn with -9; then compares the history with what was accepted.

    A sender repeats whatever was rejected or not answered, with the same id, as the API asks for.
    """
    events = _events(known_customers(settings), event_count)
    sent = SentEvents()
    with endcap_up(settings.data_dir) as service:
        started = monotonic()
        kills = _send_while_killing(service, events, sent, kill_count)
        sent_s = monotonic() - started
        drained_s = _drain(settings, sent.accepted)
        again = SentEvents()
        _send_all(service.server, events, again, per_s=None)
        sleep(2)
    return {
        "events": event_count,
        "kills": kills,
        "sending_s": round(sent_s, 1),
        "drained_after_s": drained_s,
        "answers": {str(status): count for status, count in sent.status.items()},
        "failed_requests": sent.failed_requests,
        "rows_by_result": dict(sent.rows),
        "sent_again": dict(again.rows),
        **in_history(settings, sent.accepted),
    }


def in_history(settings: Settings, accepted: set[str]) -> dict[str, object]:
    """How often the history holds each accepted id: each should be there once."""
    counts = _counts(settings, accepted)
    return {
        "accepted": len(accepted),
        "in_history": counts.height,
        "lost": len(accepted) - counts.height,
        "doubled": counts.filter(pl.col("len") > 1).height,
    }


def _counts(settings: Settings, ids: set[str]) -> pl.DataFrame:
    # An event's key is `<sender> <id> <item> <time>`, and these ids hold no space; keys of imported rows may hold none.
    rows = History(settings.history_dir).scan().select(pl.col(ROW_ID).str.split(" ").list.get(1, null_on_oob=True))
    rows = rows.filter(pl.col(ROW_ID).is_in(list(ids)))
    return rows.group_by(ROW_ID).len().collect(engine="streaming")


def _events(customers: Sequence[Known], count: int) -> Events:
    chance = random.Random()
    kinds = ("view_item", "add_to_cart", "purchase")
    return [an_event(chance.choice(customers), chance, event_type=chance.choice(kinds)) for _ in range(count)]


def _send_while_killing(service: Service, events: Events, sent: SentEvents, kill_count: int) -> dict[str, int]:
    sender = threading.Thread(target=_send_all, args=(service.server, events, sent), kwargs={"per_s": EVENTS_PER_S})
    sender.start()
    pause_s = len(events) / EVENTS_PER_S / (kill_count + 1)
    kills: Counter[str] = Counter()
    for number in range(kill_count):
        sleep(pause_s)
        victim = VICTIMS[number % len(VICTIMS)]
        service.kill(victim)
        kills[victim] += 1
    sender.join()
    return dict(kills)


def _send_all(server: Server, events: Events, sent: SentEvents, *, per_s: float | None) -> None:
    """All events in batches over several connections; returns when each was accepted or the time is over."""
    batches = [events[start : start + BATCH] for start in range(0, len(events), BATCH)]
    pause_s = BATCH * SENDER_COUNT / per_s if per_s else 0.0
    lock = threading.Lock()
    senders = [
        threading.Thread(target=_send_some, args=(server, batches[number::SENDER_COUNT], sent, lock, pause_s))
        for number in range(SENDER_COUNT)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def _send_some(
    server: Server, batches: Sequence[Events], sent: SentEvents, lock: threading.Lock, pause_s: float
) -> None:
    connection = server.connection()
    deadline = monotonic() + SEND_TIMEOUT_S
    for batch in batches:
        waiting = {str(event["id"]): event for event in batch}
        while waiting and monotonic() < deadline:
            rows = _send_once(connection, list(waiting.values()), sent, lock)
            safe = {str(row["id"]) for row in rows if row["status"] in ("accepted", "duplicate")}
            with lock:
                sent.accepted |= safe
            waiting = {event_id: event for event_id, event in waiting.items() if event_id not in safe}
            sleep(RETRY_S if waiting else pause_s)
    connection.close()


def _send_once(
    connection: http.client.HTTPConnection, events: Events, sent: SentEvents, lock: threading.Lock
) -> list[dict[str, object]]:
    try:
        status, answer = post(connection, "/v1/events", orjson.dumps({"events": events}))
    except (OSError, http.client.HTTPException):
        connection.close()
        with lock:
            sent.failed_requests += 1
        return []
    rows: list[dict[str, object]] = orjson.loads(answer).get("results", [])
    with lock:
        sent.status[status] += 1
        sent.rows.update(f"{row['status']} {row['code'] or ''}".strip() for row in rows)
    return rows


def _drain(settings: Settings, accepted: set[str]) -> float | None:
    """Seconds until the history held every accepted id; None when it still did not after a long while."""
    started = monotonic()
    while monotonic() - started < DRAIN_TIMEOUT_S:
        if _counts(settings, accepted).height == len(accepted):
            return round(monotonic() - started, 1)
        sleep(0.5)
    return None
