"""What may be shown at all: rules over the whole catalogue, each with the reason of its drops."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import log

import numpy as np

from app.decision.candidates.gather import Candidates
from app.decision.customer.context import DAY_S, Context
from app.decision.eligibility.merchandising import not_excluded
from app.decision.replenishment.hazards import PRODUCT
from app.decision.replenishment.interval import likely_interval, usual_interval
from app.domain import Ints, Mask
from app.errors import BadInput
from app.model.bundle import Catalogue
from app.model.goods.age_restricted import COLUMN as AGE_RESTRICTED

JUST_BOUGHT_DAYS = 3 / 24
"""Nothing rests longer: with six hours recall falls, as what was bought then may well be in a basket days later."""
REST_SHARE = 0.03
"""Of the interval at which a customer is likely to buy a product, the part for which it rests: below it one in 30 is
bought again next, above it one in five (docs/ranking.md)."""
UNKNOWN_INTERVAL_DAYS = JUST_BOUGHT_DAYS / REST_SHARE
"""Where a bundle knows no intervals, what was bought once rests the full time."""


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
    unrestricted = context.bundle.catalogue.unrestricted
    if unrestricted is not None and not context.query.allows_age_restricted:
        rules.append(EligibilityRule(AGE_RESTRICTED, unrestricted))
    if context.place is not None and context.place.allowed is not None:
        rules.append(EligibilityRule("out_of_stock", context.place.allowed))
    if context.opted_out:
        rules.append(EligibilityRule("opted_out", context.bundle.catalogue.none_of(context.opted_out)))
    if excludes_purchased(context):
        rules.append(_drop_items(context, "purchased", context.bought.items))
    elif len(resting := just_bought(context)):
        rules.append(_drop_items(context, "just_bought", resting))
    if len(context.basket):
        rules.append(_drop_items(context, "in_basket", context.basket))
    allowed = not_excluded(context)
    if allowed is not None:
        rules.append(EligibilityRule("excluded_by_rule", allowed))
    return rules


def age_restricted_among(catalogue: Catalogue, product_ids: Sequence[str]) -> list[str]:
    """Those of the products that this catalogue knows to be for people of age."""
    unrestricted, find = catalogue.unrestricted, catalogue.item_of.get
    if unrestricted is None:
        return []
    known = ((name, find(name)) for name in product_ids)
    return [name for name, item in known if item is not None and not unrestricted[item]]


def excludes_purchased(context: Context) -> bool:
    """True when what the customer bought is left out: as the query says, else as training found best."""
    excludes = context.query.exclude_purchased
    return bool(context.bundle.scoring.get("exclude_purchased")) if excludes is None else excludes


def just_bought(context: Context) -> Ints:
    """What the customer bought within the last three hours, and less than a part of their likely interval ago."""
    bought = context.bought
    # Some 20,000 days after 1970 single precision still resolves three minutes.
    today = np.float32(context.query.now_at.timestamp() / DAY_S)
    # A day more: features know on which day a product was bought.
    recent = (np.abs(today - bought.last_day) < 1 + JUST_BOUGHT_DAYS).nonzero()[0]
    if not len(recent):
        return bought.items[:0]
    items, count, first, last = (
        column.take(recent) for column in (bought.items, bought.count, bought.first_day, bought.last_day)
    )
    if context.features is not None:
        # Of the customer's last purchase they know the instant, too.
        latest = np.float32(context.features.number("last_purchase_at") / DAY_S)
        last = np.where(last == np.floor(latest), latest, last)
    model = context.bundle.rebuy.get(PRODUCT)
    usual = log(UNKNOWN_INTERVAL_DAYS) if model is None else usual_interval(model, items)
    rest = np.minimum(REST_SHARE * likely_interval(count, last - first, usual), JUST_BOUGHT_DAYS)
    since = today - last
    resting: Ints = items[(since < rest) & (since > -JUST_BOUGHT_DAYS)]
    return resting


def all_allowed(rules: Sequence[EligibilityRule]) -> Mask | None:
    """Which items pass every rule; None when there is no rule."""
    # One by one: to reduce a list of masks, numpy first copies them into one array, in three times as long.
    return reduce(np.logical_and, [rule.allowed for rule in rules]) if rules else None


def keep_eligible(candidates: Candidates, rules: Sequence[EligibilityRule]) -> tuple[Ints, dict[str, Ints]]:
    """The items that pass, and those that do not by the first reason that dropped them."""
    kept, dropped = candidates.items, {}
    for rule in rules:
        passes = rule.allowed.take(kept)
        # A fifth of the time of all().
        if np.count_nonzero(passes) < len(kept):
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
