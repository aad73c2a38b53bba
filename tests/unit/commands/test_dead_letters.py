"""`endcap dead-letters`: an event that cannot be handled is listed with its reason, replayed or deleted."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from typer.testing import CliRunner, Result

from app.cli import cli
from app.composition.stores import opened_ledger
from app.composition.worker import opened_worker
from app.domain import Event, ProductId
from app.offers.terms.terms import Amount, CampaignTerms, OfferTerms
from app.settings import Settings
from app.stores.redis.keys import RedisKeys, pack_event, worker_client
from app.stores.redis.stream import EventStream
from app.stores.sql.coupons.issuing import coupons_of
from app.worker.consume import MAX_DELIVERIES, Worker
from tests.support.tills import run_campaign

GOOD = Event("good", "purchase", datetime.now(UTC), customer_id="ann", product_id=ProductId("p"), basket_id="r")
YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)
"""In New York this instant is before the calendar begins."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, time_zone="America/New_York")


@pytest.fixture
def client(valkey: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    monkeypatch.setenv("ENDCAP_REDIS_URL", valkey)
    with worker_client(valkey) as client:
        yield client


def send(client: Redis, settings: Settings, *events: Event) -> None:
    keys = RedisKeys(settings.stream_partition_count)
    for event in events:
        client.xadd(keys.stream(0), {"e": pack_event(event)})


def exhaust(worker: Worker, client: Redis, settings: Settings) -> None:
    """As many deliveries as an entry gets, without the pause between them."""
    stream = EventStream(client, RedisKeys(settings.stream_partition_count), "exhausting")
    stream.join()
    for _ in range(MAX_DELIVERIES):
        worker.handle([*stream.read(100), *stream.claim(100, idle_ms=0)])


def run(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(cli, ["dead-letters", *words, "--data-dir", str(settings.data_dir)])


def facts(settings: Settings, *words: str) -> Any:
    result = run(settings, *words, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_event_of_the_year_1_costs_no_other_receipt_its_coupon(client: Redis, settings: Settings, valkey: str) -> None:
    terms = OfferTerms.model_validate(
        {
            "name": "off",
            "discount": Amount(type="amount", amount_minor=500),
            "issue": {"by": "receipt", "same_day": True, "condition": {"type": "basket_total", "at_least_minor": 100}},
        }
    )
    good = replace(GOOD, amount_minor=500)
    with opened_ledger(settings) as ledger, opened_worker(settings, valkey) as worker:
        run_campaign(ledger, "k", CampaignTerms(name="k", currency="EUR"), terms)
        send(client, settings, replace(good, event_id="bad", basket_id="old", time=YEAR_1), good)
        exhaust(worker, client, settings)
        assert len(ledger.read(lambda connection: coupons_of(connection, ["ann"], open_only=False))) == 1
    (letter,) = facts(settings, "list")["dead_letters"]
    assert (letter["sender"], letter["event_id"], letter["type"]) == ("local", "bad", "purchase")
    assert "OverflowError" in letter["reason"]
    assert "ann" not in run(settings, "list").stdout


def test_letter_is_replayed_as_accepted_when_it_first_was(client: Redis, settings: Settings) -> None:
    keys = RedisKeys(settings.stream_partition_count)
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    entry_id = f"{int(first.timestamp() * 1000)}-0"
    stream = EventStream(client, keys, "w")
    client.xadd(keys.stream(1), {"e": pack_event(GOOD)}, id=entry_id)
    stream.join()
    (entry,) = stream.read(10)
    stream.bury(entry, "because")
    (letter,) = facts(settings, "list")["dead_letters"]
    assert letter["accepted_at"] == first.isoformat()
    assert facts(settings, "replay", letter["letter_id"]) == {"replayed": 1, "unknown": 0}
    assert facts(settings, "list")["dead_letters"] == []
    (again,) = stream.read(10)
    assert (again.accepted_at, again.packed) == (first, pack_event(GOOD))


def test_letters_are_deleted_by_name_or_all_at_once(client: Redis, settings: Settings) -> None:
    keys = RedisKeys(settings.stream_partition_count)
    for partition in (0, 0, 1):
        client.xadd(keys.dead(partition), {"e": b"no event", "reason": "because"})
    names: Sequence[str] = [letter["letter_id"] for letter in facts(settings, "list")["dead_letters"]]
    assert len(set(names)) == 3
    assert facts(settings, "delete", names[0]) == {"deleted": 1, "unknown": 0}
    assert run(settings, "delete", names[0]).exit_code == 1
    assert facts(settings, "delete", "--all") == {"deleted": 2, "unknown": 0}
    assert facts(settings, "list")["dead_letters"] == []


@pytest.mark.parametrize("words", [["replay"], ["delete"], ["delete", "0-1-1", "--all"]])
def test_neither_names_nor_all_is_refused(settings: Settings, client: Redis, words: list[str]) -> None:
    refused = run(settings, *words)
    assert refused.exit_code != 0
    assert "give --all" in str(refused.exception)
