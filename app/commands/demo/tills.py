"""SIMULATED tills and trucks while the demo serves: sales and deliveries as events, when they happen."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from app.commands.demo.client import Client, DemoFailure
from app.commands.demo.sold_out import report, stock_in
from app.errors import StoreUnavailable
from app.places.simulation.sales import StockChange

CHANGES_PER_S = 20.0
"""Over a day: at night, when stores are closed, there are fewer."""
AT_ONCE = 200
"""Events of one request."""
PAUSE_S = 0.5


def first_sale(client: Client, changes: Iterator[StockChange], *, source: str, now: datetime) -> str:
    """Reports the first change and says what it did; raises DemoFailure unless the stock is another by just that."""
    one = next(changes)
    before = stock_in(client, one.store_id, one.product_id)
    refused = report(client, [one[:3]], source=source, at=now)
    after = stock_in(client, one.store_id, one.product_id)
    if refused or after.quantity - before.quantity != one.change:
        raise DemoFailure(f"{one} made {after} of {before}: {', '.join(refused) or 'accepted'}")
    verb = "sold" if one.change < 0 else "got"
    pieces = f"{abs(one.change)} of product {one.product_id}: {before.quantity:g} → {after.quantity:g}"
    return f"  store {one.store_id} {verb} {pieces}"


def run_tills(
    client: Client,
    changes: Iterator[StockChange],
    *,
    source: str,
    clock: Callable[[], datetime],
    wait: Callable[[float], bool],
) -> int:
    """Reports changes as their times come, until `wait` (for so many seconds) says that it is over; how many.

    What the service did not take is sent again under the same ids, so that it counts once.
    """
    count, first = 0, 1
    for batch in _due(changes, clock, wait):
        while not _is_taken(client, batch, source=source, at=clock(), first=first):
            if wait(PAUSE_S):
                return count
        count, first = count + len(batch), first + len(batch)
    return count


def _due(
    changes: Iterator[StockChange], clock: Callable[[], datetime], wait: Callable[[float], bool]
) -> Iterator[Sequence[StockChange]]:
    """Batches of what has happened meanwhile, until it is over."""
    batch: list[StockChange] = []
    for change in changes:
        while change.at > clock():
            if batch:
                yield batch
                batch = []
            if wait(PAUSE_S):
                return
        batch.append(change)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []


def _is_taken(client: Client, batch: Sequence[StockChange], *, source: str, at: datetime, first: int) -> bool:
    try:
        refused = report(client, [one[:3] for one in batch], source=source, at=at, first=first)
    # The service is away for a moment, or it is over: the caller knows.
    except OSError:
        return False
    # What else does not count never will, such as a sale of a store that somebody took off the map.
    return StoreUnavailable.code not in refused
