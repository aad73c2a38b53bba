"""What each source adds to the mix, and what it costs: the live bundle's settings, learned without the last window.

    python -m benchmarks.ranking.sources --data-dir DIRECTORY [--queries 2000]

The directory holds a shop with a training. Held-out queries, without a basket and with one begun, are ranked by all
sources and then without each of them: neither its candidates nor its column. `gain` is the mean difference of NDCG@10
with its 95 % interval, `microseconds` what the decision takes longer with it (medians of the same queries, one after
the other).
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from app.decision.candidates.gather import find_candidates
from app.decision.customer.context import Bought, Context, followers_of, linear_of, make_context, user_vector
from app.decision.eligibility.products import all_allowed, eligibility_rules, keep_eligible
from app.decision.ranking.scoring import NO_ITEMS, score
from app.domain import Ints, Mask
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.settings import Settings
from benchmarks.support import machine
from training.data.dataset import load_interactions, product_table, with_promotions
from training.data.split import make_splits
from training.learners.bundle_contents import hyperparameters_of, learn_contents
from training.metrics.ranking import METRIC_NAMES, paired_interval, per_customer
from training.queries.evaluation_queries import OPTIONS, EvaluationQueries, build_queries, sampled, with_baskets
from training.queries.states import states_for
from training.release.assemble import bundle_of
from training.release.publish import Facts

K = 10
SEED = 0
NDCG = METRIC_NAMES.index("ndcg")


Change = Callable[[Context], Context]


def ways_without(bundle: Bundle) -> Mapping[str, tuple[Change, Callable[[Context], object]]]:
    """Per source a context that knows nothing of it, and the work that its part of a context takes."""
    no_next = replace(bundle, next_idx=np.full_like(bundle.next_idx, -1), next_score=np.zeros_like(bundle.next_score))
    no_items = Bought(NO_ITEMS, *np.zeros((5, 0), np.float32))
    return {
        "als": (
            lambda one: replace(one, user=None),
            lambda one: user_vector(one.bundle, one.bought, one.live, one.anchors),
        ),
        "linear": (
            lambda one: replace(one, linear=None),
            lambda one: linear_of(one.bundle, one.bought, one.live, one.anchors),
        ),
        "together": (
            lambda one: replace(one, near=np.full_like(one.near, -1), near_score=np.zeros_like(one.near_score)),
            lambda _: None,
        ),
        "next": (lambda one: replace(one, bundle=no_next), lambda _: None),
        "following": (lambda one: replace(one, followers=None), lambda one: followers_of(one.bundle, one.bought)),
        "bought before": (lambda one: replace(one, bought=no_items), lambda _: None),
        "promotion": (lambda one: replace(one, promotions=None), lambda _: None),
    }


def measured(bundle: Bundle, queries: EvaluationQueries) -> dict[str, object]:
    """Gain and cost of each source that any of the queries makes use of."""
    contexts = [
        make_context(query, bundle, state, stale_after_s=OPTIONS.stale_after_s)
        for query, state in zip(queries.queries, queries.states, strict=True)
    ]
    ways = ways_without(bundle)
    hits: dict[str, list[Mask]] = {name: [] for name in ("all", *ways)}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for context, truth in zip(contexts, queries.truth, strict=True):
        found, whole_s = _ranked(context, context, truth)
        hits["all"].append(found)
        for name, (change, work) in ways.items():
            found, part_s = _ranked(context, change(context), truth)
            hits[name].append(found)
            started = perf_counter()
            work(context)
            taken[name].append(whole_s - part_s + perf_counter() - started)
    sizes = np.array([len(truth) for truth in queries.truth])
    ndcg = {name: per_customer(np.stack(found), sizes, k=K)[:, NDCG] for name, found in hits.items()}
    each = {}
    for name in ways:
        if any(not np.array_equal(*pair) for pair in zip(hits["all"], hits[name], strict=True)):
            mean, low, high = paired_interval(ndcg["all"] - ndcg[name], seed=SEED)
            gain = [round(float(figure), 5) for figure in (mean, low, high)]
            each[name] = {"gain": gain, "microseconds": round(float(np.median(taken[name])) * 1e6)}
    return {"queries": len(queries), "ndcg@10": round(float(ndcg["all"].mean()), 4), "sources": each}


def _ranked(context: Context, known: Context, truth: Ints) -> tuple[Mask, float]:
    """Which of the ten best that a context finds are hits, and the seconds; `context` says what may be shown."""
    rules = eligibility_rules(context)
    started = perf_counter()
    items, _ = keep_eligible(find_candidates(known, all_allowed(rules)), rules)
    scored = score(known, items)
    taken_s = perf_counter() - started
    best = scored.items[np.argsort(-scored.score, kind="stable")[:K]]
    found = np.zeros(K, np.bool_)
    found[: len(best)] = np.isin(best, truth)
    return found, taken_s


def held_out(settings: Settings, folder: Path) -> tuple[Bundle, EvaluationQueries]:
    """The live bundle's settings learned without the newest window, and the queries of that window."""
    live = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    history, table = History(settings.history_dir).scan(), product_table(settings)
    products = None if table is None else table.collect()
    dataset = with_promotions(load_interactions(history, products), settings.tables_dir)
    split = make_splits(dataset, seed=SEED)[0]
    contents = learn_contents(split.train, hyperparameters_of(live), seed=SEED)
    bundle = bundle_of(folder, Facts(datetime.now(UTC)), contents)
    states = states_for(history, table, split, sampled(split, seed=SEED))
    return bundle, build_queries(split, states, seed=SEED)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--queries", type=int, default=2000)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="endcap-sources-") as folder, threadpool_limits(1):
        bundle, queries = held_out(Settings.load(data_dir=given.data_dir), Path(folder))
        queries = queries.only(range(min(given.queries, len(queries))))
        begun = with_baskets(queries, bundle.catalogue.product_ids, seed=SEED)
        begun = begun.only([row for row, query in enumerate(begun.queries) if query.basket])
        found = {"no basket": measured(bundle, queries)}
        if len(begun):
            found["basket begun"] = measured(bundle, begun)
    machine.show({"benchmark": "sources", **machine.facts(), "results": found})


if __name__ == "__main__":
    main()
