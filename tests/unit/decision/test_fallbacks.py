"""The list that answers without any model: of it what can be had, flagged where that may be out of date."""

from datetime import UTC, datetime

from app.decision.fallbacks import static_slate
from app.decision.pipeline import Options
from app.domain import Degraded, Query
from app.places.live import LivePlaces
from app.places.stores import Fulfilment, Store, Way
from app.places.tables import StockLevel

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
LISTED = {"app_home": ["tea", "mug"]}


def test_list_without_a_model_follows_stock_and_says_when_that_is_stale() -> None:
    clock_s = 10.0
    places = LivePlaces(clock=lambda: clock_s, currency="EUR", checked_s=10.0)
    query, options = Query("app_home", 2, NOW, store_id="s1"), Options(stale_after_s=1e9, places=places)
    assert Degraded.STOCK_STALE not in static_slate(query, LISTED, options).degraded
    places.replace_stores({"s1": Store("s1", ways={Way.IN_STORE: Fulfilment()})})
    places.change_stock([StockLevel("s1", "mug", 1_000), StockLevel("s1", "tea", 0)])
    for clock_s in (10.5, 12.0):
        slate = static_slate(query, LISTED, options)
        assert [one.product_id for one in slate.propositions] == ["mug"]
        assert (Degraded.STOCK_STALE in slate.degraded) == (clock_s == 12.0)
