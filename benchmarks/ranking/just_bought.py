"""Whether what a customer bought a minute ago is proposed to be bought again, with and without the rule against it.

    python -m benchmarks.ranking.just_bought --data-dir DIRECTORY [--customers 1000]

The directory holds a shop with a training, as `make demo ARGS=--check` makes it. Each customer buys their most frequent
product once more in a store and asks on the web a minute later: once the last events tell of it, and once the features
hold it. Counted are the customers whose ten products hold it, those who see it first, and those of whom their own
interval is above two hours.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from app.decision.eligibility import products
from app.decision.pipeline import Options, rank
from app.domain import PURCHASE, Event, LiveEvent, ProductId, Query
from app.history import History
from app.history.rows import event_rows
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.settings import Settings
from benchmarks.support import machine
from training.data.dataset import product_table
from training.features.materialize import default_as_of
from training.features.tables import customer_tables
from training.queries.states import states_from_tables

K = 10
MINUTE = timedelta(minutes=1)
SHORT_HOURS = 2.0
"""Whose own interval is no longer than this may see the product again."""
OPTIONS = Options(stale_after_s=7 * 86_400.0)
EVENTS, FEATURES = "events tell of it", "features hold it"


@dataclass(frozen=True, slots=True)
class Regular:
    """A customer at the instant of the question, their most frequent product and the mean hours between its purchases.

    `states`: what is known of them, by who tells of the last purchase.
    """

    customer_id: str
    product_id: str
    interval_h: float
    now_at: datetime
    states: Mapping[str, CustomerState]


def shown_again(bundle: Bundle, customers: Sequence[Regular]) -> dict[str, dict[str, int]]:
    """How many customers are shown what they bought a minute ago, by who tells of the purchase."""
    return {way: _shown(bundle, customers, way) for way in (EVENTS, FEATURES)}


def _shown(bundle: Bundle, customers: Sequence[Regular], way: str) -> dict[str, int]:
    found = {"customers": len(customers), "shown": 0, "shown first": 0, "shown, interval above two hours": 0}
    for one in customers:
        query = Query(
            "home", size=K, now_at=one.now_at, customer_id=one.customer_id, channel="web", allows_age_restricted=True
        )
        shown = [row.product_id for row in rank(query, bundle, one.states[way], OPTIONS).propositions]
        found["shown"] += one.product_id in shown
        found["shown first"] += shown[:1] == [one.product_id]
        found["shown, interval above two hours"] += one.product_id in shown and one.interval_h > SHORT_HOURS
    return found


def regulars(settings: Settings, bundle: Bundle, *, count: int) -> list[Regular]:
    """At most so many customers who bought a product of the bundle twice, each just after buying it once more."""
    history, table = History(settings.history_dir).scan(), product_table(settings)
    as_of = default_as_of(history)
    bought_at, now_at = as_of + MINUTE, as_of + 2 * MINUTE
    before = states_from_tables(customer_tables(history, as_of=as_of, products=table))
    chosen = {name: own for name, state in sorted(before.items()) if (own := _most_frequent(bundle, state)) is not None}
    chosen = dict(list(chosen.items())[:count])
    bought = [
        Event("now", PURCHASE, bought_at, channel="store", customer_id=name, product_id=ProductId(own[0]),
              basket_id=f"now {name}")
        for name, own in chosen.items()
    ]  # fmt: skip
    later = pl.concat([history, event_rows(bought).lazy()]).filter(pl.col("customer_id").is_in(list(chosen)))
    after = states_from_tables(customer_tables(later, as_of=now_at, products=table))
    return [
        Regular(name, own[0], own[1], now_at, {EVENTS: _state_with(before[name], event), FEATURES: after[name]})
        for (name, own), event in zip(chosen.items(), bought, strict=True)
    ]


def _state_with(state: CustomerState, event: Event) -> CustomerState:
    live = LiveEvent(
        event.event_id, event.type, event.time.timestamp(), event.product_id, event.quantity, basket_id=event.basket_id
    )
    return CustomerState(features=state.features, events=[live])


def _most_frequent(bundle: Bundle, state: CustomerState) -> tuple[str, float] | None:
    """The product that the customer bought most and the mean hours between; None without a second purchase."""
    features = state.features
    if features is None or not len(features.bought_count):
        return None
    most = int(np.argmax(features.bought_count))
    item = int(bundle.catalogue.keys.items_of(features.bought_keys[most : most + 1].astype(np.int64))[0])
    times = float(features.bought_count[most])
    if item < 0 or times < 2:
        return None
    days = float(features.bought_last_day[most] - features.bought_first_day[most])
    return bundle.catalogue.product_ids[item], 24 * days / (times - 1)


def main() -> None:
    """Prints one JSON object; ends with 1 where the rule let one through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--customers", type=int, default=1000)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    with threadpool_limits(1):
        chosen = regulars(settings, bundle, count=given.customers)
        found = {"with the rule": shown_again(bundle, chosen)}
        products.JUST_BOUGHT_DAYS = 0.0
        found["without it"] = shown_again(bundle, chosen)
    machine.show({"benchmark": "just bought", **machine.facts(), **found})
    raise SystemExit(any(way["shown, interval above two hours"] for way in found["with the rule"].values()))


if __name__ == "__main__":
    main()
