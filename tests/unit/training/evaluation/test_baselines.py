"""When the live bundle may be compared itself, when only its settings may, and when neither."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.domain import ItemIdx
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World, customer
from training.data.dataset import load_interactions
from training.data.split import Split, make_splits
from training.evaluation.baselines import LIVE_BUNDLE, LIVE_SETTINGS, live_baselines
from training.evaluation.lists import served_slates
from training.queries.evaluation_queries import build_queries


@pytest.fixture(scope="module")
def split(trained_world: World) -> Split:
    history = History(trained_world.settings.history_dir).scan()
    return make_splits(load_interactions(history, None), seed=0)[0]


def as_it_is(live: Bundle) -> Bundle:
    """Stands for retraining."""
    return live


def of_another_kind(live: Bundle) -> Bundle:
    """A bundle whose settings this training no longer knows."""
    raise KeyError(live.version)


def test_live_bundle_that_saw_the_window_is_compared_by_its_settings_only(trained_world: World, split: Split) -> None:
    baselines = live_baselines(trained_world.settings.bundles_dir, split, as_it_is)
    assert list(baselines.bundles) == [LIVE_SETTINGS]
    assert current_version(trained_world.settings.bundles_dir) in baselines.notes[0]


def test_live_bundle_whose_history_ended_before_the_cut_is_compared_itself(trained_world: World, split: Split) -> None:
    later = replace(split, train=replace(split.train, as_of_day=split.train.as_of_day + 365))
    baselines = live_baselines(trained_world.settings.bundles_dir, later, of_another_kind)
    assert list(baselines.bundles) == [LIVE_BUNDLE]


def test_settings_of_another_kind_are_left_out_with_a_note(trained_world: World, split: Split) -> None:
    baselines = live_baselines(trained_world.settings.bundles_dir, split, of_another_kind)
    assert not baselines.bundles
    assert "of another kind" in baselines.notes[0]


def test_nothing_live_and_a_damaged_bundle_are_no_baselines(trained_world: World, split: Split, tmp_path: Path) -> None:
    assert live_baselines(tmp_path / "none", split, as_it_is).bundles == {}
    bundles = tmp_path / "bundles"
    shutil.copytree(trained_world.settings.bundles_dir, bundles)
    (bundles / current_version(bundles) / "popularity.npy").write_bytes(b"damaged")
    baselines = live_baselines(bundles, split, as_it_is)
    assert not baselines.bundles
    assert "popularity.npy" in baselines.notes[0]


def test_slates_name_products_by_the_items_of_the_evaluated_catalogue(trained_world: World, split: Split) -> None:
    settings = trained_world.settings
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    queries = build_queries(split, {customer("tea", 1): CustomerState()}, seed=0).only([0, 1])
    own = served_slates(bundle, queries, lambda _done, _total: None)
    lacking = bundle.catalogue.product_ids[own.items[0, 0]]
    others = {name: ItemIdx(item + 1000) for name, item in bundle.catalogue.item_of.items() if name != lacking}
    catalogue = replace(bundle.catalogue, item_of=others)
    slates = served_slates(bundle, queries, lambda _done, _total: None, catalogue=catalogue)
    assert slates.items[0, 0] == -1
    assert np.array_equal(slates.items[0, 1:], own.items[0, 1:] + 1000)
    assert np.array_equal(slates.probability, own.probability)
