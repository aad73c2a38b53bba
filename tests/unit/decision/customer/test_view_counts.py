"""How often a product was viewed: what repeats in a session says what comes back in it."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from app.decision.customer.context import make_context
from app.decision.ranking.features import ROW, feature_table
from app.domain import LiveEvent, ProductId, Query
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from tests.support.world import World

NOW = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bundle(trained_world: World) -> Bundle:
    folder = trained_world.settings.bundles_dir
    return load_bundle(folder / current_version(folder))


def views(bundle: Bundle, *, named: str = "", seen: str = "") -> tuple[list[float], float]:
    """The columns of items 0 to 3, viewed in this order (latest first) by request and by events."""
    ids = bundle.catalogue.product_ids
    at = NOW.timestamp()
    events = [
        LiveEvent(f"e{place}", "view_item", at - place, ids[int(item)]) for place, item in enumerate(seen, start=1)
    ]
    recent = tuple(ProductId(ids[int(item)]) for item in named)
    query = replace(Query(placement="app_home", size=3, now_at=NOW, anonymous_id="x"), recent=recent)
    context = make_context(query, bundle, CustomerState(events=events), stale_after_s=1e9)
    table = feature_table(context, np.arange(4, dtype=np.int32))
    return table[ROW["view_count"]].tolist(), float(table[ROW["repeat_view_share"]][0])


def test_each_view_counts(bundle: Bundle) -> None:
    assert views(bundle, named="2202") == ([1, 0, 3, 0], 0.5)
    assert views(bundle, seen="2202") == ([1, 0, 3, 0], 0.5)


def test_what_the_request_and_the_events_both_tell_of_counts_once(bundle: Bundle) -> None:
    assert views(bundle, named="11", seen="1130") == ([1, 2, 0, 1], 0.25)


def test_who_viewed_nothing_has_zeros(bundle: Bundle) -> None:
    assert views(bundle) == ([0, 0, 0, 0], 0)
