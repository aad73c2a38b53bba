"""The campaigns that decisions look at: offers of every kind, some wallets, and offers that must not show."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.behaviour.recording import Recorder
from benchmarks.behaviour.store import GOLD_IDS, HOLDER_IDS, PRICED_IDS, PRODUCT_IDS, UNKNOWN_IDS

WINDOW = {"starts_at": "2017-12-01T00:00:00Z", "ends_at": "2100-01-01T00:00:00Z"}
PRODUCE = {"attribute": "department", "values": ["PRODUCE"]}
BREAD = {"attribute": "category", "values": ["BAKED BREAD/BUNS/ROLLS"]}
NIGHT = {"type": "time", "time_zone": "America/New_York", "start": "22:00", "end": "02:00"}
STORE_OR_GOLD = {"type": "any", "of": [{"type": "store", "any_of": ["292"]}, {"type": "tier", "any_of": ["gold"]}]}


def _department(name: str) -> list[dict[str, Any]]:
    return [{"attribute": "department", "values": [name]}]


WINTER: Mapping[str, Mapping[str, Any]] = {
    "w-milk": {"discount": {"type": "amount", "amount_minor": 50}, "applies_to": [{"product_ids": PRODUCT_IDS[2:4]}]},
    "w-produce": {
        "discount": {"type": "percent", "percent": 20, "max_discount_minor": 300},
        "applies_to": [PRODUCE],
        "excludes": [{"product_ids": [PRODUCT_IDS[0]]}],
        "combinable": True,
    },
    "w-eggs": {
        "discount": {"type": "fixed_price", "price_minor": 99, "max_quantity": 2},
        "applies_to": [{"product_ids": [PRODUCT_IDS[1], PRODUCT_IDS[5]]}],
    },
    "w-bread": {"discount": {"type": "n_for_m", "take": 3, "pay": 2}, "applies_to": [BREAD]},
    "w-points": {"discount": {"type": "points", "points": 50, "points_per_major": 2, "point_cost_minor": 1}},
    "w-basket": {
        "discount": {"type": "amount", "amount_minor": 500},
        "minimum_basket_minor": 5000,
        "applies_to": _department("GROCERY"),
    },
    "w-store": {
        "discount": {"type": "percent", "percent": 10},
        "store_ids": ["286"],
        "channels": ["store"],
        "applies_to": _department("DELI"),
    },
    "w-gold": {
        "discount": {"type": "percent", "percent": 30},
        "tiers": ["gold"],
        "applies_to": _department("NUTRITION"),
    },
    "w-either": {
        "discount": {"type": "amount", "amount_minor": 80},
        "condition": STORE_OR_GOLD,
        "applies_to": _department("PASTRY"),
    },
    "w-over": {"discount": {"type": "amount", "amount_minor": 70}, "valid_until": "2017-12-20T00:00:00Z"},
    "w-later": {"discount": {"type": "amount", "amount_minor": 60}, "valid_from": "2018-01-10T00:00:00Z"},
    "w-floor": {
        "discount": {"type": "amount", "amount_minor": 40},
        "price_floor_minor": 5000,
        "applies_to": [{"product_ids": [PRODUCT_IDS[10]]}],
    },
    "w-gone": {
        "discount": {"type": "amount", "amount_minor": 30},
        "applies_to": [{"product_ids": ["no-such-product"]}],
    },
}
SHOWN: Mapping[str, Mapping[str, Any]] = {
    "s-snacks": {
        "discount": {"type": "percent", "percent": 15},
        "applies_to": [{"attribute": "category", "values": ["BAG SNACKS"]}],
        "issue": {"by": "decision"},
    },
    "s-milk": {
        "discount": {"type": "amount", "amount_minor": 25},
        "applies_to": [{"product_ids": list(PRODUCT_IDS[2:4])}],
        "issue": {"by": "decision"},
        "combinable": True,
    },
}
NIGHTLY: Mapping[str, Mapping[str, Any]] = {
    "n-meat": {
        "discount": {"type": "amount", "amount_minor": 120},
        "condition": NIGHT,
        "applies_to": _department("MEAT"),
    },
}
"""For customers whom the till does not ask about: there it would depend on the hour of the recording."""
RECEIPTS: Mapping[str, Mapping[str, Any]] = {
    "r-five": {
        "discount": {"type": "amount", "amount_minor": 500},
        "issue": {
            "by": "receipt",
            "same_day": False,
            "condition": {"type": "all", "of": [
                {"type": "channel", "any_of": ["store"]},
                {"type": "basket_total", "above_minor": 5000},
            ]},
        },
    },
}  # fmt: skip
ONE = {"discount": {"type": "amount", "amount_minor": 10}, "applies_to": _department("SALAD BAR")}


def set_up(recorder: Recorder) -> None:
    """Everything that decisions find."""
    _campaign(recorder, "winter", WINTER, budget_minor=1_000_000, limits=[{"scope": "customer", "count": 5}])
    _campaign(recorder, "supplier", SHOWN, funder="ACME Dairy", budget_minor=50_000)
    _campaign(recorder, "nights", NIGHTLY)
    _campaign(recorder, "receipts", RECEIPTS, time_zone="America/New_York")
    _campaign(recorder, "pennies", {"p-one": ONE}, budget_minor=0)
    _campaign(recorder, "euros", {"e-one": ONE}, currency="EUR")
    _campaign(recorder, "halted", {"h-one": ONE})
    _campaign(recorder, "withdrawn", {"d-one": ONE, "d-two": ONE | {"issue": {"by": "decision"}}})
    for customer_id in GOLD_IDS:
        recorder.write("PUT", f"/v1/customers/{customer_id}/membership", {"tier": "gold"})
    recorder.write("POST", "/v1/campaigns/winter/audience", {"customer_ids": [*HOLDER_IDS, *UNKNOWN_IDS[:2]]})
    recorder.write("POST", "/v1/campaigns/winter/audience", {"tier": "gold"})
    for offer_id in WINTER:
        recorder.write("POST", "/v1/campaigns/winter/coupons", {"offer_id": offer_id, "audience": True})
    for offer_id in ("w-milk", "w-eggs", "w-floor"):
        _issue(recorder, "winter", offer_id, PRICED_IDS)
    _issue(recorder, "nights", "n-meat", HOLDER_IDS[8:])
    others = {"pennies": "p-one", "euros": "e-one", "halted": "h-one", "withdrawn": "d-one"}
    for campaign_id, offer_id in others.items():
        _issue(recorder, campaign_id, offer_id, HOLDER_IDS[:12])
    recorder.write("POST", "/v1/campaigns/halted/pause")
    recorder.write("DELETE", "/v1/offers/d-two")


def _campaign(recorder: Recorder, campaign_id: str, offers: Mapping[str, Mapping[str, Any]], **terms: object) -> None:
    """A campaign that runs, with its offers."""
    about = {"name": f"Campaign {campaign_id}", "currency": "USD"} | WINDOW | terms
    recorder.write("POST", "/v1/campaigns", {"campaign_id": campaign_id, "terms": about})
    for offer_id, offer in offers.items():
        body = {"offer_id": offer_id, "terms": {"name": f"Offer {offer_id}", **offer}}
        recorder.write("POST", f"/v1/campaigns/{campaign_id}/offers", body)
    recorder.write("POST", f"/v1/campaigns/{campaign_id}/schedule")


def _issue(recorder: Recorder, campaign_id: str, offer_id: str, customer_ids: Sequence[str]) -> None:
    body = {"offer_id": offer_id, "customer_ids": customer_ids}
    recorder.write("POST", f"/v1/campaigns/{campaign_id}/coupons", body)
