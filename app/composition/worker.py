"""The worker, constructed from the settings and closed in reverse."""

import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

from app.composition.history import history_of
from app.composition.launch import own_command
from app.composition.stores import keys_of, ledger_of, projections_of, redis_client
from app.erasure.places import Places
from app.erasure.retention import Retention
from app.erasure.run import Erasing, are_erased
from app.erasure.secret import secret_of
from app.errors import StoreUnavailable
from app.settings import Settings
from app.stores.feast.push import ActivityPusher
from app.stores.redis.live import LiveLists
from app.stores.redis.stream import EventStream
from app.worker.activity import activity_push
from app.worker.consume import Duties, Worker
from app.worker.feed import feed_schedule
from app.worker.receipts import issuing, upkeep

LEDGER_LIMIT_S = 15.0
"""A ledger that hangs holds up the coupons of receipts, and the worker goes on with what needs none."""


@contextmanager
def opened_worker(settings: Settings, redis_url: str, *, parent_pid: int | None = None) -> Iterator[Worker]:
    """A worker that has not begun; at the end of the block it leaves the stream's group and lets go of its stores.

    `parent_pid`: whose children serve, where it runs under `endcap up`.
    """
    with ExitStack() as stack:
        ledger = stack.enter_context(closing(ledger_of(settings, limit_s=LEDGER_LIMIT_S)))
        stack.enter_context(feed_schedule(settings, own_command()))
        client = stack.enter_context(closing(redis_client(redis_url)))
        keys = keys_of(settings)
        # Unique even when a container's restart gives the same host and process id: two consumers never share a name.
        consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        stream = EventStream(client, keys, consumer)
        stack.callback(_leave, stream)
        live = LiveLists(client, keys, live_count=settings.live_event_count)
        projections = projections_of(settings, ledger, client)
        secret = secret_of(settings.privacy_file)
        places = Places(settings, ledger, client, keys, secret)
        erasing = Erasing(places, projections.documents, parent_pid=parent_pid)
        retention = Retention(places)
        duties = Duties(
            issue=issuing(ledger, settings, projections),
            push=activity_push(live, ActivityPusher(settings, redis_url)),
            sweep=upkeep(ledger, settings, projections, clock=ledger.now),
            are_erased=partial(are_erased, projections.documents, secret),
            is_erasing=lambda: erasing.is_due() or retention.is_due(),
            erase=partial(_upkeep, erasing, retention),
        )
        yield Worker(
            stream,
            history_of(settings),
            duties,
            batch_count=settings.worker_batch_count,
            interval_s=settings.worker_interval_ms / 1000,
        )


def _upkeep(erasing: Erasing, retention: Retention) -> None:
    erasing.turn()
    retention.turn()


def _leave(stream: EventStream) -> None:
    # Redis may end before its worker does; another worker then claims what this one still held.
    with suppress(StoreUnavailable):
        stream.leave()
