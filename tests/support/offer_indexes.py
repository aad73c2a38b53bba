"""Offers in an offer index for tests of decisions: a bundle of twelve products, and campaigns in a few words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from app.decision.pipeline import Options, rank
from app.domain import LiveEvent, Query, Wallet, WalletCoupon
from app.model.bundle import Bundle
from app.offers.display.offer_index import OfferIndex, build_offer_index
from app.offers.terms.documents import parse_document
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.ports import CustomerState
from app.slates import Slate
from tests.support.coupon_world import bundle_from, history, products
from training.data.dataset import load_interactions

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NOW_S = NOW.timestamp()
DAY_S = 86_400
HALF = {"type": "percent", "percent": 50}
ONE = {"type": "amount", "amount_minor": 100}


def small_bundle(folder: Path) -> Bundle:
    """Products p0 … p11 at 1.00 to 12.00 in euros, each of which costs the shop half."""
    bundle = bundle_from(folder, load_interactions(history(), products()))
    catalogue = bundle.catalogue
    costs = np.where(catalogue.price_minor >= 0, catalogue.price_minor // 2, -1)
    return replace(bundle, catalogue=replace(catalogue, unit_cost_minor=costs, currency="EUR"))


def campaign(campaign_id: str = "k", *, status: str = "running", **terms: object) -> Campaign:
    """A campaign that runs, of a retailer's own money without a budget."""
    terms_document = parse_document(CampaignTerms, {"name": campaign_id, "currency": "EUR"} | terms)
    return Campaign(campaign_id, status, terms_document, 0, 0, 1, NOW, NOW)


def offer(
    offer_id: str, *product_ids: str, of: str = "k", is_active: bool = True, discount: Mapping[str, object] = HALF,
    **terms: object,
) -> Offer:  # fmt: skip
    """An offer on these products, on the whole basket where there are none: half off."""
    terms_document: dict[str, Any] = {"name": f"offer {offer_id}", "discount": discount}
    if product_ids:
        terms_document["applies_to"] = [{"product_ids": list(product_ids)}]
    return Offer(offer_id, of, 1, parse_document(OfferTerms, terms_document | terms), is_active, NOW, NOW)


def offer_index_of(
    bundle: Bundle, *offers: Offer, campaigns: Sequence[Campaign] = (), now: datetime = NOW
) -> OfferIndex | None:
    """The offer index of these offers, of campaign `k` unless others are named."""
    return build_offer_index(bundle, campaigns or [campaign()], offers, now=now)


def coupon(offer_id: str, *, starts_s: float | None = None, ends_s: float | None = None) -> WalletCoupon:
    """A coupon of the offer, `c-<offer>`."""
    return WalletCoupon(f"c-{offer_id}", "ABCDEFGHJKLMNPQR", offer_id, starts_s, ends_s)


def wallet(*offer_ids: str, **others: Any) -> Wallet:
    """A wallet with a coupon of each offer."""
    return Wallet([coupon(offer_id) for offer_id in offer_ids], **others)


def promotion(kind: str, offer_id: str, *, days_ago: float, event_id: str = "e") -> LiveEvent:
    """An event about an offer."""
    return LiveEvent(event_id, kind, NOW_S - days_ago * DAY_S, None, 1.0, offer_id)


def decided(
    bundle: Bundle,
    offer_index: OfferIndex | None,
    held: Wallet | None,
    *,
    events: Iterable[LiveEvent] = (),
    **query: Any,
) -> Slate:
    """The answer to somebody with this wallet, coupons alone unless given otherwise."""
    fields: dict[str, Any] = {"placement": "app_home", "now_at": NOW, "size": 10, "customer_id": "u0"}
    question = Query(**fields | {"kinds": frozenset({"coupon"}), "explain": True} | query)
    options = Options(stale_after_s=1e9, offer_index_of=lambda _: offer_index)
    return rank(question, bundle, CustomerState(events=list(events), wallet=held), options)


def both(**query: Any) -> dict[str, Any]:
    """The fields of a question for both kinds."""
    return {"kinds": frozenset({"product", "coupon"})} | query


def dropped(slate: Slate) -> dict[str, list[str]]:
    """The offers that a gate dropped, by its reason."""
    assert slate.trace.coupons is not None
    return {reason: list(drops.ids) for reason, drops in slate.trace.coupons.dropped.items()}


def shown(slate: Slate) -> list[str]:
    """The offers of the slate's coupons, in order."""
    return [one.coupon.offer_id for one in slate.propositions if one.coupon is not None]


def until(days: float) -> datetime:
    """So many days from now."""
    return NOW + timedelta(days=days)
