"""Whether what a customer bought an hour ago is proposed to be bought again, with and without the rule against it.

    python -m benchmarks.ranking.just_bought --data-dir DIRECTORY [--customers 1000]

The directory holds a shop with a training, as `make demo ARGS=--check` makes it. Each customer buys their most frequent
product once more at the end of the history and is answered an hour later; the events tell of it, the features do not
yet. Counted are the customers whose ten products hold it, and those of them whose own interval is above two hours.
"""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from app.decision.eligibility import products
from app.decision.pipeline import Options, rank
from app.domain import PURCHASE, LiveEvent, Query
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.settings import Settings
from benchmarks.support import machine
from training.data.dataset import load_interactions, product_table
from training.features.tables import customer_tables
from training.queries.states import states_from_tables

HOUR_S = 3600.0
K = 10
SHORT_HOURS = 2.0
"""Whose own interval is no longer than this may see the product again an hour later."""
OPTIONS = Options(stale_after_s=7 * 86_400.0)


def shown_again(
    bundle: Bundle, states: Sequence[tuple[str, CustomerState, int, float]], now_at: datetime
) -> dict[str, int]:
    """How many customers are shown what they bought an hour ago; the hours are their mean interval before that."""
    found = {"customers": len(states), "shown": 0, "shown, interval above two hours": 0}
    for name, state, item, interval_h in states:
        bought_at_s = now_at.timestamp() - HOUR_S
        product_id = bundle.catalogue.product_ids[item]
        events = [LiveEvent("now", PURCHASE, bought_at_s, product_id, basket_id="now")]
        query = Query("app_home", size=K, now_at=now_at, customer_id=name, allows_age_restricted=True)
        slate = rank(query, bundle, CustomerState(features=state.features, events=events), OPTIONS)
        if product_id in {row.product_id for row in slate.propositions}:
            found["shown"] += 1
            found["shown, interval above two hours"] += interval_h > SHORT_HOURS
    return found


def regulars(
    bundle: Bundle, settings: Settings, now_at: datetime, *, count: int
) -> list[tuple[str, CustomerState, int, float]]:
    """Customers with their state, their most frequent product and the hours between their purchases of it."""
    tables = customer_tables(
        History(settings.history_dir).scan(), as_of=now_at - timedelta(seconds=HOUR_S), products=product_table(settings)
    )
    chosen = []
    for name, state in sorted(states_from_tables(tables).items()):
        features = state.features
        if features is None or not len(features.bought_count):
            continue
        most = int(np.argmax(features.bought_count))
        item = int(bundle.catalogue.keys.items_of(features.bought_keys[most : most + 1].astype(np.int64))[0])
        times = float(features.bought_count[most])
        hours = 24 * float(features.bought_last_day[most] - features.bought_first_day[most])
        if item >= 0 and times > 1:
            chosen.append((name, state, item, hours / (times - 1)))
    return chosen[:count]


def main() -> None:
    """Prints one JSON object; ends with 1 where the rule let one through."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--customers", type=int, default=1000)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    as_of_day = load_interactions(History(settings.history_dir).scan(), None).as_of_day
    now_at = datetime.fromtimestamp(as_of_day * 24 * HOUR_S + HOUR_S, UTC)
    with threadpool_limits(1):
        chosen = regulars(bundle, settings, now_at, count=given.customers)
        found = {"with the rule": shown_again(bundle, chosen, now_at)}
        products.JUST_BOUGHT_DAYS = 0.0
        found["without it"] = shown_again(bundle, chosen, now_at)
    machine.show({"benchmark": "just bought", **machine.facts(), **found})
    raise SystemExit(found["with the rule"]["shown, interval above two hours"] > 0)


if __name__ == "__main__":
    main()
