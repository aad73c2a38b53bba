"""Answers that always come: the full pipeline, and below it the fallback levels that need less, each flagged."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np

from app.decision.candidates.sources import popular
from app.decision.customer.context import DAY_S, Context, make_context
from app.decision.customer.trending import trending_group
from app.decision.eligibility.products import all_allowed, eligibility_rules
from app.decision.pipeline import POLICY, Observer, Options, decide, new_decision_id, rank
from app.decision.replenishment.answer import ReplenishmentQuery, replenishment
from app.domain import (
    Degraded,
    Ints,
    LiveEvent,
    ProductId,
    Proposition,
    Query,
    Reason,
    Slate,
    SlatePolicy,
    Trace,
    Wallet,
    WalletCoupon,
)
from app.errors import EndcapError
from app.model.bundle import Bundle
from app.offers.display.offer_index import OfferIndex
from app.ports import CustomerState, CustomerStore
from app.telemetry import StageTimer

_log = logging.getLogger(__name__)

UNKNOWN_CUSTOMER = CustomerState()
WARM_UP_ROUNDS = 3
WARM_UP_COUNT = 5
"""Products that the warm-up's customer bought, and coupons that they have."""


@dataclass(slots=True)
class FallbackChain:
    """One answer per question. `bundle` gives a person's bundle or None; `fallbacks` the static list per placement."""

    bundle: Callable[[str | None, str | None], Bundle | None]
    customers: CustomerStore
    options: Options
    fallbacks: Mapping[str, Sequence[str]]
    max_in_flight_count: int
    in_flight_count: int = 0
    shadow: Observer | None = None

    async def answer(self, query: Query, timer: StageTimer) -> Slate:
        """The best slate available now; raises only for a question that is itself at fault."""
        bundle = self.bundle(query.customer_id, query.anonymous_id)
        if bundle is None:
            return static_slate(query, self.fallbacks)
        if self.in_flight_count >= self.max_in_flight_count:
            return popular_slate(query, bundle, self.options, why=Degraded.OVERLOAD)
        # All answers run in one event loop: nothing comes between the check above and this count.
        self.in_flight_count += 1
        try:
            return await decide(query, bundle, self.customers, self.options, timer, shadow=self.shadow)
        except EndcapError:
            # The question's own fault, such as an unknown filter: no fallback level can answer it.
            raise
        except Exception:  # noqa: BLE001 - the request border: the answer falls to the next fallback level
            _log.exception("decision failed")
            return floor_slate(query, bundle, self.options, self.fallbacks)
        finally:
            self.in_flight_count -= 1


def floor_slate(query: Query, bundle: Bundle, options: Options, fallbacks: Mapping[str, Sequence[str]]) -> Slate:
    """Popular products when the pipeline broke; the static list when even those fail."""
    try:
        return popular_slate(query, bundle, options, why=Degraded.MODEL_UNAVAILABLE)
    except EndcapError:
        raise
    except Exception:  # noqa: BLE001 - the last fallback level needs nothing but the configuration
        _log.exception("popular products failed")
        return static_slate(query, fallbacks)


def popular_slate(query: Query, bundle: Bundle, options: Options, *, why: Degraded) -> Slate:
    """What is popular in the store or everywhere, from memory alone; filters still hold."""
    context = make_context(query, bundle, UNKNOWN_CUSTOMER, stale_after_s=options.stale_after_s)
    items = _popular_items(context)
    names = bundle.catalogue.names
    propositions = [
        Proposition(
            kind="product",
            product_id=ProductId(bundle.catalogue.product_ids[item]),
            rank=rank,
            score=float(bundle.popularity[item]),
            probability=float(bundle.popularity[item]),
            reasons=(Reason("popular", "Popular with our customers"),),
            name=names[item],
        )
        for rank, item in enumerate(items.tolist(), start=1)
    ]
    return _bare_slate(query, bundle.version, [why], propositions if "product" in query.kinds else [])


def _popular_items(context: Context) -> Ints:
    """Trending first, then the most bought: enough for the slate while allowed products exist."""
    allowed = all_allowed(eligibility_rules(context))
    trending, _ = trending_group(context)
    passing = trending if allowed is None else trending[allowed[trending]]
    merged = dict.fromkeys([*passing.tolist(), *popular(context, allowed).tolist()])
    return np.array(list(merged)[: context.query.size], np.int32)


def static_slate(query: Query, fallbacks: Mapping[str, Sequence[str]]) -> Slate:
    """The placement's configured list, when there is no model at all."""
    propositions = [
        Proposition(
            kind="product",
            product_id=ProductId(product_id),
            rank=rank,
            score=0.0,
            probability=0.0,
            reasons=(Reason("fallback", "Our recommendation"),),
        )
        for rank, product_id in enumerate(fallbacks.get(query.placement, ())[: query.size], start=1)
        if "product" in query.kinds
    ]
    return _bare_slate(query, None, [Degraded.BUNDLE_MISSING], propositions)


def _bare_slate(query: Query, version: str | None, degraded: list[Degraded], propositions: list[Proposition]) -> Slate:
    if len(propositions) < query.size and "product" in query.kinds:
        degraded = [*degraded, Degraded.SLATE_SHORT]
    return Slate(new_decision_id(), version, POLICY, degraded, propositions, Trace(fallback_level=degraded[0]))


def warm_up(bundle: Bundle, options: Options, *, placement: str, now: datetime) -> None:
    """Takes every path that answers on a new bundle, so that none is tried for the first time in need.

    Raises what a path raises: a bundle that cannot answer is not served.
    """
    customer = _warm_up_customer(bundle, options.offer_index_of(bundle), now_s=now.timestamp())
    recent = tuple(ProductId(name) for name in bundle.catalogue.product_ids[:WARM_UP_COUNT])
    products = Query(placement=placement, size=10, now_at=now, customer_id="warm-up", recent=recent)
    unknown = replace(products, customer_id=None, anonymous_id="warm-up")
    for _ in range(WARM_UP_ROUNDS):
        rank(unknown, bundle, UNKNOWN_CUSTOMER, options)
        rank(products, bundle, customer, options)
        rank(replace(products, kinds=frozenset({"coupon"})), bundle, customer, options)
        rank(replace(products, kinds=frozenset({"product", "coupon"})), bundle, customer, options)
        rank(replace(products, policy=SlatePolicy(max_per_category=2, diversity=0.1)), bundle, customer, options)
        rank(replace(products, exclude_purchased=True, explain=True), bundle, customer, options)
        replenishment(ReplenishmentQuery("warm-up", now), bundle, customer, stale_after_s=options.stale_after_s)
    popular_slate(products, bundle, options, why=Degraded.OVERLOAD)
    static_slate(products, {})


def _warm_up_customer(bundle: Bundle, offer_index: OfferIndex | None, *, now_s: float) -> CustomerState:
    """Somebody who bought the first products twice and has coupons of the first offers, so that no array is empty."""
    events = [
        LiveEvent(f"warm-up-{product_id}-{days_ago}", "purchase", now_s - days_ago * DAY_S, product_id)
        for product_id in bundle.catalogue.product_ids[:WARM_UP_COUNT]
        for days_ago in (1, 8)
    ]
    offers = [] if offer_index is None else offer_index.offers[:WARM_UP_COUNT]
    coupons = [WalletCoupon("warm-up", "WARMUP", offer.offer_id, None, None) for offer in offers]
    return CustomerState(events=events, wallet=Wallet(coupons))
