"""The trace of a slate as people read it: every key of the document, and what is left out."""

import json

import orjson

from app.domain import Degraded, Objective
from app.slates import CouponTrace, Drops, PlacementTrace, Trace


def test_trace_of_the_full_pipeline_shows_each_part() -> None:
    trace = Trace(
        new_product_count=3,
        placement=PlacementTrace(Objective.MARGIN, boosted_count=1, buried_count=2, pinned_count=0, over_cap_count=4),
        coupons=CouponTrace(5, {"capped": Drops(1, ["offer"])}),
        candidates={"popular": 10},
        failed_sources=("linear",),
        dropped={"in_basket": Drops(30, ["tea", "milk"])},
        scored_count=9,
        nan_count=1,
        live_event_count=2,
        last_event_id="e",
        features_as_of_s=12.5,
    )
    assert json.loads(orjson.dumps(trace.document())) == {
        "new_products": 3,
        "placement": {
            "objective": "margin",
            "boosted_count": 1,
            "buried_count": 2,
            "pinned_count": 0,
            "over_cap_count": 4,
        },
        "coupons": {"passed": 5, "dropped": {"capped": {"count": 1, "offer_ids": ["offer"]}}},
        "candidates": {"popular": 10},
        "failed_sources": ["linear"],
        "dropped": {"in_basket": {"count": 30, "product_ids": ["tea", "milk"]}},
        "scored_count": 9,
        "nan_count": 1,
        "live_event_count": 2,
        "last_event_id": "e",
        "features_as_of": 12.5,
    }


def test_trace_leaves_out_what_does_not_apply() -> None:
    document = Trace(candidates={"popular": 1}).document()
    assert not {"fallback_level", "new_products", "placement", "coupons"} & set(document)
    assert Trace(fallback_level=Degraded.OVERLOAD).document() == {"fallback_level": "overload"}
