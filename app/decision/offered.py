"""Coupons and products in one slate: coupons take the places that they win, and those that are kept for them."""

import logging
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np

from app.decision.arrangement import Arranged
from app.decision.context import Context
from app.decision.coupons import CouponCandidates, coupon_candidates
from app.decision.eligibility import Rule
from app.decision.newcomers import MIN_SLATE
from app.decision.scoring import Scored
from app.domain import CouponPlace, Ints, Objective, ProductId, Proposition, Reason
from app.model.bundle import Bundle
from app.offers.codes import shown_code
from app.offers.shelf import Shelf

APPLIES_TO_COUNT = 5

_log = logging.getLogger(__name__)


class Offered(NamedTuple):
    """A slate of both kinds and what the trace tells of its coupons; `failed`: they could not be had."""

    propositions: Sequence[Proposition]
    trace: Mapping[str, object]
    failed: bool = False


def offer_coupons(
    context: Context,
    shelf: Shelf,
    scored: Scored,
    rules: Sequence[Rule],
    products: Sequence[Proposition],
    arranged: Arranged | None,
) -> Offered:
    """The products with the customer's coupons among them; the products alone where that fails."""
    objective = Objective.RELEVANCE if arranged is None else Objective(str(arranged.trace["objective"]))
    try:
        coupons = coupon_candidates(context, shelf, scored, rules, objective)
        return Offered(with_coupons(context, shelf, products, coupons, arranged), coupons.trace())
    except Exception:  # noqa: BLE001 - the border of one kind: the other still answers
        _log.exception("coupons failed")
        return Offered(products, {}, failed=True)


def with_coupons(
    context: Context,
    shelf: Shelf,
    products: Sequence[Proposition],
    coupons: CouponCandidates,
    arranged: Arranged | None,
) -> list[Proposition]:
    """The slate of `query.size` places: both kinds by falling key, products that were set at a rank where they are.

    At least `query.coupon_places` coupons where so many passed, but never instead of the only place, and at most
    `query.max_coupons`; where no product is asked for, coupons alone.
    """
    query = context.query
    if "product" not in query.kinds:
        shown = min(query.size, len(coupons.rows))
        return _propositions(context, shelf, coupons, list(range(1, shown + 1)))
    ranks = _ranks(context, products, coupons, arranged)
    if not ranks:
        return list(products)
    set_at = {rank: products[rank - 1] for rank in _set_ranks(context, products, arranged)}
    set_at |= {one.rank: one for one in _propositions(context, shelf, coupons, ranks)}
    others = iter([product for product in products if set_at.get(product.rank) is not product])
    slate: list[Proposition] = []
    for rank in range(1, query.size + 1):
        one = set_at.get(rank) or next(others, None)
        if one is not None:
            # A slate that is too short for its pins closes up.
            place = len(slate) + 1
            slate.append(one if one.rank == place else Proposition._make((*one[:2], place, *one[3:])))
    return slate


def _set_ranks(context: Context, products: Sequence[Proposition], arranged: Arranged | None) -> set[int]:
    """Ranks that no coupon takes or moves: of pinned products, and the last one where it is kept for a new product."""
    is_pinned = [False] * len(products) if arranged is None else arranged.is_pinned
    ranks = {rank for rank, is_set in enumerate(is_pinned, start=1) if is_set}
    newcomers = context.bundle.newcomers
    last = next((product for product in reversed(products) if product.rank not in ranks), None)
    is_kept = context.query.new_products and len(products) >= MIN_SLATE
    if newcomers is not None and is_kept and last is not None:
        item = context.bundle.catalogue.item_of[last.product_id]
        if (newcomers.items == item).any():
            ranks.add(last.rank)
    return ranks


def _ranks(
    context: Context, products: Sequence[Proposition], coupons: CouponCandidates, arranged: Arranged | None
) -> list[int]:
    """The ranks of the best coupons, ascending: each before the first product that is worth less, or kept for it."""
    query = context.query
    most = min(query.max_coupons, len(coupons.rows), query.size)
    taken = _set_ranks(context, products, arranged) if most else set()
    free = [rank for rank in range(1, query.size + 1) if rank not in taken]
    keys = [product.score for product in products] if arranged is None else arranged.keys
    others = iter([key for rank, key in enumerate(keys, start=1) if rank not in taken])
    offered = islice(coupons.keys.tolist(), most)
    ranks: list[int] = []
    coupon, product = next(offered, None), next(others, None)
    for rank in free:
        if coupon is None:
            break
        if product is None or coupon > product:
            ranks.append(rank)
            coupon = next(offered, None)
        else:
            product = next(others, None)
    kept = min(query.coupon_places, most, query.size - 1)
    lacking = max(kept - len(ranks), 0)
    left = [rank for rank in free if rank not in ranks]
    return sorted(ranks + left[len(left) - lacking :])


def _propositions(context: Context, shelf: Shelf, coupons: CouponCandidates, ranks: Sequence[int]) -> list[Proposition]:
    """The best coupons at these ranks."""
    count = len(ranks)
    columns = (coupons.rows, coupons.target, coupons.score, coupons.chance)
    money = (coupons.price_minor, coupons.saving_minor, coupons.chance * coupons.net_minor)
    values = zip(
        ranks,
        coupons.coupons[:count],
        *(column[:count].tolist() for column in columns),
        *(_whole(column[:count].tolist()) for column in money),
        strict=True,
    )
    catalogue = context.bundle.catalogue
    slate = []
    for place, one in enumerate(values):
        rank, coupon, row, target, score, chance, price, saving, expected = one
        offer = shelf.offers[row]
        ends_s = float(shelf.closes_s[row])
        if coupon is not None and coupon.valid_until_s is not None:
            ends_s = min(ends_s, coupon.valid_until_s)
        slate.append(
            Proposition(
                "coupon",
                ProductId(catalogue.product_ids[target]),
                rank,
                score,
                chance,
                (_reason(context, target, is_held=coupon is not None),),
                1.0,
                expected,
                offer.currency,
                offer.name,
                _factors(coupons, place) if context.query.explain else None,
                price if catalogue.is_listed[target] else None,
                CouponPlace(
                    None if coupon is None else coupon.coupon_id,
                    None if coupon is None else shown_code(coupon.code),
                    offer.offer_id,
                    offer.revision,
                    offer.campaign_id,
                    _applies_to(context.bundle, coupons, row, target),
                    saving,
                    None if ends_s == np.inf else ends_s,
                ),
            )
        )
    return slate


def _whole(minor: Sequence[float]) -> list[int | None]:
    # What is no number is unequal to itself.
    return [round(one) if one == one else None for one in minor]


def _applies_to(bundle: Bundle, coupons: CouponCandidates, row: int, target: int) -> list[str]:
    """The products of the offer that the customer likes best, the one it is shown for first."""
    liked: Ints = coupons.liked.items[coupons.liked.rows == row][:APPLIES_TO_COUNT]
    ids = bundle.catalogue.product_ids
    return [ids[item] for item in dict.fromkeys([target, *liked.tolist()])][:APPLIES_TO_COUNT]


def _factors(coupons: CouponCandidates, place: int) -> dict[str, float]:
    """What made the score: the chance, what a redemption costs and leaves, and the weight that follows."""
    told = {
        "p_redeem": coupons.chance[place],
        "saving_minor": coupons.saving_minor[place],
        "cost_minor": coupons.cost_minor[place],
        "price_minor": coupons.price_minor[place],
        "margin_minor": coupons.margin_minor[place],
        "odds_weight": coupons.weight[place],
    }
    return {name: float(value) for name, value in told.items() if not np.isnan(value)}


def _reason(context: Context, target: int, *, is_held: bool) -> Reason:
    name = context.bundle.catalogue.names[target] or "a product"
    what = "Your coupon" if is_held else "This offer"
    if target in context.basket:
        return Reason("coupon_for_basket", f"{what} is good for {name} in your basket")
    if target in context.bought.items:
        return Reason("coupon_for_bought", f"{what} is good for {name}, which you buy")
    return Reason("coupon_applies" if is_held else "offer_for_you", f"{what} is good for {name}")
