"""Coupons in a decision: four gates, each with its reason, then what a redemption is worth, on the products' scale.

A coupon's odds of being redeemed count by what a redemption leaves: odds × (1 + (margin − cost) / price), where the
margin is unknown 0 stands for it, and a discount that somebody else funds costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from app.decision.context import Context
from app.decision.coupon_features import COLUMNS, CouponHabit, coupon_table, offers_holding
from app.decision.eligibility import Rule, all_allowed
from app.decision.scoring import Scored
from app.domain import Floats, Ints, Mask, Objective, WalletCoupon
from app.offers.basket import Situation
from app.offers.presence import refusal_without_basket
from app.offers.reasons import ReasonCode
from app.offers.shelf import Shelf

VIEW_CAP, VIEW_DAYS = 10, 7
"""An offer that was shown so often in so many days without being taken up rests."""
DISMISS_DAYS = 30
"""What the customer waved away stays away so long."""
DAY_S = 86_400.0
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 2.0
APPLIES_TO_COUNT = 5
TRACED_DROPS = 20
COUPON_RULES_SKIPPED = frozenset({"purchased", "in_basket"})
"""What the customer owns or is about to buy is no new product, but a coupon for it is welcome."""
PRIOR_CHANCE = 0.02
"""P(redeem) before anything was learned: of the order of what retailers report for personal coupons."""

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CouponCandidates:
    """The coupons that passed every gate, as parallel columns (n,), best first, and why the others did not.

    `target` is the item that each is shown for, `keys` order them among the products. `saving_minor` is NaN where the
    price is unknown.
    """

    rows: Ints
    coupons: Sequence[WalletCoupon | None]
    target: Ints
    in_basket: Mask
    chance: Floats
    weight: Wide
    score: Wide
    keys: Wide
    saving_minor: Wide
    price_minor: Wide
    margin_minor: Wide
    cost_minor: Wide
    dropped: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def trace(self) -> dict[str, object]:
        """How many passed, and those that did not by the reason of the gate that dropped them."""
        dropped = {
            reason: {"count": len(ids), "offer_ids": list(ids[:TRACED_DROPS])} for reason, ids in self.dropped.items()
        }
        return {"passed": len(self.rows), "dropped": dropped}


def coupon_candidates(context: Context, shelf: Shelf, scored: Scored, rules: Sequence[Rule]) -> CouponCandidates:
    """Judges the customer's coupons, and offers that need none yet. About 120 µs for 30 coupons."""
    gates = _Gates(context, shelf)
    gates.pass_eligible()
    gates.pass_applicable_here()
    target, in_basket = _targets(context, shelf, gates.rows, scored, rules)
    is_available = target >= 0
    gates.keep(ReasonCode.OUT_OF_STOCK, is_available)
    target, in_basket = target[is_available], in_basket[is_available]
    catalogue = context.bundle.catalogue
    price = np.where(catalogue.price_minor[target] > 0, catalogue.price_minor[target], np.nan)
    unit_cost = np.where(catalogue.unit_cost_minor[target] >= 0, catalogue.unit_cost_minor[target], np.nan)
    saving = shelf.discounts.saving_minor(gates.rows, price)
    cost = np.where(shelf.is_retailers[gates.rows], saving + shelf.discounts.cost_minor[gates.rows], 0.0)
    # Suitable: it takes something off, and leaves the retailer what the product cost.
    has_effect = (saving > 0) | np.isnan(price) | (shelf.discounts.cost_minor[gates.rows] > 0)
    is_suitable = has_effect & ~(price - cost < unit_cost)
    gates.keep(ReasonCode.NO_EFFECT, has_effect)
    gates.keep(ReasonCode.PRICE_FLOOR, is_suitable[has_effect])
    is_welcome = gates.pass_contact_policy()
    kept = is_suitable.nonzero()[0][is_welcome]
    return _valued(
        context, shelf, gates,
        target=target[kept], in_basket=in_basket[kept], saving=saving[kept], price=price[kept],
        margin=price[kept] - unit_cost[kept], cost=cost[kept],
    )  # fmt: skip


class _Gates:
    """Rows of the shelf on their way through the gates, with their coupons; what is dropped is told with its reason."""

    def __init__(self, context: Context, shelf: Shelf) -> None:
        self._context = context
        self._shelf = shelf
        self._now_s = context.query.now_at.timestamp()
        self.dropped: dict[str, list[str]] = {}
        self.coupons: list[WalletCoupon | None] = []
        rows: list[int] = []
        if context.wallet is not None and context.query.customer_id is not None:
            rows = self._wallet_rows(context.wallet.coupons)
            held = {*rows}
            for row in shelf.by_decision.tolist():
                if row not in held and shelf.offers[row].offer_id not in context.wallet.taken:
                    rows.append(row)
                    self.coupons.append(None)
        self.rows: Ints = np.array(rows, np.int32)

    def _wallet_rows(self, coupons: Sequence[WalletCoupon]) -> list[int]:
        """The row of each offer in the wallet once, with the coupon that ends first."""
        best: dict[int, WalletCoupon] = {}
        for coupon in coupons:
            row = self._shelf.row_of.get(coupon.offer_id)
            if row is None:
                self._drop(ReasonCode.CAMPAIGN_NOT_RUNNING, coupon.offer_id)
            elif coupon.valid_from_s is not None and coupon.valid_from_s > self._now_s:
                self._drop(ReasonCode.COUPON_NOT_YET_VALID, coupon.offer_id)
            elif coupon.valid_until_s is not None and coupon.valid_until_s <= self._now_s:
                self._drop(ReasonCode.COUPON_EXPIRED, coupon.offer_id)
            elif row not in best or (coupon.valid_until_s or np.inf) < (best[row].valid_until_s or np.inf):
                best[row] = coupon
        self.coupons = list(best.values())
        return list(best)

    def _drop(self, reason: str, offer_id: str) -> None:
        self.dropped.setdefault(str(reason), []).append(offer_id)

    def keep(self, reason: str, passes: Mask) -> None:
        """Goes on with the rows that pass."""
        if passes.all():
            return
        for row in self.rows[~passes].tolist():
            self._drop(reason, self._shelf.offers[row].offer_id)
        self.rows = self.rows[passes]
        self.coupons = [coupon for coupon, is_kept in zip(self.coupons, passes.tolist(), strict=True) if is_kept]

    def pass_eligible(self) -> None:
        """Eligible: the campaign runs, and has money left."""
        opens, closes = self._shelf.opens_s[self.rows], self._shelf.closes_s[self.rows]
        self.keep(ReasonCode.CAMPAIGN_NOT_RUNNING, (opens <= self._now_s) & (self._now_s < closes))
        remaining = {} if self._context.wallet is None else self._context.wallet.remaining_minor
        campaigns = self._shelf.campaigns
        left = [
            campaigns[row].terms.budget_minor is None or remaining.get(campaigns[row].campaign_id, 0) > 0
            for row in self.rows.tolist()
        ]
        self.keep(ReasonCode.BUDGET_EXHAUSTED, np.array(left, np.bool_))

    def pass_applicable_here(self) -> None:
        """Applicable now, as far as person, place and time decide it."""
        particular = self._shelf.is_particular[self.rows]
        if not particular.any():
            return
        query, wallet = self._context.query, self._context.wallet
        situation = Situation(
            query.now_at, query.customer_id, None if wallet is None else wallet.tier, query.channel, query.store_id
        )
        passes = np.ones(len(self.rows), np.bool_)
        reasons: dict[int, str] = {}
        for place in particular.nonzero()[0].tolist():
            refusal = refusal_without_basket(self._shelf.offers[self.rows[place]].terms, situation)
            if refusal is not None:
                passes[place], reasons[place] = False, refusal.code
        for place, reason in reasons.items():
            self._drop(reason, self._shelf.offers[self.rows[place]].offer_id)
        self.coupons = [coupon for coupon, is_kept in zip(self.coupons, passes.tolist(), strict=True) if is_kept]
        self.rows = self.rows[passes]

    def pass_contact_policy(self) -> Mask:
        """Contact policy: nothing that was waved away lately, or shown too often; which rows passed."""
        resting = _resting(self._context, self._now_s)
        passes = np.ones(len(self.rows), np.bool_)
        if resting:
            ids = [self._shelf.offers[row].offer_id for row in self.rows.tolist()]
            passes = np.array([offer_id not in resting for offer_id in ids], np.bool_)
            self.keep(ReasonCode.CAPPED, passes)
        return passes


def _resting(context: Context, now_s: float) -> set[str]:
    views: dict[str, int] = {}
    resting: set[str] = set()
    for event in context.events:
        if event.offer_id is None or event.time_s > now_s:
            continue
        age_s = now_s - event.time_s
        if event.type == "dismiss_promotion" and age_s < DISMISS_DAYS * DAY_S:
            resting.add(event.offer_id)
        elif event.type == "view_promotion" and age_s < VIEW_DAYS * DAY_S:
            views[event.offer_id] = views.get(event.offer_id, 0) + 1
    return resting | {offer_id for offer_id, count in views.items() if count >= VIEW_CAP}


def _targets(context: Context, shelf: Shelf, rows: Ints, scored: Scored, rules: Sequence[Rule]) -> tuple[Ints, Mask]:
    """Per row the item that the coupon is shown for, -1 = nothing of it may be shown; and whether it is in the basket.

    First what is in the basket, then the candidate that the customer likes best, then what most people buy.
    """
    count = shelf.items.count
    best = np.full(count, -1, np.int32)
    falling = scored.score.argsort(kind="stable")
    place, offer = offers_holding(shelf.items, scored.items.take(falling))
    # Of several writes to one place the last counts: that of the best score.
    best[offer] = scored.items.take(falling).take(place)
    in_basket = np.zeros(count, np.bool_)
    if len(context.basket):
        place, offer = offers_holding(shelf.items, context.basket)
        best[offer], in_basket[offer] = context.basket.take(place), True
    allowed = all_allowed([rule for rule in rules if rule.reason not in COUPON_RULES_SKIPPED])
    target = best.take(rows)
    missing = (target < 0).nonzero()[0]
    if len(missing):
        target[missing] = _first_allowed(shelf, rows.take(missing), allowed)
    return target, in_basket.take(rows)


def _first_allowed(shelf: Shelf, rows: Ints, allowed: Mask | None) -> Ints:
    """Per row its most popular item that may be shown, -1 where there is none."""
    top = shelf.top[rows]
    if allowed is None:
        return top[:, 0]
    passes = allowed.take(top, mode="wrap") & (top >= 0)
    found = np.where(passes.any(axis=1), top[np.arange(len(rows)), passes.argmax(axis=1)], -1).astype(np.int32)
    items = shelf.items
    for place in (found < 0).nonzero()[0].tolist():
        its = items.items[items.starts[rows[place]] : items.starts[rows[place] + 1]]
        passing = its[allowed[its]]
        if len(passing):
            found[place] = passing[0]
    return found


def _valued(
    context: Context,
    shelf: Shelf,
    gates: _Gates,
    *,
    target: Ints,
    in_basket: Mask,
    saving: Wide,
    price: Wide,
    margin: Wide,
    cost: Wide,
) -> CouponCandidates:
    """The rows that passed with chance, weight, score and key, best first."""
    rows = gates.rows
    chance = _chances(context, shelf, rows)
    weight = (1 + np.nan_to_num((np.nan_to_num(margin) - cost) / price)).clip(LEAST_WEIGHT, MOST_WEIGHT)
    calibration = context.bundle.scoring["calibration"]
    odds = chance / (1 - chance) * weight
    slope = max(float(calibration["slope"]), 1e-3)
    score = (np.log(odds) - calibration["intercept"]) / slope
    keys = _keys(context, score, chance, price=price, margin=margin, cost=cost)
    best = np.argsort(-keys, kind="stable")
    return CouponCandidates(
        rows=rows[best],
        coupons=[gates.coupons[place] for place in best.tolist()],
        target=target[best],
        in_basket=in_basket[best],
        chance=chance[best],
        weight=weight[best],
        score=score[best],
        keys=keys[best],
        saving_minor=saving[best],
        price_minor=price[best],
        margin_minor=margin[best],
        cost_minor=cost[best],
        dropped=gates.dropped,
    )


def _chances(context: Context, shelf: Shelf, rows: Ints) -> Floats:
    """P(redeem) per row: by what training learned, else the same for all."""
    model = context.bundle.coupons
    if model is None or not len(rows):
        return np.full(len(rows), PRIOR_CHANCE, np.float32)
    wallet = context.wallet
    habit = None if wallet is None else CouponHabit(wallet.redeemed_count, wallet.campaign_count)
    table = coupon_table(context, shelf.items, habit=habit)
    return model.chances(table[rows], COLUMNS).clip(1e-6, 1 - 1e-6)


def _keys(context: Context, score: Wide, chance: Floats, *, price: Wide, margin: Wide, cost: Wide) -> Wide:
    """What orders coupons among products: the score, or what is expected of a redemption as the objective has it."""
    policy = context.query.policy
    if policy is None or policy.objective == Objective.RELEVANCE:
        return score
    each = margin if policy.objective == Objective.MARGIN else price
    return chance.astype(np.float64) * np.nan_to_num(each - cost)
