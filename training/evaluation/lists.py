"""Queries become ranked lists: the slates that would be served, and the plain rankings they must beat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.decision.candidates.gather import SOURCES, Candidates, find_candidates
from app.decision.customer.context import Bought, make_context
from app.decision.eligibility.products import all_allowed, eligibility_rules, keep_eligible
from app.decision.pipeline import rank
from app.decision.ranking.scoring import probability, score
from app.domain import Floats, Ints, Query
from app.model.bundle import Bundle, Catalogue
from app.ports import CustomerState, StageProgress
from training.metrics.ranking import Wide
from training.queries.evaluation_queries import OPTIONS, EvaluationQueries
from training.queries.shared_out import HERE, SharedOut

LIST_LENGTH = 20
"""As deep as any metric looks."""
# Scores of all products for so many customers at a time: 70 MB for 68,000 products.
_USERS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Slates:
    """What was shown: `items` int32 and `probability` float64, both (n, 20), padded with -1 and 0."""

    items: Ints
    probability: Wide


def served_slates(
    bundle: Bundle,
    queries: EvaluationQueries,
    progress: StageProgress,
    *,
    catalogue: Catalogue | None = None,
    shared: SharedOut = HERE,
) -> Slates:
    """The slates that serving would answer with, from the very function that serves.

    Items are those of `catalogue` (default: the bundle's own); a product that it lacks leaves its place empty.
    """
    item_of = (catalogue or bundle.catalogue).item_of
    items = np.full((len(queries), LIST_LENGTH), -1, np.int32)
    chance = np.zeros(items.shape)
    for row, shown in enumerate(shared.each(_shown, bundle, queries, progress)):
        items[row, : len(shown)] = [item_of.get(product_id, -1) for product_id, _ in shown]
        chance[row, : len(shown)] = [probability for _, probability in shown]
    return Slates(items, chance)


def _shown(bundle: Bundle, query: Query, state: CustomerState) -> list[tuple[str, float]]:
    """Product and probability of each place of the query's slate."""
    shown = rank(query, bundle, state, OPTIONS).propositions[:LIST_LENGTH]
    return [(proposition.product_id, proposition.probability) for proposition in shown]


def without_owned(queries: EvaluationQueries) -> EvaluationQueries:
    """The same queries without what the customer has bought before."""
    return replace(queries, queries=[replace(query, exclude_purchased=True) for query in queries.queries])


@dataclass(frozen=True, slots=True)
class RankedCandidates:
    """One query's candidates: by source, and those that are scored, and their probabilities; of whom: what they bought.

    `user` (k,) is the vector that serving folds in, None where nothing is known. Not the whole context: its scores of
    all products would take a gigabyte for 4,000 customers and 60,000 products.
    """

    bought: Bought
    user: Floats | None
    by_source: dict[str, Ints]
    items: Ints
    probability: Floats


def rank_candidates(bundle: Bundle, query: Query, state: CustomerState) -> RankedCandidates:
    """The stages before the slate, one by one."""
    context = make_context(query, bundle, state, stale_after_s=OPTIONS.stale_after_s)
    rules = eligibility_rules(context)
    candidates: Candidates = find_candidates(context, all_allowed(rules), named_sources=SOURCES)
    items, _ = keep_eligible(candidates, rules)
    scored = score(context, items)
    chances = probability(context, scored.score)
    return RankedCandidates(context.bought, context.user, dict(candidates.by_source), scored.items, chances)


def popularity_lists(popularity: Floats, hidden: Sequence[Ints]) -> list[Ints]:
    """The products of largest `popularity` (n,) for everybody, less what each customer is not to see; ties: item."""
    # Deep enough that 20 are left for everybody, whatever is hidden from them.
    longest = max((len(items) for items in hidden), default=0)
    top = np.argsort(-popularity, kind="stable")[: LIST_LENGTH + longest].astype(np.int32)
    return [top[~np.isin(top, items)][:LIST_LENGTH] for items in hidden]


def frequency_lists(bought: Sequence[Ints], popular: Sequence[Ints]) -> list[Ints]:
    """Each customer's own products, best first as given, then popular ones that are not among them."""
    return [
        np.concatenate([items[:LIST_LENGTH], others[~np.isin(others, items)]])[:LIST_LENGTH]
        for items, others in zip(bought, popular, strict=True)
    ]


def factor_lists(factors: Floats, users: Floats, hidden: Sequence[Ints]) -> list[Ints]:
    """The products of largest user vector · item factors (each row · row), less what each customer is not to see."""
    lists: list[Ints] = []
    length = min(LIST_LENGTH, len(factors))
    for start in range(0, len(users), _USERS_AT_ONCE):
        scores = users[start : start + _USERS_AT_ONCE] @ factors.T
        for row, items in zip(scores, hidden[start : start + _USERS_AT_ONCE], strict=True):
            row[items] = -np.inf
            best = np.argpartition(-row, length - 1)[:length]
            best = best[np.argsort(-row[best], kind="stable")]
            # In a small catalogue the best of a row reach down to what is hidden.
            lists.append(best[np.isfinite(row[best])].astype(np.int32))
    return lists


def own_products(bought: Bought) -> Ints:
    """What the customer bought, the largest decayed weight (half-life 112 days) first; ties: the better seller."""
    return bought.items[np.argsort(-bought.weight_112d, kind="stable")]
