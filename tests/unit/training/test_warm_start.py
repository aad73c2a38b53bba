"""A training that continues from the live bundle: what it takes over, what it refuses, and that it leaks no future."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from app.decision.ranking.features import COLUMNS
from app.errors import BadInput, BadSetting
from app.history import History
from app.model.bundle import current_version, load_bundle
from app.model.verification.manifest import MANIFEST, sealed
from tests.support.bundles import copied, document_of
from tests.support.rows import checkerboard
from tests.support.world import World, train_unpublished
from tests.unit.training.learners.test_factors import SMALL
from training.config import EnabledParts, ModelConfig
from training.data.dataset import load_interactions
from training.data.split import make_splits
from training.learners.factors import Start, fit_item_factors
from training.metrics.rule_comparison import FREQUENCY
from training.release.publish import point_to
from training.warm_start import WARM_ITERATIONS, warm_start


def test_start_is_the_bundles_rows_by_product_and_small_random_ones_for_others(trained_world: World) -> None:
    warm = warm_start(trained_world.settings.bundles_dir, EnabledParts(), has_promotions=False)
    wanted = ["a-new-one", warm.product_ids[3], warm.product_ids[0]]
    start = warm.start(wanted, seed=1)
    assert np.array_equal(start.item_factors[1:], warm.item_factors[[3, 0]])
    assert 0 < np.abs(start.item_factors[0]).max() <= 0.01
    assert start.iterations == WARM_ITERATIONS
    assert np.array_equal(start.item_factors, warm.start(wanted, seed=1).item_factors)


def test_factors_that_were_found_stay_where_they_are() -> None:
    found = fit_item_factors(checkerboard(), replace(SMALL, iterations=200), seed=1)
    onward = fit_item_factors(checkerboard(), SMALL, seed=2, start=Start(found, 3))
    assert np.abs(onward - found).max() < 0.02 * np.abs(found).max()


def test_start_is_left_as_it_was_given() -> None:
    found = fit_item_factors(checkerboard(), SMALL, seed=1)
    given = found.copy()
    fit_item_factors(checkerboard(), SMALL, seed=1, start=Start(given, 2))
    assert np.array_equal(given, found)


def test_warm_training_takes_over_the_hyperparameters_and_says_from_whom(own_world: World) -> None:
    settings = own_world.settings
    live = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    report = train_unpublished(own_world, ModelConfig(warm_start=True))
    made = load_bundle(settings.bundles_dir / report.version)
    assert (made.als, made.scoring) == (live.als, live.scoring)
    assert made.manifest["config"]["warm_start"] == live.version
    assert "tune" not in report.seconds
    cosine = (made.item_factors * live.item_factors).sum(1) / np.maximum(
        np.linalg.norm(made.item_factors, axis=1) * np.linalg.norm(live.item_factors, axis=1), 1e-9
    )
    bought = np.linalg.norm(live.item_factors, axis=1) > 0
    assert np.median(cosine[bought]) > 0.9


def test_bundle_that_learned_from_the_test_window_lends_no_factors_to_its_evaluation(own_world: World) -> None:
    warm = warm_start(own_world.settings.bundles_dir, EnabledParts(), has_promotions=False)
    dataset = load_interactions(History(own_world.settings.history_dir).scan(), None)
    [test] = make_splits(dataset, seed=0, window_count=1)
    assert not warm.saw_nothing_of(test)
    assert warm.end_at is not None
    assert replace(warm, end_at=warm.end_at.replace(year=2025)).saw_nothing_of(test)


def test_ranking_of_other_columns_is_fitted_again(own_world: World) -> None:
    rewrite_scoring(own_world, weights={"column_of_old": 1.0})
    warm = warm_start(own_world.settings.bundles_dir, EnabledParts(), has_promotions=False)
    assert not warm.can_rank
    report = train_unpublished(own_world, ModelConfig(warm_start=True))
    made = load_bundle(own_world.settings.bundles_dir / report.version)
    assert list(made.scoring["weights"]) == list(COLUMNS)


def test_ranking_that_was_not_learned_is_fitted_from_the_next_training_on(own_world: World) -> None:
    bundles = own_world.settings.bundles_dir
    config = document_of(bundles, "manifest.json")["config"]
    served = {**config["simple_rules"], "served": FREQUENCY}
    point_to(bundles, copied(bundles, "rule", manifest={"config": {**config, "simple_rules": served}}))
    assert not warm_start(bundles, EnabledParts(), has_promotions=False).can_rank


def rewrite_scoring(world: World, **changes: object) -> None:
    """Gives the live bundle another scoring.json, and a manifest that agrees."""
    folder = world.settings.bundles_dir / current_version(world.settings.bundles_dir)
    scoring = json.loads((folder / "scoring.json").read_text())
    content = json.dumps(scoring | changes).encode()
    (folder / "scoring.json").write_bytes(content)
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"]["scoring.json"] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    (folder / MANIFEST).write_bytes(sealed(manifest))


def test_without_a_live_bundle_there_is_no_warm_start(tmp_path: Path) -> None:
    with pytest.raises(
        BadInput, match=r"no warm start: .* holds no published bundle.*; train once without --warm-start"
    ):
        warm_start(tmp_path, EnabledParts(), has_promotions=False)


def test_part_that_the_live_bundle_has_cannot_be_switched_off_by_a_warm_start(own_world: World) -> None:
    rewrite_scoring(own_world, linear={"kind": "ease", "value": 300.0})
    with pytest.raises(BadSetting, match=r"parts.linear = False: a warm start keeps what bundle .* has; train once"):
        warm_start(own_world.settings.bundles_dir, EnabledParts(linear=False), has_promotions=False)
