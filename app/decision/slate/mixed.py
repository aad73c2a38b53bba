"""Coupons and products in one slate: coupons take the places that they win, and those that are kept for them."""

import logging
from collections.abc import Sequence
from math import exp, inf, isnan
from operator import attrgetter
from typing import NamedTuple

from app.decision.coupons.candidates import CouponCandidates, coupon_candidates
from app.decision.customer.context import Context
from app.decision.customer.place import options_here, prices_here
from app.decision.eligibility.products import EligibilityRule
from app.decision.ranking.scoring import ScoredCandidates
from app.decision.slate.new_products import MIN_SLATE
from app.decision.slate.products import make_slate
from app.decision.slate.reranking import Reranking
from app.domain import CouponDetails, Ints, Objective, ProductId, Proposition, Reason
from app.model.bundle import Bundle
from app.offers.display.offer_index import OfferIndex
from app.offers.terms.codes import shown_code
from app.slates import CouponTrace

APPLIES_TO_COUNT = 5

_log = logging.getLogger(__name__)


class MixedSlate(NamedTuple):
    """A slate of both kinds, and the trace of its coupons, None where none were looked at; `failed`: by a fault."""

    propositions: Sequence[Proposition]
    trace: CouponTrace | None = None
    failed: bool = False


def mixed_slate(
    context: Context,
    offer_index: OfferIndex,
    scored: ScoredCandidates,
    rules: Sequence[EligibilityRule],
    positions: Ints,
    new: Ints,
    reranking: Reranking | None,
) -> MixedSlate:
    """The products at `positions` with the customer's coupons among them; the products alone where that fails."""
    objective = Objective.RELEVANCE if reranking is None else reranking.trace.objective
    try:
        coupons = coupon_candidates(context, offer_index, scored, rules, objective)
        return MixedSlate(
            _with_coupons(context, offer_index, scored, coupons, positions, new, reranking), coupons.trace()
        )
    except Exception:  # noqa: BLE001 - the border of one kind: the other still answers
        _log.exception("coupons failed")
        return MixedSlate(make_slate(context, scored, positions, new, reranking), failed=True)


def _with_coupons(
    context: Context,
    offer_index: OfferIndex,
    scored: ScoredCandidates,
    coupons: CouponCandidates,
    positions: Ints,
    new: Ints,
    reranking: Reranking | None,
) -> list[Proposition]:
    """The slate of `query.size` places: both kinds by falling key, products that were set at a rank where they are.

    At least `query.coupon_places` coupons where so many passed, but never instead of the only place, and at most
    `query.max_coupons`; where only coupons are requested, coupons alone.
    """
    if "product" not in context.query.kinds:
        return _propositions(context, offer_index, coupons, range(1, len(coupons.best) + 1))
    most = min(context.query.max_coupons, len(coupons.best))
    set_ranks = _set_ranks(context, scored, positions, reranking) if most else set()
    keys = scored.score.take(positions).tolist() if reranking is None else reranking.keys
    coupon_keys = [float(coupons.keys[position]) for position in coupons.best[:most]]
    ranks = coupon_ranks(coupon_keys, keys, set_ranks, size=context.query.size, kept_count=context.query.coupon_places)
    if not ranks:
        return make_slate(context, scored, positions, new, reranking)
    kept, product_ranks = _placed_products(len(positions), set_ranks, ranks, size=context.query.size)
    products = make_slate(
        context,
        scored,
        positions.take(kept),
        new,
        None if reranking is None else reranking.only(kept),
        ranks=product_ranks,
    )
    slate = sorted([*products, *_propositions(context, offer_index, coupons, ranks)], key=_rank)
    if slate[-1].rank > len(slate):
        # Too few products to reach a pin's rank, or a coupon's: the slate closes up.
        slate = [one._replace(rank=rank) for rank, one in enumerate(slate, start=1)]
    return slate


_rank = attrgetter("rank")


def _set_ranks(context: Context, scored: ScoredCandidates, positions: Ints, reranking: Reranking | None) -> set[int]:
    """Ranks that no coupon takes or moves: of pinned products, and the last one where it is kept for a new product."""
    is_pinned = () if reranking is None else reranking.is_pinned
    ranks = {rank for rank, is_set in enumerate(is_pinned, start=1) if is_set}
    new_products = context.bundle.new_products
    if new_products is not None and context.query.new_products and len(positions) >= MIN_SLATE:
        last = next((rank for rank in range(len(positions), 0, -1) if rank not in ranks), None)
        if last is not None and scored.items[positions[last - 1]] in new_products.items:
            ranks.add(last)
    return ranks


def coupon_ranks(
    coupons: Sequence[float], products: Sequence[float], set_ranks: set[int], *, size: int, kept_count: int
) -> list[int]:
    """The ranks of coupons with these keys, falling: each before the first product that is worth less, or kept for it.

    `products` are the keys by rank; those at `set_ranks` stay where they are.
    """
    free: Sequence[int] = range(1, size + 1)
    others = products
    if set_ranks:
        free = [rank for rank in free if rank not in set_ranks]
        others = [key for rank, key in enumerate(products, start=1) if rank not in set_ranks]
    ranks: list[int] = []
    passed = 0
    for rank in free:
        if len(ranks) == len(coupons):
            break
        # Of equals the product comes first.
        if passed == len(others) or coupons[len(ranks)] > others[passed]:
            ranks.append(rank)
        else:
            passed += 1
    lacking = max(min(kept_count, len(coupons), size - 1) - len(ranks), 0)
    left = [rank for rank in free if rank not in ranks] if lacking else []
    return sorted(ranks + left[max(len(left) - lacking, 0) :])


def _placed_products(
    count: int, set_ranks: set[int], taken: Sequence[int], *, size: int
) -> tuple[list[int], list[int]]:
    """Of `count` products the numbers of those that still have a place, and their ranks."""
    if not set_ranks:
        ranks = [rank for rank in range(1, size + 1) if rank not in taken][:count]
        return list(range(len(ranks))), ranks
    others = iter([number for number in range(count) if number + 1 not in set_ranks])
    placed: list[tuple[int, int]] = []
    for rank in range(1, size + 1):
        if rank not in taken:
            number = rank - 1 if rank in set_ranks else next(others, None)
            if number is not None:
                placed.append((number, rank))
    return [number for number, _ in placed], [rank for _, rank in placed]


def _propositions(
    context: Context, offer_index: OfferIndex, coupons: CouponCandidates, ranks: Sequence[int]
) -> list[Proposition]:
    """The best coupons at these ranks."""
    catalogue, basket = context.bundle.catalogue, context.basket.tolist()
    is_margin = coupons.objective == Objective.MARGIN
    targets = offer_index.items.items.take(coupons.pairs.take(coupons.best))
    here = prices_here(context, targets)
    shown_minor, options = here.shown_minor.tolist(), options_here(context, targets, here)
    reference = [-1] * len(targets) if here.reference_minor is None else here.reference_minor.tolist()
    slate = []
    for number, (rank, position) in enumerate(zip(ranks, coupons.best, strict=False)):
        row, target, coupon = int(coupons.rows[position]), int(targets[number]), coupons.coupons[position]
        offer = offer_index.offers[row]
        ends_s = float(offer_index.closes_s[row])
        if coupon is not None and coupon.valid_until_s is not None:
            ends_s = min(ends_s, coupon.valid_until_s)
        chance = 1 / (1 + exp(-coupons.log_odds[position]))
        price, margin, saving, cost = coupons.worths.money[:, position].tolist()
        slate.append(
            Proposition(
                "coupon",
                ProductId(catalogue.product_ids[target]),
                rank,
                float(coupons.score[position]),
                chance,
                (_reason(context, target, in_basket=target in basket, is_held=coupon is not None),),
                1.0,
                _whole(chance * ((margin if is_margin else price) - cost)),
                offer.currency,
                offer.name,
                _factors(coupons, position, chance) if context.query.explain else None,
                shown_minor[number] if shown_minor[number] >= 0 else None,
                CouponDetails(
                    None if coupon is None else coupon.coupon_id,
                    None if coupon is None else shown_code(coupon.code),
                    offer.offer_id,
                    offer.revision,
                    offer.campaign_id,
                    _applies_to(context.bundle, offer_index, coupons, row, target),
                    _whole(saving),
                    None if ends_s == inf else ends_s,
                ),
                options[number],
                reference[number] if reference[number] >= 0 else None,
            )
        )
    return slate


def _whole(minor: float) -> int | None:
    return None if isnan(minor) else round(minor)


def _applies_to(bundle: Bundle, offer_index: OfferIndex, coupons: CouponCandidates, row: int, target: int) -> list[str]:
    """The products of the offer that the customer likes best, the one it is shown for first."""
    theirs = coupons.liked.pairs[coupons.liked.rows == row][:APPLIES_TO_COUNT]
    items = dict.fromkeys([target, *offer_index.items.items.take(theirs).tolist()])
    return [bundle.catalogue.product_ids[item] for item in items][:APPLIES_TO_COUNT]


def _factors(coupons: CouponCandidates, position: int, chance: float) -> dict[str, float]:
    """What made the score: the chance, what a redemption costs and leaves, and the weight that follows."""
    price, margin, saving, cost = coupons.worths.money[:, position].tolist()
    values = {
        "p_redeem": chance,
        "saving_minor": saving,
        "cost_minor": cost,
        "price_minor": price,
        "margin_minor": margin,
        "odds_weight": exp(coupons.worths.log_weight[position]),
    }
    return {name: value for name, value in values.items() if not isnan(value)}


def _reason(context: Context, target: int, *, in_basket: bool, is_held: bool) -> Reason:
    name = context.bundle.catalogue.names[target] or "a product"
    what = "Your coupon" if is_held else "This offer"
    if in_basket:
        return Reason("coupon_for_basket", f"{what} is good for {name} in your basket")
    bought = context.bought.items
    if len(bought) and bought.take(bought.searchsorted(target), mode="clip") == target:
        return Reason("coupon_for_bought", f"{what} is good for {name}, which you buy")
    return Reason("coupon_applies" if is_held else "offer_for_you", f"{what} is good for {name}")
