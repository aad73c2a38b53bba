"""What a placement's rules say of products: who is excluded, boosted, buried and pinned, in one bundle's items."""

from math import log

import numpy as np
import numpy.typing as npt

from app.decision.customer.context import Context
from app.domain import Ints, Mask, Objective, SlatePolicy
from app.model.bundle import Catalogue

CATEGORY, BRAND = "category", "brand"
"""The attributes that the caps of a placement are about."""

Wide = npt.NDArray[np.float64]


def not_excluded(context: Context) -> Mask | None:
    """Which of all n items the placement does not exclude; None where it excludes nothing."""
    policy = context.query.policy
    if policy is None or not policy.excluded:
        return None
    return context.bundle.catalogue.none_of(policy.excluded)


def log_factors(catalogue: Catalogue, policy: SlatePolicy, items: Ints) -> Wide:
    """Per item the sum of ln(factor) over the boosts and buries that are about it, (n,)."""
    total = np.zeros(len(items))
    for weighting in policy.weightings:
        total[catalogue.mask_of(weighting.selected, items)] += log(weighting.factor)
    return total


def pinned(context: Context) -> dict[int, int]:
    """Rank → item of the pins within the slate's size whose product the bundle knows, by rising rank."""
    policy = context.query.policy
    if policy is None:
        return {}
    find = context.bundle.catalogue.item_of.get
    known = [(pin.rank, find(pin.product_id)) for pin in sorted(policy.pins) if pin.rank <= context.query.size]
    return {rank: item for rank, item in known if item is not None}


def ignored_rules(catalogue: Catalogue, policy: SlatePolicy) -> list[str]:
    """What of a placement this catalogue cannot follow, in words; such a rule is about no product."""
    named = [one.selected.attribute for one in policy.weightings] + [one.attribute for one in policy.excluded]
    capped = [CATEGORY] * (policy.max_per_category is not None) + [BRAND] * (policy.max_per_brand is not None)
    unknown = sorted({name for name in [*named, *capped] if name is not None} - set(catalogue.attributes))
    problems = [f"the catalogue has no attribute {name!r}" for name in unknown]
    ids = [name for one in policy.excluded for name in one.product_ids] + [pin.product_id for pin in policy.pins]
    ids += [name for one in policy.weightings for name in one.selected.product_ids]
    problems += [f"the catalogue has no product {name!r}" for name in sorted(set(ids) - set(catalogue.item_of))]
    if policy.objective == Objective.MARGIN and not (catalogue.unit_cost_minor >= 0).any():
        problems.append("no product has a unit_cost, so objective margin ranks by relevance")
    return problems
