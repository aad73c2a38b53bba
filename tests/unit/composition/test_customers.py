"""What a server remembers of customers stays true: it forgets who changed, and knows who said no."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest

from app.composition.customers import CustomersFollower
from app.domain import Degraded
from app.ports import CustomerState
from app.stores.redis.breaker import Breaker
from app.stores.redis.customers.documents import PersonDocuments
from app.stores.redis.customers.reading import FOLLOWED_FOR_S, RedisCustomers
from app.stores.redis.keys import RedisKeys, WorkerClient, worker_client
from app.stores.redis.pipelined import PipelinedRedis
from app.stores.sql.customers.consents import Evidence, Said, say
from app.stores.sql.database.engine import Ledger

KEYS = RedisKeys(4)
AT = datetime(2026, 11, 1, tzinfo=UTC)
NOWHERE = "redis://127.0.0.1:1/0"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def client(valkey: str) -> Iterator[WorkerClient]:
    with closing(worker_client(valkey)) as client:
        yield client


class Server:
    """One server process: its memory, its follower, and a Redis that can be taken away."""

    def __init__(self, ledger: Ledger, client: WorkerClient, url: str, *, required: bool = False) -> None:
        self.ledger, self.clock = ledger, Clock()
        self.redis = PipelinedRedis(url)
        self.people = RedisCustomers(
            self.redis, KEYS, Breaker(in_flight_count=4), timeout_s=5, live_event_count=10, last_known_s=900,
            consent_is_required=required, clock=self.clock,
        )  # fmt: skip
        self.documents = PersonDocuments(ledger, client, KEYS)
        self.follower = CustomersFollower(ledger, self.people, self.documents)

    async def start(self) -> None:
        await self.follower.ensure_documents()
        await self.follower.follow()

    def say(self, status: str) -> None:
        noted = self.ledger.write(
            lambda c: say(c, "c:ada", Said("personalization", "", status), Evidence("app"), now=AT)
        )
        self.documents.write(noted.keys)

    async def read(self) -> CustomerState:
        return await self.people.read("ada", None)

    async def lose_redis(self) -> None:
        await self.redis.aclose()
        self.people._redis = PipelinedRedis(NOWHERE)


def flags(state: CustomerState) -> list[Degraded]:
    return list(state.degraded)


def test_memory_is_used_only_as_long_as_every_change_is_known(
    ledger: Ledger, client: WorkerClient, valkey: str
) -> None:
    async def run() -> None:
        server = Server(ledger, client, valkey)
        await server.start()
        assert flags(await server.read()) == []
        await server.lose_redis()
        assert flags(await server.read()) == [Degraded.FEATURES_STALE]
        server.clock.now_s += FOLLOWED_FOR_S
        assert flags(await server.read()) == [Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING]
        await server.follower.follow()
        assert flags(await server.read()) == [Degraded.FEATURES_STALE]

    asyncio.run(run())


def test_whoever_withdraws_is_forgotten_and_known_as_saying_no(
    ledger: Ledger, client: WorkerClient, valkey: str
) -> None:
    async def run() -> None:
        server = Server(ledger, client, valkey)
        await server.start()
        assert flags(await server.read()) == []
        server.say("withdrawn")
        await server.follower.follow()
        await server.lose_redis()
        assert flags(await server.read()) == [Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING]
        server.say("granted")
        await server.follower.follow()
        assert flags(await server.read()) == [Degraded.FEATURES_MISSING], "nothing is remembered, and nothing forbidden"
        another = Server(ledger, client, NOWHERE)
        server.say("withdrawn")
        await another.follower.follow()
        assert flags(await another.read()) == [Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING]

    asyncio.run(run())


def test_redis_that_lost_the_documents_shows_nothing_personal_until_they_are_back(
    ledger: Ledger, client: WorkerClient, valkey: str
) -> None:
    async def run() -> None:
        server = Server(ledger, client, valkey)
        server.say("withdrawn")
        await server.start()
        assert flags(await server.read()) == [Degraded.CONSENT_MISSING]
        client.flushdb()
        assert flags(await server.read()) == [Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING]
        await server.follower.ensure_documents()
        assert flags(await server.read()) == [Degraded.CONSENT_MISSING]
        await server.redis.aclose()

    asyncio.run(run())


def test_where_consent_is_required_a_redis_that_is_away_means_none(
    ledger: Ledger, client: WorkerClient, valkey: str
) -> None:
    async def run() -> None:
        server = Server(ledger, client, valkey, required=True)
        await server.start()
        assert flags(await server.read()) == [Degraded.CONSENT_MISSING]
        server.say("granted")
        await server.follower.follow()
        assert flags(await server.read()) == []
        await server.lose_redis()
        assert flags(await server.read()) == [Degraded.FEATURES_STALE]
        server.people.forget(["c:ada"])
        assert flags(await server.read()) == [Degraded.FEATURES_MISSING, Degraded.CONSENT_MISSING]

    asyncio.run(run())
