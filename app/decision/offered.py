"""Coupons and products in one slate: coupons take the places that they win, and those that are kept for them."""

from collections.abc import Sequence

import numpy as np

from app.decision.arrangement import Arranged
from app.decision.context import Context
from app.decision.coupon_features import offers_holding
from app.decision.coupons import APPLIES_TO_COUNT, CouponCandidates
from app.decision.scoring import Scored
from app.domain import CouponPlace, ProductId, Proposition, Reason
from app.offers.codes import shown_code
from app.offers.shelf import Shelf


def with_coupons(
    context: Context,
    shelf: Shelf,
    scored: Scored,
    products: Sequence[Proposition],
    coupons: CouponCandidates,
    arranged: Arranged | None,
) -> list[Proposition]:
    """The slate of `query.size` places: both kinds by falling key, pinned products where they are.

    At least `query.coupon_places` coupons where so many passed, and at most `query.max_coupons`; where no product is
    asked for, coupons alone.
    """
    query = context.query
    if "product" not in query.kinds:
        shown = range(min(query.size, len(coupons.rows)))
        return [_proposition(context, shelf, scored, coupons, place, rank) for rank, place in enumerate(shown, start=1)]
    most = min(query.max_coupons, len(coupons.rows), query.size)
    ranks = _ranks(context, products, coupons, arranged, most)
    slate: list[Proposition] = []
    rest = iter(products)
    for rank in range(1, query.size + 1):
        if rank in ranks:
            slate.append(_proposition(context, shelf, scored, coupons, ranks[rank], rank))
        elif (product := next(rest, None)) is not None:
            slate.append(product._replace(rank=rank))
    return slate


def _ranks(
    context: Context,
    products: Sequence[Proposition],
    coupons: CouponCandidates,
    arranged: Arranged | None,
    most: int,
) -> dict[int, int]:
    """Rank → place in `coupons`. A coupon stands before the first product that is worth less, and never moves a pin."""
    size = context.query.size
    pinned = set() if arranged is None else {rank for rank, is_pin in enumerate(arranged.is_pinned, 1) if is_pin}
    free = [rank for rank in range(1, size + 1) if rank not in pinned]
    keys = _product_keys(context, products, arranged)
    ranks: dict[int, int] = {}
    place = 0
    others = iter([key for rank, key in enumerate(keys, start=1) if rank not in pinned])
    key = next(others, None)
    for rank in free:
        if place < most and (key is None or coupons.keys[place] > key):
            ranks[rank] = place
            place += 1
        else:
            key = next(others, None)
    # The kept places, from the end.
    for rank in reversed(free):
        if place >= min(context.query.coupon_places, most):
            break
        if rank not in ranks:
            ranks[rank] = place
            place += 1
    # The best coupon stands first.
    return dict(zip(sorted(ranks), sorted(ranks.values()), strict=True))


def _product_keys(context: Context, products: Sequence[Proposition], arranged: Arranged | None) -> list[float]:
    """What the products were ordered by: the score, or what was expected of them where that is the objective."""
    return [product.score for product in products] if arranged is None else list(arranged.keys)


def _proposition(
    context: Context, shelf: Shelf, scored: Scored, coupons: CouponCandidates, place: int, rank: int
) -> Proposition:
    row, target = int(coupons.rows[place]), int(coupons.target[place])
    offer, coupon = shelf.offers[row], coupons.coupons[place]
    catalogue = context.bundle.catalogue
    saving, chance = float(coupons.saving_minor[place]), float(coupons.chance[place])
    closes_s = float(shelf.closes_s[row])
    if coupon is not None and coupon.valid_until_s is not None:
        closes_s = min(closes_s, coupon.valid_until_s)
    net = float(np.nan_to_num(coupons.price_minor[place])) - float(np.nan_to_num(coupons.cost_minor[place]))
    return Proposition(
        kind="coupon",
        product_id=ProductId(catalogue.product_ids[target]),
        rank=rank,
        score=float(coupons.score[place]),
        probability=chance,
        reasons=(_reason(context, coupons, place, target),),
        expected_minor=round(chance * net) if coupons.price_minor[place] > 0 else None,
        currency=shelf.campaigns[row].terms.currency,
        name=offer.terms.name,
        factors=_factors(coupons, place) if context.query.explain else None,
        coupon=CouponPlace(
            coupon_id=None if coupon is None else coupon.coupon_id,
            code=None if coupon is None else shown_code(coupon.code),
            offer_id=offer.offer_id,
            offer_revision=offer.revision,
            campaign_id=offer.campaign_id,
            applies_to=_applies_to(context, shelf, scored, row, target),
            saving_minor=None if np.isnan(saving) else round(saving),
            ends_s=None if np.isinf(closes_s) else closes_s,
        ),
    )


def _applies_to(context: Context, shelf: Shelf, scored: Scored, row: int, target: int) -> list[str]:
    """The products of the offer that the customer likes best, the one it is shown for first."""
    place, offer = offers_holding(shelf.items, scored.items)
    theirs = place[offer == row]
    liked = scored.items[theirs[np.argsort(-scored.score[theirs], kind="stable")]][:APPLIES_TO_COUNT]
    ids = context.bundle.catalogue.product_ids
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


def _reason(context: Context, coupons: CouponCandidates, place: int, target: int) -> Reason:
    name = context.bundle.catalogue.names[target] or "a product"
    if coupons.in_basket[place]:
        return Reason("coupon_for_basket", f"Your coupon is good for {name} in your basket")
    if (context.bought.items == target).any():
        return Reason("coupon_for_bought", f"Your coupon is good for {name}, which you buy")
    if coupons.coupons[place] is None:
        return Reason("offer_for_you", f"An offer for you, on {name} for one")
    return Reason("coupon_applies", f"Your coupon is good for {name}")
