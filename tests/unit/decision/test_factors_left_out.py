"""Where training found that the factors add nothing, a decision neither searches by them nor ranks by them."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.decision.candidates.gather import find_candidates
from app.decision.customer.context import make_context
from app.decision.ranking.features import ROW, feature_table
from app.domain import LiveEvent, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World, product

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


@pytest.mark.parametrize(("weight", "is_used"), [(0.5, True), (0.0, False)])
def test_weight_of_the_factors_decides(bundle: Bundle, weight: float, is_used: bool) -> None:
    chosen = replace(bundle, scoring={**bundle.scoring, "weights": {**bundle.scoring["weights"], "als": weight}})
    bought = LiveEvent("1", "purchase", NOW.timestamp() - 86_400, product("tea", 5), basket_id="1")
    query = Query("app_home", size=10, now_at=NOW, customer_id="x")
    context = make_context(query, chosen, CustomerState(events=[bought]), stale_after_s=1e9)
    assert context.user is not None
    candidates = find_candidates(context, None)
    assert bool(len(candidates.by_source["similar"])) is is_used
    assert bool(feature_table(context, candidates.items)[ROW["als"]].any()) is is_used
