"""A training next to promotions: they are in the bundle, its manifest and the columns that are learned from."""

import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl

from app.decision.ranking.features import ALL_COLUMNS, ROW
from app.history import History
from app.imports.run import Sources, run_imports
from app.model.bundle import load_bundle
from app.model.promotions.calendar import DOCUMENT
from tests.support.world import END, World, no_progress, product, train_unpublished
from training.config import ModelConfig
from training.data.dataset import load_interactions, with_promotions
from training.data.split import time_split
from training.queries.evaluation_queries import build_queries
from training.queries.states import as_of_instant, states_as_of
from training.ranking.fit import candidate_window
from training.release.replay import at_their_time, held_out_queries, replay


def promoted_world(world: World, folder: Path) -> World:
    """The world with tea-0 in the flyer of store s0 for two of four weeks, the last of them after its end."""
    settings = world.settings.model_copy(update={"data_dir": folder / "promoted"})
    settings.data_dir.mkdir()
    (settings.data_dir / "history").symlink_to(world.settings.history_dir)
    shutil.copytree(world.settings.tables_dir, settings.tables_dir)
    starts = [END - timedelta(days=28 * month) for month in range(6)]
    ends = [start + timedelta(days=14) for start in starts]
    rows = pl.DataFrame(
        {"product_id": product("tea", 0), "store_id": "s0", "starts_at": starts, "ends_at": ends, "flyer": "1"}
    )
    rows.write_parquet(folder / "promotions.parquet")
    sources = Sources(promotions=folder / "promotions.parquet")
    run_imports(settings, sources, shift_to_now=False, now=END, progress=no_progress)
    return World(settings, world.redis_url)


def test_a_bundle_knows_the_promotions_to_come_and_its_manifest_how_many_there_were(
    trained_world: World, tmp_path: Path
) -> None:
    world = promoted_world(trained_world, tmp_path)
    report = train_unpublished(world, ModelConfig())
    bundle = load_bundle(world.settings.bundles_dir / report.version)
    assert bundle.promotions is not None
    now = bundle.promotions.at(END.timestamp() + 3600).of(bundle.promotions.store_of["s0"])
    assert [bundle.catalogue.product_ids[item] for item in now.items] == [product("tea", 0)]
    assert bundle.manifest["config"]["data"]["promotions"] == 6
    assert 0 < bundle.manifest["config"]["data"]["share_of_lines_on_promotion"] < 0.2


def test_a_bundle_without_promotions_holds_nothing_of_them(trained_world: World) -> None:
    folder = trained_world.settings.bundles_dir
    (version,) = (path for path in folder.iterdir() if path.is_dir())
    assert not (version / DOCUMENT).exists()
    assert "promotions" not in load_bundle(version).manifest["config"]["data"]


def test_the_rows_that_are_learned_from_say_what_was_on_promotion_after_the_cut(
    trained_world: World, tmp_path: Path
) -> None:
    world = promoted_world(trained_world, tmp_path)
    report = train_unpublished(world, ModelConfig())
    bundle = load_bundle(world.settings.bundles_dir / report.version)
    history = History(world.settings.history_dir).scan()
    dataset = with_promotions(load_interactions(history, None), world.settings.tables_dir)
    split = time_split(dataset)
    codes = sorted(split.truth)
    queries = build_queries(split, states_as_of(history, None, split.train, codes), seed=0)
    assert as_of_instant(split.train) <= queries.queries[0].now_at
    window = candidate_window(bundle, queries)
    assert tuple(window.names) == ALL_COLUMNS
    flags = np.concatenate([rows[:, ROW["promoted"]] for rows in window.rows])
    assert set(flags.tolist()) <= {0.0, 1.0}


def test_the_gate_replays_a_bundle_with_the_promotions_of_the_queries(trained_world: World, tmp_path: Path) -> None:
    world = promoted_world(trained_world, tmp_path)
    bundle = load_bundle(world.settings.bundles_dir / train_unpublished(world, ModelConfig()).version)
    held_out = held_out_queries(world.settings, seed=0)
    then_s = held_out.every.queries[0].now_at.timestamp()
    assert bundle.promotions is not None
    assert not len(bundle.promotions.at(then_s).of(bundle.promotions.store_of["s0"]).items)
    known = at_their_time(bundle, held_out).promotions
    assert known is not None
    found = known.at(then_s).of(known.store_of["s0"]).items
    assert [bundle.catalogue.product_ids[item] for item in found] == [product("tea", 0)]
    assert replay(bundle, held_out, lambda done, total: None).broken == []
