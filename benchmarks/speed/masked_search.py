"""What a mask costs the search for the nearest items, and whether it still finds exactly the best of what it allows.

    python -m benchmarks.speed.masked_search --data-dir var [--queries 200]

Three sets: the vectors of the live bundle with vectors of its customers; then 66,000 and 1,000,000 made-up vectors of
64 factors, whose lengths fall as popularity does. Each query searches without a mask and behind random masks of four
selectivities, in random order. Every answer is compared with a scan of all allowed items. `mask_us`: what making and
counting masks takes by itself. All times are those of the processor, as other work on the machine would stop the clock.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import thread_time

import numpy as np
from threadpoolctl import threadpool_limits

from app.decision.customer.context import make_context
from app.decision.eligibility.products import EligibilityRule, all_allowed
from app.domain import Floats, Ints, Mask, ProductId, Query
from app.model.bundle import Attribute, Bundle, current_version, load_bundle
from app.model.retrieval import nearest
from app.model.search.index import index_of
from app.ports import CustomerState
from app.settings import Settings
from benchmarks.support import machine
from benchmarks.support.questions import known_customers
from training.learners.index import longest_first

SELECTIVITIES = (0.5, 0.1, 0.01, 0.001)
MASKS_EACH = 4
COUNT = 60
FACTORS = 64
SIZES = (66_000, 1_000_000)
TASTES = 300
TASTES_EACH = 3
NO_MASK = "no mask"
TIMED_CALLS = 200


@dataclass(frozen=True, slots=True)
class SearchSet:
    """A bundle and the vectors (q, k) that are searched for in it."""

    bundle: Bundle
    users: Floats


def shop_set(bundle: Bundle, settings: Settings, count: int) -> SearchSet:
    """The bundle's own vectors, and its customers as they are known by up to 20 products that they bought."""
    now = datetime.now(UTC)
    users = []
    for known in known_customers(settings):
        query = Query("app_home", size=20, now_at=now, recent=tuple(map(ProductId, known.product_ids)))
        user = make_context(query, bundle, CustomerState(), stale_after_s=1e9).user
        if user is not None and user.any():
            users.append(user)
    return SearchSet(bundle, np.array(users[:: max(len(users) // count, 1)][:count]))


def made_up_set(bundle: Bundle, item_count: int, count: int, *, seed: int = 0) -> SearchSet:
    """Items around tastes, their lengths by the square root of their popularity (Zipf), and customers of few tastes."""
    random = np.random.default_rng(seed)
    weight = ((1 + np.arange(FACTORS)) ** -0.25).astype(np.float32)
    tastes = random.standard_normal((TASTES, FACTORS), dtype=np.float32)
    factors = tastes[random.integers(TASTES, size=item_count)]
    factors += random.standard_normal(factors.shape, dtype=np.float32)
    factors *= weight
    popularity = (np.arange(item_count) + 30.0) ** -0.9
    length = np.sqrt(popularity) * np.exp(0.5 * random.standard_normal(item_count))
    factors *= (length / np.linalg.norm(factors, axis=1)).astype(np.float32)[:, None]
    shares = random.dirichlet(np.ones(TASTES_EACH), count)[:, :, None]
    liked = tastes[random.integers(TASTES, size=(count, TASTES_EACH))]
    users = ((liked * shares).sum(axis=1) + 0.2 * random.standard_normal((count, FACTORS))) * weight
    return SearchSet(with_factors(bundle, factors), users.astype(np.float32))


def with_factors(bundle: Bundle, factors: Floats) -> Bundle:
    """The bundle, in its search only, with these vectors in place of its own."""
    items = longest_first(factors)
    vectors = factors[items]
    index = index_of(vectors, items, np.linalg.norm(vectors, axis=1))
    catalogue = replace(bundle.catalogue, unrestricted=None)
    return replace(bundle, item_factors=factors, index=index, catalogue=catalogue, new_products=None)


def measured(search: SearchSet, *, seed: int = 0) -> dict[str, object]:
    """Milliseconds of each selectivity, their ratio to a search without a mask, and how many answers were exact."""
    random = np.random.default_rng(seed)
    bundle, count = search.bundle, search.bundle.item_factors.shape[0]
    masks: dict[str, Sequence[Mask | None]] = {NO_MASK: [None]}
    for share in SELECTIVITIES:
        masks[f"{100 * share:g} %"] = list(random.random((MASKS_EACH, count)) < share)
    names = list(masks)
    taken_ms: dict[str, list[float]] = {name: [] for name in names}
    equal = dict.fromkeys(names, 0)
    scan_ms = []
    for number, user in enumerate(search.users):
        found = {}
        for name in random.permutation(names).tolist():
            allowed = masks[name][number % len(masks[name])]
            started = thread_time()
            found[name] = nearest(bundle, user, count=COUNT, allowed=allowed)
            taken_ms[name].append((thread_time() - started) * 1000)
        started = thread_time()
        scores = bundle.item_factors @ user
        scan_ms.append((thread_time() - started) * 1000)
        for name in names:
            equal[name] += _is_best(found[name], scores, masks[name][number % len(masks[name])], _indexed(bundle))
    median = {name: float(np.median(taken)) for name, taken in taken_ms.items()}
    return {
        "vectors": len(bundle.index.items),
        "searches_each": len(search.users),
        "exact": equal,
        "p50_ms": {name: round(value, 3) for name, value in median.items()},
        "p90_ms": {name: round(float(np.quantile(taken, 0.9)), 3) for name, taken in taken_ms.items()},
        "ratio_to_no_mask": {name: round(value / median[NO_MASK], 2) for name, value in median.items()},
        "scores_of_all_ms": round(float(np.median(scan_ms)), 3),
    }


def _indexed(bundle: Bundle) -> Mask:
    """Which items have a vector at all."""
    has_vector = np.zeros(len(bundle.item_factors), np.bool_)
    has_vector[bundle.index.items] = True
    return has_vector


def _is_best(found: Ints, scores: Floats, allowed: Mask | None, indexed: Mask) -> bool:
    """True where the items are allowed, as many as there can be, and score what the best allowed ones score."""
    able = indexed if allowed is None else indexed & allowed
    best = np.sort(scores[able])[::-1][:COUNT]
    if len(found) != len(best) or len(set(found.tolist())) != len(found) or not able[found].all():
        return False
    # Single precision: another order of sums changes the last digits.
    return bool(np.allclose(scores[found], best, rtol=1e-4, atol=1e-6))


def mask_us(count: int, *, seed: int = 0) -> dict[str, float]:
    """Microseconds of the steps that make one mask of `count` items."""
    random = np.random.default_rng(seed)
    masks = [random.random(count) < 0.5 for _ in range(3)]
    rules = [EligibilityRule(str(number), mask) for number, mask in enumerate(masks)]
    vocabulary = [f"department {number}" for number in range(30)]
    codes = random.integers(-1, len(vocabulary), count).astype(np.int32)
    attribute = Attribute(codes, vocabulary, {value: code for code, value in enumerate(vocabulary)})
    steps: Mapping[str, Callable[[], object]] = {
        "filter by one value": lambda: attribute.is_one_of(vocabulary[:1]),
        "filter by three values": lambda: attribute.is_one_of(vocabulary[:3]),
        "filter by ten values": lambda: attribute.is_one_of(vocabulary[:10]),
        "two masks to one": lambda: all_allowed(rules[:2]),
        "three masks to one": lambda: all_allowed(rules),
        "count": lambda: np.count_nonzero(masks[0]),
    }
    return {name: _median_us(step) for name, step in steps.items()}


def _median_us(step: Callable[[], object]) -> float:
    taken = []
    for _ in range(TIMED_CALLS):
        started = thread_time()
        step()
        taken.append(thread_time() - started)
    return round(float(np.median(taken)) * 1e6, 1)


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--queries", type=int, default=200)
    given = parser.parse_args()
    settings = Settings.load(data_dir=given.data_dir)
    bundle = load_bundle(settings.bundles_dir / current_version(settings.bundles_dir))
    with threadpool_limits(1):
        results = {"shop": measured(shop_set(bundle, settings, given.queries))}
        for size in SIZES:
            results[f"made up, {size:,}"] = measured(made_up_set(bundle, size, given.queries))
        masks = {f"{size:,}": mask_us(size) for size in SIZES}
    machine.show({"benchmark": "masked_search", **machine.facts(), "results": results, "mask_us": masks})


if __name__ == "__main__":
    main()
