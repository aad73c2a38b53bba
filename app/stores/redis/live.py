"""The live lists as the worker reads them: the last events of the customers that a batch touched."""

from collections.abc import Sequence

from redis.exceptions import RedisError

from app.domain import Event, subject_of
from app.errors import StoreUnavailable
from app.stores.redis.keys import RedisKeys, WorkerClient, unpack_event


class LiveLists:
    """Reads the last events of many customers in one round trip."""

    def __init__(self, client: WorkerClient, keys: RedisKeys, *, live_count: int) -> None:
        self._client = client
        self._keys = keys
        self._live_count = live_count

    def of_customers(self, customer_ids: Sequence[str]) -> dict[str, list[Event]]:
        """The events of those customers who have any; raises StoreUnavailable."""
        # Without MULTI: nothing here needs all lists as of one instant.
        pipeline = self._client.pipeline(transaction=False)
        for customer_id in customer_ids:
            pipeline.lrange(self._keys.live(subject_of(customer_id)), 0, self._live_count - 1)
        try:
            lists = pipeline.execute()
        except (RedisError, OSError) as error:
            raise StoreUnavailable(f"live events cannot be read: {error!r}") from error
        found = zip(customer_ids, lists, strict=True)
        return {customer_id: [unpack_event(entry) for entry in packed] for customer_id, packed in found if packed}
