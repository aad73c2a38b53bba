"""Answers that always come: the full pipeline, and below it the fallback levels that need less, each flagged."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from app.decision.candidates.sources import popular
from app.decision.customer.context import Context, make_context
from app.decision.customer.place import currency_here, had_here, place_of, wanted_of
from app.decision.customer.trending import trending_group
from app.decision.eligibility.products import age_restricted_among, all_allowed, eligibility_rules
from app.decision.pipeline import POLICY, Observer, Options, decide, new_decision_id
from app.domain import Degraded, Ints, ProductId, Proposition, Query, Reason
from app.errors import EndcapError
from app.model.bundle import Bundle
from app.model.goods.cards import NO_CARD
from app.ports import CustomerState, CustomerStore
from app.slates import Slate, Trace
from app.telemetry import StageTimer

_log = logging.getLogger(__name__)

UNKNOWN_CUSTOMER = CustomerState()


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
            return static_slate(query, self.fallbacks, self.options)
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
        allowed = _allowed_of(fallbacks.get(query.placement, ()), query, bundle)
        return static_slate(query, {query.placement: allowed}, options)


def popular_slate(query: Query, bundle: Bundle, options: Options, *, why: Degraded) -> Slate:
    """What is popular in the store or everywhere, from memory alone; filters still hold."""
    place = place_of(query, bundle, options.places)
    context = make_context(query, bundle, UNKNOWN_CUSTOMER, stale_after_s=options.stale_after_s, place=place)
    stale = [Degraded.STOCK_STALE] if place is not None and place.is_stale else []
    items = _popular_items(context)
    ways = had_here(context, items).options
    names = bundle.catalogue.names
    propositions = [
        Proposition(
            kind="product",
            product_id=ProductId(bundle.catalogue.product_ids[item]),
            rank=rank,
            score=float(bundle.popularity[item]),
            probability=float(bundle.popularity[item]),
            reasons=(Reason("popular", "Popular with our customers"),),
            currency=currency_here(context),
            name=names[item],
            options=options_of_item,
        )
        for rank, (item, options_of_item) in enumerate(zip(items.tolist(), ways, strict=True), start=1)
    ]
    return _bare_slate(query, bundle, [why, *stale], propositions if "product" in query.kinds else [])


def _popular_items(context: Context) -> Ints:
    """Trending first, then the most bought: enough for the slate while allowed products exist."""
    allowed = all_allowed(eligibility_rules(context))
    trending, _ = trending_group(context)
    passing = trending if allowed is None else trending[allowed[trending]]
    merged = dict.fromkeys([*passing.tolist(), *popular(context, allowed).tolist()])
    return np.array(list(merged)[: context.query.size], np.int32)


def static_slate(query: Query, fallbacks: Mapping[str, Sequence[str]], options: Options) -> Slate:
    """The placement's configured list, when there is no model at all; of it what can be had where that is known."""
    listed: Sequence[str] = fallbacks.get(query.placement, ())
    degraded = [Degraded.BUNDLE_MISSING]
    if options.places is not None:
        degraded += [Degraded.STOCK_STALE] if options.places.is_stale else []
        listed = options.places.available(wanted_of(query), listed, now=query.now_at)
    propositions = [
        Proposition(
            kind="product",
            product_id=ProductId(product_id),
            rank=rank,
            score=0.0,
            probability=0.0,
            reasons=(Reason("fallback", "Our recommendation"),),
        )
        for rank, product_id in enumerate(listed[: query.size], start=1)
        if "product" in query.kinds
    ]
    return _bare_slate(query, None, degraded, propositions)


def _allowed_of(product_ids: Sequence[str], query: Query, bundle: Bundle) -> Sequence[str]:
    """Those that are not for people of age, as far as the bundle knows; all where the placement allows these."""
    barred = () if query.allows_age_restricted else age_restricted_among(bundle.catalogue, product_ids)
    return [name for name in product_ids if name not in barred]


def _bare_slate(
    query: Query, bundle: Bundle | None, degraded: list[Degraded], propositions: list[Proposition]
) -> Slate:
    if len(propositions) < query.size and "product" in query.kinds:
        degraded = [*degraded, Degraded.SLATE_SHORT]
    trace = Trace(fallback_level=degraded[0])
    if bundle is None:
        version, cards, catalogue_version = None, [NO_CARD] * len(propositions), None
    else:
        version, cards = bundle.version, bundle.catalogue.cards_of([one.product_id for one in propositions])
        catalogue_version = bundle.catalogue.cards.version
    return Slate(new_decision_id(), version, POLICY, degraded, propositions, trace, cards, catalogue_version)
