"""One place of a slate for what is new: products newer than the bundle, for customers who like where they belong.

No history speaks for such a product, so in a slate of repeat purchases it would never be seen, nor ever get a history.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from app.decision.candidates.gather import Candidates
from app.decision.customer.context import Context, interest_in
from app.decision.ranking.scoring import NO_ITEMS, ScoredCandidates
from app.domain import Floats, Ints, Mask, Reason
from app.model.bundle import Bundle

SOURCE = "new"
CANDIDATE_COUNT = 10
MIN_SLATE = 5
"""Of fewer places none is given away."""
GROUP_COLUMNS = ("category", "department")
"""Where a product belongs: the first of these that products sold share with it."""
_WEAK_REASONS = {"taste", "trending"}
"""Reasons that say less of a new product than that it is new; "popular right now" would not even be true."""


def fitting_new_products(context: Context, allowed: Mask | None) -> Ints:
    """The new products that pass and fit, best first, at most CANDIDATE_COUNT; none where no place waits for them."""
    new_products = context.bundle.new_products
    if new_products is None or not context.query.new_products:
        return NO_ITEMS
    items = new_products.items if allowed is None else new_products.items[allowed[new_products.items]]
    fit = new_product_fit(context, items)
    best = np.argsort(-fit, kind="stable")[:CANDIDATE_COUNT]
    return items[best[fit[best] > 0]]


def with_new_products(candidates: Candidates, fitting: Ints) -> Candidates:
    """The candidates and the fitting new products; as they are when none fits."""
    if not len(fitting):
        return candidates
    added = fitting[~_is_in(fitting, candidates.items)]
    items = np.sort(np.concatenate([candidates.items, added]))
    return replace(candidates, items=items, by_source={**candidates.by_source, SOURCE: fitting})


def with_new_place(context: Context, scored: ScoredCandidates, positions: Ints, fitting: Ints) -> Ints:
    """`positions` of a slate, the last for the best fitting new product unless one ranks by its score anyway."""
    new_products = context.bundle.new_products
    if new_products is None or not len(fitting) or len(positions) < MIN_SLATE:
        return positions
    shown = scored.items[positions]
    new = shown[_is_in(shown, new_products.items)]
    if not _is_in(new, context.bought.items).all():
        return positions
    # Every fitting product is among the scored items (`always_scored`), and these ascend.
    return np.concatenate([positions[:-1], scored.items.searchsorted(fitting[:1]).astype(np.int32)])


def new_product_fit(context: Context, items: Ints) -> Floats:
    """How well each new product fits the customer, (n,): 0 unless they like its category, and once they bought it.

    fit = (taste + ε) · (0.1 + mean over attributes of a / (a + 1)); taste = customer's vector · content vector, at
    least 0; a = the customer's decayed purchases (112 days) and looks at products with the same value. The figures
    of this and of simpler ways: benchmarks/README.md.
    """
    if context.user is None or not len(items):
        return np.zeros(len(items), np.float32)
    shares = _shares(context)
    fits = _belongs(context.bundle, shares, items) & ~_is_in(items, context.bought.items)
    fit = np.zeros(len(items), np.float32)
    fitting = items[fits]
    if len(fitting):
        columns = context.bundle.catalogue.attributes
        liked = sum(shares[name][column.codes[fitting]] for name, column in columns.items()) / np.float32(len(columns))
        # Above 0 even without taste: a fit of 0 would mean that the product does not belong.
        taste = np.maximum(context.bundle.item_factors[fitting] @ context.user, 0) + np.float32(1e-6)
        fit[fits] = taste * (np.float32(0.1) + liked)
    return fit


def with_new_reasons(context: Context, items: Ints, reasons: Sequence[Reason], fitting: Ints) -> Sequence[Reason]:
    """The reasons, `new` in place of weaker ones for new products."""
    new_products = context.bundle.new_products
    if new_products is None:
        return reasons
    changed = list(reasons)
    for position in np.flatnonzero(_is_in(items, new_products.items)).tolist():
        if changed[position].code in _WEAK_REASONS:
            item = int(items[position])
            changed[position] = _reason(context.bundle, item, is_liked=item in fitting)
    return changed


def _is_in(items: Ints, known: Ints) -> Mask:
    """Which of `items` stand in `known` (ascending): a tenth of np.isin's time or less at this size."""
    if not len(known):
        return np.zeros(len(items), np.bool_)
    is_known: Mask = known.take(known.searchsorted(items), mode="clip") == items
    return is_known


def _shares(context: Context) -> dict[str, Floats]:
    """Per attribute column and code a / (a + 1) of the customer's interest a; the last value, for unknown, is 0."""
    bundle, bought, anchors = context.bundle, context.bought, context.anchors
    looked_at = interest_in(bundle, context.live, anchors)
    items, weight = np.concatenate([bought.items, anchors]), np.concatenate([bought.weight_112d, looked_at])
    shares = {}
    for name, column in bundle.catalogue.attributes.items():
        codes = column.codes[items]
        interest = np.bincount(codes[codes >= 0], weight[codes >= 0], minlength=len(column.vocabulary) + 1)
        shares[name] = (interest / (interest + 1)).astype(np.float32)
    return shares


def _belongs(bundle: Bundle, shares: dict[str, Floats], items: Ints) -> Mask:
    """True where the customer likes the item's category; its department where no product sold had the category."""
    group = _groups(bundle, items)
    belongs = np.zeros(len(items), np.bool_)
    for position, name in enumerate(GROUP_COLUMNS):
        its = np.flatnonzero(group == position)
        if len(its):
            belongs[its] = shares[name][bundle.catalogue.attributes[name].codes[items[its]]] > 0
    return belongs


def _groups(bundle: Bundle, items: Ints) -> Ints:
    """Per item the position in GROUP_COLUMNS of the column that says where it belongs, -1 where none does."""
    group = np.full(len(items), -1, np.int32)
    sizes = {} if bundle.content is None else bundle.content.layout.column_sizes
    # The first column takes precedence, so it is written last.
    for position, name in reversed(list(enumerate(GROUP_COLUMNS))):
        if name in sizes:
            codes = bundle.catalogue.attributes[name].codes[items]
            # A code beyond training's vocabulary is a value that no product sold has.
            group[(codes >= 0) & (codes < sizes[name])] = position
    return group


def _reason(bundle: Bundle, item: int, *, is_liked: bool) -> Reason:
    group = int(_groups(bundle, np.array([item], np.int32))[0])
    if group < 0:
        return Reason("new", "New in our range")
    column = bundle.catalogue.attributes[GROUP_COLUMNS[group]]
    where = column.vocabulary[column.codes[item]]
    return Reason("new", f"New in {where}, which you like" if is_liked else f"New in {where}")
