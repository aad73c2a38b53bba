"""A bundle on its way to the live one: what the gate lets through, what it refuses, and what a reason changes."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import redis

from app.errors import BundleMissing
from app.model.bundle import POINTER, current_version, load_bundle
from app.model.release import CanaryTrial
from app.settings import Settings
from app.stores.feast.online_row import customer_key
from tests.support.bundles import array_of, copied, document_of, worse
from tests.support.world import World, customer, no_progress
from training.features.materialize import materialize
from training.release.comparison import compare
from training.release.listing import list_models
from training.release.publish import PUBLISHED, set_canary
from training.release.release import GateResult, release
from training.run import train

NOW = datetime(2026, 10, 2, tzinfo=UTC)


def released(world: World, version: str, *, reason: str | None = None) -> GateResult:
    return release(world.settings, world.redis_url, version, reason=reason, now=NOW, progress=no_progress)


def failed(result: GateResult) -> set[str]:
    return {check.name for check in result.checks if not check.is_ok}


def test_equal_bundle_is_published_and_its_manifest_says_how(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    before, version = current_version(bundles), copied(bundles, "same")
    result = released(own_world, version)
    assert result.refusal() is None
    assert current_version(bundles) == version
    checks = [check.name for check in result.checks]
    assert checks == ["schema", "catalogue", "scores", "quality", "discovery", "coverage", "features"]
    assert next(check for check in result.checks if check.name == "quality").figures["customers"] >= 20
    manifest = document_of(own_world.settings.bundles_dir, "manifest.json")
    last = manifest["releases"][-1]
    assert (last["published_at"], last["replaced"], last["forced"]) == (NOW.isoformat(), before, False)


def test_planted_worse_bundle_is_refused_and_the_live_one_stays(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), worse(own_world.settings.bundles_dir)
    result = released(own_world, version)
    assert "quality" in failed(result)
    refusal = result.refusal()
    assert refusal is not None
    assert f"`endcap publish {version} --force --reason TEXT`" in refusal.message
    assert "\n" not in refusal.message
    assert current_version(bundles) == live
    assert version not in (bundles / PUBLISHED).read_text()


def test_reason_publishes_a_refused_bundle_and_is_kept(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    version = worse(own_world.settings.bundles_dir)
    result = released(own_world, version, reason="the old one offends the law")
    assert result.is_published
    assert result.refusal() is None
    assert "quality" in failed(result)
    assert current_version(bundles) == version
    newest = next(model for model in list_models(bundles) if model.version == version)
    assert (newest.forced, newest.reason) == (True, "the old one offends the law")
    assert newest.marks == ("live", "published")


def infinite(world: World) -> str:
    popularity = array_of(world.settings.bundles_dir, "popularity.npy").copy()
    popularity[1] = np.inf
    return copied(world.settings.bundles_dir, "planted", arrays={"popularity.npy": popularity})


def of_other_products(world: World) -> str:
    names = document_of(world.settings.bundles_dir, "product_ids.json")
    names = [f"other-{name}" for name in names]
    return copied(world.settings.bundles_dir, "planted", documents={"product_ids.json": names})


def without_departments(world: World) -> str:
    described = document_of(world.settings.bundles_dir, "catalogue.json")
    attributes = {name: column for name, column in described["attributes"].items() if name != "department"}
    content = document_of(world.settings.bundles_dir, "content.json")
    lost_count = content["columns"].pop("department")
    weights = array_of(world.settings.bundles_dir, "content_weights.npy")[lost_count:]
    changed = {"catalogue.json": {**described, "attributes": attributes}, "content.json": content}
    gone, fewer = ["attribute_department.npy"], {"content_weights.npy": weights}
    return copied(world.settings.bundles_dir, "planted", arrays=fewer, documents=changed, without=gone)


def without_an_answer(world: World) -> str:
    model = {"columns": ["of tomorrow"], "mean": [0], "scale": [1], "weights": {"of tomorrow": 1}, "intercept": 0}
    changed = {"coupons.json": {**model, "measured": {}}}
    return copied(world.settings.bundles_dir, "planted", documents=changed)


def same_for_all(world: World) -> str:
    scoring = document_of(world.settings.bundles_dir, "scoring.json")
    changed = {"scoring.json": {**scoring, "weights": {"popular": 1.0}}}
    return copied(world.settings.bundles_dir, "planted", documents=changed)


@pytest.mark.parametrize(
    ("plant", "check"),
    [
        (infinite, "readable"),
        (without_an_answer, "readable"),
        (of_other_products, "catalogue"),
        (without_departments, "schema"),
        (same_for_all, "coverage"),
    ],
)
def test_planted_fault_is_refused_by_its_own_check(own_world: World, plant: Callable[[World], str], check: str) -> None:
    live = current_version(own_world.settings.bundles_dir)
    assert check in failed(released(own_world, plant(own_world)))
    assert current_version(own_world.settings.bundles_dir) == live


@pytest.mark.parametrize(
    "manifest", [{"schema_version": 99}, {"files": {}}], ids=["another schema", "no promise about its files"]
)
def test_bundle_that_no_server_would_load_is_refused_whatever_the_reason(
    own_world: World, manifest: Mapping[str, object]
) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), copied(bundles, "unreadable", manifest=manifest)
    result = released(own_world, version, reason="I know better")
    assert failed(result) == {"readable"}
    assert result.refusal() is not None
    assert current_version(bundles) == live


def test_features_that_differ_online_are_refused_and_named(own_world: World, valkey: str) -> None:
    world = World(own_world.settings, valkey)
    materialize(world.settings, valkey, as_of=None, progress=no_progress)
    assert not failed(released(world, copied(world.settings.bundles_dir, "same")))
    with redis.Redis.from_url(valkey) as client:
        row = client.hgetall(customer_key(customer("coffee", 1)))
        client.hset(customer_key(customer("tea", 0)), mapping=row)
    result = released(world, copied(world.settings.bundles_dir, "next"))
    assert failed(result) == {"features"}
    assert "1 of 80 customers differ" in str(result.refusal())


def test_features_never_written_are_refused_with_the_remedy(own_world: World, valkey: str) -> None:
    result = released(World(own_world.settings, valkey), copied(own_world.settings.bundles_dir, "same"))
    assert failed(result) == {"features"}
    assert "`endcap features`" in str(result.refusal())


def test_training_keeps_what_its_gate_refuses_unpublished(own_world: World, valkey: str) -> None:
    settings = own_world.settings
    live = current_version(settings.bundles_dir)
    products = pl.read_parquet(settings.tables_dir / "products.parquet")
    settings.tables_dir.unlink()
    settings.tables_dir.mkdir()
    hidden = pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.lit("no")).alias("recommendable")
    products.with_columns(hidden).write_parquet(settings.tables_dir / "products.parquet")
    report = train(settings, valkey, budget_s=0, seed=0, publish=True, progress=no_progress)
    assert (report.published, current_version(settings.bundles_dir)) == (False, live)
    assert report.refusal is not None
    assert f"`endcap publish {report.version} --force --reason TEXT`" in report.refusal.message
    assert report.gate is not None
    assert ("catalogue", "FAIL") in {(check, mark) for check, mark, _ in report.gate.rows()}
    assert load_bundle(settings.bundles_dir / report.version).version == report.version
    with redis.Redis.from_url(valkey) as client:
        assert client.exists(customer_key(customer("tea", 1))), "features are materialized all the same"


def test_first_publication_passes_on_its_own_soundness(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    version = current_version(bundles)
    (bundles / POINTER).unlink()
    result = released(own_world, version)
    names = [check.name for check in result.checks]
    assert names == ["scores", "live", "simple_rules", "simple_rules_new", "features"]
    assert result.is_ok
    assert current_version(bundles) == version


def test_live_bundle_that_cannot_be_read_any_more_holds_nothing_up(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    version = copied(bundles, "same")
    (bundles / current_version(bundles) / "popularity.npy").unlink()
    result = released(own_world, version)
    assert result.is_ok
    assert any("popularity.npy is missing" in check.detail for check in result.checks)


def test_without_history_to_replay_a_bundle_passes_with_a_note(own_world: World, tmp_path: Path) -> None:
    data_dir = tmp_path / "elsewhere"
    data_dir.mkdir()
    own_world.settings.bundles_dir.rename(data_dir / "bundles")
    world = World(Settings.load(data_dir=data_dir, redis_url=own_world.redis_url), own_world.redis_url)
    result = released(world, copied(world.settings.bundles_dir, "same"))
    assert result.is_ok
    assert sum("not compared: 0 customers" in check.detail for check in result.checks) == 3


def test_unknown_version_is_refused_by_name(own_world: World) -> None:
    with pytest.raises(BundleMissing, match="'nowhere'"):
        released(own_world, "nowhere")


def test_comparison_says_by_how_much_one_bundle_is_better(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live = current_version(bundles)
    comparison = compare(own_world.settings, live, worse(own_world.settings.bundles_dir), progress=no_progress)
    quality = comparison.quality
    assert quality.low <= quality.mean <= quality.high < 0
    assert quality.second - quality.first == pytest.approx(quality.mean)
    figures = comparison.metrics["endcap: ndcg@10"]
    assert figures[0] == figures[1]
    twice = compare(own_world.settings, live, live, progress=no_progress).quality
    assert (twice.mean, twice.low, twice.high) == (0, 0, 0)


def test_models_are_listed_newest_first_with_their_marks(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    live, version = current_version(bundles), copied(bundles, "canary")
    (bundles / "99991231T000000.000000Z-broken").mkdir()
    (bundles / "99991231T000000.000000Z-broken" / "manifest.json").write_text("{")
    set_canary(bundles, CanaryTrial(version, 5))
    broken, canary, current = list_models(bundles)
    assert (broken.marks, broken.metrics, broken.reason) == ((), {}, None)
    assert (canary.version, canary.marks) == (version, ("canary 5 %",))
    assert (current.version, current.marks) == (live, ("live", "published"))
    assert set(current.metrics) == {"ndcg@10", "recall@10", "hit@10"}
