"""Coupons and products in one slate: coupons take the places that they win, and those that are kept for them."""

import logging
from collections.abc import Sequence
from math import exp, inf, isnan
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from app.decision.coupons.candidates import CouponCandidates, coupon_candidates
from app.decision.customer.context import Context
from app.decision.customer.place import Had, had_here
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
    `query.max_coupons`; where only coupons are requested, coupons alone. The product that a coupon is shown for follows
    it, in place of the last product where it had no place of its own.
    """
    if "product" not in context.query.kinds:
        targets = _targets(offer_index, coupons, len(coupons.best))
        return _propositions(context, offer_index, coupons, range(1, len(targets) + 1), had_here(context, targets))
    most = min(context.query.max_coupons, len(coupons.best))
    set_ranks = _set_ranks(context, scored, positions, reranking) if most else set()
    keys = scored.score.take(positions).tolist() if reranking is None else reranking.keys
    coupon_keys = [float(coupons.keys[position]) for position in coupons.best[:most]]
    ranks = coupon_ranks(coupon_keys, keys, set_ranks, size=context.query.size, kept_count=context.query.coupon_places)
    if not ranks:
        return make_slate(context, scored, positions, new, reranking)
    targets = _targets(offer_index, coupons, len(ranks))
    laid = _Layout(len(positions), set_ranks, ranks, size=context.query.size)
    added = laid.join_targets(_target_numbers(scored, positions, targets.tolist(), may_add=reranking is None))
    kept, product_ranks = laid.products()
    placed = np.concatenate([positions, added]).take(kept)
    had = had_here(context, np.concatenate([scored.items.take(placed), targets]))
    products = make_slate(
        context,
        scored,
        placed,
        new,
        None if reranking is None else reranking.only(kept),
        ranks=product_ranks,
        had=had.part(0, len(placed)),
    )
    of_targets = had.part(len(placed), len(had.options))
    slate = sorted(
        [*products, *_propositions(context, offer_index, coupons, laid.coupon_ranks(), of_targets)], key=_rank
    )
    if slate[-1].rank > len(slate):
        # Too few products to reach a pin's rank, or a coupon's: the slate closes up.
        slate = [one._replace(rank=rank) for rank, one in enumerate(slate, start=1)]
    return slate


_rank = attrgetter("rank")


def _targets(offer_index: OfferIndex, coupons: CouponCandidates, count: int) -> Ints:
    """The products that the best `count` coupons are shown for."""
    return offer_index.items.items.take(coupons.pairs.take(coupons.best[:count]))


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


def _target_numbers(
    scored: ScoredCandidates, positions: Ints, targets: Sequence[int], *, may_add: bool
) -> tuple[list[int | None], Ints]:
    """Per coupon the number of its product among `positions`; and those to be added behind them, places in `scored`.

    None for a product that is no candidate, as one in the basket, or that may not be added.
    """
    number_of = {item: number for number, item in enumerate(scored.items.take(positions).tolist())}
    place_of = {item: place for place, item in enumerate(scored.items.tolist())} if may_add else {}
    added: list[int] = []
    numbers: list[int | None] = []
    for item in targets:
        if item not in number_of and item in place_of:
            number_of[item] = len(positions) + len(added)
            added.append(place_of[item])
        numbers.append(number_of.get(item))
    return numbers, np.array(added, np.int32)


class _Layout:
    """Which product or coupon has which of the `size` ranks: the first `count` products by number, coupons at `taken`.

    Products at `set_ranks` stay where they are; the others and the coupons are one row at the ranks between them.
    """

    def __init__(self, count: int, set_ranks: set[int], taken: Sequence[int], *, size: int) -> None:
        self._set = {rank: rank - 1 for rank in sorted(set_ranks)}
        self._free = [rank for rank in range(1, size + 1) if rank not in set_ranks]
        others = iter([number for number in range(count) if number + 1 not in set_ranks])
        coupon_at = {rank: _coupon(number) for number, rank in enumerate(taken)}
        row = [coupon_at[rank] if rank in coupon_at else next(others, None) for rank in self._free]
        # Too few products to reach a coupon's rank: the row closes up.
        self._row = [entry for entry in row if entry is not None]

    def join_targets(self, targets: tuple[Sequence[int | None], Ints]) -> Ints:
        """Puts each coupon's product right behind it; the places in `scored` of the products added to do so."""
        numbers, added = targets
        joined: set[int] = set()
        for coupon, number in enumerate(numbers):
            may_move = number is not None and number not in joined and number not in self._set.values()
            if number is not None and may_move and self._make_room(number, joined):
                self._row.insert(self._row.index(_coupon(coupon)) + 1, number)
                joined.add(number)
        return added

    def _make_room(self, number: int, joined: set[int]) -> bool:
        """Takes the product from its place, or the last product that follows no coupon; False where there is none."""
        if number in self._row:
            self._row.remove(number)
            return True
        if len(self._row) < len(self._free):
            return True
        last = next((entry for entry in reversed(self._row) if entry >= 0 and entry not in joined), None)
        if last is None:
            return False
        self._row.remove(last)
        return True

    def products(self) -> tuple[list[int], list[int]]:
        """The numbers of the products that have a place, by rising rank, and their ranks."""
        moved = {rank: entry for rank, entry in zip(self._free, self._row, strict=False) if entry >= 0}
        placed = self._set | moved
        ranks = sorted(placed)
        return [placed[rank] for rank in ranks], ranks

    def coupon_ranks(self) -> list[int]:
        """The rank of each coupon, by its number."""
        found = {entry: rank for rank, entry in zip(self._free, self._row, strict=False) if entry < 0}
        return [found[entry] for entry in sorted(found, reverse=True)]


def _coupon(number: int) -> int:
    """How a row names a coupon; a product goes by its number from 0."""
    return -1 - number


def _propositions(
    context: Context, offer_index: OfferIndex, coupons: CouponCandidates, ranks: Sequence[int], had: Had
) -> list[Proposition]:
    """The best coupons at these ranks; `had`: what the products that they are shown for cost, and how to have them."""
    catalogue, basket = context.bundle.catalogue, context.basket.tolist()
    is_margin = coupons.objective == Objective.MARGIN
    targets = _targets(offer_index, coupons, len(had.options)).tolist()
    shown_minor, reference_minor = had.shown_minor(), had.references_minor()
    slate = []
    for number, (rank, position) in enumerate(zip(ranks, coupons.best, strict=False)):
        row, target, coupon = int(coupons.rows[position]), targets[number], coupons.coupons[position]
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
                shown_minor[number],
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
                had.options[number],
                reference_minor[number],
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
