"""Starts one worker on one data directory and Redis, and ends it cleanly on SIGTERM or SIGINT."""

import os
import signal
import socket
import threading
import uuid
from types import FrameType

from app.errors import StoreUnavailable
from app.history import History
from app.settings import Settings
from app.stores.feast.push import ActivityPusher
from app.stores.redis.keys import Keys, worker_client
from app.stores.redis.live import LiveLists
from app.stores.redis.projections import Projections
from app.stores.redis.stream import EventStream
from app.stores.sql.database.engine import open_ledger
from app.worker.activity import activity_push
from app.worker.consume import Duties, Worker
from app.worker.receipts import issuing, upkeep


def run_worker(settings: Settings, redis_url: str) -> None:
    """Works until told to stop; the batch in hand is finished first."""
    stop = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    client = worker_client(redis_url)
    keys = Keys(settings.stream_partition_count)
    consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    stream = EventStream(client, keys, consumer)
    live = LiveLists(client, keys, live_count=settings.live_event_count)
    ledger = open_ledger(settings.ledger_url)
    duties = Duties(
        issue=issuing(ledger, settings),
        push=activity_push(live, ActivityPusher(settings, redis_url)),
        sweep=upkeep(ledger, settings, Projections(ledger, client, keys)),
    )
    worker = Worker(
        stream,
        History(settings.history_dir),
        duties,
        batch_count=settings.worker_batch_count,
        interval_s=settings.worker_interval_ms / 1000,
    )
    worker.run(stop)
    try:
        stream.leave()
    except StoreUnavailable:
        return
    finally:
        client.close()
        ledger.close()
