"""What a new bundle has to answer before anybody is served by it: every path once, and none of them degraded."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial

from app.decision.customer.context import DAY_S
from app.decision.fallbacks import UNKNOWN_CUSTOMER, popular_slate, static_slate
from app.decision.pipeline import Options, rank
from app.decision.replenishment.answer import Replenishment, ReplenishmentQuery, replenishment
from app.decision.replenishment.hazards import COLUMNS
from app.domain import Degraded, LiveEvent, ProductId, Query, SlatePolicy, Wallet, WalletCoupon
from app.errors import BundleRefused
from app.model.bundle import Bundle
from app.model.verification.manifest import REMEDY
from app.offers.display.offer_index import OfferIndex, build_offer_index
from app.offers.terms.documents import parse_document
from app.offers.terms.records import Campaign, Offer
from app.offers.terms.status import CampaignStatus
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.ports import CustomerState
from app.slates import Slate

ROUNDS = 3
COUNT = 5
"""Products that the warm-up's customer bought, and coupons that they have."""
OWN_FAULTS = frozenset({Degraded.MODEL_UNAVAILABLE, Degraded.COUPONS_UNKNOWN, Degraded.PRODUCTS_UNKNOWN})
"""Flags that speak against the bundle: neither the customer nor a store can be to blame for them here."""

Answer = Slate | Replenishment


def warm_up(bundle: Bundle, options: Options, *, placement: str, now: datetime) -> None:
    """Takes every path that answers on a new bundle, so that none is tried for the first time in need.

    Raises BundleRefused when a path fails, or its answer says that the bundle does: such a bundle is not served.
    """
    # Where no campaign runs, a made-up offer stands in: the first campaign must not be the first to try coupons.
    offer_index = options.offer_index_of(bundle) or _made_up_offers(bundle, now)
    options = replace(options, offer_index_of=lambda _: offer_index)
    for name, path in _paths(bundle, options, offer_index, placement=placement, now=now).items():
        for _ in range(ROUNDS):
            try:
                faults = _faults(path())
            except Exception as error:  # noqa: BLE001 - the border of the warm-up: whatever a path raises, it failed
                faults = [repr(error)]
            if faults:
                detail = f"bundle {bundle.version}: {name} failed: {', '.join(faults)}; {REMEDY}"
                raise BundleRefused(detail, reason="answer")


def _paths(
    bundle: Bundle, options: Options, offer_index: OfferIndex | None, *, placement: str, now: datetime
) -> Mapping[str, Callable[[], Answer]]:
    """Each path by what it is for."""
    customer = _customer(bundle, offer_index, now_s=now.timestamp())
    recent = tuple(ProductId(name) for name in bundle.catalogue.product_ids[:COUNT])
    products = Query(placement=placement, size=10, now_at=now, customer_id="warm-up", recent=recent)
    unknown = replace(products, customer_id=None, anonymous_id="warm-up")
    queries = {
        "a decision": products,
        "a decision of coupons": replace(products, kinds=frozenset({"coupon"})),
        "a decision of both kinds": replace(products, kinds=frozenset({"product", "coupon"})),
        "a decision by a policy": replace(products, policy=SlatePolicy(max_per_category=2, diversity=0.1)),
        "an explained decision": replace(products, exclude_purchased=True, explain=True),
    }
    # A model of other columns comes from an older version: it is flagged, and a training replaces it.
    levels = [level for level, model in bundle.rebuy.items() if model.columns == COLUMNS]
    return {
        "a decision for nobody": partial(rank, unknown, bundle, UNKNOWN_CUSTOMER, options),
        **{name: partial(rank, query, bundle, customer, options) for name, query in queries.items()},
        **{f"replenishment of level {level}": _replenished(bundle, customer, options, level, now) for level in levels},
        "what is popular": partial(popular_slate, products, bundle, options, why=Degraded.OVERLOAD),
        "the static list": partial(static_slate, products, {}, options),
    }


def _replenished(
    bundle: Bundle, customer: CustomerState, options: Options, level: str, now: datetime
) -> Callable[[], Replenishment]:
    query = ReplenishmentQuery("warm-up", now, level=level)
    return partial(replenishment, query, bundle, customer, stale_after_s=options.stale_after_s)


def _faults(answer: Answer) -> list[str]:
    """What in an answer speaks against its bundle."""
    faults = [flag.value for flag in answer.degraded if flag in OWN_FAULTS]
    if isinstance(answer, Slate):
        faults += [f"source {name}" for name in answer.trace.failed_sources]
        faults += ["scores that are not finite"] if answer.trace.nan_count else []
    return faults


def _made_up_offers(bundle: Bundle, now: datetime) -> OfferIndex | None:
    """An offer on the first products that runs."""
    terms = parse_document(CampaignTerms, {"name": "warm-up", "currency": bundle.catalogue.currency or "EUR"})
    campaign = Campaign(
        "warm-up",
        CampaignStatus.RUNNING,
        terms,
        spent_minor=0,
        held_minor=0,
        revision=1,
        created_at=now,
        updated_at=now,
    )
    applies_to = [{"product_ids": list(bundle.catalogue.product_ids[:COUNT])}]
    document = {"name": "warm-up", "discount": {"type": "percent", "percent": 10}, "applies_to": applies_to}
    offer = Offer(
        "warm-up",
        campaign.campaign_id,
        revision=1,
        terms=parse_document(OfferTerms, document),
        is_active=True,
        created_at=now,
        updated_at=now,
    )
    return build_offer_index(bundle, [campaign], [offer], now=now)


def _customer(bundle: Bundle, offer_index: OfferIndex | None, *, now_s: float) -> CustomerState:
    """Somebody who bought the first products twice and has coupons of the first offers, so that no array is empty."""
    events = [
        LiveEvent(f"warm-up-{product_id}-{days_ago}", "purchase", now_s - days_ago * DAY_S, product_id)
        for product_id in bundle.catalogue.product_ids[:COUNT]
        for days_ago in (1, 8)
    ]
    offers = [] if offer_index is None else offer_index.offers[:COUNT]
    coupons = [WalletCoupon("warm-up", "WARMUP", offer.offer_id, None, None) for offer in offers]
    return CustomerState(events=events, wallet=Wallet(coupons))
