"""Two bundles on one page: the same queries for both, differences in pairs, and what is not the same."""

from pathlib import Path

import pytest

from app.model.bundle import current_version
from app.settings import Settings
from tests.support.bundles import copied, document_of, worse
from tests.support.world import World, no_progress
from tests.unit.training.report.test_write import Page
from training.report.comparison import compare_bundles


def test_worse_bundle_is_below_the_live_one_on_every_kind_of_question(own_world: World) -> None:
    settings = own_world.settings
    live, version = current_version(settings.bundles_dir), worse(settings.bundles_dir)
    compared = compare_bundles(settings, live, version, progress=no_progress)
    assert list(compared.questions) == ["no_basket", "basket_begun", "new_products"]
    for pair in compared.questions.values():
        difference = pair.difference["ndcg@10"]
        assert difference.mean == pytest.approx(
            pair.second.figures["ndcg@10"].mean - pair.first.figures["ndcg@10"].mean, abs=2e-6
        )
        assert difference.high < 0
        assert pair.first.calibration.count == pair.second.calibration.count == 10 * pair.queries
    every = compared.questions["no_basket"]
    assert every.first.figures["ndcg@10"].mean == pytest.approx(compared.comparison.quality.first, abs=0.01)
    page = Page(compared.page.read_text())
    assert not page.fetched
    assert "below the first (95 % interval of the difference" in page.words
    assert compared.to_dict()["page"] == str(settings.reports_dir / f"{live}-with-{version}.html")


def test_page_names_settings_and_weights_that_differ_and_no_others(own_world: World) -> None:
    settings = own_world.settings
    live, bundles = current_version(settings.bundles_dir), settings.bundles_dir
    scoring = document_of(bundles, "scoring.json")
    changed = {**scoring, "weights": {**scoring["weights"], "als": 12.25}}
    manifest = document_of(bundles, "manifest.json")
    other = {"config": {**manifest["config"], "seed": 41, "data": {**manifest["config"]["data"], "lines": 17}}}
    version = copied(bundles, "next", documents={"scoring.json": changed}, manifest=other)
    words = Page(compare_bundles(settings, live, version, progress=no_progress).page.read_text()).words
    assert "config.seed041" in words
    assert "scoring.weights.als" in words
    assert "scoring.weights.popular" not in words, "it is the same"
    assert "12.25" in words
    assert "config.data.lines" in words
    assert "config.data.customers" not in words, "it is the same"


def test_bundle_differs_from_itself_by_nothing(own_world: World) -> None:
    live = current_version(own_world.settings.bundles_dir)
    compared = compare_bundles(own_world.settings, live, live, progress=no_progress)
    for pair in compared.questions.values():
        assert {(one.low, one.mean, one.high) for one in pair.difference.values()} == {(0, 0, 0)}
    assert "Settings: none." in Page(compared.page.read_text()).words


def test_without_a_history_the_page_shows_settings_and_data_alone(own_world: World, tmp_path: Path) -> None:
    data_dir = tmp_path / "elsewhere"
    data_dir.mkdir()
    own_world.settings.bundles_dir.rename(data_dir / "bundles")
    settings = Settings.load(data_dir=data_dir, redis_url=own_world.redis_url)
    live = current_version(settings.bundles_dir)
    compared = compare_bundles(settings, live, live, progress=no_progress)
    assert compared.questions == {}
    assert "The history holds nobody to predict for." in Page(compared.page.read_text()).words
