"""What a more varied slate costs in relevance: the Complete Journey's first baskets, ranked with several settings.

    python -m benchmarks.ranking.diversity [--budget-minutes 1] [--data-dir DIRECTORY]

`endcap import` and `endcap train` with defaults on all goods before 2017-12-04, unless the directory holds such a
training already; then the serving function for every customer with a basket after it. Diversity is one minus the mean
cosine of the products' factors over all pairs of a slate; `categories` the distinct ones among its ten. Times are those
of the serving function.
"""

import argparse
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
from threadpoolctl import threadpool_limits

from app.decision.pipeline import Options, rank
from app.domain import Query, SlatePolicy
from app.history import History
from app.model.bundle import Bundle, current_version, load_bundle
from app.ports import CustomerState
from app.settings import Settings
from benchmarks.ranking.protocols import CUT_AT, first_basket
from benchmarks.ranking.ranked import Truth, mean_metrics
from benchmarks.support import machine
from benchmarks.support.commands import endcap, import_files
from training.data.dataset import product_table
from training.features.tables import customer_tables
from training.metrics.exposure import factor_diversity
from training.queries.states import states_from_tables

K = 10
OPTIONS = Options(stale_after_s=7 * 86_400.0)
POLICIES: Mapping[str, SlatePolicy | None] = {
    "nothing set": None,
    "diversity 0.1": SlatePolicy(diversity=0.1),
    "diversity 0.2": SlatePolicy(diversity=0.2),
    "diversity 0.3": SlatePolicy(diversity=0.3),
    "diversity 0.5": SlatePolicy(diversity=0.5),
    "max_per_category 3": SlatePolicy(max_per_category=3),
    "max_per_category 2": SlatePolicy(max_per_category=2),
    "max_per_category 1": SlatePolicy(max_per_category=1),
    "max_per_category 2, diversity 0.2": SlatePolicy(max_per_category=2, diversity=0.2),
}


def measured(
    bundle: Bundle, states: Mapping[str, CustomerState], truth: Truth, policy: SlatePolicy | None
) -> dict[str, object]:
    """Relevance, diversity and cost of the slates that one policy makes."""
    plain = Query("benchmark", K, CUT_AT, channel="store", policy=policy, allows_age_restricted=True)
    lists, taken_ms = {}, []
    for name in truth:
        query = replace(plain, customer_id=name)
        started = perf_counter()
        slate = rank(query, bundle, states[name], OPTIONS)
        taken_ms.append((perf_counter() - started) * 1000)
        lists[name] = [row.product_id for row in slate.propositions]
    slates = np.array([bundle.catalogue.known(shown) for shown in lists.values()])
    codes = bundle.catalogue.attributes["category"].codes
    return {
        **mean_metrics(lists, truth, k=K),
        "diversity": round(float(factor_diversity(slates, bundle.item_factors).mean()), 3),
        "categories": round(float(np.mean([len(set(codes[slate].tolist())) for slate in slates])), 2),
        "p50_ms": round(float(np.median(taken_ms)), 2),
    }


def measure(folder: Path, *, budget_minutes: float) -> dict[str, object]:
    """Import and training where they are missing, then every policy."""
    protocol = first_basket(folder, with_promotions=False)
    settings = Settings.load(data_dir=folder / "var")
    if not settings.bundles_dir.exists():
        import_files(settings.data_dir, protocol.import_options)
        endcap(settings.data_dir, ["train", "--budget-minutes", str(budget_minutes)])
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    history, table = History(settings.history_dir).scan(), product_table(settings)
    states = states_from_tables(customer_tables(history, as_of=CUT_AT, products=table))
    measured(bundle, states, dict(list(protocol.truth.items())[:200]), POLICIES["diversity 0.2"])
    found = {name: measured(bundle, states, protocol.truth, policy) for name, policy in POLICIES.items()}
    return {"customers": len(protocol.truth), "has_trees": bundle.ranker is not None, "results": found}


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget-minutes", type=float, default=1.0)
    parser.add_argument("--data-dir", type=Path, help="where files and training stay for the next run")
    given = parser.parse_args()
    if given.data_dir is not None:
        given.data_dir.mkdir(parents=True, exist_ok=True)
    directory = nullcontext(str(given.data_dir)) if given.data_dir else TemporaryDirectory(prefix="endcap-diversity-")
    with directory as folder, threadpool_limits(1):
        found = measure(Path(folder), budget_minutes=given.budget_minutes)
    machine.show({"benchmark": "diversity", **machine.facts(), **found})


if __name__ == "__main__":
    main()
