"""What a killed or frozen part costs: quality for a while, but no answer and no accepted event."""

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import uuid4

import pytest
import redis

from app.history import History
from tests.support.rows import event_ids
from tests.support.running import Up, endcap_up
from tests.support.server import wait_until
from tests.support.world import END, World, customer, product

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks at processes through /proc")

STORE_FLAGS = {"features_missing", "features_stale"}


@pytest.fixture(scope="module")
def up(trained_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The small retailer under `endcap up`, its features in the embedded Valkey."""
    with copied_world(trained_world, tmp_path_factory.mktemp("up") / "var") as running:
        yield running


@contextmanager
def copied_world(world: World, data_dir: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Up]:
    """`endcap up` on a copy of the world, ready to answer; its features are in the embedded Valkey."""
    shutil.copytree(world.settings.data_dir, data_dir)
    with endcap_up(data_dir, environment=environment) as running:
        copy_keys(world.redis_url, running.valkey_url())
        wait_until(lambda: running.client.get("/readyz").status_code == 200, "the bundle is live")
        yield running


def copy_keys(source_url: str, target_url: str) -> None:
    """Every key of one database into another."""
    with redis.Redis.from_url(source_url) as source, redis.Redis.from_url(target_url) as target:
        for key in source.scan_iter():
            target.restore(key, 0, source.dump(key), replace=True)


def view_of(product_id: str, **fields: object) -> dict[str, Any]:
    """An event that just happened, with an id of its own."""
    now = datetime.now(UTC).isoformat()
    return {"id": uuid4().hex, "type": "view_item", "time": now, "product_id": product_id} | fields


def decide(up: Up, **fields: object) -> dict[str, Any]:
    """One answer, which must come."""
    response = up.client.post("/v1/decisions", json={"placement": "app_home", "explain": True} | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def times_in_history(data_dir: Path, ids: set[str]) -> Counter[str]:
    """How many rows the history holds of each of these ids."""
    return Counter(event_id for event_id in event_ids(History(data_dir / "history").scan()) if event_id in ids)


def send_until_safe(up: Up, events: list[dict[str, Any]]) -> None:
    """Sends until every row was accepted or is known: what a client does."""
    waiting = {event["id"]: event for event in events}

    def all_safe() -> bool:
        for row in up.send(list(waiting.values())):
            if row["status"] != "rejected":
                waiting.pop(row["id"])
            else:
                assert row["code"] == "store_unavailable", row
        return not waiting

    wait_until(all_safe, "all events are accepted")


def test_replayed_event_counts_once(up: Up) -> None:
    event = view_of(product("tea", 3), anonymous_id=uuid4().hex)
    statuses = [row["status"] for row in up.send([event]) + up.send([event, event])]
    assert statuses == ["accepted", "duplicate", "duplicate"]
    assert decide(up, anonymous_id=event["anonymous_id"])["trace"]["live_event_count"] == 1
    wait_until(lambda: times_in_history(up.data_dir, {event["id"]}), "the event is in the history")
    assert times_in_history(up.data_dir, {event["id"]}) == {event["id"]: 1}


def test_frozen_valkey_costs_quality_but_no_answer(up: Up) -> None:
    customer_id = customer("coffee", 1)
    known = {"customer_id": customer_id, "context": {"now": END.isoformat()}}
    wait_until(lambda: not STORE_FLAGS & set(decide(up, **known)["degraded"]), "answers are whole")
    with frozen(up.parts()["valkey-server"]):
        until = monotonic() + 2
        while monotonic() < until:
            assert decide(up, **known)["degraded"] == ["features_stale"]
            unknown = decide(up, customer_id=uuid4().hex)
            assert "features_missing" in unknown["degraded"]
            assert len(unknown["propositions"]) == 10
            rows = up.send([view_of(product("tea", 1), customer_id=customer_id)])
            assert [row["code"] for row in rows] == ["store_unavailable"]
    wait_until(lambda: not STORE_FLAGS & set(decide(up, **known)["degraded"]), "answers are whole again")
    wait_until(
        lambda: up.send([view_of(product("tea", 1), customer_id=customer_id)])[0]["status"] == "accepted",
        "events go in again",
    )


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process stands still while the block runs."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_killed_worker_and_valkey_lose_and_double_no_event(up: Up) -> None:
    events = [view_of(product("tea", number % 30), customer_id=customer("tea", number % 40)) for number in range(600)]
    batches = [events[start : start + 100] for start in range(0, len(events), 100)]
    for number, batch in enumerate(batches):
        send_until_safe(up, batch)
        victim = ("worker", "valkey-server")[number % 2]
        wait_until(lambda: victim in up.parts(), f"{victim} runs")  # noqa: B023 - called before the next round
        up.kill(victim)
    ids = {event["id"] for event in events}
    wait_until(lambda: times_in_history(up.data_dir, ids).keys() == ids, "all are in the history")
    assert {row["status"] for row in up.send(events[:200])} == {"duplicate"}
    assert set(times_in_history(up.data_dir, ids).values()) == {1}


def test_killed_api_comes_back_and_knows_what_it_accepted(up: Up) -> None:
    event = view_of(product("coffee", 3), anonymous_id=uuid4().hex)
    send_until_safe(up, [event])
    up.kill("serve")
    wait_until(lambda: bool(up.send([event])), "the API answers again")
    assert decide(up, anonymous_id=event["anonymous_id"])["trace"]["last_event_id"] == event["id"]
