"""What a bundle was tuned to is read back, of bundles of earlier versions as well."""

import pytest

from app.model.bundle import load_bundle
from tests.support.bundles import copied, document_of
from tests.support.world import World
from training.learners.bundle_contents import hyperparameters_of
from training.learners.linear import LinearSettings


@pytest.mark.parametrize(("own", "weighting"), [({}, "decayed"), ({"weighting": "count"}, "count")])
def test_linear_part_without_a_weighting_has_that_of_the_factors(
    own_world: World, own: dict[str, str], weighting: str
) -> None:
    bundles = own_world.settings.bundles_dir
    assert document_of(bundles, "als.json")["weighting"] == "decayed"
    scoring = {**document_of(bundles, "scoring.json"), "linear": {"kind": "ease", "value": 50.0, **own}}
    made = load_bundle(bundles / copied(bundles, "linear", documents={"scoring.json": scoring}))
    assert made.linear_weighting == weighting
    assert hyperparameters_of(made).linear == LinearSettings("ease", 50.0, weighting)
