"""The request path: from a question to a slate in one straight function."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

import numpy as np

from app.decision.candidates.gather import Candidates, find_candidates
from app.decision.customer.context import Context, make_context
from app.decision.customer.place import place_of
from app.decision.eligibility.products import all_allowed, eligibility_rules, keep_eligible
from app.decision.ranking.scoring import NO_ITEMS, NOT_A_SCORE, ScoredCandidates, score
from app.decision.slate.mixed import MixedSlate, mixed_slate
from app.decision.slate.new_products import fitting_new_products, with_new_products
from app.decision.slate.products import make_slate, slate_positions
from app.decision.slate.reranking import Reranking, always_scored, rerank, with_pinned
from app.domain import Degraded, Ints, Query
from app.model.bundle import Bundle
from app.offers.display.offer_index import OfferIndex
from app.places.live import LivePlaces
from app.ports import CustomerState, CustomerStore
from app.slates import Drops, Slate, Trace
from app.telemetry import StageTimer, no_timer

POLICY = "blend-1"
TRACED_DROPS = 20

Observer = Callable[[Query, CustomerState, Slate], None]
"""Hears of every full answer; it may keep what it hears and returns at once."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a decision needs to know in addition to the question; features older than `stale_after_s` are flagged.

    `offer_index_of` gives the offers that may be shown, laid out for a bundle; None while there is none. `places` knows
    what can be had where; None: nothing of stores, stock and their prices.
    """

    stale_after_s: float
    offer_index_of: Callable[[Bundle], OfferIndex | None] = lambda _: None
    places: LivePlaces | None = None


async def decide(
    query: Query,
    bundle: Bundle,
    customers: CustomerStore,
    options: Options,
    timer: StageTimer,
    *,
    shadow: Observer | None = None,
) -> Slate:
    """The best slate for `query` from the state of this millisecond; the store read is its only wait.

    `shadow`, where there is one, gets question, state and slate.
    """
    state = await customers.read(
        query.customer_id, query.anonymous_id, channel=query.channel, with_wallet="coupon" in query.kinds
    )
    timer.end("features")
    slate = rank(query, bundle, state, options, timer)
    if shadow is not None:
        shadow(query, state, slate)
    return slate


def rank(query: Query, bundle: Bundle, state: CustomerState, options: Options, timer: StageTimer = no_timer) -> Slate:
    """The same without the wait: pure, so that evaluation and replay run exactly what serving runs."""
    if Degraded.CONSENT_MISSING in state.degraded:
        query = query.of_nobody()
    place = place_of(query, bundle, options.places)
    context = make_context(query, bundle, state, stale_after_s=options.stale_after_s, place=place)
    timer.end("context")
    rules = eligibility_rules(context)
    allowed = all_allowed(rules)
    new = fitting_new_products(context, allowed)
    candidates = with_pinned(context, with_new_products(find_candidates(context, allowed), new))
    timer.end("candidates")
    # Sources that cut at no bound (neighbours, pins) do not look at `allowed`: the rules hold here, with their reasons.
    kept, dropped = keep_eligible(candidates, rules)
    timer.end("eligibility")
    # A place may be kept for these whatever their score: without `always` the trees' 200 best could lack them.
    scored = score(context, kept, always=always_scored(context, new))
    timer.end("scoring")
    reranking = None if query.policy is None else rerank(context, query.policy, scored, new)
    positions = slate_positions(context, scored, new, reranking) if "product" in query.kinds else NO_ITEMS
    offer_index = options.offer_index_of(bundle) if "coupon" in query.kinds else None
    if offer_index is None:
        mixed = MixedSlate(make_slate(context, scored, positions, new, reranking) if len(positions) else [])
    else:
        mixed = mixed_slate(context, offer_index, scored, rules, positions, new, reranking)
        timer.end("coupons")
    eligible_count = bundle.item_count if allowed is None else int(np.count_nonzero(allowed))
    slate = _slate(context, candidates, dropped, scored, reranking, mixed, eligible_count)
    timer.end("slate")
    return slate


def new_decision_id() -> str:
    """An id that nobody guesses, in hex: the time in milliseconds (48 bits), and 80 random bits.

    The time lets any process see that a decision is too new to be in Redis yet. uuid4 takes four times as long.
    """
    return (time_ns() // 1_000_000).to_bytes(6).hex() + os.urandom(10).hex()


def _slate(
    context: Context,
    candidates: Candidates,
    dropped: dict[str, Ints],
    scored: ScoredCandidates,
    reranking: Reranking | None,
    mixed: MixedSlate,
    eligible_count: int,
) -> Slate:
    degraded = list(context.degraded)
    if candidates.failed:
        degraded.append(Degraded.MODEL_UNAVAILABLE)
    if mixed.failed and Degraded.COUPONS_UNKNOWN not in degraded:
        degraded.append(Degraded.COUPONS_UNKNOWN)
    if len(mixed.propositions) < context.query.size and "product" in context.query.kinds:
        degraded.append(Degraded.SLATE_SHORT)
    catalogue = context.bundle.catalogue
    return Slate(
        decision_id=new_decision_id(),
        model_version=context.bundle.version,
        policy=POLICY,
        degraded=degraded,
        propositions=mixed.propositions,
        trace=_trace(context, candidates, dropped, scored, reranking, mixed),
        cards=catalogue.cards_of([proposition.product_id for proposition in mixed.propositions]),
        catalogue_version=catalogue.cards.version,
        eligible_count=eligible_count,
        price_version=None if context.place is None else context.place.price_version,
    )


def _trace(
    context: Context,
    candidates: Candidates,
    dropped: dict[str, Ints],
    scored: ScoredCandidates,
    reranking: Reranking | None,
    mixed: MixedSlate,
) -> Trace:
    ids = context.bundle.catalogue.product_ids
    new_products = context.bundle.new_products
    return Trace(
        new_product_count=None if new_products is None else len(new_products.items),
        placement=None if reranking is None else reranking.trace,
        coupons=mixed.trace,
        candidates={name: len(items) for name, items in candidates.by_source.items()},
        failed_sources=candidates.failed,
        dropped={
            reason: Drops(len(items), [ids[item] for item in items[:TRACED_DROPS]]) for reason, items in dropped.items()
        },
        scored_count=len(scored.items),
        nan_count=int(np.count_nonzero(scored.score == NOT_A_SCORE)),
        live_event_count=context.live.event_count,
        last_event_id=context.live.last_event_id,
        features_as_of_s=context.features.as_of_at if context.features else None,
        stock_staleness_s=None if context.place is None else context.place.staleness_s,
    )
