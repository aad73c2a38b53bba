"""Documents of people in Redis: the later change wins, and a Redis that lost them says so."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from app.customers.consents import Status
from app.customers.identities import identity_of
from app.customers.person import Person
from app.domain import Selection
from app.stores.redis.customers.documents import PersonDocuments, pack_person, unpack_person
from app.stores.redis.keys import RedisKeys, WorkerClient, worker_client
from app.stores.sql.customers.consents import Evidence, Said, say
from app.stores.sql.customers.links import link
from app.stores.sql.customers.preferences import set_preferences
from app.stores.sql.database.engine import Ledger

KEYS = RedisKeys(4)
AT = datetime(2026, 11, 1, tzinfo=UTC)
WITHDRAWN = Said("personalization", "", "withdrawn")


@pytest.fixture
def client(valkey: str) -> Iterator[WorkerClient]:
    with closing(worker_client(valkey)) as client:
        yield client


def person(client: WorkerClient, key: str) -> Person:
    packed = client.get(KEYS.person(key))
    assert isinstance(packed, bytes)
    return unpack_person(packed)


def test_document_is_read_as_it_was_written() -> None:
    written = Person(
        ("a:dev", "c:ada"),
        {"": Status.GRANTED, "web": Status.WITHDRAWN},
        (Selection(attribute="brand", values=("x",)),),
    )
    assert unpack_person(pack_person(7, written)) == written
    assert written.says_no


def test_every_name_of_a_person_has_the_same_document(ledger: Ledger, client: WorkerClient) -> None:
    documents = PersonDocuments(ledger, client, KEYS)
    linked = ledger.write(lambda c: link(c, "c:ada", identity_of("device", "dev"), now=AT))
    documents.write(linked.keys)
    noted = ledger.write(lambda c: say(c, "a:dev", WITHDRAWN, Evidence("app"), now=AT))
    documents.write(noted.keys)
    wanted = {"opted_out": {"category": ["TOBACCO"]}}
    documents.write(ledger.write(lambda c: set_preferences(c, "c:ada", wanted, now=AT)).keys)
    assert person(client, "a:dev") == person(client, "c:ada")
    assert person(client, "c:ada") == Person(
        ("a:dev", "c:ada"), {"": Status.WITHDRAWN}, (Selection(attribute="category", values=("TOBACCO",)),)
    )


def test_older_document_never_replaces_a_newer_one(ledger: Ledger, client: WorkerClient) -> None:
    documents = PersonDocuments(ledger, client, KEYS)
    client.set(KEYS.person("c:ada"), pack_person(9, Person(("c:ada",), {"": Status.OBJECTED})))
    documents.write(ledger.write(lambda c: say(c, "c:ada", WITHDRAWN, Evidence("app"), now=AT)).keys)
    assert person(client, "c:ada").personalization == {"": Status.OBJECTED}


def test_redis_that_lost_the_documents_gets_all_of_them_and_then_its_marks(
    ledger: Ledger, client: WorkerClient
) -> None:
    documents = PersonDocuments(ledger, client, KEYS)
    for number in range(5):
        at = AT + timedelta(seconds=number)
        ledger.write(lambda c, key=f"c:{number}", at=at: say(c, key, WITHDRAWN, Evidence("app"), now=at))  # type: ignore[misc]  # mypy infers no types for defaults of a lambda
    assert documents.ensure() == 5
    assert all(client.exists(KEYS.persons_mark(partition)) for partition in range(4))
    assert documents.ensure() == 0
    client.flushdb()
    assert documents.ensure() == 5
    assert person(client, "c:3").says_no


def test_who_was_erased_is_marked_and_found(ledger: Ledger, client: WorkerClient) -> None:
    documents = PersonDocuments(ledger, client, KEYS)
    assert documents.erased_among(["t1"]) == set()
    documents.mark_erased(["t1", "t2"])
    assert documents.erased_among(["t1", "t3"]) == {"t1"}
