"""What all that talk to Redis or Valkey share: packing, the keys, the events' atomic step, the workers' client."""

import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError
from redis.retry import Retry

from app.domain import Event, subject_of

WORKER_GROUP = "history"
FEATURES_AS_OF = "features:as_of"
"""Key with the instant (unix seconds) that the served batch features look at."""
REMAINING = "offers:remaining"
"""Hash of what is left of each running campaign's budget; its field "" is there once the projections were made."""
WORKER_TASKS = "worker:tasks"
"""Key with what is wrong with each task of a worker (JSON, null = nothing); gone when none has reported for long."""
WORKER_SILENT_AFTER_S = 60
FEATURES_HISTORY = "features:history"
"""Key with the version of the history that they were computed from."""

WorkerClient = Redis
"""The client of workers and commands."""


def worker_client(url: str, *, timeout_s: float = 5.0) -> "Redis":
    """A client for workers and commands: it may wait some seconds, and does not retry by itself."""
    return Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0))


def why_refused(error: Exception) -> str:
    """What Redis said when it refused a command, in words that help."""
    # How the embedded Valkey is made to refuse writes (app/processes/store.py); one with replicas means it literally.
    no_room = " Its disk has no room for writes, unless it lost its replicas." if "NOREPLICAS" in str(error) else ""
    return f"Redis refused a command: {error}{no_room}"


def why_read_only(client: WorkerClient) -> str | None:
    """What Redis says to a write that leaves nothing behind; None when it takes it."""
    try:
        client.set("doctor", "1", ex=1)
    except ResponseError as error:
        return str(error)
    return None


def pack_arguments(*arguments: bytes) -> bytes:
    """Arguments in the Redis protocol, without the command's head."""
    return b"".join([b"$%d\r\n%b\r\n" % (len(argument), argument) for argument in arguments])


def pack_command(*arguments: bytes) -> bytes:
    """One whole command in the Redis protocol."""
    return b"*%d\r\n%b" % (len(arguments), pack_arguments(*arguments))


class RedisKeys:
    """Every key but Feast's. One hash tag per partition keeps a person's keys and their stream in one cluster slot."""

    def __init__(self, partition_count: int) -> None:
        self.partition_count = partition_count

    def partition(self, subject: str) -> int:
        """The partition of one person; the same in every process."""
        # Not hash(), which Python seeds differently in every process.
        return zlib.crc32(subject.encode()) % self.partition_count

    def live(self, subject: str) -> str:
        """List of the person's last events, latest accepted first."""
        return f"{{p{self.partition(subject)}}}:live:{subject}"

    def cart(self, subject: str) -> str:
        """List of the person's last events about a cart, which outlast those of `live`."""
        return f"{{p{self.partition(subject)}}}:cart:{subject}"

    def saved(self, subject: str) -> str:
        """The same of saved products."""
        return f"{{p{self.partition(subject)}}}:saved:{subject}"

    def seen(self, sending: str) -> str:
        """Exists while a repeat of this event must be recognized, whoever it is about."""
        return f"{{p{self.partition(sending)}}}:seen:{sending}"

    def stream(self, partition: int) -> str:
        """Accepted events on their way to the history."""
        return f"{{p{partition}}}:events"

    def dead(self, partition: int) -> str:
        """Entries that could not be stored, with the reason."""
        return f"{{p{partition}}}:dead"

    def wallet(self, customer_id: str) -> str:
        """The customer's open coupons, projected from the ledger (`app.stores.redis.projections`)."""
        subject = subject_of(customer_id)
        return f"{{p{self.partition(subject)}}}:wallet:{subject}"

    def person(self, subject: str) -> str:
        """The document of whoever has this identity (`app.stores.redis.customers.documents`)."""
        return f"{{p{self.partition(subject)}}}:person:{subject}"

    @staticmethod
    def erased(tombstone: str) -> str:
        """Exists for everybody who was erased (`app.customers.tombstones`)."""
        return f"erased:{tombstone}"

    @staticmethod
    def persons_mark(partition: int) -> str:
        """Exists once every document of the partition was made: only then an absent one says something."""
        return f"{{p{partition}}}:persons"

    def guesses(self, client: str, subject: str) -> tuple[str, str]:
        """The guesses of a client's customer, and those of the client; both in one slot."""
        slot = f"{{p{self.partition(client)}}}:guesses"
        return f"{slot}:{client}:{subject}", f"{slot}:{client}"

    @staticmethod
    def rate(key_id: str) -> str:
        """When the bucket of this API key is full again."""
        return f"rate:{key_id}"

    @staticmethod
    def decision(decision_id: str) -> str:
        """One decision with its trace, for a while."""
        return f"decision:{decision_id}"


ACCEPT = """
if redis.call('EXISTS', KEYS[4], KEYS[5]) > 0 then return 2 end
if not redis.call('SET', KEYS[1], '1', 'NX', 'EX', ARGV[1]) then return 0 end
for row = 6, #ARGV do
  redis.call('LPUSH', KEYS[2], ARGV[row])
  redis.call('XADD', KEYS[3], '*', 'e', ARGV[row])
end
redis.call('LTRIM', KEYS[2], 0, ARGV[2] - 1)
redis.call('EXPIRE', KEYS[2], ARGV[3])
if KEYS[6] then
  for row = 6, #ARGV do redis.call('LPUSH', KEYS[6], ARGV[row]) end
  redis.call('LTRIM', KEYS[6], 0, ARGV[4] - 1)
  redis.call('EXPIRE', KEYS[6], ARGV[5])
end
return 1
"""
"""Seen-mark, live profile and stream of one event in one atomic step, and a list that keeps its kind for longer where a
sixth key names one; 1 = accepted, 0 = was there already, 2 = whom it is about was erased, as keys 4 and 5 say."""


def pack_event(event: Event) -> bytes:
    """The event as one JSON array, in the order of `unpack_event`; time is unix seconds."""
    return orjson.dumps(
        [
            event.event_id,
            event.type,
            event.time.timestamp(),
            event.product_id,
            event.quantity,
            event.subject,
            event.channel,
            event.customer_id,
            event.anonymous_id,
            event.basket_id,
            event.amount_minor,
            event.currency,
            event.store_id,
            event.session_id,
            event.decision_id,
            event.offer_id,
            event.sender,
            event.item,
        ]
    )


def unpack_event(packed: bytes) -> Event:
    """The event that `pack_event` packed; raises ValueError on anything else."""
    try:
        row = orjson.loads(packed)
        event_id, kind, time_s, product_id, quantity, _, channel, *rest = row
        customer_id, anonymous_id, basket_id, amount_minor, currency, store_id, session_id, decision_id, *later = rest
        return Event(
            event_id=str(event_id),
            type=str(kind),
            time=datetime.fromtimestamp(time_s, UTC),
            product_id=product_id,
            quantity=float(quantity),
            channel=channel,
            customer_id=customer_id,
            anonymous_id=anonymous_id,
            basket_id=basket_id,
            amount_minor=amount_minor,
            currency=currency,
            store_id=store_id,
            session_id=session_id,
            decision_id=decision_id,
            # Entries of earlier versions end before the offer, or before the sender.
            **dict(zip(("offer_id", "sender", "item"), later, strict=False)),
        )
    # A list of another length, or of other types, or a time beyond the calendar.
    except (TypeError, OverflowError) as error:
        raise ValueError(f"not a packed event: {error}") from error


PackedEvent = list[Any]
"""An event's fields in the order of `pack_event`."""


def unpack_live(packed: Sequence[bytes], subject: str) -> list[PackedEvent]:
    """The packed events of one person; an entry of anybody else is left out."""
    # One call for all entries is cheaper than one for each.
    rows: list[PackedEvent] = orjson.loads(b"[" + b",".join(packed) + b"]")
    return [row for row in rows if row[5] == subject]
