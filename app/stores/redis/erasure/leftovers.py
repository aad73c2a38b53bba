"""What a Valkey of our own still holds of deleted values: its file until that is rewritten, and its own memory."""

from time import monotonic, sleep
from typing import Any

from redis.exceptions import RedisError, ResponseError

from app.errors import StoreUnavailable
from app.stores.redis.keys import RedisKeys, WorkerClient

LOOK_EVERY_S = 0.1
WASH_BYTES, WASH_TIMES = 15_000, 20
"""Less than Valkey's buffer of 16 kB for commands, which the next command writes over from its beginning."""


def rewrite_append_only(client: WorkerClient, *, timeout_s: float) -> None:
    """Returns once the append-only file was rewritten from what is there now; the files before are deleted then.

    A rewrite that runs already may have begun before: it is waited for, and another follows. Valkey goes on answering:
    a child process writes. Raises StoreUnavailable where that fails or takes too long; then it is safe to call again.
    """
    deadline = monotonic() + timeout_s
    try:
        _wait_until_idle(client, deadline)
        _begin(client, deadline)
        _wait_until_idle(client, deadline)
        if client.info("persistence")["aof_last_bgrewrite_status"] != "ok":  # type: ignore[index]  # not asynchronous
            raise StoreUnavailable("Valkey could not rewrite its append-only file; make room on its disk")
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Valkey did not rewrite its append-only file: {error!r}") from error


def wash_memory(client: WorkerClient) -> None:
    """Makes a Valkey that shreds what it frees (`server.embedded`) let go of all that deleted values went through.

    That is its log of slow commands, the strings of its scripts, and the buffers of commands and of its file. Answers
    that other connections got stay in buffers of theirs until the next ones, or until they end. Not for a Redis that
    others use: its scripts are forgotten. Raises StoreUnavailable.
    """
    try:
        client.slowlog_reset()
        for kind in ("large-request", "large-reply"):
            _run_where_known(client, "COMMANDLOG", "RESET", kind)
        _run(client, "SCRIPT", "FLUSH", "SYNC")
        for _ in range(WASH_TIMES):
            _run(client, "ECHO", "-" * WASH_BYTES)
        # What it is about to append to its file stands in a buffer that is let go of only once it was this large.
        client.set("washed", "-" * WASH_BYTES, px=1)
        # Scripts have a client of their own, which keeps the last answer that a call of theirs got.
        _run(client, "EVAL", "return #redis.call('ECHO', ARGV[1])", "0", "-" * WASH_BYTES)
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"Valkey did not let go of its memory: {error!r}") from error


def wait_until_taken(client: WorkerClient, keys: RedisKeys, *, timeout_s: float) -> bool:
    """True once workers have taken every event that waits now; False where that does not come to pass.

    An entry that is deleted from a stream stays in its block of up to 100, in memory and in the file, until the last of
    the others is taken. Raises StoreUnavailable.
    """
    deadline = monotonic() + timeout_s
    try:
        newest = {stream: _end(client, stream) for stream in map(keys.stream, range(keys.partition_count))}
        while any(end is not None and _waits(client, stream, end) for stream, end in newest.items()):
            if monotonic() >= deadline:
                return False
            sleep(LOOK_EVERY_S)
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"the event stream does not answer: {error!r}") from error
    return True


def _begin(client: WorkerClient, deadline: float) -> None:
    while True:
        try:
            _run(client, "BGREWRITEAOF")
            return
        except ResponseError as error:
            # Somebody else's began meanwhile, perhaps of its own accord: one that follows is ours.
            if "in progress" not in str(error):
                raise
        _wait_until_idle(client, deadline)


def _wait_until_idle(client: WorkerClient, deadline: float) -> None:
    while True:
        facts: Any = client.info("persistence")
        if not (facts["aof_rewrite_in_progress"] or facts["aof_rewrite_scheduled"] or facts["rdb_bgsave_in_progress"]):
            return
        if monotonic() >= deadline:
            raise StoreUnavailable("Valkey is still rewriting its append-only file; ask again in a while")
        sleep(LOOK_EVERY_S)


def _run_where_known(client: WorkerClient, *words: str) -> None:
    try:
        _run(client, *words)
    except ResponseError as error:
        if "unknown command" not in str(error):
            raise


def _run(client: WorkerClient, *words: str) -> None:
    untyped: Any = client
    untyped.execute_command(*words)


def _end(client: WorkerClient, stream: str) -> bytes | None:
    newest: Any = client.xrevrange(stream, count=1)
    return newest[0][0] if newest else None


def _waits(client: WorkerClient, stream: str, end: bytes) -> bool:
    return bool(client.xrange(stream, "-", end, count=1))
