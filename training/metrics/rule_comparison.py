"""A ranking next to simple rules on the same held-out queries: the figures, and what they say about serving it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from pydantic import TypeAdapter, ValidationError

from app.domain import Mask
from training.metrics.ranking import Wide, paired_interval

POPULARITY, FREQUENCY, PLAIN_ALS = "popularity", "personal frequency", "plain ALS"
SERVABLE = {FREQUENCY: "each customer's own products, then what is popular", POPULARITY: "what is popular"}
"""The rules that a bundle can rank by, in words."""
MIN_HITS = 20
"""The interval of fewer queries with a hit says nothing."""
NEEDED_HITS = 50
"""With as many, one that loses 7 of 10 of them is found worse than an equal one in 4 cases of 5 (sign test, 5 %)."""
KEY = "simple_rules"
"""Where a manifest's `config` keeps the comparison."""
CUTOFF = 10


@dataclass(frozen=True, slots=True)
class AgainstRules:
    """NDCG@10 of a ranking and of each rule; `hits` = queries in which any of them found something.

    `difference`: the ranking less the `best` rule, query by query, with its 95 % interval.
    """

    queries: int
    hits: int
    ndcg: float
    rules: dict[str, float]
    best: str
    difference: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """True when the ranking is below the best rule beyond noise."""
        return self.hits >= MIN_HITS and self.high < 0

    @property
    def is_better(self) -> bool:
        """True when it is above beyond noise."""
        return self.hits >= MIN_HITS and self.low > 0

    def in_words(self) -> str:
        """Both figures, their difference, and over how many queries."""
        interval = f"{self.difference:+.4f} ({self.low:+.4f} to {self.high:+.4f})"
        both = f"NDCG@{CUTOFF} {self.ndcg:.4f}, {self.best} {self.rules[self.best]:.4f}"
        return f"{both}: {interval} over {self.queries:,} queries, {self.hits:,} with a hit"


@dataclass(frozen=True, slots=True)
class RuleComparison:
    """On all products and, where somebody owns anything, on those `new` to the customer; `days` None without times.

    Without purchases customers are visitors, and baskets visits. `served`: the rule that the bundle ranks by, because
    nothing shows that what was learned is better.
    """

    has_purchases: bool
    customers: int
    baskets: int
    days: int | None
    every: AgainstRules
    new: AgainstRules | None
    served: str | None = None

    def rule_to_serve(self) -> str | None:
        """A rule where the queries are too few to tell, unless what was learned is better all the same; else None."""
        if self.every.hits >= NEEDED_HITS:
            return None
        if self.every.is_better and not (self.new is not None and self.new.is_worse):
            return None
        # Where both are as good, regulars see what is theirs, and a visitor not first of all what they look at.
        first_of_equals = (FREQUENCY, POPULARITY) if self.has_purchases else (POPULARITY, FREQUENCY)
        return max(first_of_equals, key=lambda rule: self.every.rules[rule])

    def config(self) -> dict[str, object]:
        """The comparison in plain JSON types, as a part of a manifest's `config`."""
        return {KEY: asdict(self)}

    def history_in_words(self) -> str:
        """How much there was to learn from."""
        span = "without times" if self.days is None else f"in {self.days:,} days"
        people, visits = ("customers", "baskets") if self.has_purchases else ("visitors", "visits")
        return f"The history has {self.customers:,} {people} and {self.baskets:,} {visits} {span}"

    def notes(self) -> tuple[str, ...]:
        """Which rule is served, why, and what to do; nothing where the bundle ranks by what it learned."""
        if self.served is None:
            return ()
        return (
            f"This bundle ranks by a simple rule, {self.served}: {SERVABLE[self.served]}. Its ranking was not learned: "
            f"for that, {NEEDED_HITS} held-out people must have chosen something that was proposed to them, and "
            f"{self.every.hits} of {self.every.queries:,} did. {self.history_in_words()}. Import older and further "
            "data, and see with `endcap import --preview FILE` that customer and time are the right columns; or wait: "
            "every `endcap train` decides again.",
        )


def against_rules(ranking: Wide, rules: Mapping[str, Wide], has_hit: Mask, *, seed: int) -> AgainstRules:
    """NDCG of each query (n,) by the ranking and by every rule, of which the best is compared."""
    means = {name: float(ndcg.mean()) if len(ndcg) else 0.0 for name, ndcg in rules.items()}
    best = max(means, key=lambda name: means[name])
    difference, low, high = paired_interval(ranking - rules[best], seed=seed)
    ndcg = float(ranking.mean()) if len(ranking) else 0.0
    figures = {name: round(mean, 6) for name, mean in means.items()}
    # Rounded, because sums of another order differ in the last digit, and zero must stay zero.
    ends = np.round([difference, low, high], 6).tolist()
    return AgainstRules(len(ranking), int(has_hit.sum()), round(ndcg, 6), figures, best, *ends)


def comparison_of(manifest: Mapping[str, object]) -> RuleComparison | None:
    """What a bundle's manifest says of its comparison; None for bundles of an Endcap that made none."""
    config = manifest.get("config")
    try:
        return _ADAPTER.validate_python(config.get(KEY) if isinstance(config, Mapping) else None)
    except ValidationError:
        return None


def notes_of(manifest: Mapping[str, object]) -> tuple[str, ...]:
    """The notes of a bundle's comparison; none where it has no comparison."""
    found = comparison_of(manifest)
    return () if found is None else found.notes()


def ranks_by_rule(manifest: Mapping[str, object]) -> bool:
    """True for a bundle whose ranking was not learned."""
    return bool(notes_of(manifest))


_ADAPTER = TypeAdapter(RuleComparison)
