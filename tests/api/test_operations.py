"""What operations see: readiness, metrics, keys, new bundles, and answers on every fallback level."""

from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from app.model.bundle import current_version
from app.settings import Settings
from app.stores.redis.keys import FEATURES_AS_OF, WORKER_TASKS
from app.stores.redis.server.embedded import free_port
from tests.support.bundles import copied
from tests.support.server import serving, wait_until
from tests.support.world import World, customer
from training.release.publish import point_to

QUESTION = {"customer_id": customer("tea", 3), "placement": "app_home"}


def decision(client: httpx.Client, **fields: object) -> dict[str, Any]:
    response = client.post("/v1/decisions", json=QUESTION | fields)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_ready_once_the_bundle_is_verified(api: httpx.Client, trained_world: World) -> None:
    ready = api.get("/readyz").json()
    assert ready == {"status": "ok", "model_version": current_version(trained_world.settings.bundles_dir)}


def test_metrics_count_decisions_and_name_the_model(api: httpx.Client, trained_world: World) -> None:
    decision(api)
    text = api.get("/metrics").text
    assert f'endcap_model_info{{version="{current_version(trained_world.settings.bundles_dir)}"}} 1.0' in text
    assert 'endcap_stage_seconds_count{stage="features"}' in text
    assert 'endcap_decisions_total{fallback_level="full"}' in text
    assert 'endcap_candidates_total{source="similar"}' in text
    assert 'endcap_request_seconds_count{endpoint="/v1/decisions",status="200"}' in text


def test_every_answer_carries_a_request_id(api: httpx.Client) -> None:
    assert api.get("/healthz").headers["x-request-id"]
    assert api.get("/healthz", headers={"X-Request-Id": "mine"}).headers["x-request-id"] == "mine"


def test_new_bundle_is_picked_up_by_itself(own_world: World, own_api: httpx.Client) -> None:
    version = copied(own_world.settings.bundles_dir, "second")
    point_to(own_world.settings.bundles_dir, version)
    wait_until(lambda: own_api.get("/readyz").json()["model_version"] == version, "the new bundle is live")
    assert decision(own_api)["model_version"] == version


@pytest.mark.parametrize(
    "name", ["item_factors.npy", "index_items.npy", "product_ids.json", "scoring.json", "groups.json"]
)
@pytest.mark.parametrize("harm", ["truncate", "flip", "swap", "remove"])
def test_damaged_bundle_is_refused_by_name(own_world: World, own_api: httpx.Client, name: str, harm: str) -> None:
    live = decision(own_api)["model_version"]
    version = copied(own_world.settings.bundles_dir, "second")
    path = own_world.settings.bundles_dir / version / name
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    swapped = (path.parent / "popularity.npy").read_bytes()
    damaged = {"truncate": content[: len(content) // 2], "flip": flipped, "swap": swapped}
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(damaged[harm])
    point_to(own_world.settings.bundles_dir, version)
    wait_until(lambda: name in own_api.get("/readyz").json().get("detail", ""), "the refusal names the file")
    assert decision(own_api)["model_version"] == live


def test_without_a_bundle_the_placement_s_own_list_answers(tmp_path: Path, valkey: str) -> None:
    placements = tmp_path / "placements.json"
    placements.write_text('{"app_home": {"size": 2, "fallback": ["always-1", "always-2", "always-3"]}}')
    settings = Settings.load(data_dir=tmp_path, redis_url=valkey, placements_file=placements)
    with serving(settings, valkey) as client:
        answer = decision(client)
        assert [row["product_id"] for row in answer["propositions"]] == ["always-1", "always-2"]
        assert answer["degraded"] == ["bundle_missing"]
        assert (answer["catalogue_version"], answer["propositions"][0]["image_url"]) == (None, None)
        assert client.get("/readyz").status_code == 503


def test_without_redis_decisions_are_flagged_and_events_are_not_called_accepted(trained_world: World) -> None:
    with serving(trained_world.settings, f"redis://127.0.0.1:{free_port()}/0") as client:
        answer = decision(client)
        assert answer["degraded"] == ["features_missing"]
        assert len(answer["propositions"]) == 10
        row = {"id": "lost", "type": "search", "time": "2026-10-01T00:00:00Z", "customer_id": "1"}
        result = client.post("/v1/events", json={"events": [row, 3]}).json()["results"]
        assert [item["code"] for item in result] == ["store_unavailable", "invalid_event"]
        assert client.get("/v1/decisions/unknown").status_code == 404


def test_background_task_that_fails_is_named_until_it_works_again(trained_world: World, valkey: str) -> None:
    with redis.Redis.from_url(valkey) as client, serving(trained_world.settings, valkey) as api:
        assert api.get("/readyz").json().keys() == {"status", "model_version"}
        client.set(FEATURES_AS_OF, "yesterday")
        wait_until(lambda: "background task store" in api.get("/readyz").json().get("detail", ""), "the task is named")
        assert api.get("/readyz").status_code == 200
        assert 'endcap_background_task_up{task="store"} 0.0' in api.get("/metrics").text
        assert 'endcap_background_task_up{task="bundles"} 1.0' in api.get("/metrics").text
        client.set(WORKER_TASKS, '{"events": null, "ledger upkeep": "why"}')
        client.set(FEATURES_AS_OF, "0")
        wait_until(lambda: 'task="store"} 1.0' in api.get("/metrics").text, "the task works again")
        text = api.get("/metrics").text
        for task, up in (("worker", 1), ("worker events", 1), ("worker ledger upkeep", 0)):
            assert f'endcap_background_task_up{{task="{task}"}} {up}.0' in text
        assert "detail" not in api.get("/readyz").json()


def test_overload_answers_with_what_is_popular(trained_world: World) -> None:
    settings = trained_world.settings.model_copy(update={"max_in_flight_count": 0})
    with serving(settings, trained_world.redis_url) as client:
        answer = decision(client)
        assert answer["degraded"] == ["overload"]
        assert len(answer["propositions"]) == 10


def test_a_configured_key_is_required(trained_world: World) -> None:
    settings = trained_world.settings.model_copy(update={"api_key": "a-key-of-decent-length"})
    with serving(settings, trained_world.redis_url) as client:
        refused = client.post("/v1/decisions", json=QUESTION)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert client.get("/healthz").status_code == 200
        client.headers["Authorization"] = "Bearer a-key-of-decent-length"
        assert decision(client)["propositions"]
        client.headers["Authorization"] = "Bearer a-key-of-decent-lengtH"
        assert client.post("/v1/decisions", json=QUESTION).status_code == 401
