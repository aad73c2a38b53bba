"""The largest batch that the API takes is stored whole, and holds nobody else up."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.settings import Settings
from tests.support.server import serving

TIME = datetime.now(UTC).isoformat()


@pytest.fixture
def client(tmp_path: Path, valkey: str) -> Iterator[httpx.Client]:
    """A service with the default deadlines."""
    with serving(Settings.load(data_dir=tmp_path), valkey) as client:
        client.timeout = 120
        yield client


def row(event_id: str, **fields: object) -> dict[str, object]:
    return {"id": event_id, "type": "view_item", "time": TIME, "customer_id": "c", "product_id": "p"} | fields


def full_batch(number: int) -> bytes:
    items = [{"product_id": "p"}] * 200
    rows = [row(f"{number}-{at}", product_id=None, items=items) for at in range(200)]
    return json.dumps({"events": rows}, separators=(",", ":")).encode()


def codes(answer: httpx.Response) -> set[Any]:
    assert answer.status_code == 202, answer.text
    return {result["code"] or result["status"] for result in answer.json()["results"]}


def test_events_of_others_are_taken_while_full_batches_come_in(client: httpx.Client) -> None:
    bodies = [full_batch(number) for number in range(4)]

    def post(body: bytes) -> set[Any]:
        return codes(client.post("/v1/events", content=body, headers={"Content-Type": "application/json"}))

    with ThreadPoolExecutor(2) as pool:
        batches = [pool.submit(post, body) for body in bodies]
        others: set[Any] = set()
        count = 0
        while not all(batch.done() for batch in batches):
            others |= codes(client.post("/v1/events", json={"events": [row(f"other-{count}")]}))
            count += 1
    assert [batch.result() for batch in batches] == [{"accepted"}] * 4
    assert others == {"accepted"}
    assert count > 4
