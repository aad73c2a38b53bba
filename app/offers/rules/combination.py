"""The best combination for the customer: which coupons are used together on a basket, and why the others are not."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from app.offers.rules.applicability import refusal_of
from app.offers.rules.explanation import lower_discount, why_not_beside, why_nothing
from app.offers.rules.search import Found, find_best
from app.offers.rules.stacking import Contender, Effect, Sheet, Turn, contender, overdrawn, sheet_of, turns
from app.offers.terms.basket import Basket, Situation
from app.offers.terms.reasons import Refusal
from app.offers.terms.terms import OfferTerms

MAX_COMBINED = 12
"""Out of so many combinable coupons the best combination is found exactly: 4,096 subsets."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A coupon that might be used; `uses` names the capacities, limits above all, that it takes 1 each of.

    Its campaign's budget has the key `budget:<campaign_id>`; of that it takes what it costs.
    """

    coupon_id: str
    offer_id: str
    campaign_id: str
    terms: OfferTerms
    uses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much is left of a limit or a budget, and what to tell who needs more.

    Of a budget `required` and `actual` are filled in: what the coupon costs, and what is left beside the others.
    Of a limit only where they are None.
    """

    left: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class LineShare:
    """What one line gets of a discount; `quantity` is that of the whole line."""

    line_id: str
    discount_minor: int
    quantity: float


@dataclass(frozen=True, slots=True)
class Applied:
    """A coupon that is used. `cost_minor` is what its campaign pays: the discount, and its points at their cost.

    `lines`, by line_id: those with a discount, or for points all that the offer applies to.
    """

    coupon_id: str
    offer_id: str
    campaign_id: str
    discount_minor: int
    points: int
    cost_minor: int
    lines: tuple[LineShare, ...]


@dataclass(frozen=True, slots=True)
class Combination:
    """Every candidate once: those used, in the order they take off, and the refusals of the others by coupon_id."""

    applied: tuple[Applied, ...]
    refused: Mapping[str, Refusal]


def best_combination(
    candidates: Sequence[Candidate], basket: Basket, situation: Situation, capacities: Mapping[str, Capacity]
) -> Combination:
    """What gives the customer most, whatever the order of candidates and lines; docs/coupon-rules.md has the rules.

    The candidates have distinct ids, all of the basket's currency. A capacity that is not given is unlimited. Exact
    up to `MAX_COMBINED` combinable coupons with an effect; above that the strongest of them by what each gives alone
    take part, ties by id, and the rest are refused with `lower_discount`.
    """
    sheet = sheet_of(basket)
    contest = _Contest(sheet, capacities)
    refused: dict[str, Refusal] = {}
    for candidate in candidates:
        refusal = refusal_of(candidate.terms, basket, situation) or contest.enter(_contender(candidate, basket, sheet))
        if refusal is not None:
            refused[candidate.coupon_id] = refusal
    best = contest.best()
    refused.update(contest.left_out(best))
    return Combination(_applied(best, candidates, sheet), refused)


class _Contest:
    """Those that have an effect alone, with what each gives then."""

    def __init__(self, sheet: Sheet, capacities: Mapping[str, Capacity]) -> None:
        self._sheet = sheet
        self._capacities = capacities
        self._left_of = {key: capacity.left for key, capacity in capacities.items()}
        self._alone: list[Turn] = []

    def enter(self, one: Contender) -> Refusal | None:
        """Lets the contender take part; else why it cannot: a limit is reached, or it has no effect even alone."""
        for key, count in one.demand(Effect([], 0, 0, 0)).items():
            if count > self._left_of.get(key, count):
                return self._beyond(key, count, 0, one)
        alone = next(turns([one], self._sheet))
        if not alone.effect.gives_something:
            return why_nothing(alone, [one], self._sheet)
        self._alone.append(alone)
        return None

    def best(self) -> tuple[Contender, ...]:
        """The best combination's members."""
        singles = [
            Found(turn.effect.discount_minor, turn.effect.points, (turn.contender,))
            for turn in self._alone
            if self._overdrawn(turn.contender, [turn]) is None
        ]
        return find_best(singles, self._combined(), self._sheet, self._left_of).members

    def left_out(self, best: Sequence[Contender]) -> dict[str, Refusal]:
        """Why each of the others is not among the best."""
        used = {member.coupon_id for member in best}
        combined = {one.coupon_id for one in self._combined()}
        return {
            turn.contender.coupon_id: self._why_left_out(turn, best, combined)
            for turn in self._alone
            if turn.contender.coupon_id not in used
        }

    def _combined(self) -> list[Contender]:
        """The strongest of the combinable ones."""
        turns_alone = [turn for turn in self._alone if turn.contender.combinable]
        turns_alone.sort(key=lambda turn: (-turn.effect.discount_minor, -turn.effect.points, turn.contender.coupon_id))
        return [turn.contender for turn in turns_alone[:MAX_COMBINED]]

    def _why_left_out(self, alone: Turn, best: Sequence[Contender], combined: Container[str]) -> Refusal:
        one = alone.contender
        together = [*turns([*best, one], self._sheet)]
        best_minor = sum(turn.effect.discount_minor for turn in turns(best, self._sheet))
        if (refusal := self._overdrawn(one, [alone])) is not None:
            return refusal
        if one.combinable and one.coupon_id not in combined:
            return lower_discount(best_minor, alone.effect.discount_minor)
        if (refusal := why_not_beside(one, best)) is not None:
            return refusal
        turn = next(turn for turn in together if turn.contender is one)
        if not turn.effect.gives_something:
            return why_nothing(turn, [*best, one], self._sheet)
        return self._overdrawn(one, together) or lower_discount(
            best_minor, sum(turn.effect.discount_minor for turn in together)
        )

    def _overdrawn(self, one: Contender, together: Sequence[Turn]) -> Refusal | None:
        """The refusal of a capacity that does not suffice for the contender beside the others."""
        used: dict[str, int] = {}
        for turn in together:
            used = turn.contender.used_with(used, turn.effect)
        effect = next(turn.effect for turn in together if turn.contender is one)
        key = overdrawn(one, effect, used, self._left_of)
        if key is None:
            return None
        count = one.demand(effect)[key]
        return self._beyond(key, count, used[key] - count, one)

    def _beyond(self, key: str, count: int, used_by_others: int, one: Contender) -> Refusal:
        refusal = self._capacities[key].refusal
        left = self._left_of[key] - used_by_others
        if key == one.budget:
            return replace(refusal, required=count, actual=left)
        return replace(
            refusal,
            required=count if refusal.required is None else refusal.required,
            actual=left if refusal.actual is None else refusal.actual,
        )


def _contender(candidate: Candidate, basket: Basket, sheet: Sheet) -> Contender:
    return contender(
        candidate.coupon_id,
        candidate.offer_id,
        candidate.terms,
        basket,
        sheet,
        uses=candidate.uses,
        budget=f"budget:{candidate.campaign_id}",
    )


def _applied(best: Sequence[Contender], candidates: Sequence[Candidate], sheet: Sheet) -> tuple[Applied, ...]:
    candidate_of = {candidate.coupon_id: candidate for candidate in candidates}
    return tuple(
        Applied(
            one.coupon_id,
            candidate_of[one.coupon_id].offer_id,
            candidate_of[one.coupon_id].campaign_id,
            effect.discount_minor,
            effect.points,
            effect.cost_minor,
            tuple(
                LineShare(sheet.line_ids[row], minor, sheet.quantities[row])
                for row, minor in zip(one.lines, effect.taken, strict=True)
                if minor or not effect.discount_minor
            ),
        )
        for one, _, effect in turns(best, sheet)
    )
