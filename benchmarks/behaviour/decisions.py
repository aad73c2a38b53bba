"""Decisions and replenishment answers: every placement, kind and objective, for people known, unknown and anonymous."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.behaviour.recording import Recorder, find
from benchmarks.behaviour.store import (
    AFTER_THE_END,
    BEFORE_THE_END,
    CUSTOMER_IDS,
    HOLDER_IDS,
    LATE,
    NEW_PRODUCT_IDS,
    NEXT_DAYS,
    PLACEMENT_NAMES,
    PRICED_IDS,
    PRODUCT_IDS,
    STORE_IDS,
    UNKNOWN_IDS,
)

COUNT = 500
AGAIN_COUNT = 100
REPLENISHMENT_COUNT = 20
KINDS = (["product"], ["product", "coupon"], ["coupon"], None)
INSTANTS = (AFTER_THE_END, AFTER_THE_END, NEXT_DAYS, BEFORE_THE_END, LATE)
OBJECTIVES = (None, None, None, "relevance", "revenue", "margin")
EXCLUDES: Sequence[list[str] | None] = (None, None, [], ["purchased"])
SIZES = (None, None, 1, 3, 5, 20, 60)
FILTERS = (
    {"brand": ["Private"]},
    {"department": ["PRODUCE", "DELI"]},
    {"brand": ["National"], "department": ["GROCERY"]},
    {"category": ["SOFT DRINKS"]},
    {"department": ["no such department"]},
)
CHANNELS = ("web", "app", "store", "email", "kiosk", None)


def requests(count: int, *, seed: int) -> list[dict[str, Any]]:
    """Questions that use every field; placements, kinds and explain in turn, the rest drawn."""
    chance = random.Random(seed)
    return [_request(number, chance) for number in range(count)]


def _request(number: int, chance: random.Random) -> dict[str, Any]:
    placement, kinds = PLACEMENT_NAMES[number % len(PLACEMENT_NAMES)], KINDS[number // 2 % len(KINDS)]
    drawn = {
        "kinds": kinds,
        "size": chance.choice(SIZES),
        "exclude": chance.choice(EXCLUDES),
        "objective": chance.choice(OBJECTIVES),
        "filters": chance.choice(FILTERS) if chance.random() < 0.15 else None,
        "explain": number % 2 == 0,
    }
    fields = {name: value for name, value in drawn.items() if value is not None}
    body = _person(number, chance) | {"placement": placement, "context": _context(chance)} | fields
    return body | {"customer_id": chance.choice(PRICED_IDS)} if _is_of_margins(body) else body


def _is_of_margins(body: Mapping[str, Any]) -> bool:
    """True for coupons ordered by margin, of which many are unknown."""
    is_margin = body.get("objective", body["placement"]) == "margin"
    return is_margin and "coupon" in body.get("kinds", ())


def _person(number: int, chance: random.Random) -> dict[str, Any]:
    draw = chance.random()
    if draw < 0.45:
        return {"customer_id": chance.choice(HOLDER_IDS)}
    if draw < 0.7:
        return {"customer_id": chance.choice(CUSTOMER_IDS)}
    if draw < 0.8:
        return {"customer_id": chance.choice(UNKNOWN_IDS)}
    if draw < 0.9:
        return {"anonymous_id": f"device-{number % 10}"}
    return {"customer_id": chance.choice(HOLDER_IDS), "anonymous_id": f"device-{number % 10}"}


def _context(chance: random.Random) -> dict[str, Any]:
    known = [*PRODUCT_IDS, NEW_PRODUCT_IDS[0], "no-such-product"]
    drawn: dict[str, Any] = {
        "now": chance.choice(INSTANTS),
        "channel": chance.choice(CHANNELS),
        "store_id": chance.choice(STORE_IDS) if chance.random() < 0.6 else None,
        "recent": chance.sample(known, chance.randrange(1, 6)) if chance.random() < 0.4 else None,
    }
    if chance.random() < 0.4:
        basket = chance.sample(known, chance.randrange(1, 6))
        drawn["basket"] = [{"product_id": one, "quantity": chance.randrange(1, 4)} for one in basket]
    return {name: value for name, value in drawn.items() if value is not None}


WRONG: Sequence[dict[str, Any]] = (
    {"customer_id": "1", "placement": "attic"},
    {"placement": "app_home"},
    {"customer_id": "1"},
    {"customer_id": "1", "placement": "app_home", "size": 0},
    {"customer_id": "1", "placement": "app_home", "size": 101},
    {"customer_id": "1", "placement": "app_home", "kinds": ["brochure"]},
    {"customer_id": "1", "placement": "app_home", "filters": {"colour": ["red"]}},
    {"customer_id": "1", "placement": "app_home", "objective": "fame"},
    {"customer_id": "1", "placement": "app_home", "context": {"now": "2018-01-01T09:00:00"}},
    {"customer_id": "1", "placement": "app_home", "colour": "red"},
    {"customer_id": "", "placement": "app_home"},
)


def decide(recorder: Recorder) -> None:
    """500 decisions, some of them looked up again, and requests that must be refused."""
    decided = [recorder.ask("/v1/decisions", body) for body in requests(COUNT, seed=11)]
    for answer in decided[:40:4]:
        path = f"/v1/decisions/{find(answer, 'decision_id')}"
        recorder.wait_for(path, lambda _: True)
        recorder.get(path)
    recorder.get("/v1/decisions/never-made")
    for body in WRONG:
        recorder.ask("/v1/decisions", body)
    recorder.send_text("/v1/decisions", '{"customer_id": ')


def decide_again(recorder: Recorder, customer_ids: Sequence[str]) -> None:
    """Decisions for people who did something meanwhile."""
    for number, body in enumerate(requests(AGAIN_COUNT, seed=12)):
        if not _is_of_margins(body):
            body["customer_id"] = customer_ids[number % len(customer_ids)]
        recorder.ask("/v1/decisions", body | {"explain": True})


def ask_replenishment(recorder: Recorder, customer_ids: Sequence[str]) -> None:
    """What these customers will buy again, over several horizons, by product and by category."""
    for number, customer_id in enumerate(customer_ids):
        parameters = {"now": INSTANTS[number % len(INSTANTS)], "horizon_days": str((7, 28, 1, 56)[number % 4])}
        if number % 3 == 2:
            parameters |= {"level": "category", "limit": "10"}
        recorder.get(f"/v1/customers/{customer_id}/replenishment", parameters)


def replenish(recorder: Recorder) -> None:
    """Twenty customers, one whom nobody knows, and a request that must be refused."""
    known = CUSTOMER_IDS[: REPLENISHMENT_COUNT - 1]
    ask_replenishment(recorder, [*known, UNKNOWN_IDS[0]])
    recorder.get("/v1/customers/1/replenishment", {"horizon_days": "57"})


def plan(recorder: Recorder) -> None:
    """What campaigns would cost, offers from a template, and offers that customers activate."""
    path = "/v1/campaigns/winter"
    body: dict[str, Any] = {"days": 14, "basket_count": 2000, "seed": 3}
    recorder.ask(f"{path}/simulate", body)
    new = {"offers": [{"terms": {"name": "A tenth", "discount": {"type": "percent", "percent": 10}}}], "offer_ids": []}
    recorder.ask(f"{path}/simulate", body | new | {"everybody": True})
    template = {
        "products": [{"attribute": "category", "values": ["BAG SNACKS"]}, {"product_ids": list(PRODUCT_IDS[:8])}],
        "product_count": 20,
        "value_tiers": [
            {"discount": {"type": "percent", "percent": 10}},
            {"discount": {"type": "amount", "amount_minor": 150}, "tiers": ["gold"]},
        ],
        "guardrails": {"max_percent": 40, "min_margin_percent": 5, "price_floor_minor": 80},
        "template": {"name": "{value} off {product}", "combinable": True},
    }
    recorder.ask(f"{path}/offers/generate", template)
    for customer_id in (*HOLDER_IDS[:3], HOLDER_IDS[0]):
        body = {"customer_id": customer_id, "placement": "app_home", "kinds": ["coupon"], "context": {"now": NEXT_DAYS}}
        decision_id = find(recorder.ask("/v1/decisions", body), "decision_id")
        taken = {"customer_id": customer_id, "offer_id": "s-milk", "decision_id": decision_id}
        recorder.write("POST", "/v1/coupons", taken)
    recorder.write("POST", "/v1/coupons", {"customer_id": HOLDER_IDS[0], "offer_id": "w-milk"})
