"""What a Valkey keeps of deleted values: in its append-only file, and in buffers that it uses again."""

from time import monotonic, sleep
from typing import Any

from redis.exceptions import RedisError

from app.errors import StoreUnavailable
from app.stores.redis.keys import WorkerClient

FILLER_BYTES = 64 * 1024
"""More than the buffers that all clients share for what they send, and that each has for what it gets."""
POLL_S = 0.05


def drop_leftovers(client: WorkerClient, *, timeout_s: float) -> None:
    """Returns once the append-only file is written anew from memory, and shared buffers hold other bytes.

    Raises StoreUnavailable where that takes too long. A server without such a file has none to write.
    """
    deadline = monotonic() + timeout_s
    try:
        if _persistence(client).get("aof_enabled"):
            # One that runs already may have begun before the values were deleted.
            _wait_for_rewrite(client, deadline)
            client.execute_command("BGREWRITEAOF")  # type: ignore[no-untyped-call]  # redis-py types neither form
            _wait_for_rewrite(client, deadline)
        client.slowlog_reset()
        client.set("filler", b"0" * FILLER_BYTES, ex=1)
        client.get("filler")
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Redis does not drop what was deleted: {error!r}") from error


def _wait_for_rewrite(client: WorkerClient, deadline: float) -> None:
    while True:
        facts = _persistence(client)
        if not facts.get("aof_rewrite_in_progress") and not facts.get("aof_rewrite_scheduled"):
            return
        if monotonic() > deadline:
            raise StoreUnavailable("the append-only file is being written for too long; it is tried again")
        sleep(POLL_S)


def _persistence(client: WorkerClient) -> dict[str, Any]:
    facts: Any = client.info("persistence")
    return dict(facts)
