"""The offers that may be shown now or soon, laid out for one bundle: made when campaigns change, read by decisions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import inf

import numpy as np
import numpy.typing as npt

from app.domain import Floats, Ints, Mask
from app.model.bundle import Bundle
from app.model.offer_items import OfferItems, offer_items
from app.offers.records import Campaign, Offer
from app.offers.status import CampaignStatus, effective_status
from app.offers.terms import RETAILER, Amount, FixedPrice, NForM, OfferTerms, Percent, Points
from app.settings import Selected

WHOLE_BASKET_COUNT = 5000
"""An offer on the whole basket stands for so many products, the most popular ones."""
TOP_COUNT = 8

Wide = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Discounts:
    """What n offers take off one piece, a term per kind: shares of the price, minor units, a price, limits of both.

    `cost_minor` is what an offer costs besides its discount (points).
    """

    price_share: Wide
    amount_minor: Wide
    fixed_price_minor: Wide
    at_most_minor: Wide
    floor_minor: Wide
    cost_minor: Wide

    def saving_minor(self, rows: Ints, price_minor: Wide) -> Wide:
        """What each of these offers takes off a piece of this price; of an unknown price (NaN) only a plain amount."""
        amount, price = self.amount_minor[rows], np.nan_to_num(price_minor)
        saving = price * self.price_share[rows] + amount + np.maximum(price - self.fixed_price_minor[rows], 0)
        saving = np.minimum(saving, self.at_most_minor[rows])
        left = np.maximum(price - self.floor_minor[rows], 0)
        return np.where(np.isnan(price_minor), amount, np.minimum(saving, left))


@dataclass(frozen=True, slots=True)
class Shelf:
    """n offers with their campaigns, as parallel columns. Instants are unix seconds, `closes_s` excluded.

    `top` (n, TOP_COUNT): the most popular products of each offer, -1 where there are fewer. `is_particular`: the terms
    set more than products and time. `by_decision`: rows that customers need no coupon for.
    """

    offers: Sequence[Offer]
    campaigns: Sequence[Campaign]
    row_of: dict[str, int]
    items: OfferItems
    top: Ints
    opens_s: Wide
    closes_s: Wide
    is_particular: Mask
    is_retailers: Mask
    by_decision: Ints
    discounts: Discounts


def make_shelf(
    bundle: Bundle, campaigns: Sequence[Campaign], offers: Sequence[Offer], *, now: datetime
) -> Shelf | None:
    """The shelf of what runs at `now` or will; None when that is nothing."""
    standing = {campaign.campaign_id: campaign for campaign in campaigns if _may_run(campaign, now)}
    shown = [offer for offer in offers if offer.campaign_id in standing]
    if not shown:
        return None
    theirs = [standing[offer.campaign_id] for offer in shown]
    items = [_items_of(bundle, offer.terms) for offer in shown]
    price = np.where(bundle.catalogue.price_minor > 0, bundle.catalogue.price_minor, np.nan)
    discounts = _discounts([offer.terms for offer in shown])
    by_campaign = [campaign.campaign_id for campaign in theirs]
    siblings = np.array([by_campaign.count(campaign_id) for campaign_id in by_campaign], np.float32)
    return Shelf(
        offers=shown,
        campaigns=theirs,
        row_of={offer.offer_id: row for row, offer in enumerate(shown)},
        items=offer_items(
            bundle,
            items,
            discount_ratio=_depth(discounts, items, price),
            sibling_count=siblings,
        ),
        top=_top(items),
        opens_s=np.array([_window(o, c)[0] for o, c in zip(shown, theirs, strict=True)]),
        closes_s=np.array([_window(o, c)[1] for o, c in zip(shown, theirs, strict=True)]),
        is_particular=np.array([_is_particular(offer.terms) for offer in shown]),
        is_retailers=np.array([campaign.terms.funder == RETAILER for campaign in theirs]),
        by_decision=np.array(
            [row for row, offer in enumerate(shown) if offer.is_active and offer.terms.issue.by == "decision"], np.int32
        ),
        discounts=discounts,
    )


def _may_run(campaign: Campaign, now: datetime) -> bool:
    terms = campaign.terms
    status = effective_status(
        CampaignStatus(campaign.status), starts_at=terms.starts_at, ends_at=terms.ends_at, now=now
    )
    return status in (CampaignStatus.SCHEDULED, CampaignStatus.RUNNING)


def _items_of(bundle: Bundle, terms: OfferTerms) -> Ints:
    """The bundle's items that the offer is good for, the most popular first."""
    included = np.zeros(bundle.item_count, np.bool_)
    for selected in terms.applies_to:
        included |= _selected(bundle, selected)
    if not terms.applies_to:
        included[:WHOLE_BASKET_COUNT] = True
    for selected in terms.excludes:
        included &= ~_selected(bundle, selected)
    # Items are numbered by falling popularity.
    return included.nonzero()[0].astype(np.int32)


def _selected(bundle: Bundle, selected: Selected) -> Mask:
    found = np.zeros(bundle.item_count, np.bool_)
    if selected.attribute is None:
        found[bundle.catalogue.known(selected.product_ids)] = True
        return found
    attribute = bundle.catalogue.attributes.get(selected.attribute)
    if attribute is not None:
        codes = [attribute.code_of[value] for value in selected.values if value in attribute.code_of]
        found |= np.isin(attribute.codes, codes)
    return found


def _top(items: Sequence[Ints]) -> Ints:
    top = np.full((len(items), TOP_COUNT), -1, np.int32)
    for row, its in enumerate(items):
        top[row, : len(its[:TOP_COUNT])] = its[:TOP_COUNT]
    return top


def _window(offer: Offer, campaign: Campaign) -> tuple[float, float]:
    starts = [at.timestamp() for at in (offer.terms.valid_from, campaign.terms.starts_at) if at is not None]
    ends = [at.timestamp() for at in (offer.terms.valid_until, campaign.terms.ends_at) if at is not None]
    return max(starts, default=-inf), min(ends, default=inf)


def _is_particular(terms: OfferTerms) -> bool:
    return bool(terms.channels or terms.store_ids or terms.tiers or terms.condition)


def _discounts(terms: Sequence[OfferTerms]) -> Discounts:
    rows = np.array([_discount_row(one) for one in terms])
    return Discounts(*rows.T)


def _discount_row(terms: OfferTerms) -> tuple[float, ...]:
    """Price share, amount, fixed price, most, floor, other cost."""
    share, amount, fixed, most, cost = 0.0, 0.0, inf, inf, 0.0
    discount = terms.discount
    if isinstance(discount, Percent):
        share, most = discount.percent / 100, discount.max_discount_minor or inf
    elif isinstance(discount, Amount):
        amount = discount.amount_minor
    elif isinstance(discount, FixedPrice):
        fixed = discount.price_minor
    elif isinstance(discount, NForM):
        share = 1 - discount.pay / discount.take
    elif isinstance(discount, Points):
        cost = discount.points * discount.point_cost_minor
    return share, amount, fixed, most, terms.price_floor_minor or 0, cost


def _depth(discounts: Discounts, items: Sequence[Ints], price: Wide) -> Floats:
    """Per offer the share of the price that it takes off its products, at their mean price; NaN where unknown."""
    mean = np.array([_mean(price[its]) for its in items])
    saving = discounts.saving_minor(np.arange(len(items), dtype=np.int32), mean)
    depth: Floats = (saving / mean).astype(np.float32)
    return depth


def _mean(values: Wide) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
