"""When the live bundle may compete itself, when only its settings may, and when neither."""

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
from training.evaluation.baselines import LIVE_BUNDLE, LIVE_SETTINGS, live_rivals
from training.evaluation.lists import served_slates
from training.queries.evaluation_queries import questions


@pytest.fixture(scope="module")
def split(trained_world: World) -> Split:
    history = History(trained_world.settings.history_dir).scan()
    return make_splits(load_interactions(history, None), seed=0)[0]


def as_it_is(live: Bundle) -> Bundle:
    """Stands for learning again."""
    return live


def of_another_kind(live: Bundle) -> Bundle:
    """A bundle whose settings this training no longer knows."""
    raise KeyError(live.version)


def test_live_bundle_that_saw_the_window_competes_with_its_settings_only(trained_world: World, split: Split) -> None:
    rivals = live_rivals(trained_world.settings.bundles_dir, split, as_it_is)
    assert list(rivals.bundles) == [LIVE_SETTINGS]
    assert current_version(trained_world.settings.bundles_dir) in rivals.notes[0]


def test_live_bundle_whose_history_ended_before_the_cut_competes_itself(trained_world: World, split: Split) -> None:
    later = replace(split, train=replace(split.train, as_of_day=split.train.as_of_day + 365))
    rivals = live_rivals(trained_world.settings.bundles_dir, later, of_another_kind)
    assert list(rivals.bundles) == [LIVE_BUNDLE]


def test_settings_of_another_kind_are_left_out_and_told(trained_world: World, split: Split) -> None:
    rivals = live_rivals(trained_world.settings.bundles_dir, split, of_another_kind)
    assert not rivals.bundles
    assert "of another kind" in rivals.notes[0]


def test_nothing_live_and_a_damaged_bundle_are_no_rivals(trained_world: World, split: Split, tmp_path: Path) -> None:
    assert live_rivals(tmp_path / "none", split, as_it_is).bundles == {}
    bundles = tmp_path / "bundles"
    shutil.copytree(trained_world.settings.bundles_dir, bundles)
    (bundles / current_version(bundles) / "popularity.npy").write_bytes(b"damaged")
    rivals = live_rivals(bundles, split, as_it_is)
    assert not rivals.bundles
    assert "popularity.npy" in rivals.notes[0]


def test_slates_are_told_in_the_items_of_the_catalogue_that_judges(trained_world: World, split: Split) -> None:
    settings = trained_world.settings
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    asked = questions(split, {customer("tea", 1): CustomerState()}, seed=0).only([0, 1])
    own = served_slates(bundle, asked, lambda _done, _total: None)
    lacking = bundle.catalogue.product_ids[own.items[0, 0]]
    others = {name: ItemIdx(item + 1000) for name, item in bundle.catalogue.item_of.items() if name != lacking}
    catalogue = replace(bundle.catalogue, item_of=others)
    told = served_slates(bundle, asked, lambda _done, _total: None, catalogue=catalogue)
    assert told.items[0, 0] == -1
    assert np.array_equal(told.items[0, 1:], own.items[0, 1:] + 1000)
    assert np.array_equal(told.probability, own.probability)
