"""What a Valkey keeps of deleted values: in its append-only file, and in buffers that it uses again."""

from time import monotonic, sleep
from typing import Any

from redis.exceptions import RedisError

from app.errors import StoreUnavailable
from app.stores.redis.keys import WorkerClient

FILLER_BYTES = (3_000, 15_000, 64 * 1024)
"""What fills the buffers that clients and scripts share for what they send and get, small and large."""
POLL_S = 0.05


def drop_leftovers(client: WorkerClient, *, timeout_s: float) -> None:
    """Returns once the append-only file is rewritten from memory, and shared buffers hold other bytes.

    Raises StoreUnavailable where that takes too long. A server without such a file has none to write.
    """
    deadline = monotonic() + timeout_s
    try:
        if _persistence(client).get("aof_enabled"):
            # One that runs already may have begun before the values were deleted.
            _wait_for_rewrite(client, deadline)
            _do(client, "BGREWRITEAOF")
            _wait_for_rewrite(client, deadline)
        client.slowlog_reset()
        # Scripts keep what they were given until their interpreter goes, and the last reply that a call of theirs got.
        _do(client, "SCRIPT", "FLUSH", "SYNC")
        for size in FILLER_BYTES:
            client.set("filler", b"0" * size, ex=1)
            client.get("filler")
            client.eval("return #redis.call('GET', KEYS[1])", 1, "filler")
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


def _do(client: WorkerClient, *words: str) -> None:
    # redis-py does not type it.
    client.execute_command(*words)  # type: ignore[no-untyped-call]


def _persistence(client: WorkerClient) -> dict[str, Any]:
    facts: Any = client.info("persistence")
    return dict(facts)
