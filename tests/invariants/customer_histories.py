"""Histories of links, events, coupons, limits and consent in any order, on the stores and on a model of a few lines."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import orjson

from app.api.till.responses import redemption_response, reservation_response, rollback_response
from app.customers.consents import GRANTED, LIFTED, OBJECTED, WITHDRAWN, Status
from app.customers.identities import Identity, customer_id_of, identity_behind
from app.domain import Event
from app.ingest.accept import Acceptance
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.terms import Amount, CampaignTerms, Limit, OfferTerms
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.customers.reading import RedisCustomers
from app.stores.redis.events import RedisEvents
from app.stores.redis.keys import RedisKeys, worker_client
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.sql.accounts.reconcile import reconcile
from app.stores.sql.customers.consents import Evidence, Said, say
from app.stores.sql.customers.groups import keys_of
from app.stores.sql.customers.links import link, separate
from app.stores.sql.database.engine import Ledger
from app.stores.sql.redemption.idempotency import IdempotentRequest
from app.stores.sql.redemption.question import Question
from app.stores.sql.redemption.redeem import Order, redeem, reserve
from app.stores.sql.redemption.reservations import release
from app.stores.sql.redemption.rollback import roll_back
from tests.support.tills import START, give, run_campaign

LIMIT = 2
STEPS = 30
BASKET = Basket((BasketLine("1", "p1", 1.0, 2000),), "EUR")
TERMS = CampaignTerms(name="Spring", currency="EUR", limits=(Limit(scope="customer", count=LIMIT),))
OFFER = OfferTerms(name="Five off", discount=Amount(type="amount", amount_minor=500), uses_per_code=None)


@dataclass
class Model:
    """What must be true: who owns whom, what was said under each key, what was used and seen under each."""

    owners: dict[str, str] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    objected: set[str] = field(default_factory=set)
    used: Counter[str] = field(default_factory=Counter)
    events: dict[str, list[str]] = field(default_factory=dict)

    def joined(self, key: str) -> frozenset[str]:
        """The keys of this key's person."""
        found = {key}
        while True:
            more = {owner for of, owner in self.owners.items() if of in found}
            more |= {of for of, owner in self.owners.items() if owner in found}
            if more <= found:
                return frozenset(found)
            found |= more

    def used_by(self, key: str) -> int:
        """How often the person of this key counts towards the limit."""
        return sum(self.used[one] for one in self.joined(key))

    def status(self, key: str) -> Status:
        """The strictest that the person's names say."""
        names = self.joined(key)
        if names & self.objected:
            return Status.OBJECTED
        said = {self.said[one] for one in names if one in self.said}
        return Status(WITHDRAWN) if WITHDRAWN in said else Status(GRANTED) if said else Status.UNKNOWN


class Stores:
    """The stores under test, as one server process uses them."""

    def __init__(self, ledger: Ledger, redis_url: str) -> None:
        self.ledger = ledger
        self.redis_url = redis_url
        self.keys = RedisKeys(4)
        self.client = worker_client(redis_url)
        self.documents = PersonDocuments(ledger, self.client, self.keys)
        self.documents.ensure()

    async def read(self, keys: Iterable[str]) -> dict[str, tuple[list[str], bool]]:
        """By key the ids of the events that a decision reads, and whether it may; each read twice, by one memory."""
        found = {}
        redis = PipelinedRedis(self.redis_url)
        customers = RedisCustomers(
            redis, self.keys, Breaker(in_flight_count=4), timeout_s=5, live_event_count=100, last_known_s=0
        )
        try:
            for key in keys:
                ids = (customer_id_of(key), None) if key.startswith("c:") else (None, key[2:])
                first, again = await customers.read(*ids), await customers.read(*ids)
                assert first == again
                found[key] = sorted(event.event_id for event in first.events), not first.degraded
        finally:
            await redis.aclose()
        return found

    async def accept(self, events: list[Event]) -> None:
        """Takes the events in."""
        redis = PipelinedRedis(self.redis_url)
        store = RedisEvents(
            redis,
            self.keys,
            Breaker(in_flight_count=4),
            timeout_s=5,
            seen_keep_s=60,
            live_count=100,
            live_keep_s=60,
            secret=b"secret",
        )
        try:
            outcomes = await store.accept([[event] for event in events])
            assert set(outcomes) == {Acceptance.NEW}
        finally:
            await redis.aclose()


class History:
    """One history: every step is done on the stores and on the model, and what they answer is compared."""

    def __init__(self, stores: Stores, seed: int) -> None:
        self.stores = stores
        self.random = Random(seed)
        self.name = f"h{seed}"
        self.customers = [f"c:{self.name}-{n}" for n in range(3)] + [f"c:~loyalty_card:{self.name}"]
        self.devices = [f"a:{self.name}-d{n}" for n in range(2)]
        self.model = Model()
        self.now = START
        self.open: list[tuple[str, str, str]] = []
        self.queued: list[Event] = []
        run_campaign(stores.ledger, self.name, TERMS, OFFER)
        self.code = give(stores.ledger, f"{self.name}-0", None).code

    def run(self) -> None:
        """All steps, and the comparison in the middle and at the end."""
        steps = (
            self.link,
            self.separate,
            self.link,
            self.event,
            self.redeem,
            self.redeem,
            self.release_one,
            self.say,
        )
        for step in range(STEPS):
            self.now += timedelta(seconds=1)
            self.random.choice(steps)()
            if step in (STEPS // 2, STEPS - 1):
                self.compare()
        self.separate_all()
        self.compare()
        assert not self.stores.ledger.read(reconcile)

    def link(self) -> None:
        owner = self.random.choice(self.customers)
        key = self.random.choice([one for one in self.customers + self.devices if one != owner])
        for _ in range(self.random.choice((1, 1, 2))):
            self._change(link, owner, key)
        self.model.owners[key] = owner

    def separate(self) -> None:
        owner = self.random.choice(self.customers)
        key = self.random.choice([one for one in self.customers + self.devices if one != owner])
        self._separate(owner, key)

    def separate_all(self) -> None:
        for key, owner in list(self.model.owners.items()):
            self._separate(owner, key)
        assert not self.model.owners

    def _separate(self, owner: str, key: str) -> None:
        for _ in range(self.random.choice((1, 1, 2))):
            self._change(separate, owner, key)
            if self.model.owners.get(key) == owner:
                del self.model.owners[key]
            elif self.model.owners.get(owner) == key:
                del self.model.owners[owner]

    def _change(self, change, owner: str, key: str) -> None:  # type: ignore[no-untyped-def]  # link or separate
        identity: Identity = identity_behind(key)
        changed = self.stores.ledger.write(lambda c: change(c, owner, identity, now=self.now))
        self.stores.documents.write(changed.keys)

    def event(self) -> None:
        key = self.random.choice(self.customers + self.devices)
        event_id = f"{self.name}-e{len(self.queued)}-{self.now:%M%S}"
        ids = {"customer_id": customer_id_of(key)} if key.startswith("c:") else {"anonymous_id": key[2:]}
        self.queued.append(Event(event_id, "view_item", self.now, product_id="p1", **ids))  # type: ignore[arg-type]
        self.model.events.setdefault(key, []).append(event_id)

    def redeem(self) -> None:
        key, named = self._named_at_the_till()
        question = Question(BASKET, Situation(self.now, named), (self.code,))
        request = self._request()
        is_room = self.model.used_by(key) < LIMIT
        if self.random.random() < 0.5:
            response = redeem(self.stores.ledger, question, Order(request.key), request, render=redemption_response)
            kind = "redemption_id"
        else:
            response = reserve(
                self.stores.ledger, question, request, order_id=request.key, ttl=timedelta(days=1),
                render=reservation_response,
            )  # fmt: skip
            kind = "reservation_id"
        assert (response.status == 201) == is_room, response.body
        if is_room:
            self.model.used[key] += 1
            self.open.append((key, kind, orjson.loads(response.body)[kind]))

    def _named_at_the_till(self) -> tuple[str, str]:
        """Whose redemption it is, and a name that the till has for them: of a linked device it is its customer's."""
        key = self.random.choice([*self.customers, *(one for one in self.devices if one in self.model.owners)])
        if key in self.devices:
            return self.model.owners[key], f"~device:{key[2:]}"
        customer_id = str(customer_id_of(key))
        forms = [customer_id] if customer_id.startswith("~") else [customer_id, f"~customer_id:{customer_id}"]
        return key, self.random.choice(forms)

    def release_one(self) -> None:
        if not self.open:
            return
        key, kind, name = self.open.pop(self.random.randrange(len(self.open)))
        if kind == "redemption_id":
            response = roll_back(self.stores.ledger, name, None, self._request(), render=rollback_response)
            assert response.status == 200
        else:
            self.stores.ledger.write(lambda c: release(c, name, now=self.now))
        self.model.used[key] -= 1

    def say(self) -> None:
        key = self.random.choice(self.customers + self.devices)
        status = self.random.choice((GRANTED, WITHDRAWN, OBJECTED, LIFTED))
        said = Said("personalization", "", status)
        noted = self.stores.ledger.write(lambda c: say(c, key, said, Evidence("app"), now=self.now))
        self.stores.documents.write(noted.keys)
        for one in self.model.joined(key):
            if status == OBJECTED:
                self.model.objected.add(one)
            elif status == LIFTED:
                self.model.objected.discard(one)
            else:
                self.model.said[one] = status

    def compare(self) -> None:
        if self.queued:
            asyncio.run(self.stores.accept(self.queued))
            self.queued.clear()
        ledger = self.stores.ledger
        every = self.customers + self.devices
        read = asyncio.run(self.stores.read(every))
        for key in every:
            joined = self.model.joined(key)
            assert set(ledger.read(lambda c, of=key: keys_of(c, of))) == joined  # type: ignore[misc]
            events = sorted(name for one in joined for name in self.model.events.get(one, []))
            allowed = self.model.status(key) in (Status.GRANTED, Status.UNKNOWN)
            assert read[key] == (events if allowed else [], allowed), (key, self.model.status(key))

    def _request(self) -> IdempotentRequest:
        name = f"{self.name}-{self.random.randrange(10**12)}"
        return IdempotentRequest("till", name, name, self.now)


def run_histories(ledger: Ledger, redis_url: str, seeds: Iterable[int]) -> int:
    """Runs a history for each seed; returns how many. Fails at the first that differs from the model."""
    stores = Stores(ledger, redis_url)
    count = 0
    with closing(stores.client):
        for seed in seeds:
            try:
                History(stores, seed).run()
            except AssertionError as error:
                error.add_note(f"history {seed}")
                raise
            count += 1
    return count
