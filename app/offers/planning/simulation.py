"""What offers would have done to past baskets: the rules of the till, customer by customer, scaled up."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import sqrt

from app.offers.rules.applicability import eligible_lines
from app.offers.rules.combination import AppliedCoupon, Capacity, UsableCoupon, best_combination
from app.offers.terms.basket import Basket, BasketLine, Situation
from app.offers.terms.periods import period_key
from app.offers.terms.reasons import ReasonCode, Refusal
from app.offers.terms.terms import CampaignTerms, OfferTerms
from app.offers.terms.time_zones import local_date
from app.settings import ProductSelector


@dataclass(frozen=True, slots=True)
class PastBasket:
    """One basket as it was paid, and who bought it, where and when; the customer is known."""

    basket: Basket
    situation: Situation

    @property
    def customer_id(self) -> str:
        """Who bought it."""
        assert self.situation.customer_id is not None
        return self.situation.customer_id


@dataclass(frozen=True, slots=True)
class Sample:
    """All baskets of some customers, drawn at random out of `customer_count` who bought anything in those days."""

    baskets: Sequence[PastBasket]
    customer_count: int
    basket_count: int

    @property
    def share(self) -> float:
        """Which part of the customers was drawn; 1 = all."""
        drawn = len({one.customer_id for one in self.baskets})
        return drawn / self.customer_count if self.customer_count else 1.0


@dataclass(frozen=True, slots=True)
class SimulationInput:
    """What is simulated: offers by id, and the campaign whose limits hold and whose budget may run out."""

    campaign: CampaignTerms
    offers: Mapping[str, OfferTerms]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A total over all customers; `standard_error` is what drawing only some of them costs, 0 where all were."""

    value: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class OfferOutcome:
    """What one offer gave in the sample, scaled up."""

    offer_id: str
    redemptions: float
    discount_minor: float


@dataclass(frozen=True, slots=True)
class Simulation:
    """What would have happened; money in minor units of the campaign's currency.

    `price_floor_share` is the part of the discount that price floors kept back. `budget_used_up_on` is the day on
    which the budget is gone (nothing stops then: totals are those without a budget), None when it lasts.
    """

    baskets_seen: int
    customers_seen: int
    share_seen: float
    baskets_qualifying: Estimate
    customers_reached: Estimate
    discount_minor: Estimate
    cost_minor: Estimate
    points: Estimate
    revenue_minor: Estimate
    mean_discount_minor: float | None
    price_floor_share: float
    budget_used_up_on: date | None
    offers: tuple[OfferOutcome, ...]


def simulate(plan: SimulationInput, sample: Sample, *, pause: Callable[[], None]) -> Simulation:
    """Every customer of the sample holds a coupon of every offer, as often as a code may be used.

    Baskets in the campaign's currency count, in the order of their time, each with the best combination of what is
    left to its customer. Limits hold, those of the campaign as a whole in proportion to the sample. Coupons' validity
    is not looked at: it says when they are good, and these days are over. `pause` is called between baskets.
    """
    run = _Run(plan, sample)
    # In the order of their time, because uses and limits run out on the way.
    for past in sorted(sample.baskets, key=lambda past: past.situation.now_at):
        pause()
        run.see(past)
    return run.outcome()


_TOTALS = ("baskets", "customers", "discount", "cost", "points", "revenue")


class _Run:
    """What was used and counted so far."""

    def __init__(self, plan: SimulationInput, sample: Sample) -> None:
        self._plan = plan
        self._sample = sample
        # Once: it goes through all baskets, and limits ask for it with each of them.
        self._share = sample.share
        self._index = _OffersByProduct(plan.offers, sample.baskets)
        self._used: Counter[str] = Counter()
        self._of_customer: dict[str, Counter[str]] = defaultdict(Counter)
        self._of_offer: dict[str, _OfferCount] = {offer_id: _OfferCount() for offer_id in plan.offers}
        self._of_day: Counter[date] = Counter()
        self._without_floor_minor = self._with_floor_minor = 0

    def see(self, past: PastBasket) -> None:
        """One more basket."""
        # Entered first of all: who was drawn and gets nothing counts as 0 in the estimates.
        totals = self._of_customer[past.customer_id]
        if past.basket.currency != self._plan.campaign.currency:
            return
        candidates, capacities = self._candidates(past)
        if not candidates:
            return
        found = best_combination(candidates, past.basket, past.situation, capacities).applied
        self._compare_floors(candidates, past, capacities, found)
        if not found:
            return
        uses = {candidate.coupon_id: candidate.uses for candidate in candidates}
        for one in found:
            self._used.update(uses[one.coupon_id])
            self._of_offer[one.offer_id].add(one)
        cost_minor = sum(one.cost_minor for one in found)
        self._of_day[local_date(past.situation.now_at, self._plan.campaign.time_zone)] += cost_minor
        totals["customers"] = 1
        totals["baskets"] += 1
        totals["discount"] += sum(one.discount_minor for one in found)
        totals["cost"] += cost_minor
        totals["points"] += sum(one.points for one in found)
        totals["revenue"] += past.basket.total_minor

    def _candidates(self, past: PastBasket) -> tuple[list[UsableCoupon], dict[str, Capacity]]:
        """A coupon per offer that this basket has something for and this customer has a use left of."""
        candidates: list[UsableCoupon] = []
        capacities: dict[str, Capacity] = {}
        for offer_id, terms in self._index.of(past.basket):
            coupon_id = f"{offer_id}:{past.customer_id}"
            lefts = {coupon_id: terms.uses_per_code} | self._limits(coupon_id, past)
            left = {key: most - self._used[key] for key, most in lefts.items() if most is not None}
            if all(count > 0 for count in left.values()):
                capacities |= {key: Capacity(count, _USED_UP) for key, count in left.items()}
                candidates.append(UsableCoupon(coupon_id, offer_id, "", terms, tuple(left)))
        return candidates, capacities

    def _limits(self, coupon_id: str, past: PastBasket) -> dict[str, int]:
        subjects = {"code": coupon_id, "customer": past.customer_id, "campaign": ""}
        campaign = self._plan.campaign
        return {
            "|".join((limit.scope, subjects[limit.scope], period_key(limit.period, past.situation.now_at,
                                                                    campaign.time_zone))):
            # At least 1, because a small sample's part of a low limit would round to none.
            limit.count if limit.scope != "campaign" else max(1, round(limit.count * self._share))
            for limit in campaign.limits
        }  # fmt: skip

    def _compare_floors(
        self,
        candidates: Sequence[UsableCoupon],
        past: PastBasket,
        capacities: Mapping[str, Capacity],
        found: Iterable[AppliedCoupon],
    ) -> None:
        given_minor = sum(one.discount_minor for one in found)
        free_minor = given_minor
        # Without any floor the second search could only find the same again.
        if any(candidate.terms.price_floor_minor for candidate in candidates):
            floorless = [_without_floor(candidate) for candidate in candidates]
            free = best_combination(floorless, past.basket, past.situation, capacities).applied
            free_minor = sum(one.discount_minor for one in free)
        self._with_floor_minor += given_minor
        self._without_floor_minor += free_minor

    def outcome(self) -> Simulation:
        """All of it, scaled up from the sample."""
        sample = self._sample
        estimates = {name: self._estimate(name) for name in _TOTALS}
        share = self._share or 1.0
        baskets = estimates["baskets"].value
        kept_back_minor = self._without_floor_minor - self._with_floor_minor
        return Simulation(
            baskets_seen=len(sample.baskets),
            customers_seen=len(self._of_customer),
            share_seen=self._share,
            baskets_qualifying=estimates["baskets"],
            customers_reached=estimates["customers"],
            discount_minor=estimates["discount"],
            cost_minor=estimates["cost"],
            points=estimates["points"],
            revenue_minor=estimates["revenue"],
            mean_discount_minor=estimates["discount"].value / baskets if baskets else None,
            price_floor_share=max(0, kept_back_minor) / self._without_floor_minor if self._without_floor_minor else 0.0,
            budget_used_up_on=self._used_up_on(share),
            offers=tuple(
                OfferOutcome(offer_id, count.redemptions / share, count.discount_minor / share)
                for offer_id, count in self._of_offer.items()
            ),
        )

    def _estimate(self, name: str) -> Estimate:
        """The expansion estimator of a simple random sample of customers without replacement (Cochran 1977, 2.3).

        Its variance is N² (1 − n/N) s² / n, s² that of the customers' totals.
        """
        values = [totals[name] for totals in self._of_customer.values()]
        everybody, drawn = self._sample.customer_count, len(values)
        if not drawn:
            return Estimate(0.0, 0.0)
        mean = sum(values) / drawn
        spread = sum((value - mean) ** 2 for value in values) / max(drawn - 1, 1)
        variance = everybody**2 * max(0.0, 1 - drawn / everybody) * spread / drawn
        return Estimate(everybody * mean, sqrt(variance))

    def _used_up_on(self, share: float) -> date | None:
        budget_minor = self._plan.campaign.budget_minor
        if budget_minor is None:
            return None
        spent_minor = 0.0
        for day in sorted(self._of_day):
            spent_minor += self._of_day[day] / share
            if spent_minor >= budget_minor:
                return day
        return None


@dataclass(slots=True)
class _OfferCount:
    redemptions: int = 0
    discount_minor: int = 0

    def add(self, applied: AppliedCoupon) -> None:
        self.redemptions += 1
        self.discount_minor += applied.discount_minor


class _OffersByProduct:
    """Which offers a basket has something for, found by its products instead of going through all selections.

    An offer may list ten thousand products; the rules then see just those of them that are in the basket.
    """

    def __init__(self, offers: Mapping[str, OfferTerms], baskets: Iterable[PastBasket]) -> None:
        self._offers = offers
        self._for_all = [offer_id for offer_id, terms in offers.items() if not terms.applies_to]
        sold = {line.product_id: line.attributes for past in baskets for line in past.basket.lines}
        self._of_product: dict[str, list[str]] = defaultdict(list)
        for offer_id, terms in offers.items():
            for product_id in _products_sold(terms, sold) if terms.applies_to else ():
                self._of_product[product_id].append(offer_id)

    def of(self, basket: Basket) -> list[tuple[str, OfferTerms]]:
        """The offers by id, each with the terms that say the same of this basket."""
        products: dict[str, dict[str, None]] = defaultdict(dict)
        for line in basket.lines:
            for offer_id in self._of_product.get(line.product_id, ()):
                products[offer_id][line.product_id] = None
        found = [(offer_id, self._offers[offer_id]) for offer_id in self._for_all]
        for offer_id, product_ids in products.items():
            applies_to = (ProductSelector(product_ids=tuple(product_ids)),)
            # model_copy() validates nothing, and nothing is new here: the offer selected these products before.
            narrowed = self._offers[offer_id].model_copy(update={"applies_to": applies_to, "excludes": ()})
            found.append((offer_id, narrowed))
        return found


def _products_sold(terms: OfferTerms, sold: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The products among those sold that the offer applies to."""
    names: Iterable[str] = sold
    if all(one.attribute is None for one in terms.applies_to):
        names = {product_id for one in terms.applies_to for product_id in one.product_ids} & sold.keys()
    lines = tuple(BasketLine(name, name, quantity=1.0, amount_minor=0, attributes=sold[name]) for name in names)
    return [line.product_id for line in eligible_lines(terms, Basket(lines, ""))]


_USED_UP = Refusal(ReasonCode.CODE_LIMIT_REACHED, "used up in the days before")


def _without_floor(candidate: UsableCoupon) -> UsableCoupon:
    terms = candidate.terms.model_copy(update={"price_floor_minor": None})
    return UsableCoupon(candidate.coupon_id, candidate.offer_id, candidate.campaign_id, terms, candidate.uses)
