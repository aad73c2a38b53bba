"""What may be shown at all: rules over the whole catalogue, each with the reason of its drops."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.decision.candidates.gather import Candidates
from app.decision.customer.context import Context
from app.decision.eligibility.merchandising import not_excluded
from app.domain import Ints, Mask
from app.errors import BadInput


@dataclass(frozen=True, slots=True)
class EligibilityRule:
    """`allowed` (n items) says which products pass; the others are dropped for `reason`."""

    reason: str
    allowed: Mask


def eligibility_rules(context: Context) -> list[EligibilityRule]:
    """The rules that question, placement and product table set; raises BadInput for a filter on an unknown column."""
    rules = [_drop_filtered(context, column, values) for column, values in context.query.filters.items()]
    new_products = context.bundle.new_products
    if new_products is not None and new_products.on_offer is not None:
        rules.append(EligibilityRule("withdrawn", new_products.on_offer))
    if excludes_purchased(context):
        rules.append(_drop_items(context, "purchased", context.bought.items))
    if len(context.basket):
        rules.append(_drop_items(context, "in_basket", context.basket))
    allowed = not_excluded(context)
    if allowed is not None:
        rules.append(EligibilityRule("excluded_by_rule", allowed))
    return rules


def excludes_purchased(context: Context) -> bool:
    """True when what the customer bought is left out: as the query says, else as training found best."""
    excludes = context.query.exclude_purchased
    return bool(context.bundle.scoring.get("exclude_purchased")) if excludes is None else excludes


def all_allowed(rules: Sequence[EligibilityRule]) -> Mask | None:
    """Which items pass every rule; None when there is no rule."""
    if len(rules) < 2:
        return rules[0].allowed if rules else None
    allowed: Mask = np.logical_and.reduce([rule.allowed for rule in rules])
    return allowed


def keep_eligible(candidates: Candidates, rules: Sequence[EligibilityRule]) -> tuple[Ints, dict[str, Ints]]:
    """The items that pass, and those that do not by the first reason that dropped them."""
    kept, dropped = candidates.items, {}
    for rule in rules:
        passes = rule.allowed[kept]
        if not passes.all():
            dropped[rule.reason] = kept[~passes]
            kept = kept[passes]
    return kept, dropped


def _drop_filtered(context: Context, column: str, values: Sequence[str]) -> EligibilityRule:
    attribute = context.bundle.catalogue.attributes.get(column)
    if attribute is None:
        known = ", ".join(sorted(context.bundle.catalogue.attributes)) or "none"
        raise UnknownFilter(f"filter {column!r} is no product attribute; known: {known}", pointer=f"/filters/{column}")
    return EligibilityRule(f"filter_{column}", attribute.is_one_of(values))


def _drop_items(context: Context, reason: str, items: Ints) -> EligibilityRule:
    allowed = np.ones(context.bundle.item_count, np.bool_)
    allowed[items] = False
    return EligibilityRule(reason, allowed)


class UnknownFilter(BadInput):
    """A filter names a column that the catalogue does not have."""

    code = "unknown_filter"
