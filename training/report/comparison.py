"""Two bundles on one page: both answer the same held-out queries, and the page is written with what differs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from threadpoolctl import threadpool_limits

from app.files import replace_durably
from app.model.bundle import Bundle
from app.ports import Progress
from app.settings import Settings
from training.evaluation.pairs import Pair, paired, queries_by_kind
from training.release.bundle_facts import read_bundle_facts
from training.release.comparison import SEED, Comparison, compare_on, load_both, queries_of_last_window
from training.release.replay import HeldOutQueries, at_their_time
from training.report.comparison_page import comparison_page


@dataclass(frozen=True, slots=True)
class ComparedBundles:
    """The comparison, the same queries by kind of question, and the page that shows both."""

    comparison: Comparison
    questions: Mapping[str, Pair]
    page: Path

    def to_dict(self) -> dict[str, object]:
        """Everything in plain JSON types."""
        questions = {kind: asdict(pair) for kind, pair in self.questions.items()}
        return self.comparison.to_dict() | {"questions": questions, "page": str(self.page)}


def compare_bundles(settings: Settings, first: str, second: str, *, progress: Progress) -> ComparedBundles:
    """Replays both and writes `reports/<first>-with-<second>.html`.

    Raises BundleMissing, or BundleRefused for a bundle that cannot be read.
    """
    bundles = load_both(settings, first, second)
    queries = queries_of_last_window(settings, progress)
    comparison = compare_on(bundles, queries, progress)
    questions = _questions(bundles, queries, progress)
    facts = (read_bundle_facts(settings.bundles_dir / first), read_bundle_facts(settings.bundles_dir / second))
    products = (bundles[0].catalogue.product_ids, bundles[1].catalogue.product_ids)
    settings.reports_dir.mkdir(parents=True, exist_ok=True)
    target = settings.reports_dir / f"{first}-with-{second}.html"
    replace_durably(target, comparison_page(comparison, questions, facts, products).encode())
    return ComparedBundles(comparison, questions, target)


def _questions(bundles: tuple[Bundle, Bundle], queries: HeldOutQueries, progress: Progress) -> dict[str, Pair]:
    """Every kind of question, then products new to the customer, without what they own."""
    then = (at_their_time(bundles[0], queries), at_their_time(bundles[1], queries))
    sets = queries_by_kind(queries.every, queries.product_ids, seed=SEED)
    if len(queries.discovery):
        sets["new_products"] = queries.discovery
    with threadpool_limits(1):
        return {
            kind: paired(then, theirs, queries.product_ids, partial(progress, f"compare {kind}"), seed=SEED)
            for kind, theirs in sets.items()
        }
