"""Coupons in a decision: four gates, each with its reason, then what a redemption is worth, on the products' scale.

A coupon's odds of being redeemed count by what a redemption leaves: odds × (1 + (margin − cost) / price), where the
margin is unknown 0 stands for it, and a discount that somebody else funds costs nothing. docs/coupon-ranking.md
explains it.
"""

from collections.abc import Mapping, Sequence
from math import inf, log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from app.decision.coupons.features import COLUMNS, CouponHabit, ItemOffers, coupon_table, look_up
from app.decision.customer.context import Context
from app.decision.customer.place import currency_of_place
from app.decision.eligibility.products import EligibilityRule, all_allowed
from app.decision.ranking.scoring import ScoredCandidates, calibration_for
from app.domain import Floats, Ints, Mask, Objective, Wallet, WalletCoupon
from app.model.goods.age_restricted import COLUMN as AGE_RESTRICTED
from app.model.offer_items import Positions
from app.offers.display.offer_index import (
    FAULTS,
    NO_EFFECT,
    OUT_OF_STOCK,
    PRICE_FLOOR,
    OfferIndex,
    PairWorths,
    pair_worths,
)
from app.offers.rules.pre_basket import pre_basket_reason
from app.offers.terms.basket import Situation
from app.offers.terms.reasons import ReasonCode
from app.places.tables import ABSENT
from app.slates import CouponTrace, Drops

VIEW_CAP, VIEW_DAYS = 10, 7
"""An offer that was viewed so often in so many days is not shown until fewer of the views lie within them."""
DISMISS_DAYS = 30
"""An offer that the customer dismissed is not shown for so long."""
DAY_S = 86_400.0
TRACED_DROPS = 20
COUPON_RULES_SKIPPED = frozenset({"purchased", "just_bought", "in_basket"})
"""What the customer owns or is about to buy is no new product, but a coupon for it is welcome."""
PRIOR_CHANCE = 0.02
"""P(redeem) before anything was learned: of the order of what retailers report for personal coupons."""
# A calibration that is almost flat would else give coupons scores without bound.
MIN_SLOPE = 1e-3

Wide = npt.NDArray[np.float64]
DroppedOffers = dict[str, list[str]]
"""Offer ids by the reason of the gate that dropped them."""


class LikedPairs(NamedTuple):
    """Pairs (`OfferItems.items`) of a product and the offer that holds it, and the offers: first products of the
    basket, then what the customer likes best."""

    pairs: Positions
    rows: Positions


class CouponCandidates(NamedTuple):
    """The coupons that passed every gate, as parallel columns (n,), and why others did not.

    `best` are the positions of the best of them, best first, no more than the slate has. `pairs` are the products that
    they are shown for, `worths` what each is worth on it here, `keys` order them among the products.
    """

    best: Sequence[int]
    rows: Positions
    coupons: Sequence[WalletCoupon | None]
    pairs: Positions
    worths: PairWorths
    log_odds: Floats | Wide
    score: Wide
    keys: Wide
    objective: Objective
    liked: LikedPairs
    dropped: Mapping[str, Sequence[str]]

    def trace(self) -> CouponTrace:
        """How many passed, and those that did not by the reason of the gate that dropped them."""
        dropped = {reason: Drops(len(ids), ids[:TRACED_DROPS]) for reason, ids in self.dropped.items()}
        return CouponTrace(len(self.rows), dropped)


def coupon_candidates(
    context: Context,
    offer_index: OfferIndex,
    scored: ScoredCandidates,
    rules: Sequence[EligibilityRule],
    objective: Objective,
) -> CouponCandidates:
    """The customer's coupons, and offers that need none yet, that pass every gate. Some 120 µs for 30 coupons."""
    dropped: DroppedOffers = {}
    rows, coupons = _available(context, offer_index, dropped)
    gates = _Gates()
    _refuse_ineligible(gates, context, offer_index, rows)
    _refuse_inapplicable(gates, context, offer_index, rows)
    allowed = all_allowed([rule for rule in rules if rule.reason not in COUPON_RULES_SKIPPED])
    basket = context.basket if allowed is None else context.basket[allowed[context.basket]]
    bought = context.bought.items
    item_offers = look_up(offer_index.items, np.concatenate((bought, basket, scored.items)))
    liked = _liked(item_offers, scored, basket, begins_at=len(bought))
    pairs = _pairs(offer_index, rows, liked, allowed)
    # Suitable: it gives something, and leaves the retailer what the product cost.
    worths = _worths_here(context, offer_index, rows, pairs)
    if worths.fault.any():
        for code in (OUT_OF_STOCK, NO_EFFECT, PRICE_FLOOR):
            gates.refuse(str(FAULTS[code]), worths.fault == code)
    _refuse_capped(gates, context, offer_index, rows)
    kept = gates.passing(offer_index, rows, dropped)
    if kept is not None:
        rows, pairs, coupons = rows.take(kept), pairs.take(kept), [coupons[position] for position in kept.tolist()]
        worths = worths.take(kept)
    log_odds = _log_odds(context, offer_index, rows, item_offers)
    calibration = calibration_for(context)
    slope = max(float(calibration["slope"]), MIN_SLOPE)
    # The products' calibration backwards: coupons and products of equal odds get equal scores.
    keys = score = (log_odds + worths.log_weight - calibration["intercept"]) / slope
    if objective != Objective.RELEVANCE:
        # NaN, an unknown worth, counts 0: it would sort behind coupons that cost more than they bring.
        keys = np.nan_to_num(worths.net_minor(objective)) / (1 + np.exp(-log_odds))
    best = (-keys).argsort(kind="stable")[: context.query.size].tolist()
    return CouponCandidates(best, rows, coupons, pairs, worths, log_odds, score, keys, objective, liked, dropped)


class _Gates:
    """The reason why each row is refused: that of the first gate which does."""

    def __init__(self) -> None:
        self._reasons: list[str] = []
        self._fails: list[Mask] = []

    def refuse(self, reason: str, fails: Mask) -> None:
        """Those that fail, unless a gate before refused them."""
        self._reasons.append(reason)
        self._fails.append(fails)

    def passing(self, offer_index: OfferIndex, rows: Positions, dropped: DroppedOffers) -> Positions | None:
        """The positions that no gate refused, None for all; the offers of the others join `dropped`."""
        if not self._fails:
            return None
        fails = np.array(self._fails)
        is_refused: Mask = np.logical_or.reduce(fails)
        # Gates are rows in their order, and argmax() gives the first that refuses.
        for position, why in zip(np.flatnonzero(is_refused).tolist(), fails.argmax(axis=0)[is_refused], strict=True):
            dropped.setdefault(str(self._reasons[why]), []).append(offer_index.offers[rows[position]].offer_id)
        return np.flatnonzero(~is_refused)


def _available(
    context: Context, offer_index: OfferIndex, dropped: DroppedOffers
) -> tuple[Positions, list[WalletCoupon | None]]:
    """Each offer once: of the wallet's coupons the one that ends first, None for an offer to be activated."""
    wallet = context.wallet
    if wallet is None or context.query.customer_id is None:
        return np.zeros(0, np.intp), []
    best = _valid_coupons(wallet, offer_index, dropped, now_s=context.query.now_at.timestamp())
    rows, coupons = list(best), list[WalletCoupon | None](best.values())
    if len(offer_index.by_decision):
        is_free = np.ones(len(offer_index.offers), np.bool_)
        # Who was given a coupon gets no second one, also where the first is not valid yet, or no more.
        given = wallet.activated.union(coupon.offer_id for coupon in wallet.coupons)
        is_free[[offer_index.row_of[offer_id] for offer_id in given if offer_id in offer_index.row_of]] = False
        others = offer_index.by_decision[is_free[offer_index.by_decision]].tolist()
        rows += others
        coupons += [None] * len(others)
    return np.array(rows, np.intp), coupons


def _valid_coupons(
    wallet: Wallet, offer_index: OfferIndex, dropped: DroppedOffers, *, now_s: float
) -> dict[int, WalletCoupon]:
    best: dict[int, WalletCoupon] = {}
    row_of = offer_index.row_of.get
    for coupon in wallet.coupons:
        row = row_of(coupon.offer_id)
        if row is None:
            reason = ReasonCode.CAMPAIGN_NOT_RUNNING
        elif (coupon.valid_from_s or 0) > now_s:
            reason = ReasonCode.COUPON_NOT_YET_VALID
        elif (coupon.valid_until_s or inf) <= now_s:
            reason = ReasonCode.COUPON_EXPIRED
        else:
            if row not in best or (coupon.valid_until_s or inf) < (best[row].valid_until_s or inf):
                best[row] = coupon
            continue
        dropped.setdefault(str(reason), []).append(coupon.offer_id)
    return best


def _refuse_ineligible(gates: _Gates, context: Context, offer_index: OfferIndex, rows: Positions) -> None:
    """Eligible: the campaign runs, has money left, and pays in the money of the prices."""
    now_s = context.query.now_at.timestamp()
    opened_s, closing_s = offer_index.all_run_s
    if not opened_s <= now_s < closing_s:
        runs = (offer_index.opens_s.take(rows) <= now_s) & (now_s < offer_index.closes_s.take(rows))
        gates.refuse(ReasonCode.CAMPAIGN_NOT_RUNNING, ~runs)
    remaining = {} if context.wallet is None else context.wallet.remaining_minor
    spent = [
        position for position, campaign_id in enumerate(offer_index.budgeted) if remaining.get(campaign_id, 0) <= 0
    ]
    if spent:
        gates.refuse(ReasonCode.BUDGET_EXHAUSTED, np.isin(offer_index.budget.take(rows), spent))
    if currency_of_place(context) is not None:
        # What they are worth was laid out in the product table's.
        gates.refuse(ReasonCode.CURRENCY_MISMATCH, np.ones(len(rows), np.bool_))
    elif offer_index.has_foreign:
        gates.refuse(ReasonCode.CURRENCY_MISMATCH, offer_index.is_foreign.take(rows))


def _refuse_inapplicable(gates: _Gates, context: Context, offer_index: OfferIndex, rows: Positions) -> None:
    """Applicable now, as far as person, place and time decide it."""
    if offer_index.has_age_restricted and not context.query.allows_age_restricted:
        gates.refuse(AGE_RESTRICTED, offer_index.is_age_restricted.take(rows))
    if not offer_index.has_particular:
        return
    positions = offer_index.is_particular.take(rows).nonzero()[0]
    query, wallet = context.query, context.wallet
    tier = None if wallet is None else wallet.tier
    situation = Situation(query.now_at, query.customer_id, tier, query.channel, query.store_id)
    failing: dict[ReasonCode, Mask] = {}
    for position in positions.tolist():
        pre_basket = offer_index.offers[rows[position]].pre_basket
        reason = None if pre_basket is None else pre_basket_reason(pre_basket, situation)
        if reason is not None:
            failing.setdefault(reason, np.zeros(len(rows), np.bool_))[position] = True
    for reason, fails in failing.items():
        gates.refuse(reason, fails)


def _refuse_capped(gates: _Gates, context: Context, offer_index: OfferIndex, rows: Positions) -> None:
    """Contact policy: nothing that was dismissed lately, or viewed too often."""
    if not context.events:
        return
    capped = _capped(context, context.query.now_at.timestamp())
    capped_rows = [offer_index.row_of[offer_id] for offer_id in capped if offer_id in offer_index.row_of]
    if capped_rows:
        gates.refuse(ReasonCode.CAPPED, np.isin(rows, capped_rows))


def _capped(context: Context, now_s: float) -> set[str]:
    views: dict[str, int] = {}
    capped: set[str] = set()
    for event in context.events:
        if event.offer_id is None or event.time_s > now_s:
            continue
        age_s = now_s - event.time_s
        if event.type == "dismiss_promotion" and age_s < DISMISS_DAYS * DAY_S:
            capped.add(event.offer_id)
        elif event.type == "view_promotion" and age_s < VIEW_DAYS * DAY_S:
            views[event.offer_id] = views.get(event.offer_id, 0) + 1
    return capped | {offer_id for offer_id, count in views.items() if count >= VIEW_CAP}


def _liked(item_offers: ItemOffers, scored: ScoredCandidates, basket: Ints, *, begins_at: int) -> LikedPairs:
    """What is in the basket, then the candidates by falling score, as far as offers hold them.

    `item_offers` holds them in this order, from position `begins_at` on.
    """
    first, candidates = item_offers.positions.searchsorted((begins_at, begins_at + len(basket))).tolist()
    score = scored.score.take(item_offers.positions[candidates:] - (begins_at + len(basket)))
    order = np.concatenate((np.arange(first, candidates), candidates + (-score).argsort(kind="stable")))
    return LikedPairs(item_offers.pairs.take(order), item_offers.offers.take(order))


def _pairs(offer_index: OfferIndex, rows: Positions, liked: LikedPairs, allowed: Mask | None) -> Positions:
    """Per row the pair of the product that the coupon is shown for: what is liked best, then what most people buy, the
    last one ("no product") where nothing of it may be shown."""
    nothing = len(offer_index.items.items)
    best = offer_index.first.copy() if allowed is None else np.full(len(offer_index.first), nothing)
    # Of several writes to one place the last counts: that of the best.
    best[liked.rows[::-1]] = liked.pairs[::-1]
    pairs = best.take(rows)
    if allowed is not None:
        missing = (pairs == nothing).nonzero()[0]
        pairs[missing] = _first_allowed(offer_index, rows.take(missing), allowed)
    return pairs


def _worths_here(context: Context, offer_index: OfferIndex, rows: Positions, pairs: Positions) -> PairWorths:
    """What the coupon of each row is worth on its product, at the price of the customer's store."""
    worths = offer_index.worths.take(pairs)
    if context.place is None or not len(rows):
        return worths
    numbers = (pairs < len(offer_index.items.items)).nonzero()[0]
    items = offer_index.items.items.take(pairs.take(numbers))
    own = context.place.prices(items)
    if own is None:
        return worths
    here = own.minor
    differs = ((here != ABSENT) & (here != context.bundle.catalogue.price_minor.take(items))).nonzero()[0]
    if len(differs):
        others = pair_worths(
            context.bundle,
            items.take(differs),
            rows.take(numbers.take(differs)),
            here.take(differs),
            discounts=offer_index.discounts,
            is_retailers=offer_index.is_retailers,
        )
        worths.put(numbers.take(differs), others)
    return worths


def _first_allowed(offer_index: OfferIndex, rows: Positions, allowed: Mask) -> Positions:
    """Per row the pair of its most popular item that may be shown, the last one where there is none."""
    items, nothing = offer_index.items, len(offer_index.items.items)
    top = offer_index.top[rows]
    passes = allowed.take(top) & (top >= 0)
    pairs = np.where(passes.any(axis=1), offer_index.first.take(rows) + passes.argmax(axis=1), nothing)
    for position in (pairs == nothing).nonzero()[0].tolist():
        start, end = items.starts[rows[position] : rows[position] + 2].tolist()
        passing = allowed[items.items[start:end]].nonzero()[0]
        if len(passing):
            pairs[position] = start + passing[0]
    return pairs


def _log_odds(context: Context, offer_index: OfferIndex, rows: Positions, item_offers: ItemOffers) -> Floats | Wide:
    """Of being redeemed, per row: by what training learned, else the same for all."""
    model = context.bundle.coupons
    if model is None or not len(rows):
        return np.full(len(rows), log(PRIOR_CHANCE / (1 - PRIOR_CHANCE)))
    wallet = context.wallet
    habit = None if wallet is None else CouponHabit(wallet.redeemed_count, wallet.campaign_count)
    table = coupon_table(context, offer_index.items, habit=habit, item_offers=item_offers)
    log_odds: Floats = model.log_odds(table, COLUMNS).take(rows)
    return log_odds
