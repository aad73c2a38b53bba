"""The first release of a retailer: what is worse than a simple rule is refused, and few customers get such a rule."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest

from app.commands.figures import training_outcome
from app.commands.recommend import recommend
from app.imports.run import Sources, run_imports
from app.model.bundle import POINTER, current_version, load_bundle
from app.model.ranker import RANKER_FILE
from app.settings import Settings
from tests.support.bundles import copied, document_of
from tests.support.world import World, no_progress
from training.metrics.rule_comparison import FREQUENCY
from training.release.publish import current_version_or_none, point_to
from training.release.release import GateResult, release
from training.report.summary import TrainReport
from training.run import evaluate, train

NOW = datetime(2026, 10, 1, tzinfo=UTC)
WEEKS = 26
TASTES = 6
PRODUCTS = 90


def sales(customer_count: int, *, renumbered_since: int = WEEKS) -> pl.DataFrame:
    """Weekly baskets: three products of one's taste, and one that sells well everywhere.

    From week `renumbered_since` on, customers have each other's numbers, as after a wrong migration of the tills.
    """
    random = np.random.default_rng(0)
    rows = []
    for week in range(WEEKS):
        numbers = np.arange(customer_count) if week < renumbered_since else np.roll(np.arange(customer_count), 1)
        at = NOW - timedelta(days=7 * (WEEKS - week) - 1)
        for person in range(customer_count):
            own = person % TASTES + TASTES * random.choice(PRODUCTS // TASTES, 3, replace=False)
            basket = {*own.tolist(), PRODUCTS + int(random.geometric(0.3))}
            rows += [
                (f"c{numbers[person]}", f"p{item}", f"{person}w{week}", at + timedelta(minutes=person))
                for item in basket
            ]
    return pl.DataFrame(rows, schema=["customer_id", "product_id", "basket_id", "timestamp"], orient="row")


def imported(folder: Path, redis_url: str, lines: pl.DataFrame) -> Settings:
    settings = Settings.load(data_dir=folder / "var", redis_url=redis_url)
    lines.write_parquet(folder / "lines.parquet")
    sources = Sources(transactions=folder / "lines.parquet")
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    return settings


def trained(settings: Settings, redis_url: str, *, publish: bool = True) -> TrainReport:
    return train(settings, redis_url, budget_s=0, seed=0, publish=publish, progress=no_progress)


def details(gate: GateResult | None) -> dict[str, tuple[bool, str]]:
    assert gate is not None
    return {check.name: (check.is_ok, check.detail) for check in gate.checks}


def test_past_that_does_not_predict_is_refused_until_a_reason_is_given(tmp_path: Path, valkey: str) -> None:
    settings = imported(tmp_path, valkey, sales(120, renumbered_since=WEEKS - 3))
    report = trained(settings, valkey)
    assert not report.published
    assert current_version_or_none(settings.bundles_dir) is None
    is_ok, detail = details(report.gate)["simple_rules"]
    assert not is_ok
    assert "popularity" in detail
    assert "120 queries" in detail
    assert report.refusal is not None
    assert report.refusal.message.count("120 customers and 3,120 baskets in 176 days") == 1
    assert report.refusal.message.count("`endcap import --preview FILE`") == 1
    assert f"`endcap publish {report.version} --force --reason TEXT`" in report.refusal.message
    again = release(settings, valkey, report.version, now=NOW, progress=no_progress)
    assert details(again) == details(report.gate), "a later publication knows what the training measured"
    reason = "the old numbers are gone for good"
    assert release(settings, valkey, report.version, reason=reason, now=NOW, progress=no_progress).is_published
    manifest = orjson.loads((settings.bundles_dir / report.version / "manifest.json").read_bytes())
    assert manifest["releases"][-1]["reason"] == reason
    assert not manifest["releases"][-1]["gate"]["simple_rules"]["ok"]


def test_past_that_predicts_is_published(tmp_path: Path, valkey: str) -> None:
    settings = imported(tmp_path, valkey, sales(120))
    report = trained(settings, valkey)
    assert report.published
    assert report.notes == ()
    assert details(report.gate)["simple_rules"][0]


WORSE = {"difference": -0.02, "low": -0.03, "high": -0.01}


def with_figures(world: World, suffix: str, figures: Mapping[str, float], *, served: str | None = None) -> str:
    """A copy of the live bundle whose manifest has these figures of a comparison with simple rules."""
    config = document_of(world.settings.bundles_dir, "manifest.json")["config"]
    found = {**config["simple_rules"], "served": served}
    found["every"] = {**found["every"], **figures}
    return copied(world.settings.bundles_dir, suffix, manifest={"config": {**config, "simple_rules": found}})


def released(world: World, version: str) -> GateResult:
    return release(world.settings, world.redis_url, version, now=NOW, progress=no_progress)


@pytest.mark.parametrize(("high", "is_ok"), [(-0.01, False), (0.01, True)])
def test_first_bundle_is_refused_only_where_the_whole_interval_is_below_a_rule(
    own_world: World, high: float, is_ok: bool
) -> None:
    version = with_figures(own_world, "first", {**WORSE, "high": high})
    (own_world.settings.bundles_dir / POINTER).unlink()
    assert released(own_world, version).is_ok is is_ok


def test_unreadable_live_bundle_is_no_way_around_the_rules(own_world: World) -> None:
    version = with_figures(own_world, "next", WORSE)
    bundles = own_world.settings.bundles_dir
    (bundles / current_version(bundles) / "popularity.npy").unlink()
    assert not released(own_world, version).is_ok


def test_live_bundle_that_ranks_by_a_rule_is_no_way_around_them(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    learned = with_figures(own_world, "learned", WORSE)
    assert "simple_rules" not in details(released(own_world, copied(bundles, "compared with the live one alone")))
    point_to(bundles, with_figures(own_world, "rule", {}, served=FREQUENCY))
    assert not details(released(own_world, learned))["simple_rules"][0]


def test_bundle_of_an_earlier_version_is_published_with_a_note(own_world: World) -> None:
    config = document_of(own_world.settings.bundles_dir, "manifest.json")["config"]
    del config["simple_rules"]
    version = copied(own_world.settings.bundles_dir, "earlier", manifest={"config": config})
    (own_world.settings.bundles_dir / POINTER).unlink()
    result = released(own_world, version)
    assert result.is_published
    assert "`endcap train` makes one" in details(result)["simple_rules"][1]


def shown(settings: Settings, redis_url: str, folder: Path, **body: object) -> list[Mapping[str, object]]:
    source, target = folder / "ask.jsonl", folder / "answer.jsonl"
    source.write_bytes(orjson.dumps({"placement": "app_home"} | body))
    asyncio.run(recommend(settings, redis_url, source, target, progress=no_progress))
    propositions: list[Mapping[str, object]] = orjson.loads(target.read_bytes())["propositions"]
    return propositions


def test_forty_customers_get_a_simple_rule_and_a_sentence_on_what_to_do(tmp_path: Path, valkey: str) -> None:
    lines = sales(40)
    settings = imported(tmp_path, valkey, lines)
    report = trained(settings, valkey)
    assert report.published
    (note,) = report.notes
    assert "personal frequency: each customer's own products, then what is popular" in note
    assert "50 held-out people" in note
    assert "of 40 did. The history has 40 customers and 1,040 baskets" in note
    assert details(report.gate)["simple_rules"] == (True, note)
    assert f"note: {note}" not in training_outcome(report), "the gate has said so"
    assert f"note: {note}" in training_outcome(replace(report, gate=None))
    bundle = load_bundle(settings.bundles_dir / report.version)
    assert bundle.manifest["config"]["simple_rules"]["served"] == FREQUENCY
    assert not (settings.bundles_dir / report.version / RANKER_FILE).exists()
    assert evaluate(settings, seed=0, progress=no_progress).report == report.report
    assert "Its ranking was not learned" in report.report.read_text()
    age_days = (NOW - pl.col("timestamp")).dt.total_seconds() / 86_400
    weight = (-age_days / 112 * np.log(2)).exp().sum().alias("weight")
    mine = lines.filter(pl.col("customer_id") == "c7").group_by("product_id").agg(weight)
    most = mine.sort("weight", descending=True)["product_id"].head(5).to_list()
    assert [one["product_id"] for one in shown(settings, valkey, tmp_path, customer_id="c7")][:5] == most
    sold = lines.group_by("product_id").agg(pl.col("customer_id").n_unique()).sort("customer_id", descending=True)
    unknown = [one["product_id"] for one in shown(settings, valkey, tmp_path, anonymous_id="nobody", size=3)]
    assert set(unknown) <= set(sold["product_id"].head(5))


def test_few_visitors_get_what_they_viewed_or_what_is_viewed_most(tmp_path: Path, valkey: str) -> None:
    settings = Settings.load(data_dir=tmp_path / "var", redis_url=valkey)
    # Everybody looks twice at the second product.
    random = np.random.default_rng(0)
    rows = [
        {"id": f"{visit}-{step}", "type": "view_item", "anonymous_id": f"v{visit}", "product_id": f"p{item}"}
        | {"time": NOW - timedelta(hours=3 * visit, minutes=-step)}
        for visit in range(250)
        for step, item in enumerate(random.choice(40, 2, replace=False)[[0, 1, 1]].tolist())
    ]
    (tmp_path / "events.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    sources = Sources(events=tmp_path / "events.jsonl")
    run_imports(settings, sources, shift_to_now=False, now=NOW, progress=no_progress)
    report = trained(settings, valkey)
    (note,) = report.notes
    assert report.published
    assert "The history has 250 visitors and 250 visits in 32 days" in note
    assert load_bundle(settings.bundles_dir / report.version).manifest["config"]["simple_rules"]["served"] == FREQUENCY
    recent = {"context": {"recent": ["p3", "p4"]}}
    first = [one["product_id"] for one in shown(settings, valkey, tmp_path, anonymous_id="new", **recent)]
    assert first[:2] == ["p3", "p4"]


def test_pairs_without_time_get_a_rule_too(tmp_path: Path, valkey: str) -> None:
    lines = sales(30).select("customer_id", "product_id").unique(maintain_order=True)
    report = trained(imported(tmp_path, valkey, lines), valkey)
    (note,) = report.notes
    assert report.published
    assert "30 customers and 30 baskets without times" in note
