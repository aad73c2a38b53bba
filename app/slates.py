"""A slate, the answer to one question, and the trace of how it came about: between the pipeline and its edges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from app.domain import Card, Degraded, Objective, Proposition


@dataclass(frozen=True, slots=True)
class Drops:
    """What was dropped for one reason: how many, and the ids of the first of them."""

    count: int
    ids: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlacementTrace:
    """What a placement's policy did: the objective that ordered, candidates boosted and buried, products pinned, and
    those of the slate that are more than a cap allows."""

    objective: Objective
    boosted_count: int
    buried_count: int
    pinned_count: int
    over_cap_count: int


@dataclass(frozen=True, slots=True)
class CouponTrace:
    """How many coupons passed every gate, and the offers of the others by the reason of the gate that dropped them."""

    passed: int
    dropped: Mapping[str, Drops]


@dataclass(frozen=True, slots=True)
class Trace:
    """How a slate came about: typed for metrics and replay, a document for people.

    `fallback_level` None stands for the full pipeline; where it is set, nothing else is known. `candidates` counts what
    each source found, `dropped` holds product ids, `features_as_of_s` is unix seconds. `new_product_count` None: the
    bundle has no products newer than itself. `stock_staleness_s`: how long ago stock and prices were known to be equal
    to the database; None where no place plays a part.
    """

    fallback_level: Degraded | None = None
    new_product_count: int | None = None
    placement: PlacementTrace | None = None
    coupons: CouponTrace | None = None
    candidates: Mapping[str, int] = field(default_factory=dict)
    failed_sources: Sequence[str] = ()
    dropped: Mapping[str, Drops] = field(default_factory=dict)
    scored_count: int = 0
    nan_count: int = 0
    live_event_count: int = 0
    last_event_id: str | None = None
    features_as_of_s: float | None = None
    stock_staleness_s: float | None = None

    def document(self) -> dict[str, object]:
        """The trace in JSON types, as `explain` shows it; what does not apply is left out."""
        if self.fallback_level is not None:
            return {"fallback_level": self.fallback_level}
        document: dict[str, object] = {}
        if self.new_product_count is not None:
            document["new_products"] = self.new_product_count
        if self.placement is not None:
            document["placement"] = asdict(self.placement)
        if self.coupons is not None:
            document["coupons"] = {
                "passed": self.coupons.passed,
                "dropped": _dropped(self.coupons.dropped, ids_key="offer_ids"),
            }
        if self.stock_staleness_s is not None:
            document["staleness_seconds"] = self.stock_staleness_s
        return document | {
            "candidates": self.candidates,
            "failed_sources": self.failed_sources,
            "dropped": _dropped(self.dropped, ids_key="product_ids"),
            "scored_count": self.scored_count,
            "nan_count": self.nan_count,
            "live_event_count": self.live_event_count,
            "last_event_id": self.last_event_id,
            "features_as_of": self.features_as_of_s,
        }


def _dropped(dropped: Mapping[str, Drops], *, ids_key: str) -> dict[str, object]:
    return {reason: {"count": drops.count, ids_key: drops.ids} for reason, drops in dropped.items()}


@dataclass(frozen=True, slots=True)
class Slate:
    """One answer, whole: what was proposed, by which model and policy, and how it came about.

    `cards` run parallel to the propositions; `catalogue_version` names all that their catalogue shows; None without.
    `eligible_count`: products that pass every rule; None where that was not counted. `price_version`: the number of the
    last change of a store's price; None where no place plays a part.
    """

    decision_id: str
    model_version: str | None
    policy: str
    degraded: Sequence[Degraded]
    propositions: Sequence[Proposition]
    trace: Trace
    cards: Sequence[Card]
    catalogue_version: str | None
    eligible_count: int | None = None
    price_version: int | None = None
