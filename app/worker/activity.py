"""From the live events of the customers a batch touched to the rows of the pushed view `customer_activity`."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import time

from app.domain import PURCHASE, Event
from app.errors import Missing, StoreUnavailable
from app.stores.feast.push import ActivityPusher, ActivityRow
from app.stores.redis.live import LiveLists

DAY_S = 86_400


def activity_row(customer_id: str, events: Sequence[Event], *, now_s: float) -> ActivityRow:
    """The row that a customer's last events (at least one, any order) give."""
    latest = max(events, key=lambda event: event.time)
    times = [event.time.timestamp() for event in events]
    purchased = [event.time.timestamp() for event in events if event.type == PURCHASE]
    return ActivityRow(
        customer_id=customer_id,
        event_timestamp=datetime.fromtimestamp(now_s, UTC),
        last_seen_at=max(times),
        last_channel=latest.channel,
        last_store_id=latest.store_id,
        event_count_24h=sum(now_s - time_s < DAY_S for time_s in times),
        last_purchase_at_live=max(purchased, default=None),
    )


def activity_push(live: LiveLists, pusher: ActivityPusher) -> Callable[[Sequence[Event]], None]:
    """A function that refreshes the rows of every customer in a batch; raises StoreUnavailable."""

    def push(events: Sequence[Event]) -> None:
        customers = sorted({event.customer_id for event in events if event.customer_id is not None})
        now_s = time()
        found = live.of_customers(customers)
        try:
            pusher.push([activity_row(customer_id, theirs, now_s=now_s) for customer_id, theirs in found.items()])
        # Before the first training there is nothing to push to: as with a store that is away, a later batch will do.
        except Missing as error:
            raise StoreUnavailable(error.message) from error

    return push
