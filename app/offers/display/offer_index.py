"""The offers that may be shown now or soon, laid out for one bundle: made when campaigns change, read by decisions."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf, nan

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints, Mask, Objective
from app.model.bundle import Bundle
from app.model.offer_items import OfferItems, Positions, offer_items
from app.offers.rules.pre_basket import PreBasketTerms, pre_basket_terms
from app.offers.terms.money import minor_per_major
from app.offers.terms.reasons import ReasonCode
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import RETAILER, Amount, FixedPrice, NForM, OfferTerms, Percent, Points

WHOLE_BASKET_COUNT = 5000
"""An offer on the whole basket stands for so many products, the most popular ones."""
TOP_COUNT = 8
WHOLE = 100 * 100
"""A whole in hundredths of a percent."""
LEAST_WEIGHT, MOST_WEIGHT = 0.1, 2.0
FAULTS = (None, ReasonCode.OUT_OF_STOCK, ReasonCode.NO_EFFECT, ReasonCode.PRICE_FLOOR)
NO_FAULT, OUT_OF_STOCK, NO_EFFECT, PRICE_FLOOR = range(4)
"""The positions in FAULTS."""

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Discounts:
    """What n offers take off one piece: `table` (7, n), a row per name below; `gives_points` (n,).

    Hundredths of a percent of the price, amount, fixed price, the most it takes off, price floor, and what it costs
    beyond its discount (points): as an amount, and as a share of the price. Money in minor units; what an offer lacks
    is 0, limits inf.
    """

    table: Wide
    gives_points: Mask

    def of_piece(self, rows: Positions, price_minor: Wide) -> tuple[Wide, Wide]:
        """What each of these offers takes off a piece of this price, and its cost with points.

        Of an unknown price (NaN) only a plain amount is known.
        """
        share, amount, fixed, most, floor, cost, cost_share = self.table.take(rows, axis=1)
        # Half up, from whole numbers: what the till takes off, to the cent.
        off = np.floor(price_minor * share / WHOLE + 0.5) + amount + np.maximum(price_minor - fixed, 0)
        saving = np.minimum(np.minimum(off, most), np.maximum(price_minor - floor, 0))
        is_unknown = np.isnan(price_minor)
        saving[is_unknown & (amount > 0)] = amount[is_unknown & (amount > 0)]
        extra = cost + cost_share * np.maximum(price_minor - saving, 0)
        extra[is_unknown] = cost[is_unknown]
        return saving, saving + extra


@dataclass(frozen=True, slots=True)
class PairWorths:
    """What a coupon is worth on a product of its offer, for n pairs of the two.

    `money` (4, n): price, margin, saving and cost in minor units, NaN where unknown. `log_weight` (n,): the logarithm
    of what the odds of a redemption count by. `fault` (n,): what speaks against it, a position in FAULTS.
    """

    money: Wide
    log_weight: Wide
    fault: npt.NDArray[np.int8]

    def take(self, pairs: Positions) -> "PairWorths":
        """Those of some of the pairs, in their order."""
        return PairWorths(self.money.take(pairs, axis=1), self.log_weight.take(pairs), self.fault.take(pairs))

    def put(self, pairs: Positions, others: "PairWorths") -> None:
        """Puts others in place of those of some of the pairs."""
        self.money[:, pairs], self.log_weight[pairs], self.fault[pairs] = others.money, others.log_weight, others.fault

    def net_minor(self, objective: Objective) -> Wide:
        """What a redemption brings in: price, or margin where that is the objective, without the cost."""
        net: Wide = self.money[1 if objective == Objective.MARGIN else 0] - self.money[3]
        return net


@dataclass(frozen=True, slots=True)
class ShownOffer:
    """What a decision shows of an offer, and where it may be used (None: wherever its products are)."""

    offer_id: str
    revision: int
    campaign_id: str
    name: str
    currency: str
    pre_basket: PreBasketTerms | None


@dataclass(frozen=True, slots=True)
class OfferIndex:
    """n offers as parallel columns. Instants are unix seconds, `closes_s` excluded.

    `top` (n, TOP_COUNT): the most popular products of each offer, -1 where there are fewer, `first` (n,) the pair in
    `worths` of the most popular one. `worths`: pairs as in `OfferItems.items` at the prices of the product table, then
    "no product". `discounts` and `is_retailers` (n,), whose money it is, give them at other prices. `budget` (n,): the
    position of its campaign in `budgeted`, -1 without a budget.
    `all_run_s`: from when until when every offer runs. `by_decision`: rows that customers need no coupon for.
    `is_age_restricted` (n,): all its products are for people of age.
    """

    offers: Sequence[ShownOffer]
    row_of: dict[str, int]
    items: OfferItems
    top: Ints
    first: Positions
    worths: PairWorths
    discounts: Discounts
    is_retailers: Mask
    opens_s: Wide
    closes_s: Wide
    all_run_s: tuple[float, float]
    is_particular: Mask
    has_particular: bool
    is_foreign: Mask
    has_foreign: bool
    is_age_restricted: Mask
    has_age_restricted: bool
    budget: Positions
    budgeted: Sequence[str]
    by_decision: Ints


def build_offer_index(
    bundle: Bundle, campaigns: Sequence[Campaign], offers: Sequence[Offer], *, now: datetime
) -> OfferIndex | None:
    """The offer index of what runs at `now` or will, without withdrawn and unusable offers; None when that is nothing.

    Some 20 ms for a hundred offers of the Complete Journey, 100 ms for twelve hundred.
    """
    standing = {campaign.campaign_id: campaign for campaign in campaigns if _may_run(campaign, now)}
    on_offer = [offer for offer in offers if offer.is_active and offer.fault is None and offer.campaign_id in standing]
    if not on_offer:
        return None
    theirs = [standing[offer.campaign_id] for offer in on_offer]
    items = [_items_of(bundle, offer.terms) for offer in on_offer]
    windows = np.array([_window(offer, campaign) for offer, campaign in zip(on_offer, theirs, strict=True)])
    shown = [_shown(offer, campaign) for offer, campaign in zip(on_offer, theirs, strict=True)]
    discounts = _discounts([offer.terms for offer in on_offer], [campaign.terms.currency for campaign in theirs])
    budgeted = sorted({one.campaign_id for one in theirs if one.terms.budget_minor is not None})
    position_of = {campaign_id: position for position, campaign_id in enumerate(budgeted)}
    is_foreign = np.array([bundle.catalogue.currency not in (None, offer.currency) for offer in shown])
    is_age_restricted = _age_restricted(bundle, items)
    is_retailers = np.array([campaign.terms.funder == RETAILER for campaign in theirs])
    size = Counter(offer.campaign_id for offer in on_offer)
    layout = offer_items(
        bundle,
        items,
        discount_ratio=_depth(bundle, discounts, items),
        sibling_count=np.array([size[offer.campaign_id] for offer in on_offer], np.float32),
    )
    return OfferIndex(
        offers=shown,
        row_of={offer.offer_id: row for row, offer in enumerate(shown)},
        items=layout,
        top=_top(items),
        # An offer without products gets the pair behind all others, which stands for no product.
        first=np.where(np.diff(layout.starts) > 0, layout.starts[:-1], len(layout.items)).astype(np.intp),
        worths=_all_worths(bundle, layout, discounts, is_retailers),
        discounts=discounts,
        is_retailers=is_retailers,
        opens_s=windows[:, 0].copy(),
        closes_s=windows[:, 1].copy(),
        all_run_s=(float(windows[:, 0].max()), float(windows[:, 1].min())),
        is_particular=np.array([offer.pre_basket is not None for offer in shown]),
        has_particular=any(offer.pre_basket is not None for offer in shown),
        is_foreign=is_foreign,
        has_foreign=bool(is_foreign.any()),
        is_age_restricted=is_age_restricted,
        has_age_restricted=bool(is_age_restricted.any()),
        budget=np.array([position_of.get(offer.campaign_id, -1) for offer in shown]),
        budgeted=budgeted,
        by_decision=np.array(
            [row for row, offer in enumerate(on_offer) if offer.terms.issue.by == "decision"], np.int32
        ),
    )


def pair_worths(
    bundle: Bundle,
    items: Ints,
    rows: Positions,
    price_minor: npt.NDArray[np.int64],
    *,
    discounts: Discounts,
    is_retailers: Mask,
) -> PairWorths:
    """What the offers in `rows` (m,) are worth on the products `items` (m,) at these prices (m,), -1 unknown.

    The odds count by 1 + (margin − cost) / price, where the margin is unknown 0 stands for it.
    """
    price = price_minor.astype(np.float64)
    unit_cost = bundle.catalogue.unit_cost_minor[items].astype(np.float64)
    price[price < 0] = nan
    unit_cost[unit_cost < 0] = nan
    saving, cost = discounts.of_piece(rows, price)
    # The retailer pays nothing of what a supplier funds.
    cost[~is_retailers[rows]] = 0
    margin = price - unit_cost
    # Of what is free there is no share.
    weight = 1 + (np.nan_to_num(margin) - cost) / np.where(price > 0, price, nan)
    weight = np.where(np.isnan(weight), 1, weight).clip(LEAST_WEIGHT, MOST_WEIGHT)
    gives = (saving > 0) | np.isnan(price) | discounts.gives_points[rows]
    is_dear = (cost > 0) & (price - cost < unit_cost)
    fault = np.where(~gives, NO_EFFECT, np.where(is_dear, PRICE_FLOOR, NO_FAULT)).astype(np.int8)
    return PairWorths(np.array((price, margin, saving, cost)), np.log(weight), fault)


def _all_worths(bundle: Bundle, layout: OfferItems, discounts: Discounts, is_retailers: Mask) -> PairWorths:
    price = bundle.catalogue.price_minor[layout.items]
    worths = pair_worths(bundle, layout.items, layout.owner, price, discounts=discounts, is_retailers=is_retailers)
    return PairWorths(
        np.concatenate([worths.money, [[nan]] * 4], axis=1),
        np.append(worths.log_weight, 0.0),
        np.append(worths.fault, OUT_OF_STOCK).astype(np.int8),
    )


def _may_run(campaign: Campaign, now: datetime) -> bool:
    return campaign.status_at(now) in (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)


def _items_of(bundle: Bundle, terms: OfferTerms) -> Ints:
    """The bundle's items that the offer is good for, the most popular first."""
    included = np.zeros(bundle.item_count, np.bool_)
    for selected in terms.applies_to:
        included |= bundle.catalogue.mask_of(selected)
    if not terms.applies_to:
        included[:WHOLE_BASKET_COUNT] = True
    for selected in terms.excludes:
        included &= ~bundle.catalogue.mask_of(selected)
    # Items are numbered by falling popularity.
    return included.nonzero()[0].astype(np.int32)


def _age_restricted(bundle: Bundle, items: Sequence[Ints]) -> Mask:
    unrestricted = bundle.catalogue.unrestricted
    if unrestricted is None:
        return np.zeros(len(items), np.bool_)
    return np.array([len(its) > 0 and not unrestricted[its].any() for its in items])


def _top(items: Sequence[Ints]) -> Ints:
    top = np.full((len(items), TOP_COUNT), -1, np.int32)
    for row, its in enumerate(items):
        top[row, : len(its[:TOP_COUNT])] = its[:TOP_COUNT]
    return top


def _window(offer: Offer, campaign: Campaign) -> tuple[float, float]:
    starts = [at.timestamp() for at in (offer.terms.valid_from, campaign.terms.starts_at) if at is not None]
    ends = [at.timestamp() for at in (offer.terms.valid_until, campaign.terms.ends_at) if at is not None]
    return max(starts, default=-inf), min(ends, default=inf)


def _shown(offer: Offer, campaign: Campaign) -> ShownOffer:
    terms = offer.terms
    return ShownOffer(
        offer.offer_id,
        offer.revision,
        offer.campaign_id,
        terms.name,
        campaign.terms.currency,
        pre_basket_terms(terms),
    )


def _discounts(terms: Sequence[OfferTerms], currencies: Sequence[str]) -> Discounts:
    rows = [_discount_row(one, minor_per_major(currency)) for one, currency in zip(terms, currencies, strict=True)]
    return Discounts(np.array(rows).T.copy(), np.array([isinstance(one.discount, Points) for one in terms]))


def _discount_row(terms: OfferTerms, per_major: int) -> tuple[float, ...]:
    """A column of `Discounts.table`."""
    share, amount, fixed, most, cost, cost_share = 0.0, 0.0, inf, inf, 0.0, 0.0
    discount = terms.discount
    if isinstance(discount, Percent):
        # As a float 0.29 * 100 is 28.999…
        share, most = round(discount.percent * 100), discount.max_discount_minor or inf
    elif isinstance(discount, Amount):
        amount = discount.amount_minor
    elif isinstance(discount, FixedPrice):
        fixed = discount.price_minor
    elif isinstance(discount, NForM):
        # The mean over a full group: no single piece has a discount of its own.
        share = WHOLE * (1 - discount.pay / discount.take)
    elif isinstance(discount, Points):
        cost = discount.points * discount.point_cost_minor
        cost_share = discount.points_per_major * discount.point_cost_minor / per_major
    return share, amount, fixed, most, terms.price_floor_minor or 0, cost, cost_share


def _depth(bundle: Bundle, discounts: Discounts, items: Sequence[Ints]) -> Floats:
    """Per offer the share of the price that it takes off its products, at their mean price; NaN where unknown."""
    price = np.where(bundle.catalogue.price_minor > 0, bundle.catalogue.price_minor, np.nan)
    mean = np.array([_mean(price[its]) for its in items])
    saving, _ = discounts.of_piece(np.arange(len(items)), mean)
    depth: Floats = (saving / mean).astype(np.float32)
    return depth


def _mean(values: Wide) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else nan
