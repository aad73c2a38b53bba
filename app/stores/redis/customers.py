"""The customer of a request: Feast row and live events in one Redis round trip, the last known row when it fails."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic

from app.domain import CustomerFeatures, Degraded, LiveEvent, subject_of
from app.errors import StoreUnavailable
from app.ports import CustomerState
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer
from app.stores.redis.breaker import Breaker
from app.stores.redis.keys import REMAINING, PackedEvent, RedisKeys, pack_arguments, pack_command, unpack_live
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.wallets import unpack_wallet

LAST_KNOWN_COUNT = 2000


@dataclass(frozen=True, slots=True)
class _LastKnown:
    owner: str
    read_at: float
    values: Sequence[bytes | None]
    events: list[LiveEvent]


class RedisCustomers:
    """Reads one person in one round trip within `timeout_s`, and remembers a bounded number for when Redis fails."""

    def __init__(
        self,
        redis: PipelinedRedis,
        keys: RedisKeys,
        breaker: Breaker,
        *,
        timeout_s: float,
        live_event_count: int,
        last_known_s: float,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._last_live_position = str(live_event_count - 1).encode()
        self._last_known_s = last_known_s
        self._last_known: OrderedDict[str, _LastKnown] = OrderedDict()

    async def read(
        self, customer_id: str | None, anonymous_id: str | None, *, with_wallet: bool = False
    ) -> CustomerState:
        """The person's state; a store that fails or is late costs the features, never the answer."""
        # repr() keeps an absent id apart from one that reads "None", and quotes an id that has a slash in it.
        owner = f"{customer_id!r}/{anonymous_id!r}"
        commands = self._commands(customer_id, anonymous_id)
        has_wallet = with_wallet and customer_id is not None
        if has_wallet:
            commands += [pack_command(b"GET", self._keys.wallet(str(customer_id)).encode()), _READ_REMAINING]
        packed = b"".join(commands)
        try:
            answers = await self._breaker.call(
                lambda: self._redis.ask(packed, len(commands)), timeout_s=self._timeout_s
            )
        except StoreUnavailable:
            return self._fallback(owner, with_wallet=has_wallet)
        wallet = None
        if has_wallet:
            *answers, packed_wallet, remaining = answers
            wallet = unpack_wallet(packed_wallet, remaining)
        subjects = _subjects(customer_id, anonymous_id)
        values = answers[0] if customer_id is not None else []
        lists = answers[1:] if customer_id is not None else answers
        events = [event for subject, packed in zip(subjects, lists, strict=True) for event in _live(packed, subject)]
        self._remember(_LastKnown(owner, monotonic(), values, events))
        # The wallet is None only while Redis lacks the projections; the features of the same answer are good.
        unknown = (Degraded.COUPONS_UNKNOWN,) if has_wallet and wallet is None else ()
        return CustomerState(_decoded(values), events, unknown, wallet)

    def _commands(self, customer_id: str | None, anonymous_id: str | None) -> list[bytes]:
        commands = [_read_features(customer_id)] if customer_id is not None else []
        commands += [self._read_live(subject) for subject in _subjects(customer_id, anonymous_id)]
        return commands

    def _read_live(self, subject: str) -> bytes:
        return pack_command(b"LRANGE", self._keys.live(subject).encode(), b"0", self._last_live_position)

    def _remember(self, known: _LastKnown) -> None:
        self._last_known[known.owner] = known
        self._last_known.move_to_end(known.owner)
        if len(self._last_known) > LAST_KNOWN_COUNT:
            self._last_known.popitem(last=False)

    def _fallback(self, owner: str, *, with_wallet: bool) -> CustomerState:
        """What was known last; never a coupon: nobody knows what became of it since."""
        unknown = (Degraded.COUPONS_UNKNOWN,) if with_wallet else ()
        known = self._last_known.get(owner)
        if known is None or known.owner != owner or monotonic() - known.read_at > self._last_known_s:
            return CustomerState(degraded=(Degraded.FEATURES_MISSING, *unknown))
        return CustomerState(_decoded(known.values), known.events, (Degraded.FEATURES_STALE, *unknown))


_READ_REMAINING = pack_command(b"HGETALL", REMAINING.encode())
_HMGET = b"*%d\r\n%b" % (2 + len(CUSTOMER_FIELDS), pack_arguments(b"HMGET"))
_FIELDS = pack_arguments(*CUSTOMER_FIELDS)


def _read_features(customer_id: str) -> bytes:
    """HMGET of all of a customer's fields; all but the customer is packed once."""
    return _HMGET + pack_arguments(customer_key(customer_id)) + _FIELDS


def _subjects(customer_id: str | None, anonymous_id: str | None) -> list[str]:
    """The customer and the visitor, who may be the same person before and after they signed in."""
    subjects = [] if customer_id is None else [subject_of(customer_id)]
    return subjects if anonymous_id is None else [*subjects, subject_of(None, anonymous_id)]


def _live(packed: Sequence[bytes], subject: str) -> list[LiveEvent]:
    return [_live_event(row) for row in unpack_live(packed, subject)]


def _live_event(row: PackedEvent) -> LiveEvent:
    if len(row) < 18:
        # Entries of earlier versions end before the offer, or before the sender.
        return LiveEvent(*row[:5], *row[15:16])
    event_id, kind, time_s, product_id, quantity, _, _, _, _, basket_id, amount_minor, _, store_id = row[:13]
    return LiveEvent(
        event_id, kind, time_s, product_id, quantity, row[15], row[16], row[17], basket_id, amount_minor, store_id
    )


def _decoded(values: Sequence[bytes | None]) -> CustomerFeatures | None:
    return decode_customer(values) if values else None
