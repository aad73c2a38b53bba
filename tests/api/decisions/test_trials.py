"""Bundles on trial, over HTTP: a canary for its share of people, a shadow that nobody is shown."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.commands.recommend import recommend
from app.domain import subject_of
from app.model.bundle import current_version
from app.model.release import TRIALS, CanaryTrial, ShadowTrial
from tests.support.bundles import array_of, copied, damage
from tests.support.server import wait_until
from tests.support.world import World, customer, no_progress
from training.release.publish import point_to, rollback, set_canary, set_shadow

NOW = "2026-10-01T00:00:00Z"
NAMES = [f"visitor-{number}" for number in range(40)]


def question(name: str) -> dict[str, object]:
    return {"customer_id": name, "placement": "app_home", "context": {"now": NOW}}


def answer(client: httpx.Client, name: str) -> dict[str, Any]:
    response = client.post("/v1/decisions", json=question(name))
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def versions(client: httpx.Client) -> dict[str, str]:
    return {name: answer(client, name)["model_version"] for name in NAMES}


def expected(live: str, canary: CanaryTrial) -> dict[str, str]:
    """Who is answered by what."""
    return {name: canary.version if canary.takes(subject_of(name, None)) else live for name in NAMES}


def test_canary_answers_its_share_and_nobody_else_until_it_is_off(own_world: World, own_api: httpx.Client) -> None:
    bundles = own_world.settings.bundles_dir
    live, canary = current_version(bundles), CanaryTrial(copied(bundles, "canary"), 40)
    assert set(versions(own_api).values()) == {live}
    set_canary(bundles, canary)
    wait_until(lambda: versions(own_api) == expected(live, canary), "the canary serves its share")
    assert set(expected(live, canary).values()) == {live, canary.version}
    assert own_api.get("/readyz").json()["model_version"] == live
    assert f'endcap_canary_decisions_total{{version="{canary.version}"}}' in own_api.get("/metrics").text
    set_canary(bundles, None)
    wait_until(lambda: set(versions(own_api).values()) == {live}, "the live bundle serves everybody")


def test_damaged_canary_is_refused_by_name_and_the_live_bundle_serves_everybody(
    own_world: World, own_api: httpx.Client
) -> None:
    bundles = own_world.settings.bundles_dir
    canary = CanaryTrial(copied(bundles, "canary"), 100)
    damage(bundles / canary.version)
    set_canary(bundles, canary)
    wait_until(lambda: "item_factors.npy" in own_api.get("/readyz").json().get("detail", ""), "the canary is refused")
    assert set(versions(own_api).values()) == {current_version(bundles)}
    assert 'endcap_bundle_refusals_total{reason="file"} 1.0' in own_api.get("/metrics").text


def test_broken_file_of_trials_ends_the_canary_and_is_reported(own_world: World, own_api: httpx.Client) -> None:
    bundles = own_world.settings.bundles_dir
    canary = CanaryTrial(copied(bundles, "canary"), 100)
    set_canary(bundles, canary)
    wait_until(lambda: set(versions(own_api).values()) == {canary.version}, "the canary serves")
    (bundles / TRIALS).write_text("{")
    wait_until(lambda: TRIALS in own_api.get("/readyz").json().get("detail", ""), "the broken file is reported")
    assert set(versions(own_api).values()) == {current_version(bundles)}


def test_published_canary_serves_everybody_and_rollback_takes_it_from_all(
    own_world: World, own_api: httpx.Client
) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), copied(bundles, "canary")
    set_canary(bundles, CanaryTrial(version, 40))
    point_to(bundles, version)
    wait_until(lambda: set(versions(own_api).values()) == {version}, "the canary is live")
    assert rollback(bundles) == live
    wait_until(lambda: set(versions(own_api).values()) == {live}, "nobody meets the canary any more")


def test_files_are_answered_by_the_canary_like_http(own_world: World, tmp_path: Path) -> None:
    bundles = own_world.settings.bundles_dir
    canary = CanaryTrial(copied(bundles, "canary"), 40)
    set_canary(bundles, canary)
    source, target = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    source.write_bytes(b"\n".join(orjson.dumps(question(name)) for name in NAMES))
    asyncio.run(recommend(own_world.settings, own_world.redis_url, source, target, progress=no_progress))
    answers = [orjson.loads(line)["model_version"] for line in target.read_bytes().splitlines()]
    assert dict(zip(NAMES, answers, strict=True)) == expected(current_version(bundles), canary)


def counted(client: httpx.Client, outcome: str) -> bool:
    return f'endcap_shadow_total{{outcome="{outcome}"}}' in client.get("/metrics").text


def decide_until(client: httpx.Client, outcome: str, heard: Callable[[dict[str, Any]], None]) -> None:
    """Asks until the shadow has had such an outcome."""

    def ask() -> bool:
        heard(answer(client, customer("tea", 1)))
        return counted(client, outcome)

    wait_until(ask, f"the shadow {outcome} something")


def test_shadow_is_compared_and_logged_but_never_served(
    own_world: World, own_api: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    bundles = own_world.settings.bundles_dir
    live = current_version(bundles)
    flipped = -array_of(bundles, "item_factors.npy")
    weights = orjson.loads((bundles / live / "scoring.json").read_bytes())
    backwards = weights | {"weights": {name: -weight for name, weight in weights["weights"].items()}}
    shadow = copied(bundles, "shadow", arrays={"item_factors.npy": flipped}, documents={"scoring.json": backwards})
    caplog.set_level(logging.INFO, logger="app.decision.shadow")
    set_shadow(bundles, ShadowTrial(shadow, 100))
    answers: list[dict[str, Any]] = []
    decide_until(own_api, "compared", answers.append)
    assert {body["model_version"] for body in answers} == {live}
    records = [vars(record) for record in caplog.records if record.message == "shadow compared"]
    assert records
    first = records[0]
    assert first["decision_id"] in {body["decision_id"] for body in answers}
    assert (first["model_version"], first["shadow_version"]) == (live, shadow)
    assert 0 <= first["overlap"] < 1
    assert customer("tea", 1) not in str(first)
    assert "endcap_shadow_overlap_ratio_count" in own_api.get("/metrics").text


def test_slow_shadow_drops_work(own_world: World, own_api: httpx.Client) -> None:
    bundles = own_world.settings.bundles_dir
    set_shadow(bundles, ShadowTrial(copied(bundles, "shadow"), 0.01))
    answers: list[dict[str, Any]] = []
    decide_until(own_api, "dropped", answers.append)
    assert {body["model_version"] for body in answers} == {current_version(bundles)}


def test_damaged_shadow_is_refused_by_name(own_world: World, own_api: httpx.Client) -> None:
    bundles = own_world.settings.bundles_dir
    version = copied(bundles, "shadow")
    damage(bundles / version, "popularity.npy")
    set_shadow(bundles, ShadowTrial(version, 5))
    wait_until(lambda: "popularity.npy" in own_api.get("/readyz").json().get("detail", ""), "the shadow is refused")
    assert answer(own_api, customer("tea", 1))["model_version"] == current_version(bundles)


def test_shadow_that_is_off_hears_nothing_more(own_world: World, own_api: httpx.Client) -> None:
    bundles = own_world.settings.bundles_dir
    set_shadow(bundles, ShadowTrial(copied(bundles, "shadow"), 100))
    decide_until(own_api, "compared", lambda _: None)
    assert has_shadow()
    set_shadow(bundles, None)
    wait_until(lambda: not has_shadow(), "the shadow's thread has ended")
    assert answer(own_api, customer("tea", 1))["degraded"] == []


def has_shadow() -> bool:
    """True while a shadow runs in this process."""
    return any(thread.name == "shadow" for thread in threading.enumerate())
