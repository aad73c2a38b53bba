"""Re-ranking: scored candidates in the order that the placement wants: objective, rules, caps, diversity, pins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from app.decision.candidates.gather import Candidates
from app.decision.customer.context import Context
from app.decision.customer.place import prices_here
from app.decision.eligibility.merchandising import BRAND, CATEGORY, log_factors, pinned
from app.decision.ranking.scoring import NOT_A_SCORE, ScoredCandidates, calibration_for, probability
from app.decision.slate.diversity import LAST, Cap, Wide, best_together
from app.decision.slate.new_products import with_new_place
from app.decision.slate.objective import WORTH_NAMES, each_minor, worth_of
from app.domain import Floats, Ints, Objective, SlatePolicy
from app.slates import PlacementTrace

SOURCE = "pinned"
MIN_SLOPE = 1e-3
"""The slope is at least this: where scores say next to nothing, a factor would else move a product without end."""


@dataclass(frozen=True, slots=True)
class Reranking:
    """`positions` in `ScoredCandidates` of the slate in order, what the placement did to each, and a trace of it.

    `is_pinned`, `factors` and `keys`, which ordered the candidates, run in parallel with `positions`.
    """

    positions: Ints
    is_pinned: Sequence[bool]
    factors: Sequence[Mapping[str, float]]
    trace: PlacementTrace
    keys: Sequence[float]

    def only(self, kept: Sequence[int]) -> "Reranking":
        """The same with these products alone, by their number in the slate."""
        return Reranking(
            positions=self.positions[list(kept)],
            is_pinned=[self.is_pinned[number] for number in kept],
            factors=[self.factors[number] for number in kept] if self.factors else (),
            trace=self.trace,
            keys=[self.keys[number] for number in kept],
        )


def with_pinned(context: Context, candidates: Candidates) -> Candidates:
    """The candidates and the pinned products; as they are where nothing is pinned."""
    if context.query.policy is None or not context.query.policy.pins:
        return candidates
    items = np.array(list(pinned(context).values()), np.int32)
    merged = np.union1d(candidates.items, items).astype(np.int32)
    return replace(candidates, items=merged, by_source={**candidates.by_source, SOURCE: items})


def always_scored(context: Context, new: Ints) -> Ints:
    """The items that may be shown whatever their score: new products and pinned ones."""
    if context.query.policy is None or not context.query.policy.pins:
        return new
    return np.concatenate([new, np.array(list(pinned(context).values()), np.int32)])


def rerank(context: Context, policy: SlatePolicy, scored: ScoredCandidates, new: Ints) -> Reranking:
    """The slate's positions in `scored`; `new`: the new products that fit, best first. Nothing set: best by score."""
    worth = _worth(context, policy, scored)
    boosts = log_factors(context.bundle.catalogue, policy, scored.items)
    keys = _keys(context, scored, worth, boosts)
    pins = _pins(context, scored)
    shown = np.array(list(pins.values()), np.int32)
    caps = _caps(context, policy, scored.items)
    filled = best_together(
        keys,
        context.query.size - len(pins),
        shown=shown,
        caps=caps,
        diversity=policy.diversity,
        vectors=context.bundle.item_factors[scored.items] if policy.diversity else None,
    )
    filled = _with_new_place(context, scored, filled, new, shown=shown, caps=caps)
    positions = filled.tolist()
    # By rising rank, so that no insertion moves a pin that has its rank.
    for rank, position in pins.items():
        positions.insert(rank - 1, position)
    chosen = np.array(positions, np.int32)
    at_pins = set(shown.tolist())
    return Reranking(
        positions=chosen,
        is_pinned=[position in at_pins for position in positions],
        factors=_factors(context, policy, scored, chosen, worth=worth, boosts=boosts),
        trace=PlacementTrace(
            objective=policy.objective if worth is not None else Objective.RELEVANCE,
            boosted_count=int((boosts > 0).sum()),
            buried_count=int((boosts < 0).sum()),
            pinned_count=len(pins),
            over_cap_count=sum(cap.over_count(chosen) for cap in caps),
        ),
        keys=keys[chosen].tolist(),
    )


def _worth(context: Context, policy: SlatePolicy, scored: ScoredCandidates) -> Wide | None:
    """What one piece of each candidate brings in; None where relevance is the objective, or nothing else is known."""
    if policy.objective == Objective.RELEVANCE:
        return None
    return each_minor(worth_of(context, scored.items, prices_here(context, scored.items).minor))


def _keys(context: Context, scored: ScoredCandidates, worth: Wide | None, boosts: Wide) -> Wide:
    """What orders the candidates, (n,): score + ln(factor) / slope, or probability · worth · factor.

    A negative value is divided by the factor: a boost raises whatever it is about.
    """
    if worth is None:
        keys: Wide = scored.score.astype(np.float64) + boosts / _slope(context)
    else:
        value = probability(context, scored.score).astype(np.float64) * worth
        keys = value * np.exp(np.where(value < 0, -boosts, boosts))
    keys[scored.score == NOT_A_SCORE] = LAST
    return keys


def _slope(context: Context) -> float:
    """How many log-odds a unit of score is worth, as the bundle's calibration found it."""
    return max(float(calibration_for(context)["slope"]), MIN_SLOPE)


def _pins(context: Context, scored: ScoredCandidates) -> dict[int, int]:
    """Rank → position in `scored` of the pinned products that may be shown, by rising rank."""
    if context.query.policy is None or not context.query.policy.pins:
        return {}
    position_of = {item: position for position, item in enumerate(scored.items.tolist())}
    return {rank: position_of[item] for rank, item in pinned(context).items() if item in position_of}


def _caps(context: Context, policy: SlatePolicy, items: Ints) -> list[Cap]:
    """The caps over the candidates, of those attributes that the catalogue has."""
    stated = {CATEGORY: policy.max_per_category, BRAND: policy.max_per_brand}
    known = context.bundle.catalogue.attributes
    return [
        Cap(known[name].codes[items], at_most)
        for name, at_most in stated.items()
        if at_most is not None and name in known
    ]


def _with_new_place(
    context: Context, scored: ScoredCandidates, filled: Ints, new: Ints, *, shown: Ints, caps: Sequence[Cap]
) -> Ints:
    """`filled`, its last place for a new product where one fits, unless that broke a cap."""
    others = new[~np.isin(new, scored.items[shown])] if len(shown) else new
    changed = with_new_place(context, scored, filled, others)
    both = [np.concatenate([shown, positions]) for positions in (changed, filled)]
    is_worse = any(cap.over_count(both[0]) > cap.over_count(both[1]) for cap in caps)
    return filled if is_worse else changed


def _factors(
    context: Context,
    policy: SlatePolicy,
    scored: ScoredCandidates,
    positions: Ints,
    *,
    worth: Wide | None,
    boosts: Wide,
) -> list[dict[str, float]]:
    """Per position what the rules added to the score, and the factors of its value."""
    if not context.query.explain:
        return []
    added = boosts[positions] / _slope(context)
    changes: list[dict[str, float]] = [{"rule_boost": boost} if boost else {} for boost in added.tolist()]
    if worth is not None:
        chance: Floats = probability(context, scored.score[positions])
        name = WORTH_NAMES[policy.objective]
        for change, likely, each in zip(changes, chance.tolist(), worth[positions].tolist(), strict=True):
            change |= {"probability": likely, name: each, "value_minor": likely * each}
    return changes
