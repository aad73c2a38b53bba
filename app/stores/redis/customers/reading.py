"""The customer of a request: document, Feast rows, live events and coupons of all their identities.

One Redis round trip in the usual case: the documents come with what was last known to be read. Only where a document
has changed, or was never seen here, a second trip follows. Without consent nothing but the document is read.
"""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

from app.customers.consents import status_on, strictest
from app.customers.identities import customer_ids_of
from app.customers.person import Person
from app.decision.customer.joined import joined_features
from app.domain import CustomerFeatures, Degraded, LiveEvent, subject_of
from app.errors import StoreUnavailable
from app.ports import CustomerState
from app.stores.feast.online_row import CUSTOMER_FIELDS, customer_key, decode_customer
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.documents import unpack_person
from app.stores.redis.keys import REMAINING, PackedEvent, RedisKeys, pack_arguments, pack_command, unpack_live
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.redis.wallets import joined_wallets, unpack_wallet

LAST_KNOWN_COUNT = 2000
PERSON_COUNT = 20_000
FOLLOWED_FOR_S = 0.5
"""So long after a change was committed a server may still answer from memory as if it had not been made.

Whoever takes something away waits for this before the answer (`app.api.customers`).
"""

Documents = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """The documents of a question's names as they were last seen, and whose they are."""

    documents: Documents
    person: Person


@dataclass(frozen=True, slots=True)
class _LastKnown:
    read_at: float
    person: Person
    rows: Sequence[Sequence[bytes | None]]
    events: list[LiveEvent]


class RedisCustomers:
    """Reads one person within `timeout_s`, and remembers a bounded number for when Redis fails.

    `consent_is_required`: who said nothing gets nothing personal. `followed_s`, by `clock`: every change to customers
    that was committed before is known here. What is remembered may be used for FOLLOWED_FOR_S after that. `denied` are
    those who said no on some channel, by each of their keys: for when Redis does not say so.
    """

    def __init__(
        self,
        redis: PipelinedRedis,
        keys: RedisKeys,
        breaker: Breaker,
        *,
        timeout_s: float,
        live_event_count: int,
        last_known_s: float,
        consent_is_required: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._breaker = breaker
        self._timeout_s = timeout_s
        self._last_live_position = str(live_event_count - 1).encode()
        self._last_known_s = last_known_s
        self._consent_is_required = consent_is_required
        self.clock = clock
        self.followed_s = -inf
        self.denied: dict[str, Person] = {}
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()
        self._last_known: OrderedDict[tuple[str, ...], _LastKnown] = OrderedDict()

    async def read(
        self,
        customer_id: str | None,
        anonymous_id: str | None,
        *,
        channel: str | None = None,
        with_wallet: bool = False,
    ) -> CustomerState:
        """The person's state; a store that fails or is late costs the features, never the answer."""
        names = _names(customer_id, anonymous_id)
        known = self._known.get(names) or _Known((None,) * len(names), Person(names))
        try:
            documents, answers = await self._ask(names, known.person, channel, with_wallet=with_wallet)
            if documents is None:
                # Redis has lost the documents: what somebody said before cannot be known.
                return self._closed(names, with_wallet=with_wallet)
            if documents != known.documents:
                known = self._keep(names, documents)
                _, answers = await self._ask((), known.person, channel, with_wallet=with_wallet)
        except StoreUnavailable:
            return self._fallback(names, channel, with_wallet=with_wallet)
        if answers is None:
            return CustomerState(degraded=(Degraded.CONSENT_MISSING,), opted_out=known.person.opted_out)
        return self._state(names, known.person, answers, with_wallet=with_wallet)

    def forget(self, keys: Collection[str]) -> None:
        """Lets go of all that is remembered of these people."""
        changed = set(keys)
        for remembered in (self._known, self._last_known):
            for names in [names for names, one in remembered.items() if not changed.isdisjoint(one.person.keys)]:
                del remembered[names]

    def forget_all(self) -> None:
        """Lets go of all that is remembered of anybody."""
        self._known.clear()
        self._last_known.clear()

    async def _ask(
        self, names: tuple[str, ...], person: Person, channel: str | None, *, with_wallet: bool
    ) -> tuple[Documents | None, list[Any] | None]:
        """The documents of these names, and what there is of the person; None where there is no consent to read it.

        No documents where a mark is missing.
        """
        allows = self._allows(person, channel)
        commands = [self._read_document(name) for name in names]
        if allows:
            commands += self._commands(person, with_wallet=with_wallet)
        if not commands:
            return (), None
        packed = b"".join(commands)
        answers = await self._breaker.call(lambda: self._redis.ask(packed, len(commands)), timeout_s=self._timeout_s)
        found = answers[: len(names)]
        documents = None if any(mark is None for _, mark in found) else tuple(document for document, _ in found)
        return documents, answers[len(names) :] if allows else None

    def _read_document(self, name: str) -> bytes:
        mark = self._keys.persons_mark(self._keys.partition(name))
        return pack_command(b"MGET", self._keys.person(name).encode(), mark.encode())

    def _commands(self, person: Person, *, with_wallet: bool) -> list[bytes]:
        customer_ids = customer_ids_of(person.keys)
        commands = [read_features(customer_id) for customer_id in customer_ids]
        commands += [self._read_live(key) for key in person.keys]
        if with_wallet and customer_ids:
            commands += [pack_command(b"GET", self._keys.wallet(name).encode()) for name in customer_ids]
            commands.append(_READ_REMAINING)
        return commands

    def _read_live(self, subject: str) -> bytes:
        return pack_command(b"LRANGE", self._keys.live(subject).encode(), b"0", self._last_live_position)

    def _keep(self, names: tuple[str, ...], documents: Documents) -> _Known:
        people = [
            Person((name,)) if packed is None else unpack_person(packed)
            for name, packed in zip(names, documents, strict=True)
        ]
        known = _Known(documents, people[0] if len(people) == 1 else _joined(people))
        self._known[names] = known
        self._known.move_to_end(names)
        if len(self._known) > PERSON_COUNT:
            self._known.popitem(last=False)
        return known

    def _state(self, names: tuple[str, ...], person: Person, answers: list[Any], *, with_wallet: bool) -> CustomerState:
        customer_count = len(customer_ids_of(person.keys))
        rows = answers[:customer_count]
        lists = answers[customer_count : customer_count + len(person.keys)]
        events = [event for key, packed in zip(person.keys, lists, strict=True) for event in _live(packed, key)]
        wallet = None
        has_wallet = with_wallet and customer_count > 0
        if has_wallet:
            *packed_wallets, remaining = answers[customer_count + len(person.keys) :]
            wallet = joined_wallets([unpack_wallet(packed, remaining) for packed in packed_wallets])
        self._remember(names, _LastKnown(monotonic(), person, rows, events))
        # The wallet is None only while Redis lacks the projections; the features of the same answer are good.
        unknown = (Degraded.COUPONS_UNKNOWN,) if has_wallet and wallet is None else ()
        return CustomerState(_decoded(rows), events, unknown, wallet, person.opted_out)

    def _remember(self, names: tuple[str, ...], known: _LastKnown) -> None:
        self._last_known[names] = known
        self._last_known.move_to_end(names)
        if len(self._last_known) > LAST_KNOWN_COUNT:
            self._last_known.popitem(last=False)

    def _fallback(self, names: tuple[str, ...], channel: str | None, *, with_wallet: bool) -> CustomerState:
        """What was known last; never a coupon: nobody knows what became of it since."""
        if self.clock() - self.followed_s >= FOLLOWED_FOR_S:
            # Neither Redis nor SQL say who said no.
            return self._closed(names, with_wallet=with_wallet)
        known = self._last_known.get(names)
        is_young = known is not None and monotonic() - known.read_at <= self._last_known_s
        people = [self.denied[name] for name in names if name in self.denied]
        people += [known.person] if known is not None and is_young else []
        if any(not self._allows(person, channel) for person in people):
            return self._closed(names, with_wallet=with_wallet)
        unknown = _unknown(names, with_wallet=with_wallet)
        if known is not None and is_young:
            degraded = (Degraded.FEATURES_STALE, *unknown)
            return CustomerState(_decoded(known.rows), known.events, degraded, opted_out=known.person.opted_out)
        if self._consent_is_required:
            return self._closed(names, with_wallet=with_wallet)
        return CustomerState(degraded=(Degraded.FEATURES_MISSING, *unknown))

    def _allows(self, person: Person, channel: str | None) -> bool:
        return person.allows_personalization(channel, is_required=self._consent_is_required)

    @staticmethod
    def _closed(names: tuple[str, ...], *, with_wallet: bool) -> CustomerState:
        """The state of somebody of whom nothing may be used, because nobody knows what they allow."""
        unknown = _unknown(names, with_wallet=with_wallet)
        return CustomerState(degraded=(Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING, *unknown))


_READ_REMAINING = pack_command(b"HGETALL", REMAINING.encode())
_HMGET = b"*%d\r\n%b" % (2 + len(CUSTOMER_FIELDS), pack_arguments(b"HMGET"))
_FIELDS = pack_arguments(*CUSTOMER_FIELDS)


def read_features(customer_id: str) -> bytes:
    """HMGET of all of a customer's fields; all but the customer is packed once."""
    return _HMGET + pack_arguments(customer_key(customer_id)) + _FIELDS


def _unknown(names: tuple[str, ...], *, with_wallet: bool) -> tuple[Degraded, ...]:
    """The flag of a customer's coupons that could not be read."""
    return (Degraded.COUPONS_UNKNOWN,) if with_wallet and customer_ids_of(names) else ()


def _names(customer_id: str | None, anonymous_id: str | None) -> tuple[str, ...]:
    """The customer and the visitor, who may be the same person before and after they signed in."""
    if customer_id is None:
        return (subject_of(None, anonymous_id),)
    if anonymous_id is None:
        return (subject_of(customer_id),)
    return subject_of(customer_id), subject_of(None, anonymous_id)


def _joined(people: Sequence[Person]) -> Person:
    """What the names of one question say together: all identities, the strictest consent."""
    channels = {channel for person in people for channel in person.personalization}
    return Person(
        tuple(sorted({key for person in people for key in person.keys})),
        {channel: strictest(status_on(person.personalization, channel) for person in people) for channel in channels},
        tuple(dict.fromkeys(one for person in people for one in person.opted_out)),
    )


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


def _decoded(rows: Sequence[Sequence[bytes | None]]) -> CustomerFeatures | None:
    if len(rows) == 1:
        return decode_customer(rows[0])
    return joined_features([features for row in rows if (features := decode_customer(row)) is not None])
